"""Rows with targets and weights, as training reads them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from naejax.train.sources import RowSource, as_source


class Batch(NamedTuple):
    """Rows with their targets; a row of weight 0 counts for nothing.

    Attributes:
        x: encoded rows, (B, F), or examples (B, H, W, channels), (B, L, ...); on the
            host a `RowSource` may stand for them.
        target: (B,) or (B, C), or class indices (B,).
        weight: (B,).
        offset: added to the score before the loss, (B, C); None: 0.
    """

    x: Float[Array, "B *example"]
    target: Array
    weight: Float[Array, "B"]
    offset: Float[Array, "B C"] | None = None


def make_batch(
    x: ArrayLike | RowSource,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    *,
    on_host: bool = False,
) -> Batch:
    """Checks and gathers rows, targets, weights and offsets into a `Batch`.

    Args:
        x: encoded rows, (N, F), or examples (N, H, W, channels), (N, L, ...); on the
            host also a `RowSource`, or a memory-mapped array, which stay unread.
        target: (N,) or (N, C).
        weight: (N,), non-negative; None gives every row weight 1.
        offset: (N,) or (N, C); None gives every row 0.
        on_host: keep the rows in the host's memory, as numpy arrays.

    Returns:
        The rows as device arrays, or as numpy arrays.

    Raises:
        ValueError: if lengths differ, or a weight, target or offset is not a finite
            number.

    Example:
        >>> make_batch([[1.0], [2.0]], [0.0, 1.0]).weight.tolist()
        [1.0, 1.0]
    """
    # A source checks what it reads.
    source = as_source(x) if on_host else None
    rows: Any = _as_float("x", x) if source is None else source
    target = _as_target(target)
    if len(rows.shape) < 2 or len(rows) == 0:
        raise ValueError(
            f"x has shape {rows.shape}, expected (rows, features), or (rows, height, "
            "width, channels), with at least one row"
        )
    weight = np.ones(len(rows), np.float32) if weight is None else _as_weight(weight)
    if not target.shape[:1] == weight.shape == rows.shape[:1]:
        raise ValueError(
            f"x has {len(rows)} rows, target {target.shape}, weight {weight.shape}; "
            "expected one target and one weight per row"
        )
    if source is None and np.isinf(rows).any():
        raise ValueError(
            "x holds infinite values, or too large ones for float32; scale or replace "
            "them, or mark them as NaN"
        )
    if not np.isfinite(target).all():
        raise ValueError(
            "the target holds NaN or infinite values, or too large ones for float32; "
            "drop those rows, or scale the target"
        )
    if offset is not None:
        offset = _as_offset(offset, len(rows))
    parts: list[Any] = [rows, target, weight, offset]
    batch = Batch(*parts)
    return batch if on_host else jax.tree.map(jnp.asarray, batch)


def add_offset(prediction: Array, batch: Batch) -> Array:
    """The score that the loss sees: a model's prediction plus the rows' offset.

    Args:
        prediction: (B, C).
        batch: its rows.

    Returns:
        (B, C).

    Raises:
        ValueError: if the offset has another number of outputs.

    Example:
        >>> batch = make_batch([[1.0]], [0.0], offset=[2.0])
        >>> add_offset(jnp.ones((1, 1)), batch).tolist()
        [[3.0]]
    """
    if batch.offset is None:
        return prediction
    if batch.offset.shape != prediction.shape:
        raise ValueError(
            f"the offset has {batch.offset.shape[1]} columns, but the model "
            f"{prediction.shape[1]} outputs; pass one column per output"
        )
    return prediction + batch.offset


def _as_float(name: str, values: Any, dtype: type = np.float32) -> np.ndarray:
    """Numbers as floats; those beyond their range become infinite."""
    try:
        with np.errstate(over="ignore"):
            return np.asarray(values, dtype)
    except (TypeError, ValueError) as error:
        hint = ""
        if name == "the target":
            hint = "; number classes with np.unique(y, return_inverse=True)"
        raise ValueError(
            f"{name} must be an array of numbers: {error}{hint}"
        ) from error


def _as_target(values: Any) -> np.ndarray:
    """A target as float32, or int32 where whole numbers fit into that."""
    try:
        target = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"the target must be an array of numbers: {error}") from error
    if target.dtype.kind == "b":
        return target
    if target.dtype.kind in "iu" and target.size:
        limits = np.iinfo(np.int32)
        if limits.min <= target.min() and target.max() <= limits.max:
            return target.astype(np.int32, copy=False)
    return _as_float("the target", target)


def _as_weight(values: Any) -> np.ndarray:
    """Weights as float32; only their ratios matter, so extreme ones are rescaled."""
    weight = _as_float("the weight", values, np.float64)
    if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.any()):
        raise ValueError(
            "weights must be finite, not negative, and not all zero; check the weights"
        )
    if not 1e-20 < weight.max() < 1e20:
        weight = weight / weight.max()
    return weight.astype(np.float32)


def _as_offset(values: Any, num_rows: int) -> np.ndarray:
    """An offset as (N, C)."""
    offset = _as_float("the offset", values)
    if offset.ndim not in (1, 2) or len(offset) != num_rows or offset.size == 0:
        raise ValueError(
            f"the offset has shape {offset.shape}, expected ({num_rows},) or "
            f"({num_rows}, outputs): one row per row of x"
        )
    if not np.isfinite(offset).all():
        raise ValueError(
            "the offset holds NaN or infinite values; correct it, or drop those rows"
        )
    return offset.reshape(num_rows, -1)
