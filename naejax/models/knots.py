"""Piecewise linear functions of one number: where their knots stand, and their bases.

A network of a few smooth layers cannot follow a feature that jumps from one value to
the next, such as a code, a price limit or an hour of the day; a basis with a knot near
every value can.
"""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

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


def ramps(x: Float[Array, "B"], knots: Float[Array, "T"]) -> Float[Array, "T-1 B"]:
    """How far x has come from each knot to the next, in [0, 1].

    ``ramp_t(x) = clip((x - k_t) / (k_{t+1} - k_t), 0, 1)``: non-negative sums of ramps
    are the non-decreasing piecewise linear functions with these knots.

    Args:
        x: values of one feature, (B,).
        knots: increasing, (T,); equal neighbours make a step.

    Returns:
        (T - 1, B).

    Example:
        >>> ramps(jnp.array([0.5, 3.0]), jnp.array([0.0, 1.0, 5.0])).tolist()
        [[0.5, 1.0], [0.0, 0.5]]
    """
    left, right = knots[:-1, None], knots[1:, None]
    width = jnp.maximum(right - left, jnp.finfo(knots.dtype).tiny)
    return jnp.clip((x[None] - left) / width, 0.0, 1.0)


def hats(x: Float[Array, "B"], knots: Float[Array, "T"]) -> Float[Array, "T B"]:
    """The hat functions of the knots: 1 at the own knot, 0 at all others.

    ``hat_t = ramp_{t-1} - ramp_t``, with 1 left of the first knot and right of the last
    one; hats sum to 1, and sums of hats are the piecewise linear functions with these
    knots, constant beyond the ends.

    Args:
        x: values of one feature, (B,).
        knots: increasing, (T,).

    Returns:
        (T, B).

    Example:
        >>> hats(jnp.array([0.25]), jnp.array([0.0, 1.0, 5.0]))[:, 0].tolist()
        [0.75, 0.25, 0.0]

    Source: linear B-splines, de Boor 1978, A Practical Guide to Splines, chapter IX.
    """
    up = ramps(x, knots)
    ones = jnp.ones_like(x)[None]
    return jnp.concatenate([ones, up]) - jnp.concatenate([up, jnp.zeros_like(ones)])


def quantile_knots(x: ArrayLike, num_knots: int) -> np.ndarray:
    """Knots that follow the values of every feature.

    A feature of at most T distinct values gets a knot at each of them, the others
    spread between. Beyond that, knots stand at even ranks, where no value counts for
    more than a T-th of the rows: else one that fills most rows, such as a zero, would
    leave the others without knots.

    Args:
        x: encoded rows, (N, F); missing values (NaN) are left out.
        num_knots: T, at least 2.

    Returns:
        Non-decreasing knots from the smallest to the largest value, (F, T) float32.

    Example:
        >>> x = np.array([[0.0], [0.0], [4.0], [6.0]])
        >>> quantile_knots(x, num_knots=5).tolist()
        [[0.0, 2.0, 4.0, 5.0, 6.0]]
    """
    columns = np.asarray(x, np.float64).T
    return np.stack([_column_knots(c, num_knots) for c in columns]).astype(np.float32)


def _column_knots(column: np.ndarray, num_knots: int) -> np.ndarray:
    """Knots of one feature, (T,)."""
    values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    if len(values) == 0:
        return np.asarray(spread_knots(num_knots))
    if len(values) <= num_knots:
        places = np.round(np.linspace(0, num_knots - 1, len(values)))
        return np.interp(np.arange(num_knots), places, values)
    weights = np.minimum(counts, counts.sum() / num_knots)
    ranks = np.cumsum(weights) - weights / 2
    return np.interp(np.linspace(ranks[0], ranks[-1], num_knots), ranks, values)
