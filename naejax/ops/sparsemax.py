"""Sparsemax: a softmax with exact zeros, without a sort."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from naejax.types import Numbers

METHODS = ("newton", "newton_fixed", "sort")
FIXED_PASSES = 12


def sparsemax(
    z: Float[Numbers, "..."], axis: int = -1, method: str = "newton"
) -> Float[Array, "..."]:
    """Euclidean projection of ``z`` onto the simplex along ``axis``, exact.

    ``y = argmin_{p >= 0, sum p = 1} |p - z|^2 = max(z - tau, 0)``, where the threshold
    ``tau`` is the root of ``sum(max(z - tau, 0)) = 1``. Its derivative is
    ``dy = s (dz - mean_s dz)`` with the support ``s = [y > 0]``.

    A score of -inf masks: weight and gradient are exactly zero. Where all scores are
    -inf, so are all weights zero. A NaN makes its whole row NaN.

    Args:
        z: scores; 16-bit floats are computed in float32.
        axis: the axis that sums to one.
        method: how the threshold is found. ``"newton"``: Newton's method (Michelot's
            algorithm) until no row changes; it costs an all-reduce per pass where the
            rows of ``z`` are sharded over devices outside ``shard_map``.
            ``"newton_fixed"``: 12 passes without a loop, so without that cost, exact
            for rows that need no more, as scores of trained models do. ``"sort"``: the
            textbook form, 10 to 40 times slower on a CPU, kept as a reference.

    Returns:
        Weights of the shape and dtype of ``z``.

    Raises:
        ValueError: if ``method`` is not one of the three.

    Example:
        >>> import jax.numpy as jnp
        >>> sparsemax(jnp.array([0.5, 0.0, -2.0])).tolist()
        [0.75, 0.25, 0.0]

    Source: Martins and Astudillo 2016, arXiv 1602.02068; Michelot 1986,
    doi 10.1007/BF00938486.
    """
    if method not in METHODS:
        raise ValueError(
            f"method is {method!r}, expected one of {', '.join(METHODS)}; "
            "use 'newton' unless there is a reason not to"
        )
    z = jnp.asarray(z)
    dtype = jnp.result_type(z, float)
    wide = z.astype(jnp.promote_types(dtype, jnp.float32))
    return _project(wide, axis, method).astype(dtype)


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _project(z, axis, method):
    """Sparsemax of float32 or float64 scores."""
    largest = z.max(axis, keepdims=True, initial=-jnp.inf)
    shifted = z - jnp.where(largest == -jnp.inf, 0, largest)
    return jnp.maximum(shifted - _threshold(shifted, axis, method), 0)


@_project.defjvp
def _project_jvp(axis, method, primals, tangents):
    """Centres the tangent over the support."""
    (z,), (dz,) = primals, tangents
    y = _project(z, axis, method)
    # NaN counts as supported, and its sign is NaN: a NaN row gets NaN gradients.
    support = y != 0
    size = jnp.maximum(jnp.sign(y).sum(axis, keepdims=True), 1)
    mean = jnp.where(support, dz, 0).sum(axis, keepdims=True) / size
    return y, jnp.where(support, dz - mean, 0)


@partial(jax.jit, static_argnums=(1, 2))
def _threshold(z, axis, method):
    """The threshold tau of rows whose largest entry is 0; it lies in [-1, 0)."""
    if method == "sort":
        return _sorted_threshold(z, axis)
    # At -1 the sum is at least 1. From there Newton's steps on a convex, falling
    # function rise to the root and, the function being piecewise linear, reach it.
    tau = _newton_step(z, -1.0, axis)
    if method == "newton_fixed":
        for _ in range(FIXED_PASSES - 1):
            tau = _newton_step(z, tau, axis)
        return tau

    def body(carry):
        tau, _ = carry
        new = _newton_step(z, tau, axis)
        return new, jnp.any(new > tau)

    rising = jnp.any(tau > -1)
    return jax.lax.while_loop(lambda carry: carry[1], body, (tau, rising))[0]


def _newton_step(z, tau, axis):
    """The root of the linear function that agrees with the sum at ``tau``."""
    support = z > tau
    size = support.sum(axis, keepdims=True, dtype=z.dtype)
    total = jnp.where(support, z, 0).sum(axis, keepdims=True)
    # Rounding must not lower tau, or a row could alternate for ever.
    return jnp.maximum(tau, (total - 1) / jnp.maximum(size, 1))


def _sorted_threshold(z, axis):
    """The largest of the thresholds that the m largest entries alone would have."""
    falling = jnp.sort(z, axis, descending=True)
    m = jax.lax.broadcasted_iota(z.dtype, z.shape, axis % z.ndim) + 1
    thresholds = (jnp.cumsum(falling, axis) - 1) / m
    return thresholds.max(axis, keepdims=True, initial=-1)
