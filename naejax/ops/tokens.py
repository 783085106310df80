"""Texts as arrays: what a position holds, and sums over the parts of a text.

A text is ``x`` (L, 4), whole numbers that floats may hold, one row for each position:
its token, the token's type, whether there is a token at all, and the part that it
belongs to. Parts (words, sentences, or the tokens themselves) are 0, 1, ... in order
without gaps; part -1 is no part: padding, and tokens that no mask ever removes.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from naejax.types import Numbers

TOKEN, TYPE, PRESENT, PART = range(4)
"""Channels of ``x``: id in the vocabulary; 0 for the text and 1 for the query; 1 for a
token and 0 for padding; part or -1."""


def pool_positions(
    values: Float[Numbers, "B L d"], parts: Int[Numbers, "B L"], num_parts: int
) -> Float[Array, "B P d"]:
    """The mean over the positions of every part.

    ``y_p = sum_{l: part_l = p} v_l / |{l: part_l = p}|``, and 0 for a part without
    positions.

    Args:
        values: one vector per position, (B, L, d).
        parts: part of every position, (B, L); a position whose part is not in 0 to
            P - 1 counts nowhere.
        num_parts: P.

    Returns:
        One vector per part, (B, P, d).

    Example:
        >>> import jax.numpy as jnp
        >>> values = jnp.array([[[9.0], [1.0], [3.0], [5.0]]])
        >>> pool_positions(values, jnp.array([[-1, 0, 0, 1]]), 3)[0, :, 0].tolist()
        [2.0, 5.0, 0.0]
    """
    values = jnp.asarray(values)
    # A matrix product, unlike a scatter, adds in the same order on every device.
    member = jax.nn.one_hot(parts, num_parts, dtype=values.dtype)
    total = jnp.einsum("blp,bld->bpd", member, values, precision="highest")
    return total / jnp.maximum(member.sum(axis=1), 1)[..., None]


def present_parts(parts: Int[Numbers, "B L"], num_parts: int) -> Bool[Array, "B P"]:
    """Which parts have a position.

    Args:
        parts: part of every position, (B, L).
        num_parts: P.

    Returns:
        Whether each part is there, (B, P).

    Example:
        >>> import jax.numpy as jnp
        >>> present_parts(jnp.array([[-1, 0, 0, 1]]), 3).tolist()
        [[True, True, False]]
    """
    return jax.nn.one_hot(parts, num_parts, dtype=bool).any(axis=1)


def spread_to_positions(
    values: Shaped[Numbers, "B G P"], parts: Int[Numbers, "B L"]
) -> Shaped[Array, "B G L"]:
    """Gives every position the value of its part: ``y_gl = v_{g, part_l}``.

    Args:
        values: one per group and part, (B, G, P), P >= 1.
        parts: part of every position, (B, L).

    Returns:
        One value per group and position, 0 where the part is not in 0 to P - 1,
        (B, G, L).

    Example:
        >>> import jax.numpy as jnp
        >>> masks = jnp.array([[[1.0, 0.0], [0.5, 1.0]]])
        >>> spread_to_positions(masks, jnp.array([[-1, 0, 1, 1]])).tolist()
        [[[0.0, 1.0, 0.0, 0.0], [0.0, 0.5, 1.0, 1.0]]]
    """
    values, parts = jnp.asarray(values), jnp.asarray(parts)[:, None]
    last = values.shape[-1] - 1
    found = jnp.take_along_axis(values, jnp.clip(parts, 0, last), axis=-1)
    inside = (parts >= 0) & (parts <= last)
    return jnp.where(inside, found, jnp.zeros((), found.dtype))


def strided_candidates(
    counts: Int[Numbers, "B"], heads: int, num_groups: int
) -> tuple[Int[Array, "B G"], Int[Array, "B G"]]:
    """Evenly spread groups out of the candidates that every example has.

    An example of n parts has ``N = heads n`` candidates, a query part of a head each,
    heads in order. Group j is candidate ``floor(j N / G)``: those of
    `naejax.ops.grouping.strided_groups` where N >= G; below that candidates repeat.

    Args:
        counts: how many parts n each example has, (B,); 0 counts as 1.
        heads: number of heads.
        num_groups: G.

    Returns:
        The head and the part of every group, each (B, G).

    Example:
        >>> import jax.numpy as jnp
        >>> head, part = strided_candidates(jnp.array([5, 1]), heads=2, num_groups=4)
        >>> head.tolist(), part.tolist()
        ([[0, 0, 1, 1], [0, 0, 1, 1]], [[0, 2, 0, 2], [0, 0, 0, 0]])
    """
    counts = jnp.maximum(jnp.asarray(counts), 1)[:, None]
    index = jnp.arange(num_groups)[None] * (heads * counts) // num_groups
    return index // counts, index % counts
