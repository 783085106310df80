"""Estimators as plain values and arrays, and back."""

import json

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from small_tables import LABELS, MORE, SMALL, X, Y

from naejax.estimators import NAEClassifier, NAERegressor
from naejax.estimators.state import from_state, to_state

QUICK = {**SMALL, "epochs": 1}
NAMES = ["size", "age", "rooms"]


def through_json(estimator):
    header, fitted, tensors = to_state(estimator)
    text = json.dumps(header, allow_nan=False)
    return from_state(json.loads(text), fitted, tensors)


def test_a_regressor_comes_back():
    table = pd.DataFrame(X, columns=NAMES)
    model = NAERegressor(
        **QUICK | {"num_knots": 4},
        calibration_fraction=0.25,
        monotone={0: np.int64(1), "age": -1},
        categorical_features=("rooms",),
    ).fit(table, Y)
    twin = through_json(model)
    more = pd.DataFrame(MORE, columns=NAMES)
    assert (twin.predict(more) == model.predict(more)).all()
    assert (twin.predict_interval(more) == model.predict_interval(more)).all()
    given = model.get_params() | {"categorical_features": ["rooms"]}
    assert twin.get_params() == given
    for name in ("n_features_in_", "n_iter_", "best_epoch_", "history_"):
        assert getattr(twin, name) == getattr(model, name)
    assert twin.feature_names_in_.tolist() == NAMES
    assert (twin.fit(table, Y).predict(more) == model.predict(more)).all()


@pytest.mark.parametrize(
    "labels",
    [LABELS, LABELS.astype(object), LABELS == "up", np.arange(96) % 3 - 1],
    ids=["text", "objects", "booleans", "integers"],
)
def test_labels_come_back_with_their_type(labels):
    model = NAEClassifier(**QUICK, calibration_fraction=0.25).fit(X, labels)
    twin = through_json(model)
    assert twin.classes_.dtype == model.classes_.dtype
    assert (twin.predict(MORE) == model.predict(MORE)).all()
    assert (twin.predict_set(MORE) == model.predict_set(MORE)).all()
    assert not hasattr(twin, "feature_names_in_")


def test_what_json_does_not_know():
    model = NAERegressor(
        **QUICK | {"learning_rate": np.float64(0.01)},
        loss=lambda score, target: jnp.abs(score[:, 0] - target),
        random_state=np.random.RandomState(0),
    ).fit(X, Y)
    twin = through_json(model)
    assert (twin.loss, twin.random_state) == ("custom", None)
    assert type(twin.learning_rate) is float
    assert (twin.predict(MORE) == model.predict(MORE)).all()
    with pytest.raises(ValueError, match="got 'custom', expected one of"):
        twin.fit(X, Y)


def test_not_fitted():
    with pytest.raises(NotFittedError):
        to_state(NAERegressor())


@pytest.fixture(scope="module")
def parts():
    model = NAEClassifier(**QUICK, calibration_fraction=0.25)
    return to_state(model.fit(pd.DataFrame(X, columns=NAMES), LABELS))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class": "RandomForest"}, "not the state of an estimator .KeyError"),
        ({"class": None}, "not the state of an estimator"),
        ({"parameters": {"trees": 3}}, "unexpected keyword argument 'trees'"),
        ({"parameters": None}, "not the state of an estimator"),
        ({"parameters": {"monotone": 3}}, "not the state of an estimator"),
        ({"n_features": 4}, "4 features, the model has 3"),
        ({"n_features": "many"}, "not the state of an estimator"),
        ({"feature_names": ["size", "age"]}, "names of features"),
        ({"feature_names": 3}, "not the state of an estimator"),
        ({"labels": ["down", "left"]}, "labels that the model does not have"),
        ({"labels": ["down"]}, "labels that the model does not have"),
        ({"label_dtype": "V8"}, "not the state of an estimator"),
        ({"label_dtype": "<i8"}, "not the state of an estimator"),
        ({"history": [1]}, "not the state of an estimator"),
    ],
)
def test_damaged_headers(parts, changes, message):
    header, fitted, tensors = parts
    with pytest.raises(ValueError, match=message) as caught:
        from_state({**header, **changes}, fitted, tensors)
    assert "\n" not in str(caught.value)


def test_missing_parts(parts):
    header, fitted, tensors = parts
    for name in header:
        less = {key: value for key, value in header.items() if key != name}
        with pytest.raises(ValueError, match=f"KeyError: '{name}'"):
            from_state(less, fitted, tensors)
    with pytest.raises(ValueError, match="held no rows back"):
        from_state(header, fitted, {}).predict_set(pd.DataFrame(MORE, columns=NAMES))


@pytest.mark.parametrize("scores", [[2.0, 1.0], [np.nan], [[1.0]]])
def test_damaged_calibration(parts, scores):
    header, fitted, _ = parts
    with pytest.raises(ValueError, match="calibration scores of the estimator"):
        from_state(header, fitted, {"calibration": np.array(scores)})
