"""A feature's contribution along its axis, in the context of each single row."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from naejax.explain import router
from naejax.models.ensemble import NAEEnsemble
from naejax.models.nae import NAE

_NUMBERS_AT_ONCE = 2**22


def context_curves(
    model: NAE | NAEEnsemble,
    variables: Any,
    x: ArrayLike,
    feature: int,
    grid: ArrayLike,
    shift: ArrayLike = 0.0,
) -> np.ndarray:
    """The contribution of a feature at any value, everything else as in each row.

    ``f_i(x_b with x_i := v_p) - shift``: one curve per row, whose spread is what the
    other features do to the contribution.

    Args:
        model: a model or an ensemble.
        variables: its variables.
        x: encoded rows, (B, F).
        feature: i.
        grid: n encoded values of the feature, NaN for missing, (n,).
        shift: subtracted, () or (C,).

    Returns:
        (B, n, C) float32.

    Raises:
        ValueError: the feature or the arrays do not fit the model.

    Example:
        >>> model, x = NAE(num_experts=4, hidden=(8,)), np.eye(3, dtype=np.float32)
        >>> variables = model.init(jax.random.key(0), x)
        >>> curves = context_curves(model, variables, x, 1, [0.0, 1.0])
        >>> f = model.apply(variables, x).contributions[:, 1]
        >>> curves.shape, bool(np.allclose(curves[1, 1], f[1], atol=1e-6))
        ((3, 2, 1), True)

    Source: individual conditional expectation, Goldstein et al. 2015, of one
    contribution instead of the score.
    """
    x, grid = np.asarray(x, np.float32), np.asarray(grid, np.float32)
    if x.ndim != 2 or grid.ndim != 1 or not 0 <= feature < x.shape[1]:
        raise ValueError(
            f"x has shape {x.shape}, the grid {grid.shape} and the feature is "
            f"{feature}, expected (rows, F), (n,) and an index below F"
        )
    member, stacked = router.stack_members(model, variables)
    seen = router.seen_features(member, x.shape[1])
    # Where the gate sees no other feature, all rows share one curve.
    context = x if len(seen) else x[:1]
    size = stacked["params"]["bias"].shape[0] * member.num_experts * len(grid)
    chunk = int(np.clip(_NUMBERS_AT_ONCE // size, 1, len(context)))
    position = np.flatnonzero(seen == feature)
    curves = []
    for first in range(0, len(context), chunk):
        # The last chunk repeats a row, so that one program serves all.
        rows = np.minimum(np.arange(first, first + chunk), len(context) - 1)
        part = _curves(
            member, stacked, context[rows], grid, feature, position, len(seen) > 0
        )
        curves.append(np.asarray(part))
    result = np.concatenate(curves)[: len(context)] - np.asarray(shift, np.float32)
    return np.broadcast_to(result, (len(x), *result.shape[1:]))


@partial(jax.jit, static_argnums=(0, 6))
def _curves(
    member: NAE,
    variables: Any,
    x: Array,
    grid: Array,
    feature: Array,
    position: Array,
    has_context: bool,
) -> Array:
    """Curves (B, n, C); `position` of the feature in the router is empty if unseen."""
    there = jnp.zeros((len(grid), x.shape[1])).at[:, feature].set(grid)
    if not has_context:
        outputs: Any = jax.vmap(lambda one: member.apply(one, there))(variables)
        return outputs.contributions[:, :, feature].mean(axis=0)[None]
    told_there, experts = router.encode_members(member, variables, there)
    told, _ = router.encode_members(member, variables, x)
    logits = router.member_logits(member, variables, told, x.shape[1])[:, feature]
    logits = logits[:, :, None]
    if len(position):
        kernel = router.router_kernel(variables, position[0])[:, :, feature]
        change = told_there[:, position[0], :, :, None] - told[:, position[0], :, None]
        logits = logits + jnp.einsum("shk,shnb->sknb", kernel, change)
    gates = router.gate_weights(
        member, jnp.broadcast_to(logits, (*logits.shape[:2], len(grid), len(x))), axis=1
    )
    return jnp.einsum("sknb,skcn->sbnc", gates, experts[:, feature]).mean(axis=0)
