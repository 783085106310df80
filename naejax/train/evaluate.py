"""The loss of a model on many rows, in bounded memory."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from naejax.objectives.losses import Loss
from naejax.train.batch import Batch

_CHUNK_ROWS = 1024


def make_evaluate(model: nn.Module, loss: Loss) -> Callable[[Any, Batch], float]:
    """Builds ``evaluate(variables, batch) -> weighted mean loss`` in bounded memory.

    Args:
        model: a module whose ``apply`` returns `naejax.NAEOutput` or
            `naejax.SOPOutput`; its ``chunk_rows``, if it has some, are the rows that
            are scored at once.
        loss: ``loss(score (B, C), target) -> (B,)``.

    Returns:
        A function; rows are scored in chunks of one shape, the last one padded.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from naejax import NAE, losses
        >>> from naejax.train.batch import make_batch
        >>> model, x = NAE(num_experts=4, hidden=(8,)), jnp.ones((6, 2))
        >>> variables = model.init(jax.random.key(0), x)
        >>> evaluate = make_evaluate(model, losses.squared)
        >>> isinstance(evaluate(variables, make_batch(x, jnp.ones(6))), float)
        True
    """

    @jax.jit
    def sum_loss(variables, rows: Batch):
        output: Any = model.apply(variables, rows.x)
        return (rows.weight * loss(output.prediction, rows.target)).sum()

    def evaluate(variables, batch: Batch) -> float:
        num_rows = len(batch.weight)
        chunk = min(num_rows, getattr(model, "chunk_rows", _CHUNK_ROWS))
        total = jnp.zeros(())
        for start in range(0, num_rows, chunk):
            # Past the end come the first rows: valid ones, so that weight 0 is finite.
            index = np.arange(start, start + chunk)
            rows = jax.tree.map(lambda a, i=index % num_rows: a[i], batch)
            weight = jnp.where(index < num_rows, rows.weight, 0.0)
            total += sum_loss(variables, rows._replace(weight=weight))
        return float(total / batch.weight.sum())

    return evaluate
