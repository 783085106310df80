"""The next item made in a thread while the last one is worked on."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_END: Any = object()


def ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """Yields items; a thread makes the next one meanwhile (double buffering).

    The thread starts with the first item asked for, is never more than one item ahead,
    and ends with the generator, also one that is closed early; then the source is
    closed too. What the source raises is raised in its place.

    Args:
        items: the source; it runs in the thread, so settings of JAX that hold in a
            ``with`` block of the caller's do not hold there.

    Yields:
        The items, in their order.

    Example:
        >>> list(ahead(iter(range(3))))
        [0, 1, 2]
    """
    with ThreadPoolExecutor(1, thread_name_prefix="naejax-ahead") as thread:
        # Started without work: of a thread whose start Ctrl-C disturbs nobody knows.
        thread.submit(bool).result()
        try:
            coming = thread.submit(next, items, _END)
            while (item := coming.result()) is not _END:
                coming = thread.submit(next, items, _END)
                yield item
        finally:
            # In the thread, after the item in work: a running source cannot be closed.
            if hasattr(items, "close"):
                thread.submit(items.close).result()
