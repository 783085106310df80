"""Explanations of trained models against the known truth of synthetic data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from naejax import NAE, contribution_range, fit, place_knots, predict
from naejax.data import make_synthetic
from naejax.data.schema import Feature, Schema, Target
from naejax.explain import (
    additivity_error,
    compute_shapes,
    context_curves,
    context_effects,
    context_rules,
    interaction_auc,
    interaction_matrix,
    model_additivity,
    pair_strengths,
    range_coverage,
    shape_recovery,
    true_additivity,
)
from naejax.train.population import fit_population

pytestmark = pytest.mark.optimised
OPTIONS = {"epochs": 30, "batch_size": 128, "progress": False}


def table(x):
    """Columns and schema of rows (N, F)."""
    features = tuple(Feature(f"x{i}", "numeric") for i in range(x.shape[1]))
    schema = Schema(features, Target("y", "regression"), len(x))
    return {f"x{i}": x[:, i] for i in range(x.shape[1])}, schema


def float32(*arrays):
    return tuple(array.astype(np.float32) for array in arrays)


@pytest.fixture(scope="module")
def additive():
    """A model of additive data, and its output for fresh rows."""
    data = make_synthetic("additive", rows=3000, seed=0)
    x, y = float32(data.x, data.y)
    # A step of the truth is a slope between two knots: the more, the steeper.
    model = NAE(num_experts=4, hidden=(32, 32), num_knots=64)
    variables = place_knots(jax.jit(model.init)(jax.random.key(0), x[:1]), x)
    options = OPTIONS | {"epochs": 20, "penalties": {"expert_variance": 1.0}}
    result = fit(model, variables, (x, y), optimizer=5e-3, **options)
    test = make_synthetic("additive", rows=3000, noise=0.0, seed=1)
    return model, result.variables, test, predict(model, result.variables, test.x)


def test_shapes_of_additive_data_are_recovered(additive):
    _, _, test, output = additive
    columns, schema = table(test.x)
    shapes = compute_shapes(output, columns, schema)
    for shape, truth in zip(shapes, test.shapes, strict=True):
        assert shape_recovery(shape, truth) >= 0.99
        assert shape.additivity > 0.98
    additivity = model_additivity(output, columns, schema)
    assert additivity > 0.98
    assert additivity_error(additivity, true_additivity(test, test.x)) < 0.02


def test_context_hardly_moves_additive_contributions(additive):
    model, variables, test, _ = additive
    effects = context_effects(model, variables, test.x[:300], test.x)
    # Contributions vary by 0.5 and more.
    assert interaction_matrix(effects).max() < 0.05


@pytest.fixture(scope="module")
def switch():
    """A model of ``y = x_0 if x_1 > 0 else -x_0``, and fresh rows."""
    data = make_synthetic("switch", rows=3000, noise=0.05, seed=0)
    x, y = float32(data.x, data.y)
    model = NAE(num_experts=4, top_k=2, hidden=(32, 32), num_knots=16)
    variables = place_knots(jax.jit(model.init)(jax.random.key(0), x[:1]), x)
    params = variables["params"]
    # x_1 could as well carry the product, or a part of it, moved by x_0: data do not
    # say who does. Only x_0 speaks at the start, so it learns to be moved by x_1.
    experts = params["features"]["experts"]["dense"]
    router = params["gates"]["router"]["dense"]
    silent = jax.tree.map(lambda leaf: leaf.at[1:].set(0), experts)
    kernel = router["kernel"].at[:, :, 1:].set(0)
    params["features"]["experts"]["dense"] = silent
    params["gates"]["router"]["dense"] = {**router, "kernel": kernel}
    penalties = {"expert_variance": 0.03, "output_energy": 0.03}
    result = fit(
        model, variables, (x, y), optimizer=5e-3, penalties=penalties, **OPTIONS
    )
    return (
        model,
        result.variables,
        make_synthetic("switch", rows=3000, noise=0.0, seed=1),
    )


def test_the_range_of_a_switch_spans_both_regimes(switch):
    model, variables, test = switch
    output = predict(model, variables, test.x)
    columns, schema = table(test.x)
    shape = compute_shapes(output, columns, schema)[0]
    size = np.abs(shape.positions)
    np.testing.assert_allclose(shape.upper[:, 0], size, atol=0.1)
    np.testing.assert_allclose(shape.lower[:, 0], -size, atol=0.1)
    # Half of the rows are in either regime, so that their mean says nothing.
    np.testing.assert_allclose(shape.mean[:, 0], 0, atol=0.25)
    assert shape.additivity < 0.1
    assert model_additivity(output, columns, schema) < 0.1

    lower, upper = contribution_range(output)
    truth = np.zeros_like(output.contributions)
    truth[:, 0, 0] = test.signal
    # Bounds at the truth itself miss it by rounding, half of the time.
    coverage = range_coverage(lower - 0.05, upper + 0.05, truth)
    assert coverage[0] > 0.95


def test_the_rule_of_a_switch_names_the_threshold(switch):
    model, variables, test = switch
    columns, schema = table(test.x[:1000])
    grid = np.linspace(-1, 1, 21)
    curves = context_curves(model, variables, test.x[:1000], 0, grid)
    rules = context_rules(curves, np.ones(21), columns, schema, 0)
    assert rules.fidelity > 0.95
    assert len(rules.leaves) == 2
    for rule in rules.leaves:
        (condition,) = rule.conditions
        assert condition.feature == 1
        is_above = condition.lower > -np.inf
        bound = condition.lower if is_above else condition.upper
        assert abs(bound) <= 0.05
        assert rule.text.startswith("x1 > " if is_above else "x1 ≤ ")
        slope = grid if is_above else -grid
        np.testing.assert_allclose(rule.curve[:, 0], slope, atol=0.15)


def test_a_switch_is_moved_by_its_context_alone(switch):
    model, variables, test = switch
    effects = context_effects(model, variables, test.x[:500], test.x, draws=4)
    matrix = interaction_matrix(effects)[:, :, 0]
    # Half of the draws turn x_0 around: the root of half the mean of (2 x_0)^2.
    assert matrix[0, 1] == pytest.approx(np.sqrt(2 / 3), abs=0.08)
    others = matrix.copy()
    others[0, 1] = 0
    assert others.max() < 0.2


@pytest.mark.exhaustive
def test_the_pair_of_a_product_ranks_first_for_ten_seeds():
    seeds, size = range(10), 1500
    sets = [
        make_synthetic("product", rows=size, pairs=1, noise=0.05, seed=seed)
        for seed in seeds
    ]
    x, y = float32(
        np.concatenate([data.x for data in sets]),
        3 * np.concatenate([data.y for data in sets]),
    )
    model = NAE(num_experts=8, top_k=2, hidden=(32, 32))
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    variables = jax.jit(jax.vmap(model.init, in_axes=(0, None)))(keys, x[:1])
    result = fit_population(
        model,
        variables,
        (x, y),
        np.arange(len(x)).reshape(10, size),
        learning_rate=5e-3,
        seeds=seeds,
        **OPTIONS | {"epochs": 25, "batch_size": 64},
    )
    for seed in seeds:
        own = jax.tree.map(lambda leaf, m=seed: leaf[m], result.variables)
        test = make_synthetic("product", rows=2000, pairs=1, seed=100 + seed)
        effects = context_effects(model, own, test.x[:300], test.x, seed=seed)
        matrix = interaction_matrix(effects)[:, :, 0]
        strengths = np.triu(pair_strengths(matrix))
        assert np.unravel_index(strengths.argmax(), strengths.shape) == (0, 1)
        assert interaction_auc(matrix, test.interactions) == 1
        columns, schema = table(test.x)
        additivity = model_additivity(predict(model, own, test.x), columns, schema)
        assert additivity < 0.5
        assert additivity_error(additivity, true_additivity(test, test.x)) < 0.1
