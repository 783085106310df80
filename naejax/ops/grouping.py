"""Groups of parts: which parts a group keeps, and how a mask covers an example.

Parts lie on a grid of one axis (a sequence) or two (an image); ``P`` is their number.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from naejax.types import Numbers


def keep_count(num_parts: int, keep: float) -> int:
    """The number of parts that a group keeps: ``floor(P keep)``.

    Args:
        num_parts: P.
        keep: fraction of the parts, in (0, 1].

    Returns:
        The number, at least 1.

    Raises:
        ValueError: if the fraction is not in (0, 1], or keeps no part at all.

    Example:
        >>> keep_count(196, 0.2), keep_count(100, 0.29)
        (39, 29)
    """
    if not 0 < keep <= 1:
        raise ValueError(f"keep is {keep}, expected a fraction in (0, 1]")
    # The nearest float to 0.29 lies below it: without the nudge 100 parts keep 28.
    count = math.floor(num_parts * keep + 1e-9)
    if count == 0:
        raise ValueError(
            f"keep {keep} of {num_parts} parts keeps none; raise keep to at least "
            f"{1 / num_parts:.3g}, or cut the examples into more parts"
        )
    return count


def keep_counts(num_parts: Int[Numbers, "..."], keep: float) -> Int[Array, "..."]:
    """The numbers of parts that groups keep of examples of different lengths.

    ``max(1, floor(n keep))``: unlike `keep_count`, short examples keep one part.

    Args:
        num_parts: n, parts of every example, (...).
        keep: fraction of the parts, in (0, 1].

    Returns:
        The numbers, (...), int32.

    Example:
        >>> import jax.numpy as jnp
        >>> keep_counts(jnp.array([100, 7, 2]), 0.29).tolist()
        [29, 2, 1]
    """
    counts = jnp.floor(jnp.asarray(num_parts) * keep + 1e-5).astype(jnp.int32)
    return jnp.maximum(counts, 1)


def keep_top(
    scores: Float[Numbers, "... P"], count: int | Int[Array, "..."]
) -> Bool[Array, "... P"]:
    """Marks the ``count`` highest scores; of equal ones, those with the lower index.

    Exactly ``count`` parts are kept, ties included: they are broken by index, never by
    a threshold alone.

    Args:
        scores: one per part, (..., P).
        count: how many parts to keep, 1 <= count <= P, one number, or one for every
            row of scores, (...).

    Returns:
        The mask, (..., P).

    Example:
        >>> import jax.numpy as jnp
        >>> keep_top(jnp.array([1.0, 3.0, 3.0, 3.0]), 2).astype(int).tolist()
        [0, 1, 1, 0]
    """
    scores = jnp.asarray(scores)
    if isinstance(count, int):
        last = jax.lax.top_k(scores, count)[0][..., -1:]
    else:
        count = count[..., None]
        last = jnp.take_along_axis(-jnp.sort(-scores, axis=-1), count - 1, axis=-1)
    above = scores > last
    tied = scores == last
    places = count - above.sum(-1, keepdims=True)
    return above | (tied & (jnp.cumsum(tied, axis=-1) <= places))


def kept_mass(
    attention: Float[Numbers, "... P"], mask: Bool[Array, "... P"]
) -> Float[Array, "..."]:
    """How much of a group's attention lies on the parts it keeps.

    ``s = sum_p mask_p attention_p``, in [0, 1].

    Args:
        attention: weights that sum to 1 over the parts, (..., P).
        mask: the parts kept, (..., P).

    Returns:
        The mass, (...).

    Example:
        >>> import jax.numpy as jnp
        >>> mask = jnp.array([True, False, True])
        >>> float(kept_mass(jnp.array([0.5, 0.25, 0.25]), mask))
        0.75
    """
    return jnp.where(mask, attention, 0.0).sum(-1)


def signed_scale(mass: Float[Numbers, "..."]) -> Float[Array, "..."]:
    """The factor of a group's scores: attention kept less attention dropped.

    ``c = s - (1 - s) = 2 s - 1``. Masks of a fixed size have no gradient; this factor
    does, and so teaches a group which parts to attend to.

    Args:
        mass: kept mass s of every group, (...).

    Returns:
        The factor, in [-1, 1].

    Example:
        >>> import jax.numpy as jnp
        >>> signed_scale(jnp.array([0.25, 1.0])).tolist()
        [-0.5, 1.0]

    Source: the released Sum-of-Parts code; You et al., arXiv 2310.16316.
    """
    return 2.0 * jnp.asarray(mass) - 1.0


def strided_groups(num_candidates: int, num_groups: int) -> Int[np.ndarray, "G"]:
    """Evenly spread groups out of all candidates: ``floor(j N / G)``.

    A candidate is one query part of one head, heads in order.

    Args:
        num_candidates: N, heads times parts.
        num_groups: G, at most N.

    Returns:
        Indices of the candidates that run, (G,).

    Raises:
        ValueError: if more groups are wanted than there are candidates.

    Example:
        >>> strided_groups(10, 4).tolist()
        [0, 2, 5, 7]
    """
    if not 1 <= num_groups <= num_candidates:
        raise ValueError(
            f"num_groups is {num_groups}, expected 1 to {num_candidates} (heads times "
            "parts); lower num_groups, or use more heads or parts"
        )
    return np.arange(num_groups) * num_candidates // num_groups


def head_groups(head: int, num_parts: int, num_groups: int) -> Int[np.ndarray, "G"]:
    """Evenly spread groups of one head, as the published training uses in turn.

    Args:
        head: index of the head.
        num_parts: P.
        num_groups: G, at most P.

    Returns:
        Indices of the candidates that run, (G,).

    Example:
        >>> head_groups(1, num_parts=9, num_groups=3).tolist()
        [9, 12, 15]
    """
    return head * num_parts + strided_groups(num_parts, num_groups)


def gaussian_blur(
    scores: Float[Numbers, "..."], ndim: int, size: int, sigma: float
) -> Float[Array, "..."]:
    """Blurs the last ``ndim`` axes by a Gaussian, mirrored at the border.

    The kernel is ``exp(-t^2 / (2 sigma^2))`` at ``size`` integer steps around 0, made
    to sum to 1, along every axis in turn. Size 1 leaves the scores as they are.

    Args:
        scores: on a grid, (..., \\*grid).
        ndim: number of axes of the grid.
        size: odd number of steps, below twice the grid's length.
        sigma: standard deviation, in parts.

    Returns:
        Blurred scores of the same shape.

    Raises:
        ValueError: if the size is even, or too wide for the grid.

    Example:
        >>> import jax.numpy as jnp
        >>> spike = jnp.array([0.0, 0.0, 1.0, 0.0, 0.0])
        >>> [round(float(v), 2) for v in gaussian_blur(spike, 1, size=3, sigma=1.0)]
        [0.0, 0.27, 0.45, 0.27, 0.0]
    """
    scores = jnp.asarray(scores)
    if size == 1:
        return scores
    for axis in range(scores.ndim - ndim, scores.ndim):
        matrix = _blur_matrix(scores.shape[axis], size, sigma).astype(scores.dtype)
        moved = jnp.matmul(jnp.moveaxis(scores, axis, -1), matrix)
        scores = jnp.moveaxis(moved, -1, axis)
    return scores


def _blur_matrix(length: int, size: int, sigma: float) -> np.ndarray:
    """The blur along one axis as a matrix, (length, length); a grid is small."""
    radius = size // 2
    if size % 2 == 0 or size < 1 or radius >= length or sigma <= 0:
        raise ValueError(
            f"blur of size {size} and sigma {sigma} on {length} parts, expected an odd "
            f"size up to {2 * length - 1} and a positive sigma"
        )
    steps = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * np.square(steps / sigma))
    source = np.abs(np.arange(length)[:, None] + steps)
    source = np.where(source < length, source, 2 * (length - 1) - source)
    matrix = np.zeros((length, length))
    np.add.at(matrix, (source, np.arange(length)[:, None]), kernel / kernel.sum())
    return matrix


def upsample_nearest(parts: Numbers, spatial: Sequence[int]) -> Array:
    """Gives every position the value of its part: ``y[i] = parts[floor(i P / S)]``.

    Any ratio of lengths; cells differ by one position where it is not whole.

    Args:
        parts: values on a grid, (..., \\*grid).
        spatial: shape of the example, one length S per axis of the grid.

    Returns:
        Values on the example, (..., \\*spatial).

    Example:
        >>> import jax.numpy as jnp
        >>> upsample_nearest(jnp.array([1, 2]), (5,)).tolist()
        [1, 1, 1, 2, 2]
    """
    parts = jnp.asarray(parts)
    for axis, length in enumerate(spatial, start=parts.ndim - len(spatial)):
        index = np.arange(length) * parts.shape[axis] // length
        parts = jnp.take(parts, index, axis)
    return parts


def coverage(masks: Numbers) -> Float[Array, "B"]:
    """The share of positions that at least one group keeps.

    Args:
        masks: masks of the groups, (B, G, \\*spatial).

    Returns:
        One share per example, (B,).

    Example:
        >>> import jax.numpy as jnp
        >>> coverage(jnp.array([[[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]]])).tolist()
        [0.5]
    """
    covered = (jnp.asarray(masks) > 0).any(axis=1)
    return covered.reshape(len(covered), -1).mean(axis=1)


def flatten_masks(
    masks: Numbers, ranks: Numbers, threshold: float = 0.0
) -> Int[Array, "B *spatial"]:
    """One map out of many masks: the best group at every position.

    ``y_bi = min { r_bg : m_bgi > threshold }``, and G where no mask covers position i.

    Args:
        masks: masks of the groups, (B, G, \\*spatial).
        ranks: place of each group, 0 is the best, (B, G); a group of rank G counts for
            nothing.
        threshold: a group covers the positions where its mask is larger than this.

    Returns:
        Ranks, 0 to G, (B, \\*spatial), int32.

    Example:
        >>> import jax.numpy as jnp
        >>> masks = jnp.array([[[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]]])
        >>> flatten_masks(masks, jnp.array([[1, 0]])).tolist()
        [[1, 0, 0, 2]]
    """
    masks, ranks = jnp.asarray(masks), jnp.asarray(ranks, jnp.int32)
    ranks = ranks.reshape(*ranks.shape, *[1] * (masks.ndim - 2))
    return jnp.where(masks > threshold, ranks, masks.shape[1]).min(axis=1)
