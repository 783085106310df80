"""A model as tables: what its networks give at the knots, and how rows look it up."""

import math
from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from naejax.models.knots import place


class NAETables(NamedTuple):
    """What the networks of a model give at the knots of every feature.

    The last slot of each table is for a missing value. Features that are monotone tell
    the gates nothing: ``told`` has the others.

    Attributes:
        knots: where they stand, non-decreasing, (F, T).
        experts: what each expert proposes, (F, K, C, T + 1).
        told: what features tell the gates, R numbers each, (seen, R, T + 1).
    """

    knots: Float[Array, "F T"]
    experts: Float[Array, "F K C slots"]
    told: Float[Array, "seen R slots"]


def place_all(
    tables: NAETables, columns: Float[Array, "F B"]
) -> Float[Array, "F slots B"]:
    """How much of every knot is in the values of each feature (`naejax.models.knots`).

    Args:
        tables: of a model.
        columns: encoded values, NaN where one is missing, (F, B).

    Returns:
        Weights, (F, T + 1, B).
    """
    return jax.vmap(place)(columns, tables.knots)


def look_up(
    table: Float[Array, "F *numbers slots"], weights: Float[Array, "F slots B"]
) -> Float[Array, "F *numbers B"]:
    """Interpolates tables: ``sum_j table_j w_j`` for every row.

    Args:
        table: numbers at the knots of every feature, (F, \\*numbers, T + 1).
        weights: result of `place_all`, (F, T + 1, B).

    Returns:
        (F, \\*numbers, B).

    Example:
        >>> import jax.numpy as jnp
        >>> table = jnp.array([[[0.0, 10.0, -1.0]]])
        >>> weights = jnp.array([[[0.75], [0.25], [0.0]]])
        >>> look_up(table, weights).tolist()
        [[[2.5]]]
    """
    features, *numbers, slots = table.shape
    rows = table.reshape(features, math.prod(numbers), slots) @ weights
    return rows.reshape(features, *numbers, weights.shape[-1])


def look_up_sum(
    table: Float[Array, "F R slots"], weights: Float[Array, "F slots B"]
) -> Float[Array, "R B"]:
    """The sum of `look_up` over features, as one product.

    Args:
        table: (F, R, T + 1).
        weights: (F, T + 1, B).

    Returns:
        (R, B).
    """
    flat = table.swapaxes(0, 1).reshape(table.shape[1], -1)
    return flat @ weights.reshape(flat.shape[1], -1)
