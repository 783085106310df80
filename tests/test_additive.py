"""Shapes against closed forms, pandas' group-by, and what must always hold."""

import itertools

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from naejax.data.cells import is_missing
from naejax.data.schema import Feature, Schema, Target
from naejax.explain.additive import (
    compute_shapes,
    importance_order,
)
from naejax.explain.positions import MAX_POSITIONS
from naejax.types import NAEOutput

NUMBER = Feature("x", "numeric")
CITY = Feature("x", "categorical", ("Bergen", "Oslo", "Turku"))


def output_of(contributions, experts=None) -> NAEOutput:
    """An output with contributions (B, F, C), by default of one expert."""
    contributions = np.asarray(contributions, float)
    rows, features, outputs = contributions.shape
    if experts is None:
        experts = contributions[:, :, None]
    experts = np.asarray(experts, float)
    gates = np.full((rows, features, experts.shape[2]), 1 / experts.shape[2])
    bias = np.zeros(outputs)
    return NAEOutput(contributions.sum(1) + bias, bias, contributions, gates, experts)


def shape_of(cells, contributions, feature=NUMBER, experts=None):
    """The shape of one feature from cells (B,) and contributions (B,) or (B, C)."""
    f = np.asarray(contributions, float)
    f = f.reshape(len(f), 1, -1)
    schema = Schema((feature,), Target("y", "regression"), len(f))
    (shape,) = compute_shapes(output_of(f, experts), {"x": np.asarray(cells)}, schema)
    return shape


def column(*cells) -> np.ndarray:
    return np.array(cells, dtype=object)


def test_closed_form():
    experts = np.array([[0, 4], [2, 6], [1, 9], [-3, 8], [5, 5]])
    shape = shape_of(
        [7.0, 7.0, 2.0, 2.0, 2.0],
        [1.0, 5.0, 2.0, 2.0, 5.0],
        experts=experts.reshape(5, 1, 2, 1),
    )
    np.testing.assert_array_equal(shape.positions, [2, 7])
    np.testing.assert_array_equal(shape.counts, [3, 2])
    np.testing.assert_allclose(shape.shift, [3])
    np.testing.assert_allclose(shape.mean[:, 0] + 3, [3, 3])
    np.testing.assert_allclose(shape.low[:, 0] + 3, [2, 1.4])
    np.testing.assert_allclose(shape.high[:, 0] + 3, [4.4, 4.6])
    np.testing.assert_allclose(shape.lower[:, 0] + 3, [-3, 0])
    np.testing.assert_allclose(shape.upper[:, 0] + 3, [9, 6])
    np.testing.assert_allclose(shape.importance, [(2 + 2 + 1 + 1 + 2) / 5])
    np.testing.assert_allclose(shape.additivity, [0])
    assert shape.window == (2, 7)
    assert len(shape.histogram) == 0


@pytest.mark.parametrize(
    ("feature", "cells", "positions", "means"),
    [
        (NUMBER, [2.0, np.nan, 1.0, 2.0, np.nan], [1, 2, np.nan], [3, 2.5, 3.5]),
        (NUMBER, [np.nan] * 5, [np.nan], [3]),
        (NUMBER, column("2", None, "1", "2", None), [1, 2, np.nan], [3, 2.5, 3.5]),
        (CITY, column("Oslo", None, "Bergen", "Oslo", "Rome"),
         ["Bergen", "Oslo", None], [3, 2.5, 3.5]),
        (CITY, column(*["Turku"] * 5), ["Turku"], [3]),
        (Feature("x", "categorical", ("1", "10", "2")), [2.0, 10.0, 1.0, 2.0, 10.0],
         ["1", "10", "2"], [3, 3.5, 2.5]),
        (Feature("x", "boolean", ("true",)), [True, False, False, True, False],
         ["false", "true"], [10 / 3, 2.5]),
        (Feature("x", "boolean", ("false", "true")),
         column("true", None, "false", "true", None),
         ["false", "true", None], [3, 2.5, 3.5]),
    ],
)  # fmt: skip
def test_positions_and_missing_cells(feature, cells, positions, means):
    shape = shape_of(cells, [1.0, 2.0, 3.0, 4.0, 5.0], feature)
    expected = np.array(positions, float if feature.kind == "numeric" else object)
    np.testing.assert_array_equal(shape.positions, expected)
    np.testing.assert_allclose(shape.mean[:, 0] + shape.shift, means)
    assert is_missing(shape.positions)[:-1].sum() == 0
    has_numbers = feature.kind == "numeric" and len(positions) > 1
    assert shape.window == ((1, 2) if has_numbers else None)


