"""Insertion and deletion curves: the score as parts of an example come and go.

``protocol="fair"`` follows one output and fixed parts or groups along a curve with both
its ends, integrated by the trapezoid rule. ``protocol="reference"`` is how the authors
of Sum-of-Parts computed the numbers that they report for other methods.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from naejax.explain.scoring import (
    PROTOCOLS,
    Protocol,
    ScoreFn,
    Value,
    as_examples,
    check_choice,
    check_finite,
    masked_values,
    ranks,
)
from naejax.ops.grouping import upsample_nearest
from naejax.types import Numbers


class Curve(NamedTuple):
    """The value of one output while an example is uncovered or covered step by step.

    Attributes:
        values: of the target, a probability or a score, (B, S).
        fractions: share of parts (of pixels, for groups) that each value has behind it:
            inserted, or removed, rising along S, (B, S).
        area: one number for the curve, (B,).
    """

    values: Float[Array, "B S"]
    fractions: Float[Array, "B S"]
    area: Float[Array, "B"]


def insertion(
    score_fn: ScoreFn,
    x: Float[Numbers, "B *spatial Ch"],
    importance: Float[Numbers, "B *grid"],
    *,
    target: ArrayLike | None = None,
    steps: int | None = None,
    baseline: ArrayLike = 0.0,
    value: Value = "probability",
    protocol: Protocol = "fair",
    normalise: bool = False,
    batch_size: int = 128,
) -> Curve:
    """Inserts the parts of each example from the most important to the least.

    Step s of S shows the ``n_s = floor(s P / S)`` most important of P parts; of equally
    important ones those with the lower index. With ``v_s`` the value of the target::

        fair:      area = sum_s (v_{s-1} + v_s) / 2 * (n_s - n_{s-1}) / P,  s = 1..S
        reference: area = (v_1 + ... + v_S) / S / v_S

    Larger is better. The reference leaves out the start and divides by the last value,
    so that an example counts for more the less sure the model is of it, and the area
    can exceed 1. For its own method the reference follows instead the largest
    probability at each step, whichever class has it, and selects new groups at each
    step; neither is done here.

    Args:
        score_fn: pure function from inputs (N, \\*spatial, Ch) to scores (N, C) on the
            link scale, compiled once per function object. A
            ``jax.tree_util.Partial(apply, params)`` keeps the weights out of the
            program.
        x: examples, (B, \\*spatial, Ch).
        importance: of the parts on a grid of any size up to the pixels', (B, \\*grid);
            pixel i of an axis belongs to part ``floor(i * grid / spatial)``.
        target: output to follow, one index or (B,); by default the one with the largest
            score for the whole example. One output (C = 1) is followed as P(class 1)
            whatever is predicted. For regression with C > 1 outputs, name the one that
            ``importance`` explains.
        steps: S, at most P; by default P, one part a step. The model runs B (S + 1)
            times.
        baseline: what a removed pixel shows: a number, or an array that broadcasts to
            ``x``.
        value: "probability" is the softmax of the scores, or the sigmoid when C = 1;
            "score" is the score itself.
        protocol: "fair" or "reference".
        normalise: divide the fair area by the value of the whole example (0 where that
            is 0); the reference area always is.
        batch_size: inputs that the model gets at once, which bounds the memory.

    Returns:
        values and fractions (B, S + 1) from the empty to the whole example (reference:
        (B, S), without the empty one), and the area (B,).

    Raises:
        ValueError: shapes that do not fit, more steps than parts, a target that is not
            an output, or an unknown word.

    Example:
        >>> import numpy as np
        >>> weights = np.array([[3.0], [1.0], [6.0]], np.float32)
        >>> curve = insertion(lambda x: x[..., 0] @ weights, np.ones((1, 3, 1)),
        ...                   np.array([[3.0, 1.0, 6.0]]), value="score")
        >>> curve.values.tolist(), round(float(curve.area[0]), 3)
        ([[0.0, 6.0, 9.0, 10.0]], 6.667)

    Source: Petsiuk et al., RISE, BMVC 2018; the reference is the public code of You et
    al., Sum-of-Parts, ICML 2025.
    """
    x = as_examples(x)
    arrival, parts = _part_arrival(importance, x.shape)
    counts = _part_counts(parts, steps, protocol)
    values = masked_values(
        score_fn,
        x,
        arrival,
        counts,
        target=target,
        baseline=baseline,
        value=value,
        batch_size=batch_size,
    )
    return _part_curve(values, counts / parts, values[:, -1], protocol, normalise)


def deletion(
    score_fn: ScoreFn,
    x: Float[Numbers, "B *spatial Ch"],
    importance: Float[Numbers, "B *grid"],
    *,
    target: ArrayLike | None = None,
    steps: int | None = None,
    baseline: ArrayLike = 0.0,
    value: Value = "probability",
    protocol: Protocol = "fair",
    normalise: bool = False,
    batch_size: int = 128,
) -> Curve:
    """Removes the parts of each example from the most important to the least.

    Step s of S removes the ``n_s = floor(s P / S)`` most important of P parts, and the
    fair area is that of `insertion`. The reference shows the ``n_s`` least important
    parts, s = 1..S: the same curve from its other end, without the empty example. Its
    area is again the mean divided by the last value. Smaller is better.

    Args:
        score_fn: from inputs (N, \\*spatial, Ch) to scores (N, C), as in `insertion`.
        x: examples, (B, \\*spatial, Ch).
        importance: of the parts, (B, \\*grid).
        target: output to follow, one index or (B,), as in `insertion`.
        steps: S, at most P; by default P.
        baseline: what a removed pixel shows.
        value: "probability" or "score".
        protocol: "fair" or "reference".
        normalise: divide the fair area by the value of the whole example.
        batch_size: inputs that the model gets at once.

    Returns:
        values and fractions (B, S + 1) from the whole to the empty example (reference:
        (B, S), from few parts to all, with the share that is shown), area (B,).

    Raises:
        ValueError: as in `insertion`.

    Example:
        >>> import numpy as np
        >>> weights = np.array([[3.0], [1.0], [6.0]], np.float32)
        >>> curve = deletion(lambda x: x[..., 0] @ weights, np.ones((1, 3, 1)),
        ...                  np.array([[3.0, 1.0, 6.0]]), value="score")
        >>> curve.values.tolist(), round(float(curve.area[0]), 3)
        ([[10.0, 4.0, 1.0, 0.0]], 3.333)

    Source: as of `insertion`.
    """
    x = as_examples(x)
    arrival, parts = _part_arrival(importance, x.shape)
    counts = _part_counts(parts, steps, protocol)
    shown = counts if protocol == "reference" else parts - counts
    values = masked_values(
        score_fn,
        x,
        parts - 1 - arrival,
        shown,
        target=target,
        baseline=baseline,
        value=value,
        batch_size=batch_size,
    )
    whole = values[:, shown.argmax()]
    return _part_curve(values, counts / parts, whole, protocol, normalise)


def _part_arrival(importance: Numbers, shape: tuple[int, ...]) -> tuple[Array, int]:
    """The rank of every pixel's part, 0 for the most important, and P."""
    importance, spatial = jnp.asarray(importance), shape[1:-1]
    grid = importance.shape[1:]
    fits = len(grid) == len(spatial) and importance.shape[0] == shape[0]
    if not fits or any(p < 1 or p > s for p, s in zip(grid, spatial, strict=True)):
        raise ValueError(
            f"got importance of shape {importance.shape} for x of shape {shape}, "
            "expected (B, *grid) with a grid of 1 part to all pixels along each axis"
        )
    check_finite("importance", importance)
    return _arrival(importance, spatial), math.prod(grid)


