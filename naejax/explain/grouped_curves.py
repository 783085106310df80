"""Insertion and deletion curves whose steps are whole groups of pixels."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from naejax.explain.curves import Curve
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
from naejax.types import Numbers


def grouped_insertion(
    score_fn: ScoreFn,
    x: Float[Numbers, "B *spatial Ch"],
    masks: Shaped[Numbers, "B G *spatial"],
    order: Float[Numbers, "B G"],
    *,
    target: ArrayLike | None = None,
    baseline: ArrayLike = 0.0,
    value: Value = "probability",
    protocol: Protocol = "fair",
    batch_size: int = 128,
) -> Curve:
    """Inserts groups one by one, from the one with the highest order score.

    A step shows the pixels of its group that no earlier group had, so that it is as
    wide as the share of pixels that are new; a group without new pixels has no width.
    With ``v_s`` the value and ``w_s`` the new pixels of step s, out of S pixels::

        fair:      area = sum_s (v_{s-1} + v_s) / 2 * w_s / S,       s = 1..G + 1
        reference: area = sum_s (v_{s-1} + v_s) / 2 * w_s / sum w_s,  s = 1..G

    The last step of the fair curve shows the pixels in no group. The reference ends
    where the groups do and calls that 1, which rewards small groups. Larger is better.

    Args:
        score_fn: from inputs (N, \\*spatial, Ch) to scores (N, C), as in `insertion`.
        x: examples, (B, \\*spatial, Ch).
        masks: a pixel belongs to a group where its mask is not 0, (B, G, \\*spatial).
        order: the scores of the groups, such as their contributions to the target,
            (B, G); of equal ones the first leads.
        target: output to follow, one index or (B,), as in `insertion`.
        baseline: what a removed pixel shows.
        value: "probability" or "score".
        protocol: "fair" or "reference".
        batch_size: inputs that the model gets at once.

    Returns:
        values at the fractions of pixels shown, (B, G + 2), and the area (B,).
        Reference: (B, G + 1), and fractions of the pixels in any group, all 0 (and so
        the area) where there are none.

    Raises:
        ValueError: as in `insertion`.

    Example:
        >>> import numpy as np
        >>> weights = np.array([[3.0], [1.0], [6.0], [2.0]], np.float32)
        >>> masks = np.array([[[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]]])
        >>> curve = grouped_insertion(lambda x: x[..., 0] @ weights, np.ones((1, 4, 1)),
        ...                           masks, np.array([[4.0, 7.0]]), value="score")
        >>> curve.fractions.tolist(), curve.values.tolist(), curve.area.tolist()
        ([[0.0, 0.5, 0.75, 1.0]], [[0.0, 7.0, 10.0, 12.0]], [6.625])

    Source: the reference is what the first evaluators in the public code of You et al.,
    Sum-of-Parts, set out to compute. A misplaced bracket there weighs only one of the
    two values by ``w_s``, and the last step and steps without new pixels count as 0.
    """
    x = as_examples(x)
    arrival, counts, fractions = _groups(masks, order, x.shape, protocol)
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
    return Curve(values, fractions, jnp.trapezoid(values, fractions))


def grouped_deletion(
    score_fn: ScoreFn,
    x: Float[Numbers, "B *spatial Ch"],
    masks: Shaped[Numbers, "B G *spatial"],
    order: Float[Numbers, "B G"],
    *,
    target: ArrayLike | None = None,
    baseline: ArrayLike = 0.0,
    value: Value = "probability",
    protocol: Protocol = "fair",
    batch_size: int = 128,
) -> Curve:
    """Removes groups one by one, from the one with the highest order score.

    Steps and areas are those of `grouped_insertion`, from the whole example to the
    empty one; in the reference, to the pixels in no group. Smaller is better.

    Args:
        score_fn: from inputs (N, \\*spatial, Ch) to scores (N, C), as in `insertion`.
        x: examples, (B, \\*spatial, Ch).
        masks: a pixel belongs to a group where its mask is not 0, (B, G, \\*spatial).
        order: the scores of the groups, (B, G).
        target: output to follow, one index or (B,), as in `insertion`.
        baseline: what a removed pixel shows.
        value: "probability" or "score".
        protocol: "fair" or "reference".
        batch_size: inputs that the model gets at once.

    Returns:
        values at the fractions of pixels removed, (B, G + 2), and the area (B,).
        Reference: (B, G + 1), as in `grouped_insertion`.

    Raises:
        ValueError: as in `insertion`.

    Example:
        >>> import numpy as np
        >>> weights = np.array([[3.0], [1.0], [6.0], [2.0]], np.float32)
        >>> masks = np.array([[[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]]])
        >>> curve = grouped_deletion(lambda x: x[..., 0] @ weights, np.ones((1, 4, 1)),
        ...                          masks, np.array([[4.0, 7.0]]), value="score")
        >>> curve.fractions.tolist(), curve.values.tolist(), curve.area.tolist()
        ([[0.0, 0.5, 0.75, 1.0]], [[12.0, 5.0, 2.0, 0.0]], [5.375])

    Source: as of `grouped_insertion`.
    """
    x = as_examples(x)
    arrival, counts, fractions = _groups(masks, order, x.shape, protocol)
    last = np.shape(masks)[1]
    values = masked_values(
        score_fn,
        x,
        last - arrival,
        last + 1 - counts,
        target=target,
        baseline=baseline,
        value=value,
        batch_size=batch_size,
    )
    return Curve(values, fractions, jnp.trapezoid(values, fractions))


def _groups(
    masks: Numbers, order: Numbers, shape: tuple[int, ...], protocol: Protocol
) -> tuple[Array, np.ndarray, Array]:
    """The step at which each pixel arrives, the steps, and the fractions behind."""
    check_choice("protocol", protocol, PROTOCOLS)
    masks, order = jnp.asarray(masks), jnp.asarray(order)
    expected = (shape[0], *order.shape[1:], *shape[1:-1])
    if order.ndim != 2 or 0 in order.shape or masks.shape != expected:
        raise ValueError(
            f"got masks of shape {masks.shape} and order of shape {order.shape} for x "
            f"of shape {shape}, expected (B, G, *spatial) and (B, G) with G >= 1"
        )
    check_finite("order", order)
    steps = order.shape[1] + (protocol == "fair")
    arrival, fractions = _arrival(masks, order, steps)
    return arrival, np.arange(steps + 1), fractions


@partial(jax.jit, static_argnames="steps")
def _arrival(masks: Array, order: Array, steps: int) -> tuple[Array, Array]:
    """The place of each pixel's first group, G where none, and fractions of pixels."""
    groups = order.shape[1]
    places = ranks(order).reshape(*order.shape, *[1] * (masks.ndim - 2))
    arrival = jnp.where(masks != 0, places, groups).min(1)
    count = jax.vmap(partial(jnp.bincount, length=groups + 1))
    new = count(arrival.reshape(len(arrival), -1))[:, :steps]
    pixels = jnp.cumsum(new, axis=1)
    fractions = pixels / jnp.maximum(pixels[:, -1:], 1)
    return arrival, jnp.pad(fractions, ((0, 0), (1, 0)))