def test_bins_hold_equally_many_rows():
    x = np.random.default_rng(0).normal(size=1000)
    shape = shape_of(np.append(x, [np.nan] * 7), np.arange(1007.0))
    assert len(shape.counts) == MAX_POSITIONS + 1
    assert set(shape.counts[:-1]) == {20, 21}
    assert shape.counts[-1] == 7
    ends = np.cumsum(shape.counts[:-1])
    means = [part.mean() for part in np.split(np.sort(x), ends[:-1])]
    np.testing.assert_allclose(shape.positions[:-1], means)


@pytest.mark.parametrize(("rows", "bins"), [(50, 12), (124, 12), (300, 30), (999, 48)])
def test_few_rows_get_few_bins(rows, bins):
    x = np.random.default_rng(0).normal(size=rows)
    assert len(shape_of(x, x).counts) == bins


@pytest.mark.parametrize("seed", range(20))
def test_bins_keep_equal_numbers_together(seed):
    rng = np.random.default_rng(seed)
    distinct = rng.integers(MAX_POSITIONS + 1, 300)
    # From even to very uneven counts.
    share = rng.dirichlet(np.full(distinct, rng.choice([0.02, 0.3, 10])))
    x = np.append(rng.choice(distinct, size=2000, p=share), np.arange(distinct))
    shape = shape_of(x.astype(float), x.astype(float))
    assert MAX_POSITIONS / 2 < len(shape.counts) <= MAX_POSITIONS
    assert shape.counts.sum() == len(x)
    assert (np.diff(shape.positions) > 0).all()
    values = np.sort(x)
    ends = np.cumsum(shape.counts)[:-1]
    assert (values[ends - 1] < values[ends]).all()


@pytest.mark.parametrize("frequent", [0.0, 0.5, 2.0])
def test_a_frequent_number_does_not_starve_the_others(frequent):
    others = np.random.default_rng(1).random(400)
    shape = shape_of(np.append(others, [frequent] * 9600), np.arange(10_000.0))
    heavy = shape.counts > 9000
    assert heavy.sum() == 1
    assert shape.positions[heavy] == pytest.approx(frequent, abs=1e-3)
    assert shape.counts[~heavy].max() <= 12


def test_window_and_histogram_leave_outliers_out():
    x = np.append(np.linspace(0, 1, 999), 1e9)
    shape = shape_of(x, x)
    left, right = shape.window
    assert 0 < left < 0.01
    assert 0.99 < right < 1
    assert shape.histogram.sum() == ((x >= left) & (x <= right)).sum()
    assert (shape.edges[0], shape.edges[-1], len(shape.edges)) == (left, right, 41)
    assert shape_of([3.0] * 4, range(4)).window == (3, 3)
    assert shape_of([0.0] * 999 + [5.0], range(1000)).window == (0, 5)
    assert shape_of([0.0, 5.0, 9.0], range(3)).window == (0, 9)


@pytest.mark.parametrize("distinct", [49, 60, 79, 80, 81, 500])
def test_bars_of_whole_numbers_hold_equally_many(distinct):
    # One row per number, so that the bars' heights count numbers.
    shape = shape_of(np.arange(10.0, 10 + distinct), np.zeros(distinct))
    left, right = shape.window
    assert 13 <= len(shape.histogram) <= 40
    assert len(set(shape.histogram[1:-1])) == 1
    assert shape.edges[0] <= left < right <= shape.edges[-1]
    assert (shape.edges % 1 == 0.5).all()


