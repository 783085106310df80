"""Rows that stay on the host, because the device has no room for all of them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from naejax.train.batch import Batch
from naejax.train.sources import RowSource

_INDEX_BYTES = 4
_MOST_BYTES = 1 << 28


class Plan(NamedTuple):
    """Where rows are kept while a model is trained.

    Attributes:
        on_host: whether rows stay on the host until it is their turn.
        steps: most steps of a chunk.
        rows: of a step.
        data_bytes: most bytes of rows on the device at once; on the host, one shard is
            sent while another is at work.
    """

    on_host: bool
    steps: int
    rows: int
    data_bytes: int

    @property
    def order_shape(self) -> tuple[int, int]:
        """Shape of a chunk's indices.

        On the host there are two steps at least: a loop with a single one would be
        compiled as no loop, and round otherwise.
        """
        return max(2, self.steps) if self.on_host else self.steps, self.rows

    def send(self, data: Batch, rows: np.ndarray) -> tuple[Batch, Any, int | None]:
        """The rows of one chunk as the device needs them, all chunks in one shape.

        Args:
            data: all rows, where the plan has them.
            rows: indices of a chunk, (S, rows).

        Returns:
            Rows on the device, indices into them of `order_shape`, and how many of
            these steps to take; None for all.
        """
        if not self.on_host:
            return data, rows, None
        padded = np.resize(rows, (self.steps, self.rows))
        shard = jax.tree.map(lambda a: jnp.asarray(a[padded.ravel()]), data)
        places = np.arange(padded.size, dtype=np.int32)
        return shard, np.resize(places, self.order_shape), len(rows)

    def shapes(self, train: Any) -> tuple[Any, ...]:
        """Shapes of what `send` gives.

        Args:
            train: training rows, or their shapes.

        Returns:
            The arguments of a chunk, but for the state.
        """
        sent = self.steps * self.rows if self.on_host else train.x.shape[0]
        data = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct((sent, *a.shape[1:]), a.dtype), train
        )
        rows = jax.ShapeDtypeStruct(self.order_shape, jnp.int32)
        return data, rows, self.steps if self.on_host else None


def plan_shards(
    train: Any,
    check: Any,
    shape: tuple[int, int, int],
    check_rows: int,
    budget: int | None,
) -> Plan:
    """Decides where rows are kept, and how many steps are sent at once.

    All shards are of one shape, so that one program is compiled, and batches are the
    same as without shards.

    Args:
        train: training rows, or their shapes.
        check: validation rows, or None.
        shape: result of `naejax.train.order.epoch_shape`.
        check_rows: validation rows that are scored at once.
        budget: most bytes of rows on the device; None: as many as there are.

    Returns:
        The plan.

    Raises:
        ValueError: if the budget is too small for a step, or for scoring.

    Example:
        >>> from naejax.train.batch import make_batch
        >>> train = make_batch(np.zeros((64, 2)), np.zeros(64))  # 16 bytes a row
        >>> plan_shards(train, None, (1, 8, 8), 0, budget=700)
        Plan(on_host=True, steps=2, rows=8, data_bytes=640)
    """
    chunks, steps, rows = shape
    total = bytes_of(train, train.x.shape[0])
    if check is not None:
        total += bytes_of(check, check.x.shape[0])
    total += steps * rows * _INDEX_BYTES
    streamed = is_streamed(train, check)
    if not streamed and (budget is None or total <= budget):
        return Plan(False, steps, rows, total)
    order_bytes = rows * _INDEX_BYTES
    # One shard is sent while another is at work.
    step_bytes = 2 * (bytes_of(train, rows) + order_bytes)
    check_bytes = 0 if check is None else bytes_of(check, check_rows)
    # A shard of one step has indices for two.
    least = max(step_bytes + 2 * order_bytes, check_bytes)
    # More would have to be decoded before training goes on.
    most_bytes = max(least, _MOST_BYTES)
    budget = most_bytes if budget is None else budget
    if streamed:
        budget = min(budget, most_bytes)
    if budget < least:
        raise ValueError(
            f"device_budget is {budget} bytes, but {rows} rows to train on and "
            f"{check_rows} to validate on need {least}: pass at least that, or lower "
            "batch_size"
        )
    most, all_steps = min(steps, budget // step_bytes), chunks * steps
    num_shards = -(-all_steps // most)
    steps = -(-all_steps // num_shards)
    used = max(steps * step_bytes, step_bytes + 2 * order_bytes, check_bytes)
    return Plan(True, steps, rows, used)


def bytes_of(batch: Any, num_rows: int) -> int:
    """Bytes of so many rows of a batch.

    Args:
        batch: rows, or their shapes.
        num_rows: how many.

    Returns:
        Bytes.
    """
    return sum(
        num_rows * int(np.prod(a.shape[1:])) * a.dtype.itemsize
        for a in jax.tree.leaves(batch)
    )


def is_streamed(*batches: Any) -> bool:
    """Whether rows of some batch are read when they are needed.

    Args:
        *batches: rows, their shapes, or None.

    Returns:
        Whether they must stay on the host.
    """
    return any(isinstance(batch.x, RowSource) for batch in batches if batch is not None)
