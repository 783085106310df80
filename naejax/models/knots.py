"""Knots: the few values of a feature at which its networks run, and the way between.

Rows are placed between two knots and interpolate what the networks gave there, so that
a step of training costs as many network passes as there are knots, whatever the batch,
and a fitted model is a table.
"""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from naejax.ops.value_knots import fill_up, value_knots

KNOTS = "knots"
"""The collection of variables that holds the knots: training leaves it as it is."""


def spread_knots(num_knots: int) -> Float[Array, "T"]:
    """Knots for a feature that is about standard normal: T even steps in [-3, 3].

    Args:
        num_knots: T.

    Returns:
        Increasing knots, (T,).

    Example:
        >>> spread_knots(3).tolist()
        [-3.0, 0.0, 3.0]
    """
    return jnp.linspace(-3.0, 3.0, num_knots)


def place(x: Float[Array, "B"], knots: Float[Array, "T"]) -> Float[Array, "slots B"]:
    """How much of every knot is in a value: linear interpolation as a product.

    With ``t_j <= x <= t_{j+1}`` and ``a = (x - t_j) / (t_{j+1} - t_j)``, knot j has
    weight ``1 - a`` and knot j + 1 weight ``a``; values beyond the ends count as the
    ends. A missing value (NaN) has weight 1 in a slot of its own, the last. A product
    of tables and weights is as fast as a look-up on CPUs, faster on accelerators, and
    its gradient adds up in a fixed order.

    Args:
        x: values of one feature, (B,).
        knots: non-decreasing, (T,); knots that repeat the last one are never used.

    Returns:
        Weights on the simplex, (T + 1, B), at most two of them positive.

    Example:
        >>> place(jnp.array([0.25, jnp.nan]), jnp.array([0.0, 1.0, 5.0])).T.tolist()
        [[0.75, 0.25, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]

    Source: linear B-splines, de Boor 1978, A Practical Guide to Splines, chapter IX.
    """
    missing = jnp.isnan(x)[None]
    x = jnp.minimum(jnp.where(missing[0], knots[0], x), knots[-1])
    left, right = knots[:-1, None], knots[1:, None]
    width = jnp.maximum(right - left, jnp.finfo(knots.dtype).tiny)
    ramps = jnp.clip((x[None] - left) / width, 0.0, 1.0)
    ones, zeros = jnp.ones_like(x)[None], jnp.zeros_like(x)[None]
    hats = jnp.concatenate([ones, ramps]) - jnp.concatenate([ramps, zeros])
    return jnp.concatenate([jnp.where(missing, 0.0, hats), missing.astype(x.dtype)])


def quantile_knots(x: ArrayLike, num_knots: int) -> np.ndarray:
    """Knots that follow the values of every feature (`naejax.ops.value_knots`).

    Args:
        x: encoded rows, (N, F); missing values (NaN) are left out.
        num_knots: T, at least 2.

    Returns:
        Non-decreasing knots from the smallest to the largest value, (F, T) float32;
        fewer ones are filled up with the last.

    Example:
        >>> x = np.array([[0.0], [0.0], [4.0], [6.0]])
        >>> quantile_knots(x, num_knots=4).tolist()
        [[0.0, 4.0, 6.0, 6.0]]
    """
    columns = np.asarray(x, np.float64).T
    found = [value_knots(c[~np.isnan(c)], num_knots) for c in columns]
    return fill_up(found, num_knots)
