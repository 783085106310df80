"""Numbers, groups and diagnostics of a report against what they are by definition."""

import json

import numpy as np
import pytest

from naejax.data.schema import Feature, infer_features
from naejax.reports.diagnostics import calibration, confusion, residuals, sample_rows
from naejax.reports.groups import split_rows
from naejax.reports.numbers import rounded, rounded_axis
from naejax.reports.rows import choose_rows


@pytest.mark.parametrize("digits", [3, 4, 5])
def test_rounding_keeps_so_many_digits_and_prints_no_more(digits):
    rng = np.random.default_rng(0)
    values = rng.normal(size=500) * 10.0 ** rng.integers(-12, 13, 500)
    shown = rounded(values, digits=digits)
    np.testing.assert_allclose(shown, values, rtol=0.5 * 10.0 ** (1 - digits))
    for number in shown:
        assert number == float(f"{number:.{digits - 1}e}")
        assert len(json.dumps(number)) <= max(digits + 7, 15)


@pytest.mark.parametrize(
    "value", [0.0, -0.0, 1e300, -1e-300, 5e-324, 1e15, 123456789.0]
)
def test_rounding_survives_extreme_numbers(value):
    shown = rounded(value)
    assert np.isfinite(shown) and json.dumps(shown) == json.dumps(shown + 0)
    assert shown == pytest.approx(value, rel=1e-3, abs=1e-307)


def test_rounding_makes_what_json_cannot_hold_none():
    assert rounded([[np.nan, 1.0], [np.inf, -np.inf]]) == [[None, 1], [None, None]]
    assert rounded(np.zeros((2, 0))) == [[], []]


def test_rounding_by_a_unit_keeps_sums():
    rng = np.random.default_rng(1)
    parts = rng.normal(size=20)
    score = 1e6 + parts.sum()
    unit = np.abs(parts).max()
    shown = rounded(parts, unit=unit), rounded(score, unit=unit)
    assert 1e6 + sum(shown[0]) == pytest.approx(shown[1], abs=20 * 1e-3)


@pytest.mark.parametrize(
    "values",
    [
        1.7e9 + np.arange(48),
        np.cumsum(10.0 ** np.arange(-6, 7)),
        np.sort(np.random.default_rng(2).normal(size=48)),
        np.array([3.0]),
        np.array([-122.23, -122.22, np.nan]),
    ],
)
def test_positions_stay_apart(values):
    shown = rounded_axis(values)
    known = np.array([x for x in shown if x is not None], float)
    assert (np.diff(known) > 0).all()
    assert [x is None for x in shown] == np.isnan(values).tolist()
    np.testing.assert_allclose(known, values[~np.isnan(values)], rtol=1e-4)


