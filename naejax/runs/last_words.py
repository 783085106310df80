"""What JAX's runtime prints, and how it ends, in plain words: a process of its own.

When another process of a training is lost, the runtime ends this one from a thread of
its own, with a page about its inside. Python cannot stop that, so its output goes
through here; all the rest is passed on. Run as a script, by
`naejax.runs.distributed.together`.
"""

import re
import signal
import sys
from collections.abc import Iterable, Iterator

LOST = "naejax-lost"
"""The line with which Python says that another process is lost."""
NAME = "naejax-name "
"""How the line starts that says which process this is."""

_NOISE = re.compile(r"\[Gloo\] Rank|\d*(is connected to| peer ranks\.)")
_LOG = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ (\S+?):\d+\]")
_RUNTIME = ("client.h", "coordination_service", "add_port.cc")
_ENDED = (
    "another process of this training ended, or cannot be reached; see what it said, "
    "then start all again"
)
_ALONE = (
    "the processes did not find each other in time; start all of them, with the same "
    "coordinator and each with a number of its own"
)


def plain_words(lines: Iterable[str]) -> Iterator[str]:
    """Lines without the runtime's own, and at the end what they come to.

    Args:
        lines: of the process's standard output and error, but for what Python prints.

    Yields:
        Lines to print.

    Example:
        >>> list(plain_words(["as it is\\n", NAME + "process 1 of 2\\n", LOST + "\\n"]))
        ... # doctest: +ELLIPSIS
        ['as it is\\n', 'naejax: error: process 1 of 2: another process ... again\\n']
    """
    name, end, in_runtime = "", "", False
    for line in lines:
        header = _LOG.match(line)
        if header:
            in_runtime = header[1].startswith(_RUNTIME)
        if line.startswith(NAME):
            name = line.removeprefix(NAME).strip() + ": "
        elif line.startswith(LOST) or (in_runtime and line.startswith("F")):
            end = end or _ENDED
        elif in_runtime and line.startswith("RPC: ") and "RegisterTask" in line:
            end = end and _ALONE
        elif not in_runtime and not _NOISE.match(line):
            yield line
    if end:
        yield f"naejax: error: {name}{end}\n"


def main() -> None:
    """Passes on until the process has ended, whatever happens to both."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    for line in plain_words(sys.stdin):
        sys.stderr.write(line)
        sys.stderr.flush()


if __name__ == "__main__":
    main()
