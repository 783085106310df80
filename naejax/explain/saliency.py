"""Attributions that need no training: what to hold a self-explaining model against.

Attributions of pixels become importance of parts by `pool_parts`. Random importance is
``jax.random.uniform(key, (B, *grid))``.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from naejax.explain.scoring import (
    ScoreFn,
    as_baseline,
    as_examples,
    as_pytree,
    as_target,
    check_choice,
)
from naejax.ops.grouping import upsample_nearest
from naejax.types import Numbers


def gradient_saliency(
    score_fn: ScoreFn,
    x: Float[Numbers, "B *spatial Ch"],
    target: ArrayLike | None = None,
) -> Float[Array, "B *spatial"]:
    """How steeply each pixel changes the score: ``sum_ch |d score_target / d x_ch|``.

    Args:
        score_fn: pure function from inputs (N, \\*spatial, Ch) to scores (N, C), each
            row of its own input alone; compiled once per function object. A
            ``jax.tree_util.Partial(apply, params)`` keeps the weights out of the
            program.
        x: examples, (B, \\*spatial, Ch), all run at once.
        target: output to explain, one index or (B,); by default the one with the
            largest score.

    Returns:
        Saliency, at least 0, in units of the score per unit of x, (B, \\*spatial).

    Raises:
        ValueError: shapes that do not fit, or a target that is not an output.

    Example:
        >>> import numpy as np
        >>> weights = np.array([[3.0], [-1.0]], np.float32)
        >>> x = np.ones((1, 2, 1), np.float32)
        >>> gradient_saliency(lambda x: x[..., 0] @ weights, x).tolist()
        [[3.0, 1.0]]

    Source: Simonyan et al., Deep Inside Convolutional Networks, 2014, who take the
    largest channel instead of the sum.
    """
    x = as_examples(x)
    target = as_target(score_fn, x, target, len(x))
    return jnp.abs(_gradient(as_pytree(score_fn), x, target)).sum(-1)


def integrated_gradients(
    score_fn: ScoreFn,
    x: Float[Numbers, "B *spatial Ch"],
    target: ArrayLike | None = None,
    *,
    baseline: ArrayLike = 0.0,
    steps: int = 32,
) -> Float[Array, "B *spatial"]:
    """Gradients averaged on the way from the baseline to x, times the way.

    With x0 the baseline and m steps, by the midpoint rule::

        a_i = sum_ch (x_i - x0_i) mean_j d score / d x_i (z_j),
        z_j = x0 + (j - 1/2) / m (x - x0),  j = 1..m

    The attributions sum to ``score(x) - score(x0)`` up to the error of the rule, which
    falls as 1 / m^2; a quadratic has none.

    Args:
        score_fn: as in `gradient_saliency`.
        x: examples, (B, \\*spatial, Ch), all run at once, ``steps`` times.
        target: output to explain, one index or (B,); by default the one with the
            largest score.
        baseline: x0, a number or an array that broadcasts to ``x``.
        steps: m, at least 1.

    Returns:
        Attributions in units of the score, (B, \\*spatial).

    Raises:
        ValueError: as in `gradient_saliency`, or no steps.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[[1.0], [2.0]]])
        >>> integrated_gradients(lambda x: (x**2).sum(1), x).tolist()
        [[1.0, 4.0]]

    Source: Sundararajan et al., Axiomatic Attribution for Deep Networks, ICML 2017.
    """
    if steps < 1:
        raise ValueError(f"got steps={steps}; choose at least 1")
    x = as_examples(x)
    target = as_target(score_fn, x, target, len(x))
    function, start = as_pytree(score_fn), as_baseline(baseline, x)
    # Called from the host: a loop on the device runs convolutions slowly on CPU.
    total = jnp.zeros_like(x)
    for position in ((np.arange(steps) + 0.5) / steps).tolist():
        total += _gradient(function, start + position * (x - start), target)
    return ((x - start) * total / steps).sum(-1)


def random_masks(
    key: jax.Array, shape: Sequence[int], grid: Sequence[int], count: int
) -> Bool[Array, "..."]:
    """Groups of parts drawn at random, each with exactly ``count`` different parts.

    Args:
        key: random key.
        shape: leading axes, such as (B, G).
        grid: parts along each axis.
        count: parts of a group, from 0 to all P.

    Returns:
        Independent masks, uniform over all sets of that size, (\\*shape, \\*grid).

    Raises:
        ValueError: ``count`` is not between 0 and P.

    Example:
        >>> masks = random_masks(jax.random.key(0), (2, 3), (4, 4), count=5)
        >>> masks.shape, masks.sum((-2, -1)).tolist()
        ((2, 3, 4, 4), [[5, 5, 5], [5, 5, 5]])
    """
    parts = math.prod(grid)
    if not 0 <= count <= parts:
        raise ValueError(
            f"got count={count} for {parts} parts, expected 0 to {parts}; lower count, "
            "or use a finer grid"
        )
    first = jnp.broadcast_to(jnp.arange(parts) < count, (*shape, parts))
    masks = jax.random.permutation(key, first, axis=-1, independent=True)
    return masks.reshape(*shape, *grid)


def pool_parts(
    attribution: Float[Numbers, "..."],
    grid: Sequence[int],
    reduce: Literal["sum", "mean"] = "sum",
) -> Float[Array, "..."]:
    """Sums or averages the attributions of the pixels of each part.

    The sum is the adjoint of `upsample_nearest`,
    ``<pool_parts(a, grid), p> = <a, upsample_nearest(p, spatial)>``, and keeps the
    total; the mean undoes it, ``pool_parts(upsample_nearest(p, spatial), grid, "mean")
    = p``, and does not favour the larger parts where the pixels do not divide evenly.

    Args:
        attribution: of pixels, (..., \\*spatial), with the axes of ``grid``.
        grid: parts along each axis, at most the pixels.
        reduce: "sum" or "mean".

    Returns:
        Attributions of parts, (..., \\*grid).

    Raises:
        ValueError: a grid that does not fit, or an unknown word.

    Example:
        >>> import jax.numpy as jnp
        >>> pool_parts(jnp.array([1.0, 2.0, 3.0, 4.0, 5.0]), (2,)).tolist()
        [6.0, 9.0]
    """
    check_choice("reduce", reduce, ("sum", "mean"))
    attribution = jnp.asarray(attribution, float)
    axes = len(grid)
    spatial = attribution.shape[max(attribution.ndim - axes, 0) :]
    if not 0 < axes == len(spatial) or any(
        p < 1 or p > s for p, s in zip(grid, spatial, strict=True)
    ):
        raise ValueError(
            f"got attributions of shape {attribution.shape} for the grid {tuple(grid)},"
            " expected (..., *spatial) with 1 part to all pixels along each axis"
        )

    def pool(pixels: Array) -> Array:
        shape = (*pixels.shape[: pixels.ndim - axes], *grid)
        parts = jax.ShapeDtypeStruct(shape, pixels.dtype)
        upsample = partial(upsample_nearest, spatial=spatial)
        return jax.linear_transpose(upsample, parts)(pixels)[0]

    pooled = pool(attribution)
    if reduce == "sum":
        return pooled
    return pooled / jnp.broadcast_to(pool(jnp.ones(spatial)), pooled.shape)


@jax.jit
def _gradient(score_fn: Partial, x: Array, target: Array) -> Array:
    """Gradient of each example's target score by the example."""

    def total(x: Array) -> Array:
        return jnp.take_along_axis(score_fn(x), target[:, None], axis=1).sum()

    return jax.grad(total)(x)
