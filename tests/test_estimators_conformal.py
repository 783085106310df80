"""Split-conformal intervals and sets: the formula, coverage, errors."""

import numpy as np
import pytest
from small_tables import LABELS, MORE, SMALL, X, Y

from naejax.estimators import NAEClassifier, NAERegressor
from naejax.estimators.conformal import conformal_quantile

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("n", "alpha", "rank"),
    [(19, 0.1, 18), (99, 0.43, 57), (9, 0.1, 9), (100, 0.1, 91), (4, 0.5, 3)],
)
def test_the_quantile_is_an_order_statistic(n, alpha, rank):
    scores = np.sort(np.random.default_rng(n).normal(size=n))
    assert conformal_quantile(scores, alpha) == scores[rank - 1]


@pytest.mark.parametrize("n", [9, 20, 33])
@pytest.mark.parametrize("alpha", [0.1, 0.25])
def test_exact_coverage_over_all_ranks_of_a_new_row(n, alpha):
    """Of n + 1 exchangeable scores each is the new one equally often."""
    scores = np.random.default_rng(0).permutation(n + 1).astype(float)
    covered = [
        scores[new] <= conformal_quantile(np.sort(np.delete(scores, new)), alpha)
        for new in range(n + 1)
    ]
    assert 1 - alpha <= np.mean(covered) < 1 - alpha + 1 / (n + 1)


def test_coverage_over_twenty_splits():
    rng = np.random.default_rng(0)
    alpha, covered, held = 0.1, [], []
    for split in range(20):
        x = rng.normal(size=(896, 1))
        y = np.sin(2 * x[:, 0]) + (0.1 + 0.3 * (x[:, 0] > 0)) * rng.normal(size=896)
        model = NAERegressor(
            **{**SMALL, "epochs": 2},
            calibration_fraction=200 / 296,
            validation_fraction=0.0,
            random_state=split,
        ).fit(x[:296], y[:296])
        low, high = model.predict_interval(x[296:], alpha).T
        covered.append(np.mean((low <= y[296:]) & (y[296:] <= high)))
        held.append(len(model.calibration_))
    assert set(held) == {200}
    assert abs(np.mean(covered) - (1 - alpha)) < 0.02
    assert np.std(covered) > 0.005


@pytest.fixture(scope="module")
def fitted():
    return NAERegressor(**SMALL, calibration_fraction=0.25).fit(X, Y)


def test_intervals_are_the_prediction_and_a_margin(fitted):
    interval = fitted.predict_interval(MORE, alpha=0.2)
    assert interval.shape == (40, 2)
    assert interval.dtype == np.float64
    margin = conformal_quantile(fitted.calibration_, 0.2)
    np.testing.assert_allclose(interval.mean(axis=1), fitted.predict(MORE))
    np.testing.assert_allclose(np.diff(interval)[:, 0], 2 * margin)
    moved = fitted.predict_interval(MORE, 0.2, init_score=np.ones(40))
    np.testing.assert_allclose(moved, interval + 1)


def test_rows_held_back_are_not_trained_on(fitted):
    """Their targets may be anything: only the margin changes."""
    order = np.random.default_rng((0, 1)).permutation(96)
    changed = Y.copy()
    changed[order[:24]] += 1000
    other = NAERegressor(**SMALL, calibration_fraction=0.25).fit(X, changed)
    np.testing.assert_array_equal(other.predict(MORE), fitted.predict(MORE))
    assert len(other.calibration_) == 24
    assert other.calibration_.min() > 500 > fitted.calibration_.max()


def test_residuals_are_in_the_unit_of_the_target():
    counts = np.random.default_rng(0).poisson(np.exp(2 + X[:, 0] / 2))
    score = np.full(96, 0.5)
    model = NAERegressor(**SMALL, loss="poisson", calibration_fraction=0.5)
    model.fit(X, counts, init_score=score)
    order = np.random.default_rng((0, 1)).permutation(96)[:48]
    residuals = counts[order] - model.predict(X[order], init_score=score[:48])
    np.testing.assert_allclose(model.calibration_, np.sort(np.abs(residuals)))


def test_sets_hold_the_true_class():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1200, 2))
    y = np.array(["a", "b", "c"])[np.digitize(x[:, 0] + rng.normal(size=1200), [-1, 1])]
    model = NAEClassifier(**SMALL, calibration_fraction=0.6).fit(x[:600], y[:600])
    sets = model.predict_set(x[600:], alpha=0.2)
    truth = np.searchsorted(model.classes_, y[600:])
    assert sets.shape == (600, 3)
    assert np.mean(sets[np.arange(600), truth]) == pytest.approx(0.8, abs=0.06)
    assert (model.predict_set(x[600:], alpha=0.05) >= sets).all()
    two = NAEClassifier(**SMALL, calibration_fraction=0.25).fit(X, LABELS)
    assert two.predict_set(MORE, alpha=0.2).shape == (40, 2)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 2.0, np.nan])
def test_alpha_out_of_range(fitted, alpha):
    with pytest.raises(ValueError, match="expected a share between 0 and 1"):
        fitted.predict_interval(MORE, alpha)


def test_alpha_too_small_for_the_rows_held_back(fitted):
    fitted.predict_interval(MORE, alpha=0.04)
    message = r"alpha=0.03 needs at least 33 rows .* 24 were held back.* alpha >= 0.04"
    with pytest.raises(ValueError, match=message):
        fitted.predict_interval(MORE, alpha=0.03)


def test_no_rows_held_back():
    model = NAERegressor(**SMALL).fit(X, Y)
    with pytest.raises(ValueError, match="fit it with calibration_fraction"):
        model.predict_interval(MORE)
    with pytest.raises(ValueError, match="leaves 1 of 96 rows"):
        NAERegressor(calibration_fraction=0.98).fit(X, Y)


def test_going_on_forgets_residuals_of_another_model():
    model = NAERegressor(**SMALL, calibration_fraction=0.25).fit(X, Y)
    model.partial_fit(X, Y)
    with pytest.raises(ValueError, match="held no rows back"):
        model.predict_interval(MORE)
