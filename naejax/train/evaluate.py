"""The loss of a model on many rows, in bounded memory."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from naejax.objectives.losses import Loss
from naejax.train.batch import Batch, add_offset
from naejax.train.parallel import AXIS, DataParallel, over_processes
from naejax.train.sources import RowSource

_CHUNK_ROWS = 1024


class Evaluate:
    """The weighted mean loss on a batch, on the device or on the host.

    Rows are scored in chunks of one shape, the last one padded.
    """

    def __init__(self, model: nn.Module, loss: Loss):
        def sums(variables, rows: Batch):
            return _loss_sums(model, loss, variables, rows)

        self._sums = jax.jit(sums)
        self._most_rows = getattr(model, "chunk_rows", _CHUNK_ROWS)

    def chunk_rows(self, num_rows: int) -> int:
        """How many of so many rows are scored at once."""
        return min(num_rows, self._most_rows)

    def __call__(self, variables: Any, batch: Batch) -> float:
        num_rows = len(batch.weight)
        chunk, total = self.chunk_rows(num_rows), np.zeros(2)
        if chunk == num_rows and isinstance(batch.x, jax.Array):
            # All at once: nothing to gather, each operation by a program of its own.
            total += jax.device_get(self._sums(variables, batch))
            return float(total[0] / total[1])
        for start in range(0, num_rows, chunk):
            # Past the end come the first rows: valid ones, so that weight 0 is finite.
            index = np.arange(start, start + chunk)
            rows = jax.tree.map(lambda a, i=index % num_rows: a[i], batch)
            weight = jnp.where(index < num_rows, rows.weight, 0.0)
            # Waiting for the sums keeps one chunk at a time on the device.
            total += jax.device_get(self._sums(variables, rows._replace(weight=weight)))
        return float(total[0] / total[1])

    def lower(self, variables: Any, batch: Any) -> jax.stages.Lowered:
        """The program for a batch of this shape; a call does not redo it.

        Args:
            variables: the model's, or `jax.ShapeDtypeStruct` in place of its arrays.
            batch: likewise.

        Returns:
            What ``compile()`` turns into a program.
        """
        chunk = self.chunk_rows(batch.weight.shape[0])
        rows = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct((chunk, *a.shape[1:]), a.dtype), batch
        )
        return self._sums.lower(variables, rows)


class ParallelEvaluate:
    """The weighted mean loss on the rows of all processes, scored by all devices."""

    def __init__(self, model: nn.Module, loss: Loss, parallel: DataParallel):
        def sums(variables, rows: Batch, _):
            return jax.lax.psum(_loss_sums(model, loss, variables, rows), AXIS)

        self._sums = parallel.program(sums)
        self._parallel = parallel
        self._most_rows = getattr(model, "chunk_rows", _CHUNK_ROWS)

    def chunk_rows(self, num_rows: int) -> int:
        """How many of so many rows of a process one device scores at once."""
        return min(-(-num_rows // len(self._parallel.own_devices)), self._most_rows)

    def __call__(self, variables: Any, batch: Batch) -> float:
        own, devices = len(batch.weight), len(self._parallel.own_devices)
        most = max(over_processes(own))
        chunk, total = self.chunk_rows(most), np.zeros(2)
        for start in range(0, most, chunk * devices):
            # Past the end come the first rows: valid ones, so that weight 0 is finite.
            index = np.arange(start, start + chunk * devices).reshape(devices, chunk)
            rows = jax.tree.map(lambda a, i=index % own: _take(a, i), batch)
            rows = rows._replace(weight=np.where(index < own, rows.weight, 0.0))
            sums = self._sums(variables, self._parallel.split(rows), np.int32(0))
            total += jax.device_get(sums)
        return float(total[0] / total[1])

    def lower(self, variables: Any, batch: Any) -> jax.stages.Lowered:
        """The program for a batch of this shape; a call does not redo it.

        Args:
            variables: shapes that say where the arrays lie.
            batch: likewise, of all rows of this process.

        Returns:
            What ``compile()`` turns into a program.
        """
        chunk = self.chunk_rows(max(over_processes(batch.weight.shape[0])))
        rows = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct((1, chunk, *a.shape[1:]), a.dtype), batch
        )
        rows = self._parallel.shapes(rows, split=True)
        program: Any = self._sums
        return program.lower(variables, rows, np.int32(0))


def _take(array: Any, index: np.ndarray) -> np.ndarray:
    """Rows of an array, or of a source, which reads no others."""
    return array[index] if isinstance(array, RowSource) else np.asarray(array)[index]


def _loss_sums(
    model: nn.Module, loss: Loss, variables: Any, rows: Batch
) -> tuple[Array, Array]:
    """Sums of weight times loss, and of weights."""
    output: Any = model.apply(variables, rows.x)
    score = add_offset(output.prediction, rows)
    return (rows.weight * loss(score, rows.target)).sum(), rows.weight.sum()


def make_evaluate(
    model: nn.Module, loss: Loss, parallel: DataParallel | None = None
) -> Evaluate | ParallelEvaluate:
    """Builds ``evaluate(variables, batch) -> weighted mean loss``, see `Evaluate`.

    Args:
        model: a module whose ``apply`` returns `naejax.NAEOutput` or
            `naejax.SOPOutput`; its ``chunk_rows``, if it has some, are the rows that
            are scored at once.
        loss: ``loss(score (B, C), target) -> (B,)``.
        parallel: the devices; None for a single one.

    Returns:
        A function that needs bounded memory.

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
    if parallel is None:
        return Evaluate(model, loss)
    return ParallelEvaluate(model, loss, parallel)
