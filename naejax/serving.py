"""Prediction with numpy alone: no JAX, no SciPy, no scikit-learn is imported."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from naejax import table_file
from naejax.container import Header, Index, blaming, read_container
from naejax.data.rows import read_rows
from naejax.data.table import TableEncoder, encode
from naejax.layout import ModelConfig, model_config
from naejax.numpy_nae import Member, Scores, apply_numpy, prepare
from naejax.table_file import ESTIMATOR_FIELDS, FIELDS, LOG_LINKS, Tensors

_CHUNK = 8192


@dataclass(frozen=True, eq=False)
class NumpyPredictor:
    """A fitted model of a table that predicts with numpy alone.

    Its numbers are those of the model up to the rounding of float32, in which networks
    run whatever the model's ``dtype``. Where two experts' logits are equal up to that,
    a gate may pick the other one.

    Attributes:
        config: the model.
        encoder: how columns become the model's input.
        loss: name of the loss it was trained with.
        labels: of the classes, (number of classes,); empty for a regression.
        tensors: the model's variables by their paths.
    """

    config: ModelConfig
    encoder: TableEncoder
    loss: str
    labels: np.ndarray
    tensors: Tensors = field(repr=False)

    @cached_property
    def _members(self) -> list[Member]:
        """The members, with their tables."""
        return prepare(self.config, self.tensors)

    def explain(self, rows: Any) -> Scores:
        """The scores of rows and their parts, as `naejax.tabular.explain_rows`.

        Args:
            rows: path of a CSV file, data frame, mapping of columns, or (N, F) array of
                a model that was fitted on one.

        Returns:
            Predictions (N, C), bias (C,) and contributions (N, F, C), in the unit of
            the target for the identity link, otherwise on the link scale. The bias and
            the contributions add up to the prediction.

        Raises:
            ValueError: if a column is missing or holds text where numbers are expected.
        """
        x = encode(self.encoder, read_rows(self.encoder, rows, target=False))
        if len(x) == 0:
            raise ValueError("the table has no rows, expected at least one")
        chunks = [
            apply_numpy(self._members, x[start : start + _CHUNK])
            for start in range(0, len(x), _CHUNK)
        ]
        # In float64: a target far from 0 keeps its digits.
        mean, std = np.float64(0), np.float64(1)
        if self.loss not in LOG_LINKS:
            mean = np.float64(self.encoder.target_mean)
            std = np.float64(self.encoder.target_std)
        return Scores(
            np.concatenate([chunk.prediction for chunk in chunks]) * std + mean,
            chunks[0].bias * std + mean,
            np.concatenate([chunk.contributions for chunk in chunks]) * std,
            np.concatenate([chunk.gates for chunk in chunks]),
            np.concatenate([chunk.experts for chunk in chunks]) * std,
        )

    def contributions(self, rows: Any) -> np.ndarray:
        """What each feature adds to the scores of rows.

        Args:
            rows: as for `explain`.

        Returns:
            (N, F, C), features in the order of ``encoder.schema.features``.
        """
        return self.explain(rows).contributions

    def decision_function(self, rows: Any) -> np.ndarray:
        """The scores of rows on the link scale.

        Args:
            rows: as for `explain`.

        Returns:
            One score per class, (N, C); for two classes the log-odds of the second, for
            a regression its value or logarithm, (N,).
        """
        score = self.explain(rows).prediction
        return score[:, 0] if score.shape[1] == 1 else score

    def predict_proba(self, rows: Any) -> np.ndarray:
        """The probability of every class.

        Args:
            rows: as for `explain`.

        Returns:
            (N, number of classes) float64, in the order of ``labels``.

        Raises:
            ValueError: if the model is of a regression.
        """
        if not len(self.labels):
            raise ValueError(
                f"{self.encoder.schema.target.name!r} is a number and has no classes; "
                "use predict"
            )
        score = self.explain(rows).prediction
        if score.shape[1] == 1:
            score = np.concatenate([np.zeros_like(score), score], axis=1)
        likelihood = np.exp(score - score.max(axis=1, keepdims=True))
        return likelihood / likelihood.sum(axis=1, keepdims=True)

    def predict(self, rows: Any) -> np.ndarray:
        """The mean of the target, in its unit, or the most probable class.

        Args:
            rows: as for `explain`.

        Returns:
            Numbers or labels, (N,).
        """
        if len(self.labels):
            return self.labels[self.predict_proba(rows).argmax(axis=1)]
        score = self.explain(rows).prediction[:, 0]
        return np.exp(score) if self.loss in LOG_LINKS else score


def to_numpy_predictor(model: Any) -> NumpyPredictor:
    """Makes a predictor that needs numpy alone.

    Args:
        model: path of a file that `naejax.save` wrote, which is read without JAX; or a
            fitted model of a table, or a fitted estimator.

    Returns:
        The predictor.

    Raises:
        ValueError: if the file is missing, damaged, or holds a model of images.

    Example:
        >>> from naejax.data import infer_schema
        >>> from naejax.settings import Settings
        >>> from naejax.tabular import fit_table, predict_table
        >>> columns = {"x": np.arange(64.0), "y": np.arange(64.0) ** 2}
        >>> fitted, _ = fit_table(columns, columns, infer_schema(columns, "y"),
        ...                       Settings(epochs=1, num_experts=4), progress=False)
        >>> prediction = to_numpy_predictor(fitted).predict(columns)
        >>> expected = predict_table(fitted, columns)["prediction"]
        >>> bool(np.allclose(prediction, expected, rtol=1e-4))
        True
    """
    if hasattr(model, "fitted_"):
        from naejax.estimators.state import to_state

        estimator, fitted, _ = to_state(model)
        header, tensors = table_file.table_state(fitted)
        return _predictor({**header, "estimator": estimator}, tensors)
    if not isinstance(model, str | Path):
        return _predictor(*table_file.table_state(model))
    header, tensors = read_container(model, _check)
    with blaming(model):
        table_file.check_finite(tensors)
        return _predictor(header, tensors)


def _check(header: Header, index: Index) -> None:
    """Refuses what is no model of a table."""
    fields = {"nae": FIELDS, "estimator": ESTIMATOR_FIELDS}
    kind = header.get("kind", "nae")
    if kind not in list(fields):
        raise ValueError(
            f"it holds a model of kind {kind!r}, expected one of a table; naejax.load "
            "gives it back, with JAX"
        )
    table_file.check_header(header, fields)
    table_file.check_table(header, index)


def _predictor(header: Header, tensors: Tensors) -> NumpyPredictor:
    """The predictor of a header and arrays."""
    return NumpyPredictor(
        model_config(header),
        table_file.table_encoder(header, tensors),
        header["loss"],
        table_file.class_labels(header),
        table_file.variables(tensors),
    )