def random_table(seed, rows=600):
    """Columns of every kind, and an output with K = 3 experts and C = 2 outputs."""
    rng = np.random.default_rng(seed)
    city = column("Oslo", "Bergen", "Turku", None)[rng.integers(0, 4, rows)]
    columns = {
        "wide": rng.normal(size=rows) ** 3,
        "few": rng.integers(0, 9, rows).astype(float),
        "city": city,
        "flag": rng.random(rows) < 0.3,
        "gap": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(size=rows)),
        "same": np.full(rows, 2.5),
    }
    kinds = ["numeric", "numeric", "categorical", "boolean", "numeric", "numeric"]
    levels = {"city": CITY.levels, "flag": ("false", "true")}
    features = tuple(
        Feature(name, kind, levels.get(name, ()))
        for name, kind in zip(columns, kinds, strict=True)
    )
    experts = rng.normal(size=(rows, 6, 3, 2)) + np.arange(6).reshape(6, 1, 1)
    gates = rng.dirichlet(np.full(3, 0.5), size=(rows, 6))
    output = output_of((gates[..., None] * experts).sum(2), experts)
    return output, columns, Schema(features, Target("y", "regression"), rows)


@pytest.mark.parametrize("seed", range(3))
def test_invariants(seed):
    output, columns, schema = random_table(seed)
    shapes = compute_shapes(output, columns, schema)
    assert [shape.feature for shape in shapes] == list(schema.features)
    for i, shape in enumerate(shapes):
        f = output.contributions[:, i]
        np.testing.assert_allclose(shape.counts @ shape.mean, 0, atol=1e-9)
        np.testing.assert_allclose(shape.shift, f.mean(0))
        np.testing.assert_allclose(shape.importance, np.abs(f - f.mean(0)).mean(0))
        assert shape.counts.sum() == len(f)
        ordered = [shape.lower, shape.low, shape.high, shape.upper]
        for below, above in itertools.pairwise(ordered):
            assert (below <= above + 1e-12).all()
        assert (shape.lower <= shape.mean + 1e-12).all()
        assert (shape.mean <= shape.upper + 1e-12).all()
        assert ((shape.additivity >= 0) & (shape.additivity <= 1)).all()


@pytest.mark.parametrize("i", [1, 2, 3])
def test_agrees_with_group_by(i):
    output, columns, schema = random_table(3)
    shape = compute_shapes(output, columns, schema)[i]
    name = schema.features[i].name
    keys = pd.Series(columns[name]).astype(object)
    if name == "flag":
        keys = keys.map({True: "true", False: "false"})
    for c in range(2):
        values = pd.Series(output.contributions[:, i, c])
        groups = values.groupby(keys.fillna("~missing"))
        low, high = groups.quantile(0.1), groups.quantile(0.9)
        shift = values.mean()
        np.testing.assert_array_equal(shape.counts, groups.size())
        np.testing.assert_allclose(shape.mean[:, c] + shift, groups.mean())
        np.testing.assert_allclose(shape.low[:, c] + shift, low)
        np.testing.assert_allclose(shape.high[:, c] + shift, high)
        for bound, reduce in ((shape.lower, "min"), (shape.upper, "max")):
            experts = pd.DataFrame(output.experts[:, i, :, c])
            expected = experts.groupby(keys.fillna("~missing")).agg(reduce)
            expected = getattr(expected, reduce)(axis=1)
            np.testing.assert_allclose(bound[:, c] + shift, expected)


def test_order_of_rows_does_not_matter():
    output, columns, schema = random_table(4)
    order = np.random.default_rng(0).permutation(600)
    parts = (part if part.ndim == 1 else part[order] for part in output)
    columns_too = {name: cells[order] for name, cells in columns.items()}
    before = compute_shapes(output, columns, schema)
    after = compute_shapes(NAEOutput(*parts), columns_too, schema)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.counts, other.counts)
        for name in ("mean", "low", "high", "lower", "upper", "additivity"):
            np.testing.assert_allclose(
                getattr(one, name), getattr(other, name), atol=1e-12
            )


def test_additivity_is_one_for_a_function_of_the_feature():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 30, 500).astype(float)
    table = rng.normal(size=(30, 2))
    np.testing.assert_allclose(shape_of(x, table[x.astype(int)]).additivity, 1)
    smooth = np.linspace(0, 1, 5000)
    additivity = shape_of(smooth, smooth).additivity
    # The variance of a line inside n equal bins is 1 / n^2 of the whole.
    np.testing.assert_allclose(1 - additivity, 1 / MAX_POSITIONS**2, rtol=0.03)


