"""Many steps of training as one program."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from naejax.ops.chunks import must_unroll
from naejax.train.batch import Batch
from naejax.train.parallel import DataParallel
from naejax.train.step import Metrics, TrainState

TrainStep = Callable[..., tuple[TrainState, Metrics]]


class RunChunk:
    """Takes one step for each row of the indices ``rows`` (S, B) into ``data``.

    With a ``count``, only the first so many steps are taken, by one program for every
    count. A jitted loop; on a CPU, a step that convolves is jitted and called for each
    row. Metrics are stacked, (S,) or (count,). The state that it is given is donated.
    """

    def __init__(self, train_step: TrainStep):
        def step(state, data, indices):
            return train_step(state, jax.tree.map(lambda a: a[indices], data))

        def scan(state, data, rows):
            return jax.lax.scan(lambda s, indices: step(s, data, indices), state, rows)

        def count_loop(state, data, rows, count):
            return _count_steps(
                lambda s, i: step(s, data, rows[i]), state, len(rows), count
            )

        self._step = jax.jit(step, donate_argnums=0)
        self._scan = jax.jit(scan, donate_argnums=0)
        self._count_loop = jax.jit(count_loop, donate_argnums=0)
        self._unroll: bool | None = None

    def __call__(
        self, state: TrainState, data: Batch, rows: ArrayLike, count: int | None = None
    ) -> tuple[TrainState, Metrics]:
        rows = jnp.asarray(rows)
        if self._must_unroll(state, data, rows):
            metrics = []
            for indices in rows[:count]:
                state, one = self._step(state, data, indices)
                metrics.append(one)
            return state, jax.tree.map(lambda *m: jnp.stack(m), *metrics)
        if count is None:
            return self._scan(state, data, rows)
        state, padded = self._count_loop(state, data, rows, jnp.int32(count))
        return state, jax.tree.map(lambda m: m[:count], padded)

    def lower(
        self, state: Any, data: Any, rows: Any, count: int | None = None
    ) -> jax.stages.Lowered:
        """The program for arguments of these shapes; a call of such does not redo it.

        Args:
            state: a state, or `jax.ShapeDtypeStruct` in place of its arrays.
            data: likewise.
            rows: likewise.
            count: a number, if it will be called with one.

        Returns:
            What ``compile()`` turns into a program.
        """
        if self._must_unroll(state, data, rows):
            indices = jax.ShapeDtypeStruct(rows.shape[1:], rows.dtype)
            return self._step.lower(state, data, indices)
        if count is not None:
            return self._count_loop.lower(state, data, rows, jnp.int32(count))
        return self._scan.lower(state, data, rows)

    def _must_unroll(self, state: Any, data: Any, rows: Any) -> bool:
        """Whether steps run one by one."""
        if self._unroll is None:
            # jit keeps the trace: the call that follows does not trace again.
            self._unroll = must_unroll(self._scan.trace(state, data, rows).jaxpr)
        return self._unroll


class ParallelChunk:
    """Takes the first ``count`` steps of a chunk, on all devices.

    Every device has its rows of S steps, (S, rows). A loop in one program; on a CPU, a
    step that convolves is compiled, and called for each step. Metrics are stacked,
    (count,). The state that it is given is donated.
    """

    def __init__(self, train_step: TrainStep, parallel: DataParallel):
        def step(state, shard, number):
            batch = jax.tree.map(lambda a: a[number], shard)
            return train_step(state, batch, axis_name=parallel.axis_name)

        def count_loop(state, shard, count):
            size = len(shard.weight)
            return _count_steps(lambda s, i: step(s, shard, i), state, size, count)

        self._plain_step = train_step
        self._step = parallel.program(step, donate=True)
        self._count_loop = parallel.program(count_loop, donate=True)
        self._unroll: bool | None = None

    def __call__(
        self, state: TrainState, shard: Batch, count: int
    ) -> tuple[TrainState, Metrics]:
        if self._must_unroll(state, shard):
            metrics = []
            for number in range(count):
                state, one = self._step(state, shard, np.int32(number))
                metrics.append(jax.device_get(one))
            return state, jax.tree.map(lambda *m: np.stack(m), *metrics)
        state, padded = self._count_loop(state, shard, np.int32(count))
        return state, jax.tree.map(lambda m: m[:count], padded)

    def lower(self, state: Any, shard: Any, count: int) -> jax.stages.Lowered:
        """The program for arguments of these shapes; a call of such does not redo it.

        Args:
            state: shapes that say where the arrays lie.
            shard: likewise.
            count: any number.

        Returns:
            What ``compile()`` turns into a program.
        """
        unroll = self._must_unroll(state, shard)
        program: Any = self._step if unroll else self._count_loop
        return program.lower(state, shard, np.int32(count))

    def _must_unroll(self, state: Any, shard: Any) -> bool:
        """Whether steps run one by one."""
        if self._unroll is None:
            # What one device sees of one step.
            batch = jax.tree.map(
                lambda a: jax.ShapeDtypeStruct(a.shape[2:], a.dtype), shard
            )
            self._unroll = must_unroll(jax.make_jaxpr(self._plain_step)(state, batch))
        return self._unroll


def _count_steps(
    step: Callable[[TrainState, Array], tuple[TrainState, Metrics]],
    state: TrainState,
    size: int,
    count: ArrayLike,
) -> tuple[TrainState, Metrics]:
    """The first steps of a chunk, and their metrics with zeros up to its size."""

    def body(i, carry):
        state, metrics = carry
        state, one = step(state, i)
        return state, jax.tree.map(lambda m, o: m.at[i].set(o), metrics, one)

    empty = Metrics(*(jnp.zeros(size) for _ in Metrics._fields))
    return jax.lax.fori_loop(0, count, body, (state, empty))


def make_run_chunk(
    train_step: TrainStep, parallel: DataParallel | None = None
) -> RunChunk | ParallelChunk:
    """Builds ``run_chunk``, see `RunChunk` for one device, `ParallelChunk` for several.

    Args:
        train_step: ``train_step(state, batch, axis_name=None) -> (state, metrics)``.
        parallel: the devices; None for a single one.

    Returns:
        On one device ``run_chunk(state, data, rows) -> (state, metrics)``, which takes
        one step for each row of ``rows`` (S, B); on several ``run_chunk(state, shard,
        count)``.

    Example:
        >>> import jax.numpy as jnp
        >>> from naejax.train.batch import make_batch
        >>> def count(state, batch):
        ...     return state + batch.weight.sum(), batch.weight.sum()
        >>> data = make_batch(jnp.ones((6, 1)), jnp.ones(6))
        >>> state, sums = make_run_chunk(count)(0.0, data, jnp.arange(6).reshape(3, 2))
        >>> float(state), sums.shape
        (6.0, (3,))
    """
    if parallel is None:
        return RunChunk(train_step)
    return ParallelChunk(train_step, parallel)
