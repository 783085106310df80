"""Maximum pooling: the value of Flax's, the derivative by finite differences."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from naejax.ops.pooling import halve


@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (1, 5, 7, 2), (3, 2, 3, 1)])
def test_value_and_derivatives(shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)

    def flax(x):
        return nn.max_pool(x, (2, 2), (2, 2))

    def gradient(pool):
        return jax.jit(jax.grad(lambda x: jnp.square(pool(x)).sum()))(x)

    np.testing.assert_array_equal(jax.jit(halve)(x), jax.jit(flax)(x))
    check_grads(jax.jit(halve), (x,), 2, ("fwd", "rev"), eps=1e-3, atol=1e-2)
    np.testing.assert_allclose(gradient(halve), gradient(flax), atol=1e-6)


def test_equal_values_share_the_gradient():
    gradient = jax.jit(jax.grad(lambda x: halve(x).sum()))(jnp.zeros((1, 2, 2, 1)))
    np.testing.assert_array_equal(gradient, jnp.full((1, 2, 2, 1), 0.25))


def test_an_odd_border_is_left_out():
    x = np.zeros((1, 3, 3, 1), np.float32)
    x[0, 2, 2, 0] = 9
    value, gradient = jax.jit(jax.value_and_grad(lambda x: halve(x).sum()))(x)
    assert value == 0
    assert (np.asarray(gradient)[0, 2] == 0).all()
