"""Knots: closed forms of the interpolation, where knots stand, tables of networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from naejax import NAE, fit
from naejax.models.knots import place, quantile_knots
from naejax.models.nae import place_knots
from naejax.ops.value_knots import value_knots


@pytest.mark.parametrize("seed", range(5))
def test_weights_of_knots_interpolate_linearly(seed):
    rng = np.random.default_rng(seed)
    knots = np.sort(rng.normal(size=7)).astype(np.float32)
    heights = rng.normal(size=7).astype(np.float32)
    x = rng.uniform(knots[0] - 1, knots[-1] + 1, 50).astype(np.float32)
    weights = np.asarray(place(jnp.asarray(x), jnp.asarray(knots)))
    found = heights @ weights[:-1]
    np.testing.assert_allclose(found, np.interp(x, knots, heights), atol=1e-5)
    np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-6)
    assert (weights >= 0).all() and ((weights > 0).sum(axis=0) <= 2).all()
    at_knots = place(jnp.asarray(knots), jnp.asarray(knots))[:-1]
    np.testing.assert_allclose(at_knots, np.eye(7), atol=1e-6)


def test_a_missing_value_has_a_slot_of_its_own():
    weights = place(jnp.array([jnp.nan, 1.0]), jnp.array([0.0, 2.0]))
    assert weights.T.tolist() == [[0, 0, 1], [0.5, 0.5, 0]]


def test_repeated_last_knots_are_never_used_and_gradients_stay_finite():
    knots = jnp.array([0.0, 1.0, 1.0, 1.0])
    x = jnp.array([0.25, 1.0, 5.0])
    expected = [[0.75, 0.25, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 0, 0, 0]]
    assert place(x, knots).T.tolist() == expected
    assert np.isfinite(jax.grad(lambda x: place(x, knots)[0].sum())(x)).all()


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_few_values_have_a_knot_each(count):
    values = np.sort(np.random.default_rng(count).normal(size=count))
    column = np.repeat(values.astype(np.float32), 3)[:, None]
    knots = quantile_knots(column, 8)[0]
    assert knots[:count].tolist() == np.unique(column).tolist()
    assert (knots[count:] == column.max()).all() and knots.shape == (8,)


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
    assert np.isin(knots, column.astype(np.float32)).all()


def test_missing_values_have_no_part_in_the_knots():
    column = np.array([np.nan, 1.0, np.nan, 3.0])
    full = quantile_knots(np.array([[1.0], [3.0]]), 4)
    np.testing.assert_array_equal(quantile_knots(column[:, None], 4), full)
    assert np.isfinite(quantile_knots(np.full((3, 1), np.nan), 4)).all()


GATES = [("context", 2), ("context", None), ("equal", 2), ("own", None), ("none", None)]


def knotted(gate, rank, **fields):
    """A model with knots at rows, its variables, and the rows."""
    x = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    x[0, 1] = np.nan
    fields = {"num_experts": 4, "top_k": 3, "hidden": (5, 6)} | fields
    model = NAE(gate=gate, gate_rank=rank, num_knots=9, **fields)
    variables = place_knots(jax.jit(model.init)(jax.random.key(0), x), x)
    return model, variables, x


@pytest.mark.parametrize(("gate", "rank"), GATES)
def test_at_knots_the_model_is_the_network(gate, rank):
    """A network without knots, to whose first layer the steps are added, agrees."""
    model, variables, x = knotted(gate, rank)
    params = dict(variables["params"])
    encoder = dict(params["features"]["encoder"])
    encoder["steps"] = jnp.zeros_like(encoder["steps"])
    params["features"] = {**params["features"], "encoder": encoder}
    found = jax.jit(model.apply)({**variables, "params": params}, x)
    del encoder["steps"]
    params["features"] = {**params["features"], "encoder": encoder}
    expected = jax.jit(model.clone(num_knots=0).apply)({"params": params}, x)
    for part, values in expected._asdict().items():
        np.testing.assert_allclose(getattr(found, part), values, atol=1e-5)


@pytest.mark.parametrize(("gate", "rank"), GATES)
def test_between_knots_experts_and_what_gates_see_are_linear(gate, rank):
    model, variables, _ = knotted(gate, rank)
    knots = np.asarray(variables["knots"]["at"])
    left, right = knots[:, 3], knots[:, 4]
    rows = np.stack([left, right, 0.75 * left + 0.25 * right])
    told, experts = jax.jit(model.apply, static_argnames="method")(
        variables, rows, method="encode"
    )
    for table in (told, experts):
        between = 0.75 * table[..., 0] + 0.25 * table[..., 1]
        np.testing.assert_allclose(table[..., 2], between, atol=1e-5)


def test_steps_let_an_expert_jump_from_one_knot_to_the_next():
    model, variables, _x = knotted("context", 2, hidden=(5,))
    steps = variables["params"]["features"]["encoder"]["steps"]
    moved = steps.at[0, 2, 4].add(3.0)
    params = jax.tree.map(lambda a: moved if a is steps else a, variables["params"])
    tables = jax.jit(model.apply, static_argnames=("method", "num_features"))
    before, after = (
        tables({**variables, "params": p}, num_features=3, method="tables").experts
        for p in (variables["params"], params)
    )
    change = np.abs(np.asarray(after - before)).max(axis=(1, 2))
    assert not change[1:].any() and not change[0, :5].any() and change[0, 5:-1].any()
    assert change[0, -1] == 0, "a missing value takes no steps"


def test_training_leaves_the_knots_where_they_are():
    model, variables, _ = knotted("context", 2)
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    result = fit(model, variables, (x, x[:, 0]), epochs=2, progress=False)
    at = result.variables["knots"]["at"]
    np.testing.assert_array_equal(at, variables["knots"]["at"])
    steps = result.variables["params"]["features"]["encoder"]["steps"]
    assert np.abs(steps - variables["params"]["features"]["encoder"]["steps"]).max() > 0


def test_value_knots_at_even_ranks_in_closed_form():
    """Without ties the j-th of T knots is the value of rank (N - 1) j / (T - 1)."""
    values = np.random.default_rng(0).permutation(np.arange(101.0) ** 3)
    expected = np.arange(0, 101, 10.0) ** 3
    np.testing.assert_array_equal(value_knots(values, 11), expected)
    np.testing.assert_array_equal(value_knots(values, 2), [0, 100**3])
    assert value_knots(values, 101).tolist() == sorted(values)


def test_ties_count_for_their_rows_up_to_a_share():
    """Ten values; the first fills 910 of 1,000 rows, and counts for a fifth of them."""
    values = np.repeat(np.arange(10.0), [910] + [10] * 9)
    # Mid-ranks 100, then 205 to 285; wanted 100, 146.25, 192.5, 238.75 and 285.
    np.testing.assert_array_equal(value_knots(values, 5), [0, 1, 4, 9])


@pytest.mark.parametrize("value", [0.0, -1e300, 5e-324])
def test_one_value_is_one_knot(value):
    assert value_knots(np.full(9, value), 4).tolist() == [value]


def test_knots_of_huge_and_of_tiny_values():
    values = np.random.default_rng(0).normal(size=500)
    expected = value_knots(values, 16)
    for scale in (1e299, 1e-300):
        found = value_knots(values * scale, 16)
        np.testing.assert_allclose(found, expected * scale, rtol=1e-12)
