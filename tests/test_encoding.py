"""Encodings of one column against scikit-learn, naive loops and closed forms."""

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from sklearn.preprocessing import QuantileTransformer, TargetEncoder

from naejax.data.encoding import (
    fit_quantiles,
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


@pytest.mark.parametrize("num_quantiles", [50, 2000])
def test_scores_are_those_of_scikit_learn(column, num_quantiles):
    quantiles = fit_quantiles(column, num_quantiles=num_quantiles, noise=0.0)
    oracle = QuantileTransformer(
        n_quantiles=min(num_quantiles, len(column)),
        output_distribution="normal",
        subsample=None,
    ).fit(column[:, None])
    np.testing.assert_allclose(quantiles, oracle.quantiles_[:, 0], rtol=1e-12)
    grid = np.linspace(column.min() - 1, column.max() + 1, 777)
    points = np.concatenate([column, grid])
    got, expected = (
        to_normal(points, quantiles),
        oracle.transform(points[:, None])[:, 0],
    )
    # scikit-learn moves what is within 1e-7 of the smallest and largest rank.
    inner = np.abs(expected) < 4.5
    np.testing.assert_allclose(got[inner], expected[inner], atol=0.01)
    middle = np.abs(expected) < 3
    np.testing.assert_allclose(got[middle], expected[middle], atol=1e-4)
    outside = (points < column.min()) | (points > column.max())
    np.testing.assert_allclose(got[outside], expected[outside], atol=1e-6)


def test_quantiles_are_those_of_the_column_with_noise(column):
    rng = np.random.default_rng(7)
    low, high = np.quantile(column, [0.25, 0.75])
    scale = np.std(column)
    if high > low:
        scale = min(scale, (high - low) / 1.349)
    noised = np.sort(column) + 1e-3 * scale * rng.standard_normal(len(column))
    oracle = QuantileTransformer(
        n_quantiles=min(2000, len(column)), subsample=None
    ).fit(noised[:, None])
    quantiles = fit_quantiles(column, seed=7)
    np.testing.assert_allclose(quantiles, oracle.quantiles_[:, 0], rtol=1e-12)
    assert np.all(np.diff(quantiles) > 0)
    assert not np.array_equal(quantiles, fit_quantiles(column, seed=8))


def test_quantiles_do_not_depend_on_row_order(column):
    shuffled = np.random.default_rng(1).permutation(column)
    np.testing.assert_array_equal(fit_quantiles(column), fit_quantiles(shuffled))


def test_one_outlier_does_not_drown_the_column_in_noise():
    rng = np.random.default_rng(0)
    column = np.append(rng.standard_normal(999), 1e9)
    scores = to_normal(column, fit_quantiles(column))
    np.testing.assert_allclose(
        scores, to_normal(column, fit_quantiles(column, noise=0.0)), atol=0.05
    )


def test_scores_rise_strictly_and_stay_in_bounds(column):
    quantiles = fit_quantiles(column)
    grid = np.linspace(quantiles[0], quantiles[-1], 2001)
    scores = to_normal(grid, quantiles)
    assert np.all(np.diff(scores) > 0)
    bound = ndtri(1 - 1e-7)
    np.testing.assert_allclose(scores[[0, -1]], [-bound, bound], rtol=1e-8)
    np.testing.assert_allclose(
        to_normal(np.array([-1e30, 1e30, np.nan]), quantiles), [-bound, bound, np.nan]
    )


def test_inverse_undoes_the_transform(column):
    quantiles = fit_quantiles(column)
    grid = np.linspace(quantiles[0], quantiles[-1], 1001)
    for dtype, tolerance in ((np.float64, 1e-8), (np.float32, 1e-3)):
        scores = to_normal(grid, quantiles).astype(dtype)
        back = from_normal(scores, quantiles)
        np.testing.assert_allclose(back, grid, atol=tolerance * np.ptp(quantiles))
    assert np.isnan(from_normal(np.array([np.nan]), quantiles))


def test_scores_of_many_draws_are_normal():
    draws = np.random.default_rng(0).exponential(size=20_000)
    scores = to_normal(draws, fit_quantiles(draws))
    np.testing.assert_allclose([scores.mean(), scores.std()], [0.0, 1.0], atol=0.01)
    ranks = np.sort(ndtr(scores))
    np.testing.assert_allclose(ranks, np.linspace(0, 1, 20_000), atol=2e-3)


@pytest.mark.parametrize("value", [0.0, 3.0, 1e18])
def test_a_constant_column_becomes_zero(value):
    quantiles = fit_quantiles(np.full(50, value))
    np.testing.assert_allclose(to_normal(np.array([value]), quantiles), 0.0, atol=1e-12)
    assert from_normal(np.array([0.0]), quantiles) == value


def test_scores_do_not_depend_on_the_batch(column):
    # np.interp has a fast path for long inputs: it must round like the slow one.
    quantiles = fit_quantiles(column)
    points = np.concatenate([column, column + 0.1])[-300:]
    together = to_normal(points, quantiles)
    one_by_one = [to_normal(point, quantiles) for point in points[:, None]]
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
