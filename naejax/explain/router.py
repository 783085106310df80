"""The router of a gate taken apart: what every feature adds to its logits.

What a feature tells the gates (`naejax.models.gates.Gate.tell`), R numbers, sees that
feature alone, and logits are an affine map of it, so that a change of ``x_j`` changes
them by ``W_j (told_j' - told_j)``. Members of an ensemble are
stacked along a leading axis S; computation is in float32 whatever the model's is.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from naejax.models.ensemble import NAEEnsemble
from naejax.models.nae import NAE
from naejax.ops import gating


def stack_members(model: NAE | NAEEnsemble, variables: Any) -> tuple[NAE, Any]:
    """The shape of a member, and the variables of all with a leading axis S.

    Args:
        model: one model is its only member.
        variables: its variables.

    Returns:
        A module in float32, and variables for `jax.vmap`.

    Example:
        >>> model = NAE(num_experts=2, hidden=(4,))
        >>> variables = model.init(jax.random.key(0), jnp.ones((1, 3)))
        >>> stack_members(model, variables)[1]["params"]["bias"].shape
        (1, 1)
    """
    if isinstance(model, NAEEnsemble):
        member = model.member
        variables = {name: value["member"] for name, value in variables.items()}
    else:
        member, variables = model, jax.tree.map(lambda leaf: leaf[None], variables)
    return member.clone(dtype=None), variables


def seen_features(member: NAE, num_features: int) -> np.ndarray:
    """The features whose encodings the gates of other features see.

    Args:
        member: a model.
        num_features: F.

    Returns:
        Their indices, in the order of the router; none for gates without context.

    Example:
        >>> seen_features(NAE(monotone=(0, 1, 0), num_knots=4), 3)
        array([0, 2])
    """
    if member.gate not in ("context", "equal") or member.num_experts == 1:
        return np.zeros(0, np.intp)
    signs = np.zeros(num_features) if member.monotone is None else member.monotone
    return np.flatnonzero(np.asarray(signs) == 0)


def encode_members(member: NAE, variables: Any, x: Array) -> tuple[Array, Array]:
    """`naejax.NAE.encode` of every member.

    Args:
        member: from `stack_members`.
        variables: likewise.
        x: encoded rows, (B, F).

    Returns:
        What features tell (S, seen, R, B) and experts (S, F, K, C, B).

    Example:
        >>> model, x = NAE(num_experts=2, hidden=(4,)), jnp.ones((5, 3))
        >>> variables = model.init(jax.random.key(0), x)
        >>> told, experts = encode_members(*stack_members(model, variables), x)
        >>> told.shape, experts.shape
        ((1, 3, 4, 5), (1, 3, 2, 1, 5))
    """

    def encode(one: Any) -> Any:
        return member.apply(one, x, method="encode")

    return jax.vmap(encode)(variables)


def member_logits(member: NAE, variables: Any, told: Array, num_features: int) -> Array:
    """The router's logits of every member for what features tell.

    Args:
        member: from `stack_members`; with a gate that sees the context.
        variables: likewise.
        told: by features, (S, seen, R, B).
        num_features: F.

    Returns:
        Logits, (S, F, K, B).

    Example:
        >>> model, x = NAE(num_experts=2, hidden=(4,)), jnp.ones((5, 3))
        >>> parts = stack_members(model, model.init(jax.random.key(0), x))
        >>> member_logits(*parts, encode_members(*parts, x)[0], 3).shape
        (1, 3, 2, 5)
    """

    def logits(one: Any, told: Array) -> Any:
        return member.apply(
            one, told, method=lambda m, told: m.gates.logits(told, num_features)
        )

    return jax.vmap(logits)(variables, told)


def tied_gates(
    model: NAE | NAEEnsemble, variables: Any, x: Array, tolerance: float
) -> Array:
    """Where rounding decides which experts are active.

    With the logits in falling order ``r_(1) >= .. >= r_(K)`` the last active expert and
    the first that is not are as good: ``r_(k) - r_(k+1) <= tolerance max |r|``.

    Args:
        model: any model.
        variables: its variables.
        x: encoded rows, (B, F).
        tolerance: relative to the row's largest logit.

    Returns:
        Whether it is so in any member, (B, F); never where the gate activates all.

    Example:
        >>> model, x = NAE(num_experts=3, hidden=(4,)), jnp.ones((5, 2))
        >>> variables = model.init(jax.random.key(0), x)
        >>> tied_gates(model, variables, x, tolerance=10.0).all().item()
        True
    """
    member, variables = stack_members(model, variables)
    num_features = x.shape[1]
    seen = seen_features(member, num_features)
    if not len(seen) or member.top_k >= member.num_experts:
        return jnp.zeros(x.shape, bool)
    told, _ = encode_members(member, variables, x)
    logits = member_logits(member, variables, told, num_features)
    top = jax.lax.top_k(logits.swapaxes(2, 3), member.top_k + 1)[0]
    size = jnp.abs(logits).max(axis=(1, 2))[:, None]
    tied = top[..., -2] - top[..., -1] <= tolerance * size
    return tied.any(axis=0).T


def router_kernel(variables: Any, position: Array | int) -> Array:
    """The matrix by which what one feature tells enters the logits of all.

    Args:
        variables: from `stack_members`.
        position: of the feature among those that the gates see.

    Returns:
        ``V`` of a gate with a rank, the same for every feature, else ``W_j``,
        (S, R, F, K).

    Example:
        >>> model, x = NAE(num_experts=2, hidden=(4,), gate_rank=1), jnp.ones((5, 3))
        >>> _, variables = stack_members(model, model.init(jax.random.key(0), x))
        >>> router_kernel(variables, 0).shape
        (1, 1, 3, 2)
    """
    kernel = variables["params"]["gates"]["router"]["dense"]["kernel"]
    return kernel[:, position] if kernel.ndim == 5 else kernel


def gate_weights(member: NAE, logits: Array, axis: int) -> Array:
    """Weights on the simplex from logits, by the rule of a gate that sees the context.

    Args:
        member: a model.
        logits: with the K experts along ``axis``.
        axis: of the experts.

    Returns:
        Weights of the shape of ``logits``.

    Example:
        >>> gate_weights(NAE(num_experts=2, top_k=1), jnp.array([0.0, 1.0]), 0).tolist()
        [0.0, 1.0]
    """
    rule = gating.top_k_gates if member.gate == "context" else gating.equal_gates
    return rule(logits, min(member.top_k, member.num_experts), axis=axis)