def columns_to_split():
    """Columns of every kind, by name."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=300)
    texts = np.array(["a", "b", "c", "d", "e", "f"], object)
    yield "x", x
    yield "gaps", np.where(x > 1, np.nan, x)
    yield "few", np.round(x).clip(-1, 1)
    yield "mostly zero", np.where(x > 1.5, x, 0.0)
    yield "heavy", np.exp(5 * x)
    yield "text", texts[rng.integers(6, size=300)]
    yield "two", np.where(x > 0, "yes", None).astype(object)
    yield "flag", x > 0
    yield "constant", np.ones(300)


@pytest.mark.parametrize(("name", "column"), list(columns_to_split()))
def test_every_row_is_in_one_group(name, column):
    (feature,) = infer_features({name: column})
    groups = split_rows(feature, column)
    together = np.stack([rows for _, rows in groups])
    assert (together.sum(axis=0) == 1).all() and together.any(axis=1).all()
    assert len({label for label, _ in groups}) == len(groups) <= 6
    assert all(name in label for label, _ in groups)


def test_thirds_are_about_thirds():
    column = np.random.default_rng(4).normal(size=3000)
    sizes = [rows.mean() for _, rows in split_rows(Feature("x", "numeric"), column)]
    assert len(sizes) == 3 and np.abs(np.array(sizes) - 1 / 3).max() < 0.03


def test_labels_say_what_the_rows_are():
    column = np.arange(90.0)
    for label, rows in split_rows(Feature("x", "numeric"), column):
        rule = label.replace("≤", "<=").replace("x", "column")
        rule = rule.replace(" < column <= ", " < column) & (column <= ")
        np.testing.assert_array_equal(eval(f"({rule})"), rows)


def test_errors_are_prediction_minus_truth():
    rng = np.random.default_rng(5)
    truth = rng.normal(100, 10, 2000)
    prediction = truth - rng.normal(3, 1, 2000)
    found = residuals(truth, prediction)
    assert len(found["points"]) == 500 and sum(found["counts"]) == 2000
    error = prediction - truth
    assert found["edges"][0] == pytest.approx(error.min(), rel=1e-3)
    assert found["edges"][-1] == pytest.approx(error.max(), rel=1e-3)
    middle = np.convolve(found["edges"], [0.5, 0.5], "valid")
    assert np.average(middle, weights=found["counts"]) == pytest.approx(-3, abs=0.1)
    for guess, true in found["points"]:
        assert -2 < true - guess < 8


def test_calibration_of_calibrated_probabilities_is_the_diagonal():
    rng = np.random.default_rng(6)
    p = rng.beta(0.5, 2, 20_000)
    truth = (rng.random(20_000) < p).astype(int)
    (curve,) = calibration(truth, np.stack([1 - p, p], 1), ("no", "yes"))["classes"]
    assert curve["name"] == "yes" and sum(b["rows"] for b in curve["bins"]) == 20_000
    assert len(curve["bins"]) == 10
    assert max(b["rows"] for b in curve["bins"]) == 2000
    for b in curve["bins"]:
        assert b["observed"] == pytest.approx(b["predicted"], abs=0.04)
    predicted = [b["predicted"] for b in curve["bins"]]
    assert predicted == sorted(predicted)
    assert sum(curve["histogram"]) == 20_000


def test_calibration_sees_overconfidence_and_many_classes():
    truth = np.tile([0, 1], 50)
    p = np.tile([0.9, 0.1], 50)
    (curve,) = calibration(truth, np.stack([p, 1 - p], 1), ("a", "b"))["classes"]
    assert [b["observed"] for b in curve["bins"]] == [0, 1]
    many = np.repeat(np.arange(20), np.arange(20) + 1)
    flat = np.full((len(many), 20), 0.05)
    curves = calibration(many, flat, tuple(map(str, range(20))))["classes"]
    assert [c["name"] for c in curves] == [str(k) for k in range(8, 20)]
    assert curves[-1]["bins"] == [
        {"predicted": 0.05, "observed": pytest.approx(20 / 210, abs=1e-4), "rows": 210}
    ]


def test_confusion_counts_pairs_and_gives_up_on_many_classes():
    truth, guess = np.array([0, 0, 2]), np.array([2, 0, 2])
    found = confusion(truth, guess, ("a", "b", "c"))
    assert found["counts"] == [[1, 0, 1], [0, 0, 0], [0, 0, 1]]
    assert confusion(truth, guess, tuple(map(str, range(25)))) is None


def test_samples_are_seeded_distinct_and_in_order():
    first = sample_rows(1000, 100, seed=1)
    assert (np.diff(first) > 0).all() and first.max() < 1000
    np.testing.assert_array_equal(first, sample_rows(1000, 100, seed=1))
    assert not np.array_equal(first, sample_rows(1000, 100, seed=2))


def test_the_worst_rows_come_last_and_none_twice():
    wrong = np.zeros(200)
    wrong[[5, 77]] = 2, 9
    rows = choose_rows(wrong, 200, 40, seed=0)
    assert len(set(rows.tolist())) == 40 and rows[-10:-8].tolist() == [77, 5]
    assert sorted(choose_rows(wrong[:7], 7, 40, seed=0)) == list(range(7))
