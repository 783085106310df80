"""Gating functions against sorting, closed forms and statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from naejax.ops import gating


@pytest.mark.parametrize("k", [1, 2, 5, 8])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_mask_is_that_of_lax_top_k(k, axis, key):
    shape = [4, 4, 4]
    shape[axis] = 8
    logits = jax.random.normal(key, shape)
    moved = jnp.moveaxis(logits, axis, -1)
    _, index = jax.lax.top_k(moved, k)
    expected = jnp.moveaxis(jax.nn.one_hot(index, 8).sum(-2), -1, axis)
    assert (gating.top_k_mask(logits, k, axis) == expected).all()


@pytest.mark.parametrize(
    "row",
    [
        [1.0, 1.0, 1.0, 1.0],
        [0.0, 2.0, 2.0, 2.0],
        [-np.inf, -np.inf, 0.0, -np.inf],
        [-np.inf] * 4,
        [1e30, -1e30, 1e30, 0.0],
    ],
)
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_ties_and_infinities_mark_exactly_k_lowest_first(row, k):
    mask = gating.top_k_mask(jnp.array(row), k)
    _, index = jax.lax.top_k(jnp.array(row), k)
    assert mask.sum() == k
    assert set(np.flatnonzero(mask)) == set(np.asarray(index).tolist())


def test_context_gates_are_softmax_over_the_chosen(key):
    logits = jax.random.normal(key, (50, 6))
    gates = gating.top_k_gates(logits, 3)
    values, index = jax.lax.top_k(logits, 3)
    chosen = jnp.take_along_axis(gates, index, -1)
    np.testing.assert_allclose(chosen, jax.nn.softmax(values), rtol=1e-6)
    np.testing.assert_allclose(gating.top_k_gates(logits, 6), jax.nn.softmax(logits))


def test_gradient_is_zero_outside_the_chosen_and_softmax_inside(key):
    logits = jax.random.normal(key, (6,))
    jacobian = jax.jacobian(lambda r: gating.top_k_gates(r, 3))(logits)
    gates = gating.top_k_gates(logits, 3)
    expected = jnp.diag(gates) - gates[:, None] * gates[None]
    np.testing.assert_allclose(jacobian, expected, atol=1e-7)


def test_equal_gates_take_the_softmax_gradient_at_equal_logits(key):
    logits = jax.random.normal(key, (6,))
    gates = gating.equal_gates(logits, 3)
    assert sorted(gates.tolist()) == pytest.approx([0, 0, 0, 1 / 3, 1 / 3, 1 / 3])
    jacobian = jax.jacobian(lambda r: gating.equal_gates(r, 3))(logits)
    expected = jnp.diag(gates) - gates[:, None] * gates[None]
    np.testing.assert_allclose(jacobian, expected, atol=1e-7)


def test_gumbel_picks_each_expert_with_its_probability(key):
    logits = jnp.array([0.0, 1.0, 2.0])
    draws = gating.gumbel_gates(jnp.broadcast_to(logits, (20_000, 3)), key)
    share = (draws.argmax(-1)[:, None] == jnp.arange(3)[None]).mean(0)
    # Four standard deviations of a share of 20,000 draws.
    np.testing.assert_allclose(share, jax.nn.softmax(logits), atol=4 * 0.5 / 141)
    np.testing.assert_allclose(draws.sum(-1), 1.0, atol=1e-5)


def test_dropped_experts_get_no_weight_and_never_all(key):
    logits = jnp.zeros((1000, 3))
    dropped = gating.drop_experts(logits, key, 0.7)
    gone = jnp.isinf(dropped)
    assert not gone.all(-1).any()
    # An expert stays dropped unless all three were: 0.7 - 0.7^3.
    assert float(gone.mean()) == pytest.approx(0.7 - 0.343, abs=0.03)
    for rule in (gating.top_k_gates, gating.equal_gates):
        gates = rule(dropped, 2)
        assert (gates[gone] == 0).all()
        np.testing.assert_allclose(gates.sum(-1), 1.0, atol=1e-6)
        gradient = jax.grad(lambda r, rule=rule: (rule(r, 2) ** 2).sum())(dropped)
        assert jnp.isfinite(gradient).all()


@pytest.mark.parametrize("k", [0, 5])
def test_impossible_k_is_refused(k):
    with pytest.raises(ValueError, match="top_k is"):
        gating.top_k_mask(jnp.zeros(4), k)
