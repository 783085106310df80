"""The estimators: data frames, arrays, names, categories, labels."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from small_tables import LABELS, MORE, SMALL, X, Y
from tiers import first_quick

from naejax.estimators import NAEClassifier, NAERegressor

pytestmark = pytest.mark.slow

NAMES = ["size", "age", "rooms"]
QUICK = {**SMALL, "epochs": 1}
FRAMES = [
    lambda x: pd.DataFrame(x, columns=NAMES),
    lambda x: pl.DataFrame(x, schema=NAMES),
]


def regressor(**changes):
    return NAERegressor(**{**QUICK, **changes})


@pytest.fixture(scope="module", params=FRAMES, ids=["pandas", "polars"])
def frame(request):
    return request.param


@pytest.fixture(scope="module")
def fitted(frame):
    return regressor().fit(frame(X), Y)


@pytest.fixture(scope="module")
def mixed():
    """Columns of every kind, some cells missing."""
    rng = np.random.default_rng(0)
    return {
        "number": np.where(rng.random(60) < 0.1, np.nan, rng.normal(size=60)),
        "count": rng.integers(0, 5, 60),
        "city": np.array(["Oslo", "Bergen", "Rome"], object)[rng.integers(0, 3, 60)],
        "flag": rng.random(60) < 0.5,
    }


def test_frames_and_arrays_are_the_same_numbers(fitted, frame):
    assert fitted.feature_names_in_.tolist() == NAMES
    plain = regressor().fit(X, Y)
    assert (fitted.predict(frame(MORE)) == plain.predict(MORE)).all()
    named = [feature.name for feature in fitted.fitted_.encoder.schema.features]
    assert named == NAMES


def test_columns_are_found_by_name(fitted, frame):
    expected = fitted.predict(frame(MORE))
    table = frame(MORE)
    assert (fitted.predict(table[["rooms", "size", "age"]]) == expected).all()
    # Extra columns may even hold what no feature could.
    extra = {"other": ["text"] * 40, **{name: table[name] for name in NAMES}}
    assert (fitted.predict(type(table)(extra)) == expected).all()
    assert fitted.score(table[["rooms", "age", "size"]], expected) == 1


def test_a_missing_column_is_named_with_its_nearest(fitted, frame):
    table = frame(MORE)
    other = type(table)(
        {"Size": table["size"], "age": table["age"], "rooms": [0.0] * 40}
    )
    with pytest.raises(
        ValueError, match="lacks the column 'size'; did you mean 'Size'"
    ):
        fitted.predict(other)
    with pytest.raises(ValueError, match="lacks the column 'rooms'"):
        fitted.explain(table[["size", "age"]])


def test_names_are_also_checked_in_eval_set_and_when_going_on(fitted, frame):
    table = frame(MORE)[["size", "age"]]
    with pytest.raises(ValueError, match="lacks the column 'rooms'"):
        regressor().fit(frame(X), Y, eval_set=(table, np.zeros(40)))
    with pytest.raises(ValueError, match="lacks the column 'rooms'"):
        regressor().fit(frame(X), Y).partial_fit(table, np.zeros(40))


def test_an_array_after_a_frame_warns(fitted, frame):
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        got = fitted.predict(MORE)
    assert (got == fitted.predict(frame(MORE))).all()
    with (
        pytest.raises(ValueError, match="X has 2 features, but NAERegressor is expect"),
        warnings.catch_warnings(action="ignore"),
    ):
        fitted.predict(MORE[:, :2])


def test_a_frame_after_an_array_warns():
    model = regressor().fit(X, Y)
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        got = model.predict(FRAMES[0](MORE))
    assert (got == model.predict(MORE)).all()
    with pytest.raises(
        ValueError, match="X has 4 features, but NAERegressor is expect"
    ):
        model.predict(np.zeros((2, 4)))


def test_columns_whose_names_are_numbers():
    model = regressor(monotone={2: 1}, num_knots=4).fit(pd.DataFrame(X), Y)
    assert not hasattr(model, "feature_names_in_")
    assert model.predict(pd.DataFrame(MORE)).shape == (40,)
    with pytest.raises(ValueError, match="X has 2 features"):
        model.predict(pd.DataFrame(MORE[:, :2]))


def test_frames_without_rows_or_columns():
    with pytest.raises(ValueError, match="1 sample"):
        regressor().fit(FRAMES[0](X[:1]), Y[:1])
    with pytest.raises(ValueError, match="no rows"):
        regressor().fit(FRAMES[0](X), Y).predict(FRAMES[0](X[:0]))
    with pytest.raises(ValueError, match="no columns"):
        regressor().fit(pd.DataFrame(index=range(9)), np.zeros(9))


def test_two_columns_of_one_name():
    table = pd.DataFrame(X, columns=["a", "b", "a"])
    with pytest.raises(ValueError, match="two columns are called 'a'"):
        regressor().fit(table, Y)


def test_names_with_spaces_and_the_name_of_the_target():
    table = pd.DataFrame(X, columns=[" size", "price", "<b>ø</b>"])
    model = regressor(monotone={" size": 1}, num_knots=4).fit(
        table, pd.Series(Y, name="price")
    )
    schema = model.fitted_.encoder.schema
    assert [feature.name for feature in schema.features] == [
        "size",
        "price",
        "<b>ø</b>",
    ]
    assert schema.target.name == "price_"
    assert (model.predict(table[[*table][::-1]]) == model.predict(table)).all()
    assert regressor().fit(X, Y).fitted_.encoder.schema.target.name == "target"


@pytest.mark.parametrize("make", first_quick([pd.DataFrame, pl.DataFrame]))
def test_columns_of_every_kind(mixed, make):
    y = np.where(mixed["city"] == "Oslo", 5.0, 0.0) + mixed["flag"]
    model = regressor(epochs=60, num_knots=4, categorical_features=["count"])
    model.set_params(validation_fraction=0.0).fit(make(mixed), y)
    kinds = {f.name: f.kind for f in model.fitted_.encoder.schema.features}
    assert list(kinds.values()) == ["numeric", "categorical", "categorical", "boolean"]
    assert model.score(make(mixed), y) > 0.8
    unseen = {**mixed, "city": np.array(["Paris", None] * 30, object)}
    assert np.isfinite(model.predict(make(unseen))).all()


def test_categories_of_pandas_are_no_numbers(mixed):
    table = pd.DataFrame(mixed).astype({"count": "category", "city": "string"})
    table["nullable"] = pd.array([1, None, 3] * 20, dtype="Int64")
    model = regressor().fit(table, np.arange(60.0))
    kinds = [feature.kind for feature in model.fitted_.encoder.schema.features]
    assert kinds == ["numeric", "categorical", "categorical", "boolean", "numeric"]


def test_text_beside_numbers_in_arrays_and_lists():
    rows = [[float(i), "ab"[i % 2]] for i in range(20)]
    for x in (rows, np.array(rows, object)):
        model = regressor().fit(x, np.arange(20.0))
        kinds = [feature.kind for feature in model.fitted_.encoder.schema.features]
        assert kinds == ["numeric", "categorical"]
        assert model.predict(x).shape == (20,)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([1.0, np.inf, 3.0], "column 'b' holds an infinite number .row 2"),
        ([np.nan] * 3, "feature 'b' has no values at all"),
        (pd.to_datetime(["2020-01-01"] * 3), "column 'b' holds dates or times"),
        ([1, "x", 3], "column 'b' mixes number and text .row 2"),
        ([{}, {}, {}], "column 'b' holds values of type dict"),
    ],
)
def test_columns_that_cannot_be_used(column, message):
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": column})
    with pytest.raises(ValueError, match=message) as caught:
        regressor().fit(table, [0.0, 1.0, 2.0])
    assert "\n" not in str(caught.value)


def test_infinity_at_prediction_is_named(fitted, frame):
    table = frame(np.where(MORE == MORE[3, 1], np.inf, MORE))
    with pytest.raises(ValueError, match="column 'age' holds an infinite number"):
        fitted.predict(table)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["no", "yes"]),
        np.array(["no", "yes", "may be"], object),
        np.array([3, -7]),
        np.array([10, 9, 2], np.int8),
        np.array([False, True]),
        np.array([1.0, 2.0]),
        np.array(["", "nan"]),
    ],
    ids=str,
)
def test_labels_come_back_as_they_were(labels):
    y = labels[np.digitize(X[:, 0], np.linspace(-1, 1, len(labels) + 1)[1:-1])]
    model = NAEClassifier(**{**QUICK, "epochs": 15}).fit(X, y)
    assert model.classes_.dtype == labels.dtype
    assert model.classes_.tolist() == sorted(labels.tolist())
    got = model.predict(X)
    assert got.dtype == labels.dtype
    assert np.mean(got == y) > 0.7
    probability = model.predict_proba(X)
    assert probability.dtype == np.float64
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-12)
    assert (model.classes_[probability.argmax(axis=1)] == got).all()
    np.testing.assert_allclose(np.log(probability), model.predict_log_proba(X))


@pytest.mark.parametrize(
    "make", [list, pd.Series, pl.Series, lambda y: pd.Series(y, dtype="category")]
)
def test_containers_of_labels(make):
    y = make(LABELS.tolist())
    model = NAEClassifier(**QUICK).fit(X, y, eval_set=(X, y))
    assert model.classes_.tolist() == ["down", "up"]
