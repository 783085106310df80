"""The loss of a model on many rows, in bounded memory."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from naejax.objectives.losses import Loss
from naejax.train.batch import Batch

_CHUNK_ROWS = 1024


def make_evaluate(model: nn.Module, loss: Loss) -> Callable[[Any, Batch], jax.Array]:
    """Builds ``evaluate(params, batch) -> weighted mean loss`` in bounded memory.

    Args:
        model: a module whose ``apply`` returns `naejax.NAEOutput`.
        loss: ``loss(score (B, C), target) -> (B,)``.

    Returns:
        A jitted function; rows are scored in chunks, the last one padded.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from naejax import NAE, losses
        >>> from naejax.train.batch import make_batch
        >>> model, x = NAE(num_experts=4, hidden=(8,)), jnp.ones((6, 2))
        >>> params = model.init(jax.random.key(0), x)["params"]
        >>> evaluate = make_evaluate(model, losses.squared)
        >>> evaluate(params, make_batch(x, jnp.ones(6))).shape
        ()
    """

    @jax.jit
    def evaluate(params, batch: Batch):
        num_rows = len(batch.weight)
        chunk = min(num_rows, _CHUNK_ROWS)
        chunks = -(-num_rows // chunk)

        def fold(array):
            pads = [(0, chunks * chunk - num_rows)] + [(0, 0)] * (array.ndim - 1)
            # Edge rows are valid rows, so padding of weight 0 stays finite.
            return jnp.pad(array, pads, "edge").reshape(chunks, chunk, *array.shape[1:])

        folded = jax.tree.map(fold, batch)
        kept = (jnp.arange(chunks * chunk) < num_rows).reshape(chunks, chunk)

        def sum_loss(rows: Batch):
            output: Any = model.apply({"params": params}, rows.x)
            return (rows.weight * loss(output.prediction, rows.target)).sum()

        weight = jnp.where(kept, folded.weight, 0.0)
        return (
            jax.lax.map(sum_loss, folded._replace(weight=weight)).sum() / weight.sum()
        )

    return evaluate