def test_additivity_is_zero_on_average_without_dependence():
    rng = np.random.default_rng(0)
    x = rng.random(150)
    additivity = shape_of(x, rng.normal(size=(150, 400))).additivity
    # Without degrees of freedom the mean would be 47 / 149.
    assert additivity.mean() < 0.05


def test_additivity_between_zero_and_one():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, 40_000) * 2.0 - 1
    f = x + rng.normal(size=40_000) * np.sqrt(3)
    np.testing.assert_allclose(shape_of(x, f).additivity, 0.25, atol=0.01)


@pytest.mark.parametrize(
    ("cells", "contributions"),
    [
        ([1.0], [4.0]),
        ([1.0, 2.0, 3.0], [4.0, -1.0, 7.0]),
        ([1.0, 1.0, 2.0], [4.0, 4.0, 4.0]),
        ([1.0, 1.0, 2.0], np.float32([0.1, 0.1 + 1e-8, 0.1])),
    ],
    ids=["one row", "no two rows alike", "constant", "rounding"],
)
def test_additivity_without_evidence_is_one(cells, contributions):
    shape = shape_of(cells, contributions)
    np.testing.assert_array_equal(shape.additivity, 1)


def test_one_row():
    shape = shape_of([3.0], [4.0], experts=np.array([1.0, 6.0]).reshape(1, 1, 2, 1))
    values = [shape.mean, shape.low, shape.high, shape.lower, shape.upper]
    np.testing.assert_array_equal(np.ravel(values), [0, 0, 0, -3, 2])
    np.testing.assert_array_equal(shape.shift, [4])
    np.testing.assert_array_equal(shape.importance, [0])


def test_the_mean_of_a_skewed_spread_lies_outside_it():
    shape = shape_of([0.0] * 100, [0.0] * 95 + [100.0] * 5)
    assert shape.mean[0, 0] == 0
    assert shape.high[0, 0] == -5


def test_jax_arrays():
    f = jnp.arange(6.0).reshape(3, 1, 2)
    schema = Schema((NUMBER,), Target("y", "regression"), 3)
    output = NAEOutput(f[:, 0], jnp.zeros(2), f, jnp.ones((3, 1, 1)), f[:, :, None])
    (shape,) = compute_shapes(output, {"x": np.arange(3.0)}, schema)
    np.testing.assert_allclose(shape.mean, [[-2, -2], [0, 0], [2, 2]])
    assert shape.mean.dtype == np.float64


def test_importance_order():
    f = np.array([[[1, 1], [9, 0], [0, 2], [5, 0]], [[-1, -1], [9, 0], [0, 0], [4, 0]]])
    features = tuple(Feature(name, "numeric") for name in "abcd")
    columns = {name: np.arange(2.0) for name in "abcd"}
    schema = Schema(features, Target("y", "multiclass"), 2)
    # Means over the outputs: 1, 0, 1/2, 1/4; a large constant counts for nothing.
    assert importance_order(compute_shapes(output_of(f), columns, schema)) == [
        0,
        2,
        3,
        1,
    ]
    assert importance_order([shape_of([1.0], [1.0])] * 3) == [0, 1, 2]


@pytest.mark.parametrize(
    ("contributions", "columns", "message"),
    [
        (np.zeros((2, 2, 1)), {}, r"shape \(2, 2, 1\), expected \(rows, 1, outputs\)"),
        (np.zeros((0, 1, 1)), {}, "at least one row"),
        (np.zeros((2, 1)), {}, r"shape \(2, 1\)"),
        (np.zeros((2, 1, 1)), {"X": np.zeros(2)}, "lacks the column 'x'.*mean 'X'"),
        (np.zeros((2, 1, 1)), {"x": np.zeros(3)}, "has 3 rows.*output 2"),
        (np.zeros((2, 1, 1)), {"x": column("a", "b")}, "text in the numeric column"),
    ],
)
def test_bad_input(contributions, columns, message):
    output = NAEOutput(
        contributions,
        np.zeros(1),
        contributions,
        contributions,
        contributions[:, :, None],
    )
    schema = Schema((NUMBER,), Target("y", "regression"), 2)
    with pytest.raises(ValueError, match=message):
        compute_shapes(output, columns, schema)
