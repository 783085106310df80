"""Penalties on the groups of Sum-of-Parts: no part forgotten, no group twice.

Both act on the attention, which has a gradient where hard masks have none.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from naejax.objectives.rows import row_mean, row_shares
from naejax.ops.precision import at_least_float32
from naejax.types import SOPOutput


def coverage(
    output: SOPOutput,
    weights: Float[Array, "B"] | None = None,
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """How unevenly all groups of an example together attend to its parts.

    With ``q_p = mean_g a_gp`` the mean attention of the groups, the mean over examples
    of its distance from the uniform distribution::

        log P + sum_p q_p log q_p        in [0, log P]

    Args:
        output: a model's output; attention (B, G, \\*grid) is used.
        weights: weights of the examples, (B,).
        axis_name: of the devices that hold the other rows.

    Returns:
        A scalar in nats; 0 when the groups attend to every part alike, log P when all
        attend to the same single part.

    Raises:
        ValueError: if the weights are not (B,).

    Example:
        >>> one, two = jnp.ones((1, 2)), jnp.ones((1, 2, 1))
        >>> output = SOPOutput(one, one[0], two, two, two, one, two, jnp.eye(2)[None])
        >>> float(coverage(output))
        0.0
    """
    attention = _attention(output)
    # At 0 the slope of q log q is infinite; a saturated softmax gets there.
    mean = jnp.maximum(attention.mean(axis=1), 1e-20)
    entropy = jax.scipy.special.entr(mean).sum(axis=-1)
    distance = math.log(attention.shape[2]) - entropy
    shares = row_shares(attention, weights, axis_name)
    return row_mean(distance, shares, axis_name)


def diversity(
    output: SOPOutput,
    weights: Float[Array, "B"] | None = None,
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """How alike the groups of an example are.

    The mean over examples and pairs of groups of the cosine of their attention::

        1 / (G (G - 1)) sum_{g != h} (a_g . a_h) / (|a_g| |a_h|)        in [0, 1]

    Args:
        output: a model's output; attention (B, G, \\*grid) is used.
        weights: weights of the examples, (B,).
        axis_name: of the devices that hold the other rows.

    Returns:
        A scalar; 0 when no two groups attend to the same part, or there is one group;
        1 when all groups are the same.

    Raises:
        ValueError: if the weights are not (B,).

    Example:
        >>> one, two = jnp.ones((1, 2)), jnp.ones((1, 2, 1))
        >>> output = SOPOutput(one, one[0], two, two, two, one, two, jnp.eye(2)[None])
        >>> float(diversity(output))
        0.0
    """
    attention = _attention(output)
    groups = attention.shape[1]
    if groups == 1:
        return jnp.zeros((), attention.dtype)
    # Attention sums to 1, so its norm is never 0.
    unit = attention / jnp.linalg.norm(attention, axis=-1, keepdims=True)
    # |sum_g u_g|^2 counts every pair twice and every group once.
    alike = jnp.square(unit.sum(axis=1)).sum(axis=-1) - groups
    shares = row_shares(attention, weights, axis_name)
    return row_mean(alike / (groups * (groups - 1)), shares, axis_name)


def _attention(output: SOPOutput) -> Float[Array, "B G P"]:
    """The attention in float32 at least, parts in one axis."""
    attention = at_least_float32(output.attention)
    return attention.reshape(*attention.shape[:2], -1)
