"""LIME on the parts of an image: a weighted linear fit on random masks.

With n random masks z_j of P parts, the example itself among them, and f(z) the model's
score of the example with only the parts of z shown::

    min over b, a of  sum_j w_j (f(z_j) - b - a z_j)^2 + ridge |a|^2
    w = exp(-d^2 / width^2),  d = 1 - sqrt(|z| / P)

d is the cosine distance from z to the whole example. The attributions are a, and b is
what their sum is added to; the ridge keeps the two from meeting the score exactly.

Source: Ribeiro et al., "Why Should I Trust You?", KDD 2016.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from baselines.part_scores import Attributions, score_shown


def lime_parts(key, score_fn, x, grid, samples, *, width=0.25, ridge=1.0):
    """Attributions of every part of every example to every output.

    Args:
        key: of the masks; each part is shown with probability 1/2.
        score_fn: a ``jax.tree_util.Partial``, (N, *spatial, Ch) to scores (N, C).
        x: examples, (B, *spatial, Ch).
        grid: parts along each axis, P in all.
        samples: n, calls of the model for an example.
        width: of the kernel; as small as 0.25, masks far from the example hardly count.
        ridge: pulls the attributions to 0, above 0 for fewer masks than parts.

    Returns:
        `Attributions`.
    """
    shown = jax.random.bernoulli(key, 0.5, (len(x), samples, *grid)).at[:, 0].set(True)
    scores = score_shown(score_fn, x, shown)
    values, base = _fit(shown.reshape(len(x), samples, -1), scores, width, ridge)
    shape = (len(x), *grid, scores.shape[-1])
    return Attributions(np.asarray(values).reshape(shape), np.asarray(base), samples)


@jax.jit
@partial(jax.vmap, in_axes=(0, 0, None, None))
def _fit(shown, scores, width, ridge):
    """Coefficients (P, C) and intercepts (C,) from masks (n, P) and scores (n, C)."""
    z = shown.astype(scores.dtype)
    distance = 1 - jnp.sqrt(z.mean(axis=1))
    weight = jnp.exp(-jnp.square(distance / width))[:, None]
    # Centred, the fit needs no intercept, and the ridge spares it.
    middle, level = (
        (weight * a).sum(0, keepdims=True) / weight.sum() for a in (z, scores)
    )
    gram = (weight * (z - middle)).T @ (z - middle) + ridge * jnp.eye(z.shape[1])
    values = jnp.linalg.solve(gram, (weight * (z - middle)).T @ (scores - level))
    return values, (level - middle @ values)[0]
