"""Several processes that train one model: how they find each other, and their rows."""

import os
import re
import socket
from typing import Any, TypeVar

import jax
import numpy as np

from naejax.train.sources import RowSource

_Rows = TypeVar("_Rows")
# A process that is silent for so long is given up; the others end, too.
_SILENT_SECONDS = 30
# Whoever is done first waits for the others as long as they live.
_DAY_SECONDS = 86_400
_MANY = 1 << 31
_MOST_PORT = 65_535
_ADDRESS = re.compile(r".+:(\d{1,5})")
_HOW = (
    "pass --coordinator HOST:PORT, --num-processes N and --process-id I, or start them "
    "under Slurm, Open MPI, Kubernetes, or on a TPU pod"
)


def join_processes(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Joins this process to the others; to be called before anything is computed.

    What is None is read off the environment by JAX: of Slurm, Open MPI, Kubernetes or a
    TPU pod, and the coordinator from ``JAX_COORDINATOR_ADDRESS``. Waits until all
    have joined.

    Args:
        coordinator: host and port of process 0, ``HOST:PORT``.
        num_processes: how many there are.
        process_id: which one this is, counted from 0.

    Raises:
        ValueError: if they cannot find each other with that.

    Example:
        >>> join_processes("localhost", num_processes=2, process_id=0)
        Traceback (most recent call last):
        ValueError: the coordinator is 'localhost', expected HOST:PORT of process 0
    """
    coordinator = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    explicit = None not in (coordinator, num_processes, process_id)
    _check(coordinator, num_processes, process_id)
    # It would take SIGTERM for itself, and leave the process running.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            cluster_detection_method="deactivate" if explicit else None,
            heartbeat_timeout_seconds=_SILENT_SECONDS,
            shutdown_timeout_seconds=_DAY_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise ValueError(f"the processes cannot join ({reason}); {_HOW}") from error


def own_part(rows: _Rows) -> _Rows:
    """The rows that this process trains on: of P processes a P-th, in their order.

    Args:
        rows: arrays, or a tree of them, the same in every process, axis 0 the rows.

    Returns:
        Rows of the arrays; all of them if there is only one process.

    Raises:
        ValueError: if there are fewer rows than processes.

    Example:
        >>> import numpy as np
        >>> own_part((np.arange(3), None))
        (array([0, 1, 2]), None)
    """
    count, process = jax.process_count(), jax.process_index()

    def part(array: Any) -> Any:
        if len(array) < count:
            raise ValueError(
                f"{len(array)} rows cannot be shared by {count} processes; start fewer "
                "processes, or pass more rows"
            )
        first, end = share(len(array), count, process)
        if isinstance(array, RowSource):
            return array.take(np.arange(first, end))
        return array[first:end]

    return rows if count == 1 else jax.tree.map(part, rows)


def share(num_rows: int, count: int, process: int) -> tuple[int, int]:
    """First and last row of a process, as `numpy.array_split` splits rows.

    Args:
        num_rows: all rows.
        count: number of processes.
        process: which one.

    Returns:
        The first row, and the one after the last.

    Example:
        >>> [share(5, 2, process) for process in range(2)]
        [(0, 3), (3, 5)]
    """
    rows, more = divmod(num_rows, count)
    start = process * rows + min(process, more)
    return start, start + rows + (process < more)


def _check(
    coordinator: str | None, num_processes: int | None, process_id: int | None
) -> None:
    """Refuses what JAX would crash at, or only after minutes."""
    if num_processes is not None and num_processes < 1:
        raise ValueError(f"got {num_processes} processes, expected at least 1")
    if process_id is not None and not 0 <= process_id < (num_processes or _MANY):
        others = "" if num_processes is None else f" of {num_processes}"
        raise ValueError(
            f"this is process {process_id}{others}, expected a number from 0 on, less "
            "than there are processes"
        )
    if coordinator is None:
        return
    address = _ADDRESS.fullmatch(coordinator)
    if address is None or int(address[1]) > _MOST_PORT:
        raise ValueError(
            f"the coordinator is {coordinator!r}, expected HOST:PORT of process 0"
        )
    if process_id == 0 and "JAX_COORDINATOR_BIND_ADDRESS" not in os.environ:
        try:
            socket.create_server(("", int(address[1]))).close()
        except OSError as error:
            # Python adds the address to the system's reason.
            reason = os.strerror(error.errno or 0)
            raise ValueError(
                f"process 0 cannot listen on port {address[1]} ({reason}); pass a free "
                "port to all processes"
            ) from error
