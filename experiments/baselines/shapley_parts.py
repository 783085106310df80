"""Shapley values of the parts of an image, by sampled orders.

With f(S) the model's score of the example with only the parts S shown, a part's value
is the mean, over orders of the P parts, of what it adds to those before it::

    phi_p = mean over orders of  f(before p, and p) - f(before p)

so that ``f(nothing) + sum of phi = f(everything)`` whatever the orders. Orders come in
pairs, one the other backwards: where parts interact by twos at most, a single pair of
orders gives the exact values.

Source: Lundberg and Lee, NeurIPS 2017; Strumbelj and Kononenko, 2010, for the orders;
Mitchell et al., JMLR 2022, for the pairs.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from baselines.part_scores import Attributions, score_shown


def shapley_parts(key, score_fn, x, grid, orders):
    """Attributions of every part of every example to every output.

    Args:
        key: of the orders, which every example draws for itself.
        score_fn: a ``jax.tree_util.Partial``, (N, *spatial, Ch) to scores (N, C).
        x: examples, (B, *spatial, Ch).
        grid: parts along each axis, P in all.
        orders: how many; the model runs ``orders (P - 1) + 2`` times for an example.

    Returns:
        `Attributions`, based on the score of nothing.
    """
    parts, batch = math.prod(grid), len(x)
    # places[b, r, p]: when part p comes in order r.
    first = jnp.broadcast_to(jnp.arange(parts), (batch, -(-orders // 2), parts))
    first = jax.random.permutation(key, first, axis=-1, independent=True)
    places = jnp.concatenate([first, parts - 1 - first], axis=1)[:, :orders]
    sizes = jnp.arange(1, parts)[:, None]
    shown = places[:, :, None] < sizes[None, None]
    inner = score_shown(score_fn, x, shown.reshape(batch, -1, *grid))
    inner = inner.reshape(batch, orders, parts - 1, -1)
    ends = jnp.stack([jnp.zeros(grid, bool), jnp.ones(grid, bool)])
    ends = jnp.broadcast_to(ends, (batch, *ends.shape))
    ends = score_shown(score_fn, x, ends)
    values = np.asarray(_values(inner, ends, places)).reshape(batch, *grid, -1)
    return Attributions(values, ends[:, 0], orders * (parts - 1) + 2)


@jax.jit
def _values(inner, ends, places):
    """Mean steps (B, P, C) of scores (B, R, P - 1, C) between the ends (B, 2, C)."""
    shape = (*inner.shape[:2], 1, inner.shape[-1])
    empty, full = (jnp.broadcast_to(ends[:, i, None, None], shape) for i in (0, 1))
    steps = jnp.diff(jnp.concatenate([empty, inner, full], axis=2), axis=2)
    return jnp.take_along_axis(steps, places[..., None], axis=2).mean(axis=1)
