"""Maximum pooling with a gradient that CPUs compute fast."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from naejax.types import Numbers


@jax.custom_jvp
def halve(x: Float[Numbers, "B height width Ch"]) -> Float[Array, "B h w Ch"]:
    """Halves a map by the maximum of every 2 x 2 positions.

    The value is that of `flax.linen.max_pool`. The gradient goes through the pairwise
    maxima of strided slices, which on CPUs makes a training step about twice as fast
    as the scatter of a pooling window; equal values share it.

    Args:
        x: maps, (B, height, width, Ch); an odd last row or column is left out.

    Returns:
        Maps of half the height and width.

    Example:
        >>> import jax.numpy as jnp
        >>> halve(jnp.arange(9.0).reshape(1, 3, 3, 1)).tolist()
        [[[[4.0]]]]
    """
    return nn.max_pool(x, (2, 2), (2, 2))


@halve.defjvp
def _halve_jvp(primals, tangents):
    return halve(*primals), jax.jvp(_pairwise_maxima, primals, tangents)[1]


def _pairwise_maxima(x: Array) -> Array:
    """The same value from slices alone."""
    height, width = (size // 2 * 2 for size in x.shape[1:3])
    x = x[:, :height, :width]
    x = jnp.maximum(x[:, 0::2], x[:, 1::2])
    return jnp.maximum(x[:, :, 0::2], x[:, :, 1::2])