def _part_counts(parts: int, steps: int | None, protocol: Protocol) -> np.ndarray:
    """How many parts the steps show, from 0; the reference lacks the 0."""
    check_choice("protocol", protocol, PROTOCOLS)
    steps = parts if steps is None else steps
    if not 1 <= steps <= parts:
        raise ValueError(
            f"got steps={steps} for {parts} parts, expected 1 to {parts}; lower steps, "
            "or give the importance on a finer grid"
        )
    return np.arange(protocol == "reference", steps + 1) * parts // steps


@partial(jax.jit, static_argnames="spatial")
def _arrival(importance: Array, spatial: tuple[int, ...]) -> Array:
    """The rank of every pixel's part."""
    places = ranks(importance.reshape(len(importance), -1))
    return upsample_nearest(places.reshape(importance.shape), spatial)


@partial(jax.jit, static_argnames=("protocol", "normalise"))
def _part_curve(
    values: Array,
    fractions: np.ndarray,
    whole: Array,
    protocol: Protocol,
    normalise: bool,
) -> Curve:
    """The area under values (B, S) at fractions (S,), whole examples having (B,)."""
    behind = jnp.broadcast_to(jnp.asarray(fractions, values.dtype), values.shape)
    if protocol == "reference":
        area = values.mean(1)
    else:
        area = jnp.trapezoid(values, behind)
    if protocol == "reference" or normalise:
        area = jnp.where(whole == 0, 0, area / jnp.where(whole == 0, 1, whole))
    return Curve(values, behind, area)
