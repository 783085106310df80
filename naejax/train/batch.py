"""Rows with targets and weights, as training reads them."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float


class Batch(NamedTuple):
    """Rows with their targets; a row of weight 0 counts for nothing.

    Attributes:
        x: encoded rows, (B, F), or examples (B, H, W, channels), (B, L, ...).
        target: (B,) or (B, C), or class indices (B,).
        weight: (B,).
    """

    x: Float[Array, "B *example"]
    target: Array
    weight: Float[Array, "B"]


def make_batch(
    x: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None
) -> Batch:
    """Checks and gathers rows, targets and weights into a `Batch`.

    Args:
        x: encoded rows, (N, F), or examples (N, H, W, channels), (N, L, ...).
        target: (N,) or (N, C).
        weight: (N,), non-negative; None gives every row weight 1.

    Returns:
        The rows as device arrays.

    Raises:
        ValueError: if lengths differ, or a weight or target is not finite.

    Example:
        >>> make_batch([[1.0], [2.0]], [0.0, 1.0]).weight.tolist()
        [1.0, 1.0]
    """
    x, target = np.asarray(x, np.float32), np.asarray(target)
    if target.dtype == np.float64:
        target = target.astype(np.float32)
    weight = (
        np.ones(len(x), np.float32)
        if weight is None
        else np.asarray(weight, np.float32)
    )
    if x.ndim < 2 or len(x) == 0:
        raise ValueError(
            f"x has shape {x.shape}, expected (rows, features), or (rows, height, "
            "width, channels), with at least one row"
        )
    if not len(x) == len(target) == len(weight) or weight.ndim != 1:
        raise ValueError(
            f"x has {len(x)} rows, target {target.shape}, weight {weight.shape}; "
            "expected one target and one weight per row"
        )
    if np.isinf(x).any():
        raise ValueError("x holds infinite values; replace them, or mark them as NaN")
    if not np.isfinite(target).all():
        raise ValueError("the target holds NaN or infinite values; drop those rows")
    if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.sum() > 0):
        raise ValueError(
            "weights must be finite, not negative, and not all zero; check the weights"
        )
    return Batch(jnp.asarray(x), jnp.asarray(target), jnp.asarray(weight))
