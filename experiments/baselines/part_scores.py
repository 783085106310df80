"""What a model says of examples with only some parts shown; attributions of parts."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from naejax.ops.grouping import upsample_nearest

_CHUNK = 128


class Attributions(NamedTuple):
    """How much each part adds to each output.

    Attributes:
        values: of the parts, (B, *grid, C).
        base: what the method adds their sum to, (B, C); None: such a sum means nothing.
        calls: of the model for an example.
        gradients: whether the calls run backwards, too.
    """

    values: np.ndarray
    base: np.ndarray | None
    calls: int
    gradients: bool = False

    def sums(self):
        """The attributions of each output, added up, (B, C)."""
        batch, outputs = self.values.shape[0], self.values.shape[-1]
        return np.asarray(self.values).reshape(batch, -1, outputs).sum(axis=1)


def score_shown(score_fn, x, shown):
    """Scores of every example with each of its sets of parts; the rest is 0.

    Args:
        score_fn: a ``jax.tree_util.Partial``, (N, *spatial, Ch) to scores (N, C).
        x: examples, (B, *spatial, Ch).
        shown: M sets for each example, (B, M, *grid).

    Returns:
        Scores, (B, M, C).

    Example:
        >>> score = jax.tree_util.Partial(lambda x: x.sum(axis=1))
        >>> shown = np.array([[[True, False], [True, True]]])
        >>> score_shown(score, np.array([[[3.0], [4.0]]]), shown).tolist()
        [[[3.0], [7.0]]]
    """
    x, shown = np.asarray(x, np.float32), np.asarray(shown)
    sets = shown.reshape(-1, *shown.shape[2:])
    total = len(sets)
    # The last chunk wraps around, so that one compiled program serves all; from the
    # host, since a loop on the device runs convolutions slowly on CPU.
    index = np.arange(-(-total // _CHUNK) * _CHUNK) % total
    rows = index // shown.shape[1]
    chunks = [
        _score(score_fn, x[rows[i : i + _CHUNK]], sets[index[i : i + _CHUNK]])
        for i in range(0, len(index), _CHUNK)
    ]
    return np.concatenate(chunks)[:total].reshape(*shown.shape[:2], -1)


@jax.jit
def _score(score_fn, x, shown):
    """Scores of examples (N, *spatial, Ch) with parts (N, *grid) shown."""
    mask = upsample_nearest(shown, x.shape[1:-1])[..., None]
    return score_fn(jnp.where(mask, x, 0.0))
