"""Rows that are read when they are needed, because the memory does not hold them."""

import abc
from typing import Any

import numpy as np
from jaxtyping import Int


class RowSource(abc.ABC):
    """Stands for an array of rows that is read in parts.

    `naejax.fit` takes one as ``x``, for training and for validation, and reads the
    rows of the next chunk of steps in a thread while the last chunk runs; the result
    is bitwise the same as with the array. A subclass sets ``shape`` and says how to
    read rows; validation rows may be read at the same time as those for training.

    Attributes:
        shape: of the array, (N, F) or (N, H, W, channels), (N, L, ...).
        dtype: of its values.

    Example:
        >>> class Squares(RowSource):
        ...     shape = (1_000_000, 2)
        ...     def read(self, rows):
        ...         return np.stack([rows, rows**2], axis=1)
        >>> Squares()[[3, 2, 3]]
        array([[3., 9.],
               [2., 4.],
               [3., 9.]], dtype=float32)
    """

    shape: tuple[int, ...]
    dtype: np.dtype = np.dtype(np.float32)

    @abc.abstractmethod
    def read(self, rows: Int[np.ndarray, "R"]) -> np.ndarray:
        """Reads rows.

        Args:
            rows: their numbers, rising, each once.

        Returns:
            Them, (R, *example).
        """

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | Int[np.ndarray, "..."]) -> np.ndarray:
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(self)))
        index = np.asarray(index)
        rows, place = np.unique(index, return_inverse=True)
        if index.dtype.kind not in "iu" or not self._has(rows):
            raise IndexError(
                f"got rows {index}, expected whole numbers from 0 to {len(self) - 1}"
            )
        if not len(rows):
            return np.empty((*index.shape, *self.shape[1:]), self.dtype)
        found = self._checked(self.read(rows), len(rows))
        if index.shape == rows.shape and (index == rows).all():
            return found
        return found[place.reshape(index.shape)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)

    def take(self, rows: Int[np.ndarray, "R"]) -> "RowSource":
        """Some of the rows, which stay unread.

        Args:
            rows: their numbers, in any order.

        Returns:
            A source of those rows.

        Example:
            >>> numbers = MappedRows(np.arange(6.0)[:, None])
            >>> numbers.take(np.array([5, 0])).take(np.array([1]))[:].tolist()
            [[0.0]]
        """
        return _Taken(self, np.asarray(rows))

    def _has(self, rows: np.ndarray) -> bool:
        """Whether there are such rows; the numbers are sorted."""
        return not len(rows) or (rows[0] >= 0 and rows[-1] < len(self))

    def _checked(self, found: Any, num_rows: int) -> np.ndarray:
        """What was read, as promised."""
        with np.errstate(over="ignore"):
            found = np.asarray(found, self.dtype)
        if found.shape != (num_rows, *self.shape[1:]):
            raise ValueError(
                f"{type(self).__name__} read values of shape {found.shape}, expected "
                f"{(num_rows, *self.shape[1:])}; correct its shape, or its method read"
            )
        if np.isinf(found).any():
            raise ValueError(
                "x holds infinite values, or too large ones for float32; scale or "
                "replace them, or mark them as NaN"
            )
        return found


class MappedRows(RowSource):
    """Rows of an array whose values lie in a file.

    Args:
        array: for example of ``numpy.load(path, mmap_mode="r")``; numbers of any type.

    Example:
        >>> MappedRows(np.arange(6).reshape(3, 2))[1:]
        array([[2., 3.],
               [4., 5.]], dtype=float32)
    """

    def __init__(self, array: np.ndarray):
        self.array, self.shape = array, array.shape

    def read(self, rows: Int[np.ndarray, "R"]) -> np.ndarray:
        """Reads rows.

        Args:
            rows: their numbers, rising, each once.

        Returns:
            Them, (R, *example).
        """
        return self.array[rows]


class _Taken(RowSource):
    """Some of the rows of another source."""

    def __init__(self, source: RowSource, rows: np.ndarray):
        if rows.dtype.kind == "b":
            rows = np.flatnonzero(rows)
        if not source._has(np.sort(rows)):
            raise IndexError(f"got rows {rows}, expected 0 to {len(source) - 1}")
        self.source, self.rows = source, rows
        self.shape, self.dtype = (len(rows), *source.shape[1:]), source.dtype

    def read(self, rows: Int[np.ndarray, "R"]) -> np.ndarray:
        """Reads rows of the other source."""
        return self.source[self.rows[rows]]

    def take(self, rows: Int[np.ndarray, "R"]) -> RowSource:
        """Some of these rows, straight from the other source."""
        return _Taken(self.source, self.rows[rows])


def as_source(x: Any) -> RowSource | None:
    """Makes rows that are not in memory a source.

    Args:
        x: rows.

    Returns:
        A source, itself, or one of the rows of a memory-mapped file; None for rows in
        memory.

    Raises:
        ValueError: if a mapped file does not hold numbers.

    Example:
        >>> as_source(np.zeros((3, 2))) is None
        True
    """
    if isinstance(x, RowSource):
        return x
    if not isinstance(x, np.memmap):
        return None
    if x.dtype.kind not in "biuf":
        raise ValueError(
            f"x is a file of {x.dtype}, expected numbers; write it again with "
            "numpy.save, as floats"
        )
    return MappedRows(x)
