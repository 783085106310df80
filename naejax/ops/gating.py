"""Gates: from router logits to weights over a feature's experts.

Every function keeps the weights on the simplex along ``axis``: non-negative and
summing to one. That is what makes the experts' range bound the contribution.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def top_k_mask(
    logits: Float[Array, "..."], k: int, axis: int = -1
) -> Bool[Array, "..."]:
    """Marks the ``k`` largest logits; of equal ones, those with the lower index.

    ``mask_c = 1`` when fewer than ``k`` experts come before expert ``c`` in the order
    of falling logits. Found by ``k`` rounds of masked maximum, which for the small
    ``k`` of a gate costs a CPU less than the sort in ``jax.lax.top_k``.

    Args:
        logits: router logits; axis ``axis`` holds the K experts.
        k: how many to mark, 1 <= k <= K.
        axis: the experts' axis.

    Returns:
        A mask of the shape of ``logits`` with exactly ``k`` marks along ``axis``.

    Raises:
        ValueError: if ``k`` is not between 1 and K.

    Example:
        >>> import jax.numpy as jnp
        >>> top_k_mask(jnp.array([0.1, 3.0, 2.0, 3.0]), k=2).astype(int).tolist()
        [0, 1, 0, 1]
    """
    num_experts = logits.shape[axis]
    if not 1 <= k <= num_experts:
        raise ValueError(
            f"top_k is {k}, expected 1 <= top_k <= {num_experts} (the number of "
            "experts); lower top_k or raise num_experts"
        )
    index = jax.lax.broadcasted_iota(jnp.int32, logits.shape, axis % logits.ndim)
    mask = jnp.zeros(logits.shape, bool)
    for _ in range(k):
        rest = jnp.where(mask, -jnp.inf, logits)
        largest = rest.max(axis, keepdims=True)
        candidate = (rest == largest) & ~mask
        first = jnp.where(candidate, index, num_experts).min(axis, keepdims=True)
        mask = mask | (index == first)
    return mask


def top_k_gates(
    logits: Float[Array, "..."], k: int, axis: int = -1
) -> Float[Array, "..."]:
    """Softmax over the ``k`` largest logits, zero elsewhere.

    ``g_c = exp(r_c) / sum_{j in top k} exp(r_j)`` for the k largest logits ``r``.

    Args:
        logits: router logits; axis ``axis`` holds the K experts.
        k: number of active experts.
        axis: the experts' axis.

    Returns:
        Weights of the shape of ``logits``, at most ``k`` of them non-zero.

    Example:
        >>> import jax.numpy as jnp
        >>> top_k_gates(jnp.array([0.0, 5.0, 5.0]), k=2).tolist()
        [0.0, 0.5, 0.5]

    Source: Xiong et al., Neural Additive Experts, arXiv 2602.10585, context gate.
    """
    if k == logits.shape[axis]:
        return jax.nn.softmax(logits, axis)
    mask = top_k_mask(jax.lax.stop_gradient(logits), k, axis)
    return jax.nn.softmax(logits, axis, where=mask)


def equal_gates(
    logits: Float[Array, "..."], k: int, axis: int = -1
) -> Float[Array, "..."]:
    """Weight ``1 / k`` for each of the ``k`` largest logits, straight through.

    The value is ``mask / k``; the gradient is that of the softmax over the same k
    experts at equal logits, so that the router still learns which to pick.

    Args:
        logits: router logits; axis ``axis`` holds the K experts.
        k: number of active experts.
        axis: the experts' axis.

    Returns:
        Weights of the shape of ``logits``, exactly ``k`` of them ``1 / k``.

    Example:
        >>> import jax.numpy as jnp
        >>> equal_gates(jnp.array([0.0, 9.0, 5.0]), k=2).tolist()
        [0.0, 0.5, 0.5]

    Source: Xiong et al., Neural Additive Experts, arXiv 2602.10585, variant NAE-E.
    """
    fixed = jax.lax.stop_gradient(logits)
    # A dropped expert's logit is -inf: it may fill up the k but gets no weight.
    mask = top_k_mask(fixed, k, axis) & (fixed > -jnp.inf)
    zeros = jnp.where(mask, logits - fixed, 0.0)
    return jax.nn.softmax(zeros, axis, where=mask)


def gumbel_gates(
    logits: Float[Array, "..."],
    key: jax.Array,
    temperature: float = 0.1,
    axis: int = -1,
) -> Float[Array, "..."]:
    """One draw of Gumbel-softmax weights over all experts.

    ``g = softmax((r + G) / temperature)`` with independent standard Gumbel ``G``; the
    draw approaches a single expert picked with probability ``softmax(r)``.

    Args:
        logits: router logits; axis ``axis`` holds the K experts.
        key: random key of the draw.
        temperature: smoothness of the draw, above 0.
        axis: the experts' axis.

    Returns:
        Weights of the shape of ``logits``.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> gates = gumbel_gates(jnp.zeros(4), jax.random.key(0))
        >>> bool(jnp.isclose(gates.sum(), 1.0))
        True

    Source: Jang et al. 2017, arXiv 1611.01144, equation 2; NAE's variant NAE-D.
    """
    noise = jax.random.gumbel(key, logits.shape, logits.dtype)
    return jax.nn.softmax((logits + noise) / temperature, axis)


def drop_experts(
    logits: Float[Array, "..."], key: jax.Array, rate: float, axis: int = -1
) -> Float[Array, "..."]:
    """Takes each expert out of the choice with probability ``rate``.

    A dropped expert's logit becomes -inf, so the gate chooses among the others and
    stays on the simplex. Where every expert was dropped, none is.

    Args:
        logits: router logits; axis ``axis`` holds the K experts.
        key: random key of the draw.
        rate: probability of dropping one expert for one row, in [0, 1).
        axis: the experts' axis.

    Returns:
        Logits with the dropped ones at -inf.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> drop_experts(jnp.arange(3.0), jax.random.key(0), rate=0.0).tolist()
        [0.0, 1.0, 2.0]
    """
    dropped = jax.random.bernoulli(key, rate, logits.shape)
    dropped = dropped & ~dropped.all(axis, keepdims=True)
    return jnp.where(dropped, -jnp.inf, logits)
