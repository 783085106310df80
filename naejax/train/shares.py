"""Which rows of a batch each device works on."""

import math
from typing import Any, NamedTuple

import jax
import numpy as np

from naejax.train.batch import Batch
from naejax.train.parallel import DataParallel, over_processes
from naejax.train.shards import bytes_of, is_streamed

_MOST_BYTES = 1 << 28
_SURE_DEVIATIONS = 6


class Shares(NamedTuple):
    """How batches are split over devices; rows stay on the host until their turn.

    A batch holds the same rows whatever the number of devices. Every process has rows
    of its own, numbered on after those of the processes before it; it works on those
    that a batch takes, each of its devices on as many, some of weight 0 to fill up.

    Attributes:
        parallel: the devices.
        row_counts: rows of every process.
        steps: most steps of a chunk.
        rows: of a step, on all devices together.
        capacity: rows of a step on one device.
        data_bytes: most bytes of rows on a device at once.
    """

    parallel: DataParallel
    row_counts: tuple[int, ...]
    steps: int
    rows: int
    capacity: int
    data_bytes: int

    @property
    def on_host(self) -> bool:
        """Whether rows stay on the host until it is their turn: always."""
        return True

    def send(self, data: Batch, rows: np.ndarray) -> tuple[Batch, np.int32]:
        """Gives each device of this process its rows of one chunk.

        Args:
            data: rows of this process, on the host.
            rows: row numbers of a chunk, (S, rows).

        Returns:
            Rows with leading axes (N, steps, capacity), and how many steps to take.
        """
        places, counts = self.places(np.resize(rows, (self.steps, self.rows)))
        shard = jax.tree.map(lambda a: _take(a, places), data)
        shard = shard._replace(weight=shard.weight * counts)
        return self.parallel.split(shard), np.int32(len(rows))

    def places(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where this process has the rows that its devices work on.

        Args:
            rows: row numbers of a chunk, (S, rows).

        Returns:
            Indices into the process's own rows, (its devices, S, capacity), and
            whether each counts, 1 or 0.
        """
        starts = np.cumsum((0, *self.row_counts))
        process, devices = jax.process_index(), len(self.parallel.own_devices)
        capacity = self.capacity
        if len(self.row_counts) > 1:
            owner = np.searchsorted(starts, rows, side="right") - 1
            # Batches are random: one may want more of a process than was planned for.
            most = max(
                int((owner == p).sum(axis=1).max()) for p in range(len(starts) - 1)
            )
            capacity = max(capacity, math.ceil(most / devices))
        first, end = starts[process : process + 2]
        own = (first <= rows) & (rows < end)
        room = devices * capacity
        # Own rows first, in the batch's order.
        columns = np.argsort(~own, axis=1, kind="stable")[:, :room]
        columns = np.pad(columns, ((0, 0), (0, room - columns.shape[1])))
        counts = np.arange(room) < own.sum(axis=1, keepdims=True)
        places = np.where(counts, np.take_along_axis(rows, columns, 1) - first, 0)
        shape = (len(rows), devices, capacity)
        return (
            places.reshape(shape).swapaxes(0, 1),
            counts.reshape(shape).swapaxes(0, 1).astype(np.float32),
        )

    def shapes(self, train: Any) -> tuple[Any, ...]:
        """Shapes of what `send` gives.

        Args:
            train: training rows, or their shapes.

        Returns:
            The arguments of a chunk, but for the state.
        """
        share = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct(
                (1, self.steps, self.capacity, *a.shape[1:]), a.dtype
            ),
            train,
        )
        return self.parallel.shapes(share, split=True), np.int32(0)


def plan_shares(
    parallel: DataParallel,
    train: Any,
    row_counts: tuple[int, ...],
    shape: tuple[int, int, int],
    budget: int | None,
) -> Shares:
    """Decides how many rows of a step a device takes, and how many steps are sent.

    Of several processes, one has about as many rows of each batch as of all rows; six
    standard deviations more have room.

    Args:
        parallel: the devices.
        train: training rows of this process, or their shapes.
        row_counts: rows of every process.
        shape: result of `naejax.train.order.epoch_shape` for all rows.
        budget: most bytes of rows on a device; None: as many as are good for speed.

    Returns:
        The plan.

    Raises:
        ValueError: if the budget is too small for a step, or the processes have
            different numbers of devices.

    Example:
        >>> from naejax.train.batch import make_batch
        >>> train = make_batch(np.zeros((64, 2)), np.zeros(64), on_host=True)
        >>> parallel = DataParallel(tuple(jax.devices()[:1]))
        >>> plan_shares(parallel, train, (64,), (1, 8, 8), budget=700)[2:]
        (2, 8, 8, 512)
    """
    chunks, steps, rows = shape
    devices = len(parallel.own_devices)
    if len(set(over_processes(devices))) > 1:
        raise ValueError(
            f"this process has {devices} devices, others have another number; start "
            "all with as many"
        )
    largest = max(row_counts) / sum(row_counts)
    spread = math.sqrt(rows * largest * (1 - largest))
    most_rows = min(rows, math.ceil(rows * largest + _SURE_DEVIATIONS * spread))
    capacity = math.ceil(most_rows / devices)
    # One chunk is sent while another is at work.
    step_bytes = 2 * bytes_of(train, capacity)
    room = _MOST_BYTES if budget is None else budget
    if is_streamed(train):
        # More would have to be decoded before training goes on.
        room = min(room, _MOST_BYTES)
    room = min(over_processes(room))
    if budget is not None and room < step_bytes:
        raise ValueError(
            f"device_budget is {room} bytes, but {capacity} rows on a device need "
            f"{step_bytes}: pass at least that, or lower batch_size"
        )
    most, all_steps = max(1, min(steps, room // step_bytes)), chunks * steps
    steps = math.ceil(all_steps / math.ceil(all_steps / most))
    return Shares(parallel, row_counts, steps, rows, capacity, steps * step_bytes)


def _take(array: Any, places: np.ndarray) -> np.ndarray:
    """Rows of an array, or of anything that gives rows for a list of indices."""
    rows = np.asarray(array[places.ravel()])
    return rows.reshape(*places.shape, *rows.shape[1:])
