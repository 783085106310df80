"""Effects of other features against full forward passes of the model."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import first_quick

from naejax import NAE, NAEEnsemble
from naejax.explain import context as context_module
from naejax.explain import context_curves, context_effects, interaction_matrix
from naejax.explain import interactions as interactions_module

pytestmark = pytest.mark.slow

F = 4
MODELS = {
    "context": NAE(num_experts=5, hidden=(8,), num_outputs=2),
    "equal": NAE(num_experts=5, hidden=(8,), gate="equal", top_k=3),
    "rank": NAE(num_experts=5, hidden=(8, 6), gate_rank=2),
    "knots": NAE(num_experts=5, hidden=(8,), num_knots=4),
    "monotone": NAE(
        num_experts=5, hidden=(8,), num_knots=4, monotone=(1, 0, -1, 0), num_outputs=2
    ),
    "ensemble": NAEEnsemble(NAE(num_experts=4, hidden=(8,), num_outputs=2), size=3),
    "ensemble, rank": NAEEnsemble(NAE(num_experts=4, hidden=(8,), gate_rank=3), size=2),
    "own": NAE(num_experts=5, hidden=(8,), gate="own"),
    "none": NAE(num_experts=5, hidden=(8,), gate="none"),
    "one expert": NAE(num_experts=1, hidden=(8,)),
    "all monotone": NAE(
        num_experts=3, hidden=(8,), num_knots=4, monotone=(1, 1, -1, 1)
    ),
}


def rows(seed: int, count: int) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(count, F)).astype(np.float32)
    x[::3, 2] = np.nan
    return x


@partial(jax.jit, static_argnums=0)
def variables_of(model, key):
    """Random variables, biases too, so that gates depend on every encoding."""
    variables = model.init(key, jnp.zeros((2, F)))
    leaves, tree = jax.tree.flatten(variables["params"])
    keys = jax.random.split(key, len(leaves))
    leaves = [
        a + 0.3 * jax.random.normal(k, a.shape)
        for a, k in zip(leaves, keys, strict=True)
    ]
    return {**variables, "params": jax.tree.unflatten(tree, leaves)}


def brute_force(model, variables, x, background, features, draws, seed):
    apply = jax.jit(lambda x: model.apply(variables, x).contributions)
    drawn = np.random.default_rng(seed).integers(len(background), size=(draws, len(x)))
    base, effects = apply(x), []
    for j in features:
        squares = 0
        for d in range(draws):
            other = x.copy()
            other[:, j] = background[drawn[d], j]
            squares += (apply(other) - base) ** 2 / draws
        effect = np.array(np.sqrt(squares))[:, list(features)]
        effect[:, list(features).index(j)] = 0
        effects.append(effect)
    return np.stack(effects, axis=2)


@pytest.mark.parametrize("name", first_quick(MODELS, 2, 2))
def test_effects_are_those_of_full_passes(name, key, monkeypatch):
    model, features = MODELS[name], (3, 0, 2) if name == "context" else range(F)
    variables = variables_of(model, key)
    x, background = rows(0, 11), rows(1, 7)
    expected = brute_force(model, variables, x, background, features, 3, seed=5)
    # Chunks of few rows, the last one not full.
    monkeypatch.setattr(interactions_module, "_NUMBERS_AT_ONCE", 4 * 5 * 5 * 3 * 3)
    effects = context_effects(
        model, variables, x, background, features=features, draws=3, seed=5
    )
    np.testing.assert_allclose(effects, expected, atol=3e-6)
    has_context = name not in ("own", "none", "one expert", "all monotone")
    assert (effects.max() > 0.01) == has_context


@pytest.mark.parametrize(
    ("name", "feature"), first_quick([("monotone", 1), *((n, 2) for n in MODELS)], 3, 2)
)
def test_curves_are_those_of_full_passes(name, feature, key, monkeypatch):
    model = MODELS[name]
    variables = variables_of(model, key)
    apply = jax.jit(lambda x: model.apply(variables, x).contributions)
    x, grid = rows(2, 9), np.array([-1.0, 0.3, np.nan], np.float32)
    shift = np.float32(0.5)
    expected = []
    for value in grid:
        there = x.copy()
        there[:, feature] = value
        expected.append(np.asarray(apply(there)[:, feature]) - shift)
    monkeypatch.setattr(context_module, "_NUMBERS_AT_ONCE", 4 * 5 * 3)
    curves = context_curves(model, variables, x, feature, grid, shift)
    np.testing.assert_allclose(curves, np.stack(expected, axis=1), atol=3e-6)


def test_effects_in_half_precision_are_those_of_float32(key):
    model = NAE(num_experts=5, hidden=(8,))
    half = model.clone(dtype=jnp.bfloat16)
    variables, x = variables_of(model, key), rows(0, 11)
    np.testing.assert_array_equal(
        context_effects(half, variables, x, x), context_effects(model, variables, x, x)
    )


def test_matrix_is_the_root_mean_square_over_rows():
    effects = np.random.default_rng(0).random((50, 3, 3, 2))
    expected = np.sqrt((effects**2).mean(axis=0))
    np.testing.assert_allclose(interaction_matrix(effects), expected)


def test_more_draws_converge(key):
    model = MODELS["context"]
    variables, x = variables_of(model, key), rows(0, 50)
    exact = context_effects(model, variables, x, rows(1, 200), draws=400, seed=0)
    few = context_effects(model, variables, x, rows(1, 200), draws=4, seed=1)
    exact, few = interaction_matrix(exact), interaction_matrix(few)
    np.testing.assert_allclose(few, exact, rtol=0.4, atol=0.02)


@pytest.mark.parametrize(
    ("x", "background", "draws", "message"),
    [
        ((2, 3), (2, 4), 2, r"background \(2, 4\)"),
        ((2, 3), (0, 3), 2, "at least one row"),
        ((3,), (2, 3), 2, r"x has shape \(3,\)"),
        ((2, 3), (2, 3), 0, "draws is 0"),
    ],
)
def test_bad_input(x, background, draws, message):
    with pytest.raises(ValueError, match=message):
        context_effects(NAE(), {}, np.zeros(x), np.zeros(background), draws=draws)


def test_bad_feature():
    with pytest.raises(ValueError, match="feature is 3, expected"):
        context_curves(NAE(), {}, np.zeros((2, 3)), 3, np.zeros(2))
