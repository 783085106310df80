"""Synthetic data against its own promises: equations, shapes, interactions, seeds."""

import itertools

import numpy as np
import pytest
from scipy.stats import qmc
from sklearn import datasets

from naejax.data import synthetic
from naejax.data.synthetic import GENERATORS, make_synthetic

CASES = [
    *((name, {}) for name in GENERATORS),
    ("additive", {"features": 3}),
    ("correlated", {"correlation": 0.0}),
    ("product", {"pairs": 1, "offset": 0.7, "features": 2}),
    ("switch", {"threshold": 0.4, "features": 2}),
    ("multimodal", {"modes": 4, "features": 6}),
    ("friedman2", {"features": 6}),
]
INDEPENDENT = [case for case in CASES if case != ("correlated", {})]
SETTINGS = pytest.mark.parametrize(("name", "settings"), CASES)

EQUATIONS = {
    "additive": lambda x0, x1, x2, x3, x4: (
        np.sin(np.pi * x0)
        + (3 * x1**2 - 1) / 2
        + 2 * abs(x2)
        - 1
        + np.sign(x3) / 2
        + np.exp(x4)
        - (np.e - 1 / np.e) / 2
    ),
    "product": lambda x0, x1, x2, x3, x4: x0 * x1 + x2 * x3,
    "switch": lambda x0, x1, x2, x3, x4: x0 if x1 > 0 else -x0,
    "xor": lambda x0, x1, x2, x3, x4: float(x0 * x1 < 0),
    "multimodal": lambda x0, x1, x2, x3, x4: (
        np.sin(np.pi * x0)
        + (-1 if x1 < -1 / 3 else 1 if x1 > 1 / 3 else 0) * (1 + x0**2)
    ),
}
EQUATIONS["correlated"] = lambda *x: EQUATIONS["additive"](*x[:5])


def limits(name: str, features: int) -> np.ndarray:
    """Lowest and highest values of the features, (2, F)."""
    circuit = [(0, 100), (40 * np.pi, 560 * np.pi), (0, 1), (1, 11)]
    first = circuit if name in ("friedman2", "friedman3") else []
    rest = (0, 1) if name.startswith("friedman") else (-1, 1)
    return np.array([*first, *[rest] * (features - len(first))], float).T


@pytest.mark.parametrize("name", EQUATIONS)
def test_signal_is_the_equation(name):
    data = make_synthetic(name, rows=200)
    expected = [EQUATIONS[name](*row) for row in data.x]
    np.testing.assert_allclose(data.signal, expected, atol=1e-12)


@pytest.mark.parametrize("name", ["friedman1", "friedman2", "friedman3"])
def test_friedman_equals_scikit_learn(name):
    x, y = getattr(datasets, f"make_{name}")(500, noise=0.0, random_state=0)
    process = GENERATORS[name]()
    np.testing.assert_allclose(process.function(x), y, rtol=1e-12)
    assert len(process.shapes) == x.shape[1]


@SETTINGS
def test_features_fill_their_ranges(name, settings):
    x = make_synthetic(name, rows=20_000, **settings).x
    low, high = limits(name, x.shape[1])
    assert (low <= x).all() and (x <= high).all()
    scaled = np.quantile((x - low) / (high - low), [0.0, 0.25, 0.75, 1.0], axis=0)
    assert (np.abs(scaled.T - [0.0, 0.25, 0.75, 1.0]) < 0.02).all()


@SETTINGS
def test_fields_agree(name, settings):
    data = make_synthetic(name, rows=50, **settings)
    features = data.x.shape[1]
    assert data.name == name
    assert features == settings.get("features", features)
    assert data.x.shape == (50, features) and data.x.dtype == np.float64
    assert data.y.shape == data.signal.shape == (50,)
    assert data.y.dtype == data.signal.dtype == np.float64
    assert data.feature_names == tuple(f"x{i}" for i in range(features))
    assert len(data.shapes) == features
    for i, shape in enumerate(data.shapes):
        assert shape(data.x[:, i]).shape == (50,)
    np.testing.assert_array_equal(data.signal, data.function(data.x))


