"""Which features move whose contributions."""

from collections.abc import Sequence
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


def context_effects(
    model: NAE | NAEEnsemble,
    variables: Any,
    x: ArrayLike,
    background: ArrayLike,
    *,
    features: Sequence[int] | None = None,
    draws: int = 2,
    seed: int = 0,
) -> np.ndarray:
    """How far each feature of a row moves the contribution of each other one.

    Over draws d of a row of the background, with everything else as in row b::

        E_ij(b) = sqrt(mean_d (f_i(x_b) - f_i(x_b with x_j := x_dj))^2),   E_ii = 0

    A change of ``x_j`` reaches f_i through the gate alone, whose logits are a sum over
    features, so one encoding of the rows and draws serves all pairs (i, j).

    Args:
        model: a model or an ensemble.
        variables: its variables.
        x: encoded rows, (B, F).
        background: encoded rows to draw from, (N, F).
        features: the m features to look at; None: all.
        draws: per row, each with a background row of its own.
        seed: of the draws.

    Returns:
        Effects of feature ``features[j]`` on the contribution of ``features[i]`` in row
        b at [b, i, j], (B, m, m, C) float32; memory grows with that.

    Raises:
        ValueError: rows that do not fit, or no draws.

    Example:
        >>> model, x = NAE(num_experts=4, hidden=(8,)), np.eye(3, dtype=np.float32)
        >>> variables = model.init(jax.random.key(0), x)
        >>> effects = context_effects(model, variables, x, x)
        >>> effects.shape, bool((effects >= 0).all()), float(effects[:, 1, 1].max())
        ((3, 3, 3, 1), True, 0.0)
    """
    x, background = np.asarray(x, np.float32), np.asarray(background, np.float32)
    if x.ndim != 2 or background.shape[1:] != x.shape[1:] or len(background) == 0:
        raise ValueError(
            f"x has shape {x.shape} and the background {background.shape}, expected "
            "(rows, F) and (at least one row, F): encode both with the same encoder"
        )
    if draws < 1:
        raise ValueError(f"draws is {draws}, expected at least 1")
    num_features = x.shape[1]
    chosen = np.arange(num_features) if features is None else np.asarray(features, int)
    member, stacked = router.stack_members(model, variables)
    seen = router.seen_features(member, num_features)
    movers = np.flatnonzero(np.isin(chosen, seen))
    size = len(chosen)
    effects = np.zeros((len(x), size, size, member.num_outputs), np.float32)
    if len(movers) == 0:
        return effects
    drawn = np.random.default_rng(seed).integers(len(background), size=(draws, len(x)))
    members = stacked["params"]["bias"].shape[0]
    experts = members * size * member.num_experts * max(draws, member.num_outputs)
    chunk = int(np.clip(_NUMBERS_AT_ONCE // experts, 1, len(x)))
    moved_by = np.searchsorted(seen, chosen[movers])
    for first in range(0, len(x), chunk):
        # The last chunk repeats a row, so that one program serves all.
        rows = np.minimum(np.arange(first, first + chunk), len(x) - 1)
        squares = _mean_squares(
            member, stacked, x[rows], background[drawn[:, rows]], chosen, moved_by
        )
        some = np.sqrt(np.asarray(squares).transpose(3, 1, 0, 2))
        effects[first : first + chunk, :, movers] = some[: len(x) - first]
    index = np.arange(size)
    effects[:, index, index] = 0
    return effects


def interaction_matrix(effects: ArrayLike) -> np.ndarray:
    """Interactions of features over rows: the root of the mean squared effects.

    Args:
        effects: result of `context_effects`, (B, F, F, C).

    Returns:
        (F, F, C) in the unit of the effects; row i: whose contribution is moved,
        column j: who moves it.

    Example:
        >>> effects = np.zeros((2, 2, 2, 1))
        >>> effects[:, 0, 1, 0] = 3, 4
        >>> interaction_matrix(effects)[0, 1].round(3)
        array([3.536])
    """
    squares = np.square(np.asarray(effects), dtype=float)
    return np.sqrt(squares.mean(axis=0))


@partial(jax.jit, static_argnums=0)
def _mean_squares(
    member: NAE, variables: Any, x: Array, drawn: Array, chosen: Array, moved_by: Array
) -> Array:
    """Means over draws (D, B, F) of squared changes, (movers, m, C, B)."""
    draws, rows, num_features = drawn.shape
    told, experts = router.encode_members(member, variables, x)
    told_drawn, _ = router.encode_members(
        member, variables, drawn.reshape(draws * rows, num_features)
    )
    told_drawn = told_drawn.reshape(*told.shape[:3], draws, rows)
    experts = experts[:, chosen]
    logits = router.member_logits(member, variables, told, num_features)[:, chosen]

    def contributions(logits: Array) -> Array:
        gates = router.gate_weights(member, logits, axis=2)
        each = jnp.einsum("sfkdb,sfkcb->sfcdb", gates, experts)
        return each.mean(axis=0)

    before = contributions(logits[:, :, :, None])

    def one(position: Array) -> Array:
        kernel = router.router_kernel(variables, position)[:, :, chosen]
        change = told_drawn[:, position] - told[:, position, :, None]
        moved = jnp.einsum("shfk,shdb->sfkdb", kernel, change)
        after = contributions(logits[:, :, :, None] + moved)
        return jnp.square(after - before).mean(axis=2)

    return jax.lax.map(one, moved_by)
