"""Images that do not fit in memory: decoded when training needs them."""

import importlib.util
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from naejax.train.sources import RowSource

_MOST_THREADS = 16
# The images themselves, once more while they are split, and the training itself.
_SHARE = 3


class StreamedRows(RowSource):
    """Arrays made of the examples of a data source, by several threads of grain.

    Args:
        examples: anything that gives an example for its number, also to several
            threads at once.
        make: makes an array of an example, all of one shape.

    Raises:
        ValueError: if grain is not installed.

    Example:
        >>> import pytest
        >>> _ = pytest.importorskip("grain")
        >>> rows = StreamedRows([1, 2, 3], lambda number: np.full(2, number))
        >>> rows.shape, rows[[2, 0]].tolist()
        ((3, 2), [[3, 3], [1, 1]])
    """

    def __init__(
        self, examples: Sequence[Any], make: Callable[[Any], np.ndarray]
    ) -> None:
        if importlib.util.find_spec("grain") is None:
            raise ValueError(
                "to read images while training on them takes grain, which is not "
                "installed; pip install 'naejax[grain]'"
            )
        first = make(examples[0])
        self.examples, self.make = examples, make
        self.shape, self.dtype = (len(examples), *first.shape), first.dtype

    def read(self, rows: Int[np.ndarray, "R"]) -> np.ndarray:
        """Makes arrays of some examples.

        Args:
            rows: their numbers.

        Returns:
            The arrays, (R, ...).

        Raises:
            ValueError: if one is of another shape than the first.
        """
        import grain

        threads = min(os.cpu_count() or 1, _MOST_THREADS)
        options = grain.ReadOptions(
            num_threads=threads, prefetch_buffer_size=2 * threads
        )
        made = grain.MapDataset.range(len(rows)).map(
            lambda i: self.make(self.examples[int(rows[i])])
        )
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for i, row in enumerate(made.to_iter_dataset(options)):
            if row.shape != self.shape[1:]:
                raise ValueError(
                    f"got an image of shape {row.shape}, expected {self.shape[1:]} as "
                    "the first one; bring all to one size"
                )
            found[i] = row
        return found


def must_stream(num_images: int, shape: tuple[int, ...]) -> bool:
    """Whether so many images would take more than a third of the free memory.

    Args:
        num_images: N.
        shape: of one.

    Returns:
        Whether; never where the memory is not known.

    Example:
        >>> must_stream(100, (8, 8, 1))
        False
    """
    # Only now: the numpy predictor reads tables without JAX.
    from naejax.train.memory import free_host_memory

    free = free_host_memory()
    size = num_images * math.prod(shape) * np.dtype(np.float32).itemsize
    return free is not None and _SHARE * size > free
