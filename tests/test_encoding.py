"""Encodings of one column against scikit-learn, naive loops and closed forms."""

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from sklearn.preprocessing import QuantileTransformer, TargetEncoder

from naejax.data.encoding import (
    fit_knots,
    from_normal,
    level_codes,
    out_of_fold_statistics,
    standard_deviation,
    target_statistics,
    to_normal,
)

COLUMNS = {
    "normal": lambda rng: rng.standard_normal(3000),
    "lognormal": lambda rng: 1e4 * np.exp(2 * rng.standard_normal(500)),
    "integers": lambda rng: rng.integers(0, 12, 4000).astype(float),
    "binary": lambda rng: (rng.random(100) < 0.1).astype(float),
    "zeros": lambda rng: rng.exponential(size=2000) * (rng.random(2000) < 0.3),
    "two rows": lambda rng: np.array([3.0, 5.0]),
}


@pytest.fixture(params=COLUMNS)
def column(request) -> np.ndarray:
    return COLUMNS[request.param](np.random.default_rng(0))


def mid_ranks(column: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Share of rows below every knot, and half of its own."""
    return np.array([np.mean(column < k) + np.mean(column == k) / 2 for k in knots])


@pytest.mark.parametrize("num_knots", [2, 12, 64, 5000])
def test_codes_are_normal_quantiles_of_mid_ranks(column, num_knots):
    knots, codes = fit_knots(column, num_knots)
    assert len(knots) <= num_knots and np.isin(knots, column).all()
    assert (knots[0], knots[-1]) == (column.min(), column.max())
    expected = ndtri(0.001 + 0.998 * mid_ranks(column, knots))
    np.testing.assert_allclose(codes, expected, atol=1e-12)
    if len(np.unique(column)) <= num_knots:
        assert (knots == np.unique(column)).all()


def test_ties_share_the_middle_of_their_ranks():
    column = np.array([5.0, 1.0, 1.0, 1.0])
    expected = ndtri(0.001 + 0.998 * np.array([3 / 8, 7 / 8]))
    np.testing.assert_allclose(fit_knots(column, 8), [[1, 5], expected], atol=1e-12)


def test_codes_of_untied_values_are_those_of_scikit_learn():
    """Up to the ends, where mid-ranks stay half a row away from 0 and 1."""
    column = np.random.default_rng(0).standard_normal(4000)
    oracle = QuantileTransformer(
        n_quantiles=4000, output_distribution="normal", subsample=None
    )
    expected = oracle.fit_transform(column[:, None])[:, 0]
    middle = np.abs(expected) < 2
    found = to_normal(column, fit_knots(column, 4000))
    np.testing.assert_allclose(found[middle], expected[middle], atol=0.02)


def test_knots_do_not_depend_on_row_order(column):
    shuffled = np.random.default_rng(1).permutation(column)
    np.testing.assert_array_equal(fit_knots(column, 64), fit_knots(shuffled, 64))


def test_one_outlier_leaves_the_others_where_they_were():
    rng = np.random.default_rng(0)
    column = rng.standard_normal(999)
    before = to_normal(column, fit_knots(column, 64))
    after = to_normal(column, fit_knots(np.append(column, 1e9), 64))
    np.testing.assert_allclose(np.sort(after)[:-20], np.sort(before)[:-20], atol=0.05)


def test_scores_rise_strictly_and_stay_in_bounds(column):
    knots = fit_knots(column, 64)
    grid = np.linspace(*knots[0, [0, -1]], 2001)
    scores = to_normal(grid, knots)
    assert np.all(np.diff(scores) > 0) and np.all(np.diff(knots) > 0)
    assert np.abs(scores).max() <= ndtri(0.999)
    ends = to_normal(np.array([-1e30, 1e30, np.nan]), knots)
    np.testing.assert_array_equal(ends, [*knots[1, [0, -1]], np.nan])


def test_inverse_undoes_the_transform(column):
    knots = fit_knots(column, 64)
    grid = np.linspace(*knots[0, [0, -1]], 1001)
    # A float32 code is good to 1e-7 of a normal deviation, however wide its cell is.
    steepest = np.max(np.diff(knots[0]) / np.diff(knots[1]))
    for dtype, error in ((np.float64, 1e-8 * np.ptp(grid)), (np.float32, 1e-6)):
        scores = to_normal(grid, knots).astype(dtype)
        allowed = error if dtype == np.float64 else error * steepest
        np.testing.assert_allclose(from_normal(scores, knots), grid, atol=allowed)
    assert np.isnan(from_normal(np.array([np.nan]), knots))


def test_scores_of_many_draws_are_normal():
    draws = np.random.default_rng(0).exponential(size=20_000)
    scores = to_normal(draws, fit_knots(draws, 256))
    np.testing.assert_allclose([scores.mean(), scores.std()], [0.0, 1.0], atol=0.02)
    # Between knots, a cell of 1/256 of the rows apart, it is only about normal.
    ranks = np.sort(ndtr(scores))
    np.testing.assert_allclose(ranks, np.linspace(0, 1, 20_000), atol=1 / 256)


@pytest.mark.parametrize("value", [0.0, 3.0, 1e18])
def test_a_constant_column_becomes_zero_and_keeps_what_is_missing(value):
    knots = fit_knots(np.full(50, value), 64)
    scores = to_normal(np.array([value, value + 1, np.nan]), knots)
    np.testing.assert_allclose(scores, [0, 0, np.nan], atol=1e-12)
    back = from_normal(np.array([0.0, np.nan]), knots)
    np.testing.assert_array_equal(back, [value, np.nan])


@pytest.mark.parametrize("scale", [1e300, 1e150, 1e-150, 1e-300, 1e-310])
def test_scores_do_not_depend_on_the_unit_at_any_scale(scale):
    column = np.random.default_rng(0).uniform(-1, 1, 300)
    scaled = column * scale
    scores = to_normal(scaled, fit_knots(scaled, 16))
    expected = to_normal(column, fit_knots(column, 16))
    # Slopes that overflow become steps to the next of 16 knots.
    allowed = 1e-12 if scale > 1e-305 else np.diff(fit_knots(column, 16)[1]).max()
    np.testing.assert_allclose(scores, expected, atol=allowed)
    assert np.all(np.diff(scores[np.argsort(scaled)]) >= 0)


def test_scores_do_not_depend_on_the_batch(column):
    # np.interp has a fast path for long inputs: it must round like the slow one.
    knots = fit_knots(column, 64)
    points = np.concatenate([column, column + 0.1])[-300:]
    together = to_normal(points, knots)
    one_by_one = [to_normal(point, knots) for point in points[:, None]]
    np.testing.assert_array_equal(together, np.concatenate(one_by_one))


@pytest.mark.parametrize("num_levels", [1, 2, 5, 1000])
def test_level_codes_spread_like_a_normal(num_levels):
    codes = level_codes(num_levels)
    np.testing.assert_allclose(codes, -codes[::-1], atol=1e-12)
    assert np.all(np.diff(codes.astype(np.float32)) > 0)
    ranks = ndtr(codes) * num_levels - 0.5
    np.testing.assert_allclose(ranks, np.arange(num_levels), atol=1e-9)


def labelled(seed: int, num_levels: int = 7, rows: int = 200):
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, num_levels - 1, rows)
    return levels, levels + rng.standard_normal(rows)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("smoothing", [0.5, 10.0, 100.0])
def test_statistics_against_a_naive_loop(seed, smoothing):
    levels, labels = labelled(seed)
    mean = labels.mean()
    estimates = []
    for level in range(8):
        own = labels[levels == level]
        estimates.append((own.sum() + smoothing * mean) / (len(own) + smoothing))
    rows = np.array(estimates)[levels]
    expected = (np.array(estimates) - rows.mean()) / rows.std()
    got = target_statistics(levels, labels, 7, smoothing=smoothing)
    np.testing.assert_allclose(got, expected, atol=1e-10)
    # Level 6 has no rows, so it is coded like a level never seen.
    assert got[6] == got[7]


def test_statistics_are_those_of_scikit_learn():
    levels, labels = labelled(0)
    oracle = TargetEncoder(smooth=10.0, target_type="continuous")
    encoded = oracle.fit(levels[:, None], labels).transform(levels[:, None])[:, 0]
    expected = (encoded - encoded.mean()) / encoded.std()
    got = target_statistics(levels, labels, 7)[levels]
    np.testing.assert_allclose(got, expected, atol=1e-10)


def test_statistics_do_not_depend_on_the_unit_of_the_label():
    levels, labels = labelled(0)
    np.testing.assert_allclose(
        target_statistics(levels, labels, 7),
        target_statistics(levels, 1e6 + 1e3 * labels, 7),
        atol=1e-6,
    )


def test_a_single_level_has_code_zero():
    levels = np.zeros(9, int)
    np.testing.assert_allclose(
        target_statistics(levels, np.arange(9.0), 1), 0, atol=1e-12
    )


def test_out_of_fold_codes_are_the_statistics_of_the_other_folds():
    levels, labels = labelled(3)
    fold = np.random.default_rng(11).permutation(len(levels)) % 5
    expected = [
        target_statistics(levels[fold != fold[i]], labels[fold != fold[i]], 7)[
            levels[i]
        ]
        for i in range(len(levels))
    ]
    got = out_of_fold_statistics(levels, labels, 7, seed=11)
    np.testing.assert_array_equal(got, expected)
    assert not np.array_equal(got, out_of_fold_statistics(levels, labels, 7, seed=12))


def test_own_label_never_enters_the_own_code():
    levels, labels = labelled(4, rows=60)
    codes = out_of_fold_statistics(levels, labels, 7)
    for i in range(len(levels)):
        changed = labels.copy()
        changed[i] += 1e6
        others = out_of_fold_statistics(levels, changed, 7)
        assert others[i] == codes[i]
        assert np.sum(others != codes) > len(levels) / 2


def test_leave_one_out_would_give_the_label_away():
    # The reason for folds: within a level, leave-one-out means order the labels.
    levels, labels = labelled(5, rows=400)
    codes = out_of_fold_statistics(levels, labels, 7)
    for level in range(6):
        own = labels[levels == level]
        left_out = (own.sum() - own) / (len(own) - 1)
        np.testing.assert_allclose(np.corrcoef(left_out, own)[0, 1], -1.0)
        assert np.abs(np.corrcoef(codes[levels == level], own)[0, 1]) < 0.5


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_fewer_rows_than_folds(rows):
    levels, labels = np.arange(rows), np.arange(float(rows))
    assert np.isfinite(out_of_fold_statistics(levels, labels, rows)).all()


@pytest.mark.parametrize("scale", [1e300, 1e200, 1.0, 1e-200, 1e-310])
def test_standard_deviation_at_every_scale(scale):
    values = np.random.default_rng(0).uniform(-1, 1, size=100)
    got = standard_deviation(scale * values)
    assert got == pytest.approx(scale * np.std(values), rel=1e-3)
    assert standard_deviation(np.zeros(3)) == 0
