"""Targets, weights and classes as real life brings them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from tiers import first_quick
from weather import TINY, N, X, Y, check_finite, classify, one_line, regress

from naejax import NAEClassifier, NAERegressor

HEAVY = 1e6 * np.random.default_rng(1).standard_cauchy(N)
EVERY_OTHER = np.arange(N) % 2


@pytest.mark.parametrize("loss", first_quick(["absolute", "squared"], 0))
def test_a_heavy_tailed_target_gives_finite_predictions(loss):
    assert np.abs(HEAVY).max() > 20 * np.median(np.abs(HEAVY))
    regress(X, HEAVY, loss=loss)


@pytest.mark.parametrize(
    "y",
    [
        (10 * Y).astype(np.int64),
        Y.astype(np.float32),
        pd.Series(Y, index=range(1000, 1000 + N), name="größe <b>"),
        Y.tolist(),
        np.broadcast_to(Y, Y.shape),
        1e29 * Y / np.abs(Y).max(),
        1e-28 * Y,
        np.full(N, 3.0),
        3e9 + np.arange(N),
    ],
    ids=[
        "int",
        "float32",
        "series",
        "list",
        "read-only",
        "1e29",
        "1e-28",
        "constant",
        "beyond 32 bits",
    ],
)
def test_targets_that_work(y):
    regress(X, y)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.where(np.arange(N) == 4, np.nan, Y), ["NaN"]),
        ([None, *Y[1:]], ["NaN"]),
        (np.where(np.arange(N) == 4, np.inf, Y), ["infinity"]),
        (1e200 * Y, ["'target' goes up to", "1e30", "change its unit"]),
        (1e-300 * Y, ["'target' varies by", "change its unit"]),
        (Y[1:], ["inconsistent numbers of samples"]),
        (np.zeros((N, 2)), ["1d array"]),
    ],
    ids=["NaN", "None", "infinite", "huge", "tiny", "shorter", "two columns"],
)
def test_targets_that_are_refused(y, words):
    one_line(lambda: regress(X, y), *words)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["no", "yes"])[EVERY_OTHER],
        np.array([True, False])[EVERY_OTHER],
        np.array([-1, 7])[EVERY_OTHER],
        np.array(["größe", "<b>", "a\nb"])[np.arange(N) % 3],
        pd.Series(["x", "y"] * (N // 2), dtype="category"),
    ],
    ids=["text", "bool", "int", "unicode and HTML", "category"],
)
def test_labels_that_work(labels):
    model = classify(X, labels)
    assert sorted(set(labels)) == list(model.classes_)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a"] * N, ["one class only (a", "at least two"]),
        ([None] + ["a", "b"] * (N // 2 - 1) + ["a"], ["None", "row 1"]),
        (Y, ["continuous"]),
        (np.where(np.arange(N) == 4, np.nan, EVERY_OTHER), ["NaN"]),
    ],
    ids=["one class", "None", "numbers", "NaN"],
)
def test_labels_that_are_refused(labels, words):
    one_line(lambda: classify(X, labels), *words)


def test_labels_unseen_in_training_are_refused_in_eval_set():
    labels = np.array(["no", "yes"])[EVERY_OTHER]
    other = np.where(np.arange(N) == 3, "maybe", labels)
    one_line(lambda: classify(X, labels, eval_set=(X, other)), "'maybe'", "'no', 'yes'")


def test_an_eval_set_without_some_labels_works():
    labels = np.array(["a", "b", "c"])[np.arange(N) % 3]
    classify(X, labels, eval_set=(X[labels != "c"], labels[labels != "c"]))


def test_one_in_a_hundred_is_found():
    rng = np.random.default_rng(0)
    rare = np.arange(1010) % 101 == 0
    x = rng.normal(size=(1010, 3))
    x[rare] += [3.0, 2.0, 0.0]
    labels = np.where(rare, "rare", "usual")
    own = {"epochs": 60, "num_knots": 16, "learning_rate": 1e-2}
    model = NAEClassifier(**{**TINY, **own})
    model.fit(x[::2], labels[::2])
    check_finite(model, x)
    probability = model.predict_proba(x[1::2])[:, 0]
    assert roc_auc_score(rare[1::2], probability) > 0.9
    # Not more confident than the data: the mean probability is near the share.
    assert 0.002 < probability.mean() < 0.05


@pytest.mark.parametrize(
    "target", first_quick(["three classes", "numbers", "two classes"], 0)
)
def test_300_levels_in_a_category(target):
    levels = np.array([f"level {i}" for i in np.arange(600) % 300], dtype=object)
    x = pd.DataFrame({"code": levels, "x": np.random.default_rng(0).normal(size=600)})
    if target == "numbers":
        regress(x, x["x"])
    else:
        classify(x, np.arange(600) % (2 if target == "two classes" else 3))


@pytest.mark.parametrize(
    "weight",
    [
        EVERY_OTHER,
        np.full(N, 1e300),
        np.full(N, 1e-300),
        np.where(EVERY_OTHER, 1e30, 1e-30),
        np.where(np.arange(N) < 2, 1.0, 0.0),
    ],
    ids=["some zero", "huge", "tiny", "huge and tiny", "two rows"],
)
def test_weights_that_work(weight):
    regress(X, sample_weight=weight)


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.zeros(N), ["weights of all 60 rows are zero"]),
        (np.where(np.arange(N) == 4, -1.0, 1.0), ["row 5 is -1.0", "at least 0"]),
        (np.where(np.arange(N) == 4, np.nan, 1.0), ["row 5 is nan", "finite"]),
        (np.full(N, np.inf), ["row 1 is inf", "finite"]),
        (np.ones(3), ["(3,)", "one per row"]),
        (np.arange(N) == 3, ["1 row has a positive sample_weight"]),
    ],
    ids=["zero", "negative", "NaN", "infinite", "too few", "one row"],
)
def test_weights_that_are_refused(weight, words):
    one_line(lambda: regress(X, sample_weight=weight), *words)


def test_rows_of_weight_zero_may_hold_anything():
    x, y, weight = X.copy(), Y.copy(), np.ones(N)
    x[5], y[5], weight[5] = 1e299, 1e29, 0.0
    wild = regress(x, y, sample_weight=weight, rows=X)
    x[5], y[5] = 0.0, 0.0
    calm = regress(x, y, sample_weight=weight, rows=X)
    np.testing.assert_array_equal(wild.predict(X), calm.predict(X))


def test_predictions_of_a_huge_offset_are_finite():
    offset = np.where(np.arange(N) == 0, 1e6, 0.0)
    model = NAERegressor(**TINY).fit(X, Y + offset, init_score=offset)
    assert np.isfinite(model.predict(X)).all()
