"""One command run by several processes: one of them speaks, and all end together."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import jax

from naejax.files import new_folder
from naejax.runs import last_words
from naejax.train.checkpoint import TrainingPreemptedError
from naejax.train.processes import join_processes

_LOST = re.compile(
    "gloo|nccl|coordination|heartbeat|connection (reset|closed)|socket closed",
    re.IGNORECASE,
)


@contextlib.contextmanager
def together(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> Iterator[None]:
    """Joins this process to the others for the block; they all end it together.

    Only process 0 prints. When another process is lost, this one ends with one line on
    standard error and a status other than 0. An error of this process is raised; it
    must then `leave`, which ends the others.

    Args:
        coordinator: see `naejax.train.processes.join_processes`.
        num_processes: likewise.
        process_id: likewise.

    Raises:
        ValueError: if the processes cannot join; and as the block does, with the
            process's number.

    Example:
        >>> with together("localhost", num_processes=2, process_id=0):
        ...     pass
        Traceback (most recent call last):
        ValueError: the coordinator is 'localhost', expected HOST:PORT of process 0
    """
    with _plain_words() as tell:
        join_processes(coordinator, num_processes, process_id)
        process, count = jax.process_index(), jax.process_count()
        tell(f"{last_words.NAME}process {process} of {count}")
        try:
            with _silent() if process else contextlib.nullcontext():
                yield
        except TrainingPreemptedError:
            # Every process stops at the same step: all are here, or soon will be.
            jax.distributed.shutdown()
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if _LOST.search(str(error)):
                tell(last_words.LOST)
                leave(1)
            if not isinstance(error, ValueError | OSError):
                traceback.print_exc()
                leave(1)
            if process == 0:
                raise
            raise ValueError(f"process {process} of {count}: {error}") from error
        jax.distributed.shutdown()


def leave(status: int) -> NoReturn:
    """Ends the program, at once if other processes take part: they end, too.

    Args:
        status: for the shell.

    Example:
        >>> leave(2)
        Traceback (most recent call last):
        SystemExit: 2
    """
    if not jax.distributed.is_initialized():
        sys.exit(status)
    sys.stdout.flush()
    sys.stderr.flush()
    # The usual way out would wait for processes that wait for this one.
    os._exit(status)


@contextlib.contextmanager
def run_folder(
    out: str | Path,
    *,
    marker: str,
    overwrite: bool = False,
    within: str | Path | None = None,
) -> Iterator[Path]:
    """A folder for process 0 to fill, see `naejax.files.new_folder`.

    Args:
        out: the folder to make.
        marker: see `naejax.files.new_folder`.
        overwrite: likewise.
        within: likewise.

    Yields:
        A temporary folder to write into; that of other processes is thrown away.

    Raises:
        ValueError: if the folder exists and may not be replaced, or the place cannot
            be written.

    Example:
        >>> out = Path(tempfile.mkdtemp()) / "run"
        >>> with run_folder(out, marker="model") as folder:
        ...     _ = (folder / "model").write_text("m")
        >>> [entry.name for entry in out.iterdir()]
        ['model']
    """
    if jax.process_index() == 0:
        with new_folder(
            out, marker=marker, overwrite=overwrite, within=within
        ) as folder:
            yield folder
    else:
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Drops what is printed."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


@contextlib.contextmanager
def _plain_words() -> Iterator[Callable[[str], int]]:
    """Sends what is not printed by Python through `naejax.runs.last_words`."""
    streams, kept = (sys.stdout, sys.stderr), (os.dup(1), os.dup(2))
    listener = subprocess.Popen(
        [sys.executable, "-I", "-S", last_words.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        # Ctrl-C is for this process, not for the one that says how it ended.
        start_new_session=True,
    )
    assert listener.stdin is not None
    pipe = listener.stdin.fileno()
    for stream, number in zip(streams, (1, 2), strict=True):
        stream.flush()
        os.dup2(pipe, number)
    sys.stdout, sys.stderr = (
        os.fdopen(number, "w", 1, stream.encoding, stream.errors)
        for number, stream in zip(kept, streams, strict=True)
    )
    try:
        yield lambda line: os.write(pipe, f"{line}\n".encode())
    finally:
        # While others take part, this process may still be ended by the runtime.
        if not jax.distributed.is_initialized():
            for stream, number in zip((sys.stdout, sys.stderr), (1, 2), strict=True):
                stream.flush()
                os.dup2(stream.fileno(), number)
                stream.close()
            sys.stdout, sys.stderr = streams
            listener.stdin.close()
            listener.wait()
