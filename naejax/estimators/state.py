"""A fitted estimator as plain values and arrays, to be stored without pickling."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from naejax.estimators.base import BaseNAE
from naejax.estimators.classification import NAEClassifier
from naejax.estimators.regression import NAERegressor
from naejax.tabular import TabularNAE
from naejax.tabular.fitted import CUSTOM_LOSS

_CLASSES: dict[str, type[BaseNAE]] = {
    "NAEClassifier": NAEClassifier,
    "NAERegressor": NAERegressor,
}
_LABEL_KINDS = "biufUO"


def to_state(
    estimator: BaseNAE,
) -> tuple[dict[str, Any], TabularNAE, dict[str, np.ndarray]]:
    """Takes a fitted estimator apart: a header for JSON, the model, and arrays.

    An own loss is recorded as ``custom`` and a RandomState as None: what was fitted
    predicts the same, but `fit` would need them again.

    Args:
        estimator: fitted.

    Returns:
        The header, ``fitted_``, and the array ``calibration`` if there is one.

    Raises:
        sklearn.exceptions.NotFittedError: the estimator is not fitted.

    Example:
        >>> x = np.linspace(0, 1, 40)[:, None]
        >>> model = NAERegressor(num_experts=4, hidden=(8,), epochs=1).fit(x, x[:, 0])
        >>> header, fitted, tensors = to_state(model)
        >>> header["class"], header["feature_names"], sorted(tensors)
        ('NAERegressor', None, [])
    """
    check_is_fitted(estimator)
    names = getattr(estimator, "feature_names_in_", None)
    header = {
        "class": type(estimator).__name__,
        "parameters": {
            name: _plain(name, value)
            for name, value in estimator.get_params(deep=False).items()
        },
        "n_features": int(estimator.n_features_in_),
        "feature_names": None if names is None else [str(name) for name in names],
        "n_iter": int(estimator.n_iter_),
        "best_epoch": int(estimator.best_epoch_),
        "history": estimator.history_,
    }
    if isinstance(estimator, NAEClassifier):
        labels = estimator.classes_
        header["labels"] = labels.tolist()
        header["label_dtype"] = labels.dtype.str
    tensors = {}
    if hasattr(estimator, "calibration_"):
        tensors["calibration"] = estimator.calibration_
    return header, estimator.fitted_, tensors


def from_state(
    header: Mapping[str, Any], fitted: TabularNAE, tensors: Mapping[str, np.ndarray]
) -> BaseNAE:
    """Puts together what `to_state` took apart; predictions are bitwise equal.

    Args:
        header: also after a round trip through JSON.
        fitted: the model.
        tensors: the arrays.

    Returns:
        The fitted estimator.

    Raises:
        ValueError: the parts do not belong together or are damaged.

    Example:
        >>> x = np.linspace(0, 1, 40)[:, None]
        >>> model = NAERegressor(num_experts=4, hidden=(8,), epochs=1).fit(x, x[:, 0])
        >>> twin = from_state(*to_state(model))
        >>> bool((twin.predict(x) == model.predict(x)).all())
        True
    """
    try:
        estimator = _CLASSES[header["class"]](**_parameters(header["parameters"]))
        estimator.n_features_in_ = int(header["n_features"])
        names = header["feature_names"]
        if names is not None:
            if not all(isinstance(name, str) for name in names):
                raise ValueError(f"feature names {names!r}")
            estimator.feature_names_in_ = np.array(names, dtype=object)
        estimator.n_iter_ = int(header["n_iter"])
        estimator.best_epoch_ = int(header["best_epoch"])
        estimator.history_ = [dict(row) for row in header["history"]]
        estimator.fitted_ = fitted
        if isinstance(estimator, NAEClassifier):
            dtype = np.dtype(header["label_dtype"])
            if dtype.kind not in _LABEL_KINDS:
                raise ValueError(f"labels of type {dtype}")
            estimator.classes_ = np.array(header["labels"], dtype=dtype)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"not the state of an estimator ({type(error).__name__}: {error}): save it "
            "again"
        ) from error
    _check(estimator, names)
    if "calibration" in tensors:
        estimator.calibration_ = _calibration(tensors["calibration"])
    return estimator


def _plain(name: str, value: Any) -> Any:
    """A parameter as a value that JSON knows."""
    if name == "loss" and callable(value):
        return CUSTOM_LOSS
    if name == "monotone" and value is not None:
        # JSON would make positions text.
        return [[_plain("", key), int(sign)] for key, sign in value.items()]
    if isinstance(value, np.random.RandomState):
        return None
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain("", item) for item in value]
    return value


def _parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters from values that JSON knows."""
    parameters = dict(values)
    if parameters.get("hidden") is not None:
        parameters["hidden"] = tuple(parameters["hidden"])
    if parameters.get("monotone") is not None:
        parameters["monotone"] = dict(parameters["monotone"])
    return parameters


def _check(estimator: BaseNAE, names: Any) -> None:
    """Refuses parts that do not belong together."""
    schema = estimator.fitted_.encoder.schema
    wrong = None
    if estimator.n_features_in_ != len(schema.features):
        wrong = f"{estimator.n_features_in_} features, the model has "
        wrong += str(len(schema.features))
    elif names is not None and [name.strip() for name in names] != [
        feature.name for feature in schema.features
    ]:
        wrong = "names of features that the model does not have"
    elif estimator._class_texts() != schema.target.classes:
        wrong = "labels that the model does not have"
    if wrong:
        raise ValueError(f"the state of the estimator has {wrong}: save it again")


def _calibration(scores: Any) -> np.ndarray:
    """Nonconformity scores, finite and increasing."""
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 1 or not np.isfinite(scores).all() or (np.diff(scores) < 0).any():
        raise ValueError(
            "the calibration scores of the estimator are damaged: save it again"
        )
    return scores
