"""Many steps of training as one program."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from naejax.ops.chunks import must_unroll
from naejax.train.batch import Batch
from naejax.train.step import Metrics, TrainState


class RunChunk:
    """Takes one step for each row of the indices ``rows`` (S, B) into ``data``.

    With a ``count``, only the first so many steps are taken, by one program for every
    count. A jitted loop; on a CPU, a step that convolves is jitted and called for each
    row. Metrics are stacked, (S,) or (count,). The state that it is given is donated.
    """

    def __init__(
        self, train_step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
    ):
        def step(state, data, indices):
            return train_step(state, jax.tree.map(lambda a: a[indices], data))

        def scan(state, data, rows):
            return jax.lax.scan(lambda s, indices: step(s, data, indices), state, rows)

        def count_loop(state, data, rows, count):
            def body(i, carry):
                state, metrics = carry
                state, one = step(state, data, rows[i])
                return state, jax.tree.map(lambda m, o: m.at[i].set(o), metrics, one)

            empty = Metrics(*(jnp.zeros(len(rows)) for _ in Metrics._fields))
            return jax.lax.fori_loop(0, count, body, (state, empty))

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
        self, state: Any, data: Any, rows: Any, *, counted: bool
    ) -> jax.stages.Lowered:
        """The program for arguments of these shapes; a call of such does not redo it.

        Args:
            state: a state, or `jax.ShapeDtypeStruct` in place of its arrays.
            data: likewise.
            rows: likewise.
            counted: whether it will be called with a count.

        Returns:
            What ``compile()`` turns into a program.
        """
        if self._must_unroll(state, data, rows):
            indices = jax.ShapeDtypeStruct(rows.shape[1:], rows.dtype)
            return self._step.lower(state, data, indices)
        if counted:
            return self._count_loop.lower(state, data, rows, jnp.int32(0))
        return self._scan.lower(state, data, rows)

    def _must_unroll(self, state: Any, data: Any, rows: Any) -> bool:
        """Whether steps run one by one."""
        if self._unroll is None:
            # jit keeps the trace: the call that follows does not trace again.
            self._unroll = must_unroll(self._scan.trace(state, data, rows).jaxpr)
        return self._unroll


def make_run_chunk(
    train_step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]],
) -> RunChunk:
    """Builds ``run_chunk(state, data, rows) -> (state, metrics)``, see `RunChunk`.

    Args:
        train_step: ``train_step(state, batch) -> (state, metrics)``.

    Returns:
        A function that takes one step for each row of ``rows`` (S, B).

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
    return RunChunk(train_step)
