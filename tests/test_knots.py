"""Piecewise linear bases: closed forms, and where knots stand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from naejax import NAE
from naejax.models.knots import hats, quantile_knots, ramps
from naejax.models.nae import place_knots


@pytest.mark.parametrize("seed", range(5))
def test_sums_of_hats_interpolate_linearly(seed):
    rng = np.random.default_rng(seed)
    knots = np.sort(rng.normal(size=7)).astype(np.float32)
    heights = rng.normal(size=7).astype(np.float32)
    x = rng.uniform(knots[0] - 1, knots[-1] + 1, 50).astype(np.float32)
    basis = hats(jnp.asarray(x), jnp.asarray(knots))
    np.testing.assert_allclose(heights @ basis, np.interp(x, knots, heights), atol=1e-5)
    np.testing.assert_allclose(basis.sum(axis=0), 1, atol=1e-6)
    at_knots = hats(jnp.asarray(knots), jnp.asarray(knots))
    np.testing.assert_allclose(at_knots, np.eye(7), atol=1e-6)


def test_ramps_rise_from_one_knot_to_the_next():
    knots = jnp.array([-1.0, 0.0, 4.0])
    x = jnp.array([-2.0, -0.5, 0.0, 1.0, 9.0])
    expected = [[0, 0.5, 1, 1, 1], [0, 0, 0, 0.25, 1]]
    np.testing.assert_allclose(ramps(x, knots), expected)


def test_equal_knots_make_a_step_and_finite_gradients():
    knots = jnp.zeros(4)
    x = jnp.array([-1.0, 0.0, 1.0])
    assert ramps(x, knots).tolist() == [[0, 0, 1]] * 3
    gradient = jax.grad(lambda x: hats(x, knots).sum())(x)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_few_values_have_a_knot_each(count):
    values = np.sort(np.random.default_rng(count).normal(size=count))
    column = np.repeat(values.astype(np.float32), 3)[:, None]
    knots = quantile_knots(column, 8)[0]
    assert set(column[:, 0]) <= set(knots)
    assert knots[0] == column.min() and knots[-1] == column.max()
    assert (np.diff(knots) >= 0).all() and knots.shape == (8,)


def test_a_value_of_most_rows_leaves_knots_to_the_others():
    rng = np.random.default_rng(0)
    column = np.where(rng.random(5000) < 0.95, 0.0, rng.uniform(1, 2, 5000))
    knots = quantile_knots(column[:, None], 32)[0]
    assert (knots >= 1).sum() >= 20
    assert knots[0] == 0 and knots[-1] == np.float32(column.max())


def test_many_values_have_knots_at_even_ranks():
    column = np.random.default_rng(1).exponential(size=20_000)
    knots = quantile_knots(column[:, None], 11)[0]
    expected = np.quantile(column, np.linspace(0, 1, 11))
    np.testing.assert_allclose(knots[:-1], expected[:-1], atol=0.02)


def test_missing_values_have_no_part_in_the_knots():
    column = np.array([np.nan, 1.0, np.nan, 3.0])
    full = quantile_knots(np.array([[1.0], [3.0]]), 4)
    np.testing.assert_array_equal(quantile_knots(column[:, None], 4), full)
    assert np.isfinite(quantile_knots(np.full((3, 1), np.nan), 4)).all()


def test_knots_do_nothing_before_training_and_then_make_jumps():
    """The map starts at zero; its kernel alone can give every value its own level."""
    x = jnp.linspace(-2, 2, 5)[:, None]
    model = NAE(num_experts=2, hidden=(4,), num_knots=5)
    plain = NAE(num_experts=2, hidden=(4,))
    variables = place_knots(jax.jit(model.init)(jax.random.key(0), x), x)
    params = variables["params"]
    encoder = params["features"]["encoder"]
    assert not encoder["hats"]["kernel"].any()
    without = {k: v for k, v in encoder.items() if k != "hats"}
    bare = {"params": params | {"features": params["features"] | {"encoder": without}}}
    expected = jax.jit(plain.apply)(bare, x).prediction
    apply = jax.jit(model.apply)
    np.testing.assert_array_equal(apply(variables, x).prediction, expected)
    kernel = encoder["hats"]["kernel"].at[0, 2].set(jnp.arange(4.0))
    encoder = encoder | {"hats": {"kernel": kernel}}
    moved = params | {"features": params["features"] | {"encoder": encoder}}
    changed = apply(variables | {"params": moved}, x).prediction != expected
    assert changed[:, 0].tolist() == [False, False, True, False, False]


@pytest.mark.slow
def test_training_leaves_the_knots_where_they_are():
    from naejax import fit

    x = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    model = NAE(num_experts=2, hidden=(4,), num_knots=4)
    variables = place_knots(model.init(jax.random.key(0), x), x)
    result = fit(model, variables, (x, x[:, 0]), epochs=2, progress=False)
    np.testing.assert_array_equal(
        result.variables["knots"]["at"], variables["knots"]["at"]
    )
    kernel = result.variables["params"]["features"]["encoder"]["hats"]["kernel"]
    assert np.abs(kernel).max() > 0
