"""Penalties on the parts of a model: ``penalty(output, weights=None) -> scalar``.

Each is a statistic of a whole batch: with the name of an axis of devices, of the rows
on all of them. Row weights (B,) turn every mean over rows into a weighted mean, so that
padded rows of weight 0 count nothing; with no weight at all a penalty is 0. Penalties
are computed in float32 at least.
"""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from naejax.objectives.group_penalties import coverage, diversity
from naejax.objectives.rows import row_mean, row_shares
from naejax.ops.precision import at_least_float32
from naejax.types import NAEOutput, SOPOutput

Penalty = Callable[[Any, Array | None, str | None], Array]


def expert_variance(
    output: NAEOutput,
    weights: Float[Array, "B"] | None = None,
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """Disagreement of a feature's experts: what additivity is traded against.

    The mean over rows, features and outputs of the unbiased variance over all K
    experts, whatever their gates::

        mean_{b,f,o} 1 / (K - 1) sum_c (e_bfco - mean_c e_bfco)^2

    Args:
        output: a model's output; experts (B, F, K, C) are used.
        weights: row weights, (B,).
        axis_name: of the devices that hold the other rows.

    Returns:
        A scalar; exactly 0 when K = 1.

    Raises:
        ValueError: if the weights are not (B,).

    Example:
        >>> experts = jnp.array([0.0, 2.0]).reshape(1, 1, 2, 1)
        >>> gates = jnp.full((1, 1, 2), 0.5)
        >>> one = jnp.ones((1, 1))
        >>> output = NAEOutput(one, jnp.zeros(1), one[..., None], gates, experts)
        >>> float(expert_variance(output))
        2.0

    Source: Neural Additive Experts, arXiv 2602.10585.
    """
    experts = at_least_float32(output.experts)
    if experts.shape[2] == 1:
        return jnp.zeros((), experts.dtype)
    # Rows last, as models compute them: XLA then drops the transposes on both sides.
    variance = jnp.var(jnp.moveaxis(experts, 0, -1), axis=1, ddof=1)
    shares = row_shares(experts, weights, axis_name)
    return row_mean(jnp.mean(variance, axis=(0, 1)), shares, axis_name)


def output_energy(
    output: NAEOutput,
    weights: Float[Array, "B"] | None = None,
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """Mean squared contribution: ``mean_{b,f,o} f_bfo^2``.

    Args:
        output: a model's output; contributions (B, F, C) are used.
        weights: row weights, (B,).
        axis_name: of the devices that hold the other rows.

    Returns:
        A scalar.

    Raises:
        ValueError: if the weights are not (B,).

    Example:
        >>> parts = jnp.array([[[1.0], [3.0]]])
        >>> none = jnp.zeros((1, 2, 1))
        >>> output = NAEOutput(parts.sum(1), jnp.zeros(1), parts, none, none[..., None])
        >>> float(output_energy(output))
        5.0

    Source: Agarwal et al., Neural Additive Models, arXiv 2004.13912.
    """
    contributions = at_least_float32(output.contributions)
    energy = jnp.mean(jnp.square(contributions), axis=(1, 2))
    return row_mean(energy, row_shares(contributions, weights, axis_name), axis_name)


def utilisation(
    output: NAEOutput,
    weights: Float[Array, "B"] | None = None,
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """Imbalance in the use of experts: squared coefficient of variation.

    With ``u_fc`` the mean over rows of gate ``g_bfc``, on the simplex over c::

        mean_f (K sum_c u_fc^2 - 1) = mean_f K sum_c (u_fc - 1 / K)^2

    0 when a feature's experts are used evenly, K - 1 when one expert takes all rows.

    Args:
        output: a model's output; gates (B, F, K) are used.
        weights: row weights, (B,).
        axis_name: of the devices that hold the other rows.

    Returns:
        A scalar in [0, K - 1].

    Raises:
        ValueError: if the weights are not (B,).

    Example:
        >>> gates = jnp.array([[[1.0, 0.0]], [[1.0, 0.0]]])
        >>> parts = jnp.zeros((2, 1, 1))
        >>> output = NAEOutput(
        ...     parts[:, 0], jnp.zeros(1), parts, gates, gates[..., None]
        ... )
        >>> float(utilisation(output))
        1.0

    Source: Shazeer et al., The Sparsely-Gated Mixture-of-Experts Layer, arXiv
    1701.06538 (importance loss).
    """
    gates = at_least_float32(output.gates)
    num_experts = gates.shape[2]
    shares = row_shares(gates, weights, axis_name)
    excess = row_mean(gates - 1.0 / num_experts, shares, axis_name)
    return num_experts * jnp.mean(jnp.sum(jnp.square(excess), axis=1))


def concurvity(
    output: NAEOutput,
    weights: Float[Array, "B"] | None = None,
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """Mean absolute correlation between the contributions of two features.

    ``2 / (F (F - 1)) sum_{i<j} |corr(f_i, f_j)|`` over the rows, mean over outputs.
    A correlation is 0 where a standard deviation is 0 (up to the rounding of its
    mean).

    Args:
        output: a model's output; contributions (B, F, C) are used.
        weights: row weights, (B,).
        axis_name: of the devices that hold the other rows.

    Returns:
        A scalar in [0, 1]; 0 when F = 1.

    Raises:
        ValueError: if the weights are not (B,).

    Example:
        >>> parts = jnp.array([[[1.0], [-2.0]], [[3.0], [-4.0]]])
        >>> none = jnp.zeros((2, 2, 1))
        >>> output = NAEOutput(parts.sum(1), jnp.zeros(1), parts, none, none[..., None])
        >>> round(float(concurvity(output)), 6)
        1.0

    Source: Siems et al., Curve Your Enthusiasm (concurvity regularization), arXiv
    2305.11475.
    """
    contributions = at_least_float32(output.contributions)
    num_features = contributions.shape[1]
    if num_features == 1:
        return jnp.zeros((), contributions.dtype)
    shares = row_shares(contributions, weights, axis_name)
    # Centred twice, so that a constant comes out as 0 to within its last digits.
    mean = jax.lax.stop_gradient(row_mean(contributions, shares, axis_name))
    centred = contributions - mean[None]
    centred -= row_mean(centred, shares, axis_name)[None]
    weighted = (
        centred / centred.shape[0]
        if shares is None
        else shares[:, None, None] * centred
    )
    covariance = jnp.einsum(
        "bfc,bgc->cfg", weighted, centred, precision=jax.lax.Precision.HIGHEST
    )
    if axis_name is not None:
        merge = jax.lax.pmean if shares is None else jax.lax.psum
        covariance = merge(covariance, axis_name)
    variance = jnp.einsum("cff->cf", covariance)
    rounding = 4.0 * jnp.finfo(contributions.dtype).eps
    varies = variance > jnp.square(rounding * mean.T)
    inverse = jnp.where(varies, jax.lax.rsqrt(jnp.where(varies, variance, 1.0)), 0.0)
    correlation = covariance * inverse[:, :, None] * inverse[:, None, :]
    pairs = 1.0 - jnp.eye(num_features, dtype=correlation.dtype)
    total_pairs = correlation.shape[0] * num_features * (num_features - 1)
    return jnp.sum(jnp.abs(correlation) * pairs[None]) / total_pairs


PENALTIES: dict[str, Penalty] = {
    "expert_variance": expert_variance,
    "output_energy": output_energy,
    "utilisation": utilisation,
    "concurvity": concurvity,
}
"""Penalties on an `NAEOutput`, by name."""

GROUP_PENALTIES: dict[str, Penalty] = {"coverage": coverage, "diversity": diversity}
"""Penalties on an `SOPOutput`, by name."""


def total(
    output: NAEOutput | SOPOutput,
    strengths: Mapping[str, ArrayLike],
    row_weights: Float[Array, "B"] | None = None,
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """Sum of named penalties, ``sum_p strengths[p] * p(output, row_weights)``.

    A strength that is the Python number 0 leaves its penalty out of the program; a
    traced one (a sweep's) is always computed.

    Args:
        output: a model's output.
        strengths: strength of each penalty by its name in `PENALTIES`, or in
            `GROUP_PENALTIES` for Sum-of-Parts.
        row_weights: row weights, (B,).
        axis_name: of the devices that hold the other rows.

    Returns:
        A scalar.

    Raises:
        ValueError: if a name is unknown; it names the nearest.

    Example:
        >>> parts = jnp.array([[[1.0], [3.0]]])
        >>> none = jnp.zeros((1, 2, 1))
        >>> output = NAEOutput(parts.sum(1), jnp.zeros(1), parts, none, none[..., None])
        >>> float(total(output, {"output_energy": 0.1, "concurvity": 0.0}))
        0.5
    """
    value = jnp.zeros((), at_least_float32(output.prediction).dtype)
    known = GROUP_PENALTIES if isinstance(output, SOPOutput) else PENALTIES
    for name, strength in strengths.items():
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ValueError(
                f"got the penalty {name!r}, expected one of {list(known)}; did you "
                f"mean {nearest!r}?"
            )
        if not (isinstance(strength, int | float) and strength == 0):
            value += strength * known[name](output, row_weights, axis_name)
    return value
