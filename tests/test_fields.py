"""Lognormal fields against their closed forms."""

import numpy as np
import pytest
from scipy import stats

from naejax.data.fields import FIELD_TARGETS, make_lognormal_fields


def gaussian(images) -> np.ndarray:
    """Solves the equation of the field for g, (N, H, W)."""
    a, s = images.target.T.astype(float)[:, :, None, None]
    x = images.x[..., 0].astype(float)
    return (np.log1p(x / a * np.sqrt(np.exp(s**2) - 1)) + s**2 / 2) / s


def test_arrays():
    maps = make_lognormal_fields(300)
    assert maps.x.shape == (300, 66, 66, 1) and maps.x.dtype == np.float32
    assert maps.target.shape == (300, 2) and maps.target.dtype == np.float32
    assert maps.parts is None and len(FIELD_TARGETS) == 2
    assert np.isfinite(maps.x).all()
    for values, (low, high) in zip(maps.target.T, [(0.2, 1), (0.2, 0.8)], strict=True):
        uniform = stats.uniform(low, high - low)
        assert stats.kstest(values, uniform.cdf).pvalue > 0.01
    assert abs(np.corrcoef(maps.target.T)[0, 1]) < 0.15


@pytest.mark.parametrize("a", [0.2, 1.0])
@pytest.mark.parametrize("s", [0.2, 0.5, 0.8])
def test_moments_follow_from_the_targets(a, s):
    maps = make_lognormal_fields(3000, side=40, amplitude=(a, a), shape=(s, s))
    np.testing.assert_allclose(maps.target, np.tile([a, s], (3000, 1)), rtol=1e-6)
    x = maps.x.ravel().astype(float)
    assert abs(x.mean()) < 0.01 * a
    np.testing.assert_allclose(x.std(), a, rtol=0.02)
    skewness = (np.exp(s**2) + 2) * np.sqrt(np.exp(s**2) - 1)
    np.testing.assert_allclose(stats.skew(x), skewness, rtol=0.06)
    np.testing.assert_allclose(
        skewness, stats.lognorm(s).stats("s"), rtol=1e-9
    )  # An oracle for the formula.


@pytest.mark.parametrize("side", [32, 33])
def test_the_logarithm_is_standard_normal_with_the_power_that_is_stated(side):
    g = gaussian(make_lognormal_fields(2000, side=side))
    assert np.abs(g.mean((1, 2))).max() < 1e-4
    np.testing.assert_allclose(g.std(), 1, rtol=0.01)
    assert abs(stats.skew(g.ravel())) < 0.02
    assert abs(stats.kurtosis(g.ravel())) < 0.05
    power = (np.abs(np.fft.fft2(g)) ** 2).mean(0)
    k = np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(side)]))
    inside = (k > 0) & (k < 0.4)
    expected = k[inside] ** -2 * np.exp(-4 * np.pi**2 * k[inside] ** 2)
    ratio = power[inside] / expected
    np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=0.15)


def test_estimates_from_one_map_are_neither_exact_nor_useless():
    maps = make_lognormal_fields(1500)
    x = maps.x[..., 0].reshape(1500, -1)
    for i, estimate in enumerate([x.std(1), stats.skew(x, axis=1)]):
        assert 0.65 < np.corrcoef(estimate, maps.target[:, i])[0, 1] < 0.97


def test_seeds_reproduce_bitwise():
    first, again, other = (make_lognormal_fields(20, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.x, again.x)
    np.testing.assert_array_equal(first.target, again.target)
    assert (first.target != other.target).all() and (first.x != other.x).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rows": 0}, "got rows=0, expected at least 1"),
        ({"side": 7}, "got side=7, expected at least 8 pixels"),
        ({"amplitude": (0, 1)}, r"got amplitude=\(0, 1\), expected 0 < lowest"),
        ({"shape": (0.5, 0.2)}, r"got shape=\(0.5, 0.2\), expected 0 < lowest"),
    ],
)
def test_mistakes_are_one_line(settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        make_lognormal_fields(**{"rows": 3, **settings})
    assert "\n" not in str(caught.value)