@pytest.mark.parametrize("noise", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("name", GENERATORS)
def test_noise_has_the_standard_deviation_asked_for(name, noise):
    data = make_synthetic(name, rows=20_000, noise=noise)
    residual = data.y - data.signal
    np.testing.assert_allclose(residual.std(), noise, rtol=0.03)
    assert abs(residual.mean()) <= 5 * noise / np.sqrt(20_000)
    other = make_synthetic(name, rows=20_000, noise=1.0)
    np.testing.assert_array_equal(data.x, other.x)


@pytest.mark.parametrize(("name", "settings"), INDEPENDENT)
def test_shapes_are_conditional_means(name, settings):
    rows, bins = 200_000, 20
    data = make_synthetic(name, rows=rows, noise=0.0, **settings)
    # Shapes by quadrature are slow: read them off a fine grid.
    for column, shape in zip(data.x.T, data.shapes, strict=True):
        grid = np.linspace(column.min(), column.max(), 801)
        left = data.signal - data.signal.mean() - np.interp(column, grid, shape(grid))
        order = np.argsort(column).reshape(bins, -1)
        error = np.abs(left[order].mean(1))
        assert (error <= 5 * left.std() / np.sqrt(rows / bins) + 1e-3).all()


@SETTINGS
def test_shapes_are_partial_dependence_with_mean_zero(name, settings):
    process = GENERATORS[name](**settings)
    low, high = limits(name, len(process.shapes))
    # Quasi-random rows: averages are good to about 1e-3 of the spread.
    x = low + (high - low) * qmc.Sobol(len(low), seed=0).random(2**12)
    signal = process.function(x)
    tolerance = 4e-3 * signal.std()
    nodes, weights = np.polynomial.legendre.leggauss(200)
    for i, shape in enumerate(process.shapes):
        values = low[i] + (high[i] - low[i]) * np.array([0, 0.01, 0.3, 0.6, 0.99, 1])
        replaced = np.repeat(x[None], len(values), 0)
        replaced[:, :, i] = values[:, None]
        average = [process.function(rows).mean() for rows in replaced]
        np.testing.assert_allclose(
            shape(values), np.array(average) - signal.mean(), atol=tolerance
        )
        grid = low[i] + (high[i] - low[i]) * (nodes + 1) / 2
        assert abs(weights @ shape(grid) / 2) <= tolerance


@SETTINGS
def test_interactions_are_the_pairs_with_a_mixed_difference(name, settings):
    process = GENERATORS[name](**settings)
    features = len(process.shapes)
    low, high = limits(name, features)
    x, other = np.random.default_rng(0).uniform(low, high, (2, 2000, features))
    spread = process.function(x).std()

    def signal(*changed):
        return process.function(np.where(np.isin(range(features), changed), other, x))

    for i, j in itertools.combinations(range(features), 2):
        mixed = np.abs(signal() - signal(i) - signal(j) + signal(i, j)).mean()
        if (i, j) in process.interactions:
            assert mixed > 1e-8 * spread
        else:
            assert mixed < 1e-14 * spread
    assert list(process.interactions) == sorted(set(process.interactions))


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.8, 1.0])
def test_correlated_features_are_uniform_with_the_correlation_asked_for(correlation):
    x = make_synthetic("correlated", rows=50_000, correlation=correlation).x
    pairs = np.corrcoef(x, rowvar=False)[np.triu_indices(8, k=1)]
    np.testing.assert_allclose(pairs, correlation, atol=0.02)
    quantiles = np.quantile(x, [0.0, 0.1, 0.5, 0.9, 1.0], axis=0)
    expected = np.repeat([[-1.0], [-0.8], [0.0], [0.8], [1.0]], 8, axis=1)
    np.testing.assert_allclose(quantiles, expected, atol=0.02)


def test_correlated_shapes_are_not_conditional_means():
    data = make_synthetic("correlated", rows=50_000, correlation=0.9)
    irrelevant = data.x[:, 7]
    assert (data.shapes[7](irrelevant) == 0).all()
    assert data.signal[irrelevant > 0.5].mean() - data.signal.mean() > 0.5


@pytest.mark.parametrize("modes", [2, 3, 5])
def test_multimodal_has_as_many_values_as_modes(modes):
    process = GENERATORS["multimodal"](modes=modes)
    x = process.sampler(np.random.default_rng(0), 5000)
    x[:, 0] = 0.3
    values, counts = np.unique(process.function(x), return_counts=True)
    assert len(values) == modes
    np.testing.assert_allclose(np.diff(values, n=2), 0.0, atol=1e-12)
    np.testing.assert_allclose(counts / 5000, 1 / modes, atol=0.03)


@pytest.mark.parametrize("name", GENERATORS)
def test_seeds_reproduce_bitwise(name):
    first, again = make_synthetic(name, seed=3), make_synthetic(name, seed=3)
    other = make_synthetic(name, seed=4)
    drawn = make_synthetic(name, seed=np.random.default_rng(3))
    for field in ("x", "y", "signal"):
        assert (getattr(first, field) == getattr(again, field)).all()
        assert (getattr(first, field) == getattr(drawn, field)).all()
    assert (first.x != other.x).all() and (first.y != other.y).any()
    fresh = first.sampler(np.random.default_rng(3), 2000)
    np.testing.assert_array_equal(fresh, first.x)


@pytest.mark.parametrize("name", GENERATORS)
def test_one_row(name):
    data = make_synthetic(name, rows=1)
    assert data.x.shape[0] == 1 and data.y.shape == (1,) and np.isfinite(data.y).all()


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("additive", {"rows": 0}, "rows=0, expected at least 1"),
        ("additive", {"noise": -0.1}, "noise=-0.1, expected a standard"),
        ("additive", {"features": 0}, "features=0, expected at least 1"),
        ("product", {"features": 3}, "features=3, expected at least 4"),
        ("product", {"pairs": 0}, "pairs=0, expected at least 1"),
        ("switch", {"features": 1}, "features=1, expected at least 2"),
        ("switch", {"threshold": 1.0}, r"threshold=1.0, expected it in \(-1, 1\)"),
        ("multimodal", {"modes": 1}, "modes=1, expected at least 2"),
        ("correlated", {"correlation": 1.1}, r"correlation=1.1, expected it in \[0, 1"),
        ("friedman1", {"features": 4}, "features=4, expected at least 5"),
        ("friedman2", {"features": 3}, "features=3, expected at least 4"),
    ],
)
def test_numbers_out_of_range_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=f"^got {message}.*; choose it in that range$"):
        make_synthetic(name, **settings)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="no generator 'freidman1'; did you mean 'fri"):
        make_synthetic("freidman1")
    with pytest.raises(TypeError, match="correlation"):
        make_synthetic("additive", correlation=0.5)


def test_generators_are_documented_under_their_names():
    for name, generator in GENERATORS.items():
        assert generator is getattr(synthetic, name)
        assert "``" in generator.__doc__
