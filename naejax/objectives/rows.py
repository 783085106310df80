"""Means over rows that may have weights, and lie on several devices."""

import jax
import jax.numpy as jnp
from jaxtyping import Array


def row_shares(
    values: Array, weights: Array | None, axis_name: str | None = None
) -> Array | None:
    """Row weights divided by their sum, or by 1 when they are all 0.

    Args:
        values: what is to be averaged, rows first; tells their number and type.
        weights: row weights, (B,), or None for all alike.
        axis_name: of the devices that hold the other rows, if there are any.

    Returns:
        Shares that sum to 1 over all devices (or are all 0), (B,); None for None.

    Raises:
        ValueError: if the weights are not (B,).

    Example:
        >>> row_shares(jnp.ones((2, 3)), jnp.array([1.0, 3.0])).tolist()
        [0.25, 0.75]
    """
    if weights is None:
        return None
    if weights.shape != values.shape[:1]:
        raise ValueError(
            f"got row weights of shape {weights.shape}, expected {values.shape[:1]}; "
            "pass one weight per row"
        )
    weights = weights.astype(values.dtype)
    total = jnp.sum(weights)
    if axis_name is not None:
        total = jax.lax.psum(total, axis_name)
    return weights / jnp.where(total == 0.0, 1.0, total)


def row_mean(
    values: Array, shares: Array | None, axis_name: str | None = None
) -> Array:
    """Mean over the rows, axis 0, weighted by the shares if there are any.

    Args:
        values: rows first, (B, ...).
        shares: of `row_shares`.
        axis_name: of the devices that hold the other rows, as many each without shares.

    Returns:
        The mean, (...).

    Example:
        >>> float(row_mean(jnp.array([1.0, 5.0]), jnp.array([0.25, 0.75])))
        4.0
    """
    if shares is None:
        mean = jnp.mean(values, axis=0)
        return mean if axis_name is None else jax.lax.pmean(mean, axis_name)
    mean = jnp.sum(shares.reshape(-1, *[1] * (values.ndim - 1)) * values, axis=0)
    return mean if axis_name is None else jax.lax.psum(mean, axis_name)
