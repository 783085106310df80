"""The command line: one line on standard error and a status for what goes wrong."""

import contextlib
import io
import sys
from collections.abc import Sequence
from typing import NoReturn, get_args

import tyro

from naejax.commands import Datasets, Explain, Predict, Prepare, Sweep, Train
from naejax.usage import one_line, usage_error

Command = Train | Predict | Explain | Sweep | Prepare | Datasets

_TERMINATED = 143  # what a shell says of a process that SIGTERM ended
_COMMANDS = {command.__name__.lower(): command for command in get_args(Command)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; a mistake is one line on standard error and exit status 2.

    Args:
        arguments: words of the command line; None takes the process's own.

    Example:
        >>> main(["datasets"])  # doctest: +ELLIPSIS
        tables, for --model nae
          diabetes              442 rows            10 features  regression ...
    """
    if arguments is None:
        arguments = sys.argv[1:]
    try:
        _run(_parse(arguments))
    except (ValueError, OSError) as error:
        _fail(one_line(str(error)))
    except KeyboardInterrupt as stop:
        left = str(stop) or "nothing was written"
        _end(f"naejax: stopped by Ctrl-C, {left}", 130)


def _run(command: Command) -> None:
    """Runs a command; one that was asked to end says so."""
    if isinstance(command, Datasets | Prepare):
        command.run()  # Without JAX, which takes a second to import.
        return
    from naejax.compiled import keep_compiled_programs
    from naejax.train.checkpoint import TrainingPreemptedError

    keep_compiled_programs()
    try:
        command.run()
    except TrainingPreemptedError as error:
        _end(f"naejax: {error}", _TERMINATED)


def _parse(arguments: Sequence[str]) -> Command:
    """Reads the command line; tyro's boxed messages become one line."""
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            return tyro.cli(
                Command,
                args=list(arguments),
                prog="naejax",
                description="Models that explain themselves: Neural Additive Experts "
                "for tables, Sum-of-Parts for images.",
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        _fail(usage_error(messages.getvalue(), arguments, _COMMANDS))


def _fail(message: str) -> NoReturn:
    """Ends the program with one line and status 2."""
    _end(f"naejax: error: {message}", 2)


def _end(message: str, status: int) -> NoReturn:
    """Ends the program with one line."""
    print(message, file=sys.stderr)
    if "jax" not in sys.modules:
        sys.exit(status)
    # Imported when needed: there may be other processes to end.
    from naejax.runs.distributed import leave

    leave(status)
