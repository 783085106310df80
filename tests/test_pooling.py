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
    x = jax.random.normal(jax.random.key(0), shape)
    np.testing.assert_array_equal(halve(x), nn.max_pool(x, (2, 2), (2, 2)))
    check_grads(halve, (x,), order=2, modes=("fwd", "rev"), eps=1e-3, atol=1e-2)
    other = jax.grad(lambda x: jnp.square(nn.max_pool(x, (2, 2), (2, 2))).sum())(x)
    own = jax.grad(lambda x: jnp.square(halve(x)).sum())(x)
    np.testing.assert_allclose(own, other, atol=1e-6)


def test_equal_values_share_the_gradient():
    gradient = jax.grad(lambda x: halve(x).sum())(jnp.zeros((1, 2, 2, 1)))
    np.testing.assert_array_equal(gradient, jnp.full((1, 2, 2, 1), 0.25))


def test_an_odd_border_is_left_out():
    x = jnp.zeros((1, 3, 3, 1)).at[0, 2, 2, 0].set(9.0)
    assert halve(x).item() == 0
    assert jax.grad(lambda x: halve(x).sum())(x)[0, 2].sum() == 0
