"""Parquet files, and folders of them, as tables: read whole or in parts."""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from naejax.data.arrow_cells import arrow_kind, as_table_column, check_kinds
from naejax.data.cells import Columns, check_names

_ENDINGS = (".parquet", ".pq")
_INDEX = "__index_level_"  # what pandas calls the saved index of its rows
_BATCH_ROWS = 65_536


@dataclass(frozen=True)
class RowGroup:
    """Rows that lie together in a file and are read together.

    Attributes:
        file: path of the file.
        number: of the group in the file.
        first: number of its first row in the table.
        rows: how many it has.
    """

    file: Path
    number: int
    first: int
    rows: int


@dataclass(frozen=True)
class ParquetTable:
    """A table in one or several Parquet files, opened but not read.

    Attributes:
        path: of the file or folder.
        kinds: see `naejax.data.arrow_cells.arrow_kind`, by column, in order.
        groups: all row groups, in the order of the files' names.
    """

    path: Path
    kinds: dict[str, str]
    groups: tuple[RowGroup, ...]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(group.rows for group in self.groups)

    @property
    def cells(self) -> int:
        """Number of rows times number of columns."""
        return self.rows * len(self.kinds)

    def batches(
        self,
        names: Sequence[str],
        groups: Sequence[RowGroup] | None = None,
        *,
        text: Collection[str] = (),
    ) -> Iterator[tuple[int, Columns]]:
        """Reads rows in batches of at most 65,536.

        Args:
            names: columns to read.
            groups: row groups to read; None: all.
            text: columns to keep as text even if they hold numbers.

        Yields:
            The number of the first row, and the columns.

        Raises:
            ValueError: a file is damaged, or a column cannot be read as a table's.
        """
        for first, cells in self.raw_batches(names, groups):
            yield (
                first,
                {
                    name: as_table_column(name, values, text=name in text, first=first)
                    for name, values in cells.items()
                },
            )

    def raw_batches(
        self, names: Sequence[str], groups: Sequence[RowGroup] | None = None
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Reads rows in batches of at most 65,536, as columns of pyarrow.

        Args:
            names: columns to read, at least one.
            groups: row groups to read; None: all.

        Yields:
            The number of the first row, and the columns.

        Raises:
            ValueError: a file is damaged.
        """
        for group in self.groups if groups is None else groups:
            first = group.first
            for batch in _read(group, names):
                yield first, dict(zip(names, batch, strict=True))
                first += len(batch[0])

    def read(self, names: Sequence[str], *, text: Collection[str] = ()) -> Columns:
        """Reads columns whole.

        Args:
            names: columns to read.
            text: see `batches`.

        Returns:
            The columns.

        Raises:
            ValueError: see `batches`.
        """
        if not names:
            return {}
        parts = [columns for _, columns in self.batches(names, text=text)]
        return {
            name: join_cells([part[name] for part in parts], self.kinds[name])
            for name in names
        }


def is_parquet(path: str | Path) -> bool:
    """Whether a path is one of a Parquet file, or of a folder that holds some.

    Args:
        path: any path.

    Returns:
        Whether it ends in .parquet or .pq, or is a folder with such files.

    Example:
        >>> is_parquet("homes.parquet"), is_parquet("homes.csv")
        (True, False)
    """
    path = Path(path)
    return bool(_files(path)) if path.is_dir() else path.suffix in _ENDINGS


def open_parquet(path: str | Path) -> ParquetTable:
    """Opens a Parquet file, or a folder of files with the same columns.

    A column that pandas saved as the index of its rows is left out.

    Args:
        path: see `is_parquet`.

    Returns:
        The table, unread.

    Raises:
        ValueError: a file is missing, damaged or of other columns than the first, or
            there are no rows.

    Example:
        >>> import tempfile
        >>> import pyarrow as pa, pyarrow.parquet as pq
        >>> path = Path(tempfile.mkdtemp()) / "two.parquet"
        >>> pq.write_table(pa.table({"x": [1, 2]}), path)
        >>> open_parquet(path).rows
        2
    """
    path = Path(path)
    files = _files(path) if path.is_dir() else [path]
    if not files:
        raise ValueError(
            f"{path} is a folder without Parquet files, expected some that end in "
            f"{' or '.join(_ENDINGS)}"
        )
    kinds: dict[str, str] = {}
    groups, first = [], 0
    for file in files:
        with _opened(file) as opened:
            schema, metadata = opened.schema_arrow, opened.metadata
            names = [name.strip() for name in schema.names]
            own = {
                name: arrow_kind(type_)
                for name, type_ in zip(names, schema.types, strict=True)
                if not name.startswith(_INDEX)
            }
            check_names([name for name in names if not name.startswith(_INDEX)])
            kinds = kinds or own
            check_kinds(kinds, kinds, own, f"{file}, beside {files[0].name}")
            for name, kind in own.items():
                if kinds.get(name, kind) == "missing":
                    kinds[name] = kind
            for number in range(metadata.num_row_groups):
                rows = metadata.row_group(number).num_rows
                groups.append(RowGroup(file, number, first, rows))
                first += rows
    if not first:
        raise ValueError(f"{path} has no rows of data, expected at least one")
    return ParquetTable(path, kinds, tuple(group for group in groups if group.rows))


def read_parquet(
    path: str | Path,
    *,
    text: Collection[str] = (),
    drop: Collection[str] = (),
    only: Collection[str] | None = None,
) -> Columns:
    """Reads a Parquet file, or a folder of them, whole, as data frames are read.

    Args:
        path: see `is_parquet`.
        text: names of columns to keep as text even if they hold numbers.
        drop: names of columns to leave out, whatever they hold.
        only: names of columns to read; None: all others.

    Returns:
        Column name -> array of shape (B,), in the order of the file.

    Raises:
        ValueError: with one line that names the file or column at fault.

    Example:
        >>> import tempfile
        >>> import pyarrow as pa, pyarrow.parquet as pq
        >>> path = Path(tempfile.mkdtemp()) / "people.parquet"
        >>> pq.write_table(pa.table({"age": [31, None], "city": ["Oslo", "?"]}), path)
        >>> read_parquet(path)
        {'age': array([31., nan]), 'city': array(['Oslo', None], dtype=object)}
    """
    table = open_parquet(path)
    names = [
        name
        for name in table.kinds
        if name not in drop and (only is None or name in only)
    ]
    return table.read(names, text=text)


def join_cells(parts: Sequence[np.ndarray], kind: str) -> np.ndarray:
    """Joins the parts of a column, which may differ in how they hold missing cells.

    Args:
        parts: of a column, as `ParquetTable.batches` yields them.
        kind: of the column.

    Returns:
        The column.

    Example:
        >>> join_cells([np.array([True]), np.array([None], object)], "boolean")
        array(['true', None], dtype=object)
    """
    if len({part.dtype for part in parts}) == 1:
        return np.concatenate(parts)
    # Booleans with and without missing cells, or a part without a type.
    return np.concatenate([_as_cells(part, kind) for part in parts])


def _as_cells(part: np.ndarray, kind: str) -> np.ndarray:
    """A part as objects: text, or None where a cell is missing."""
    if part.dtype == bool:
        return np.where(part, "true", "false").astype(object)
    if part.dtype == np.float64 and kind != "number":
        return np.full(len(part), None, object)
    return part


def _files(folder: Path) -> list[Path]:
    """The Parquet files of a folder, but for hidden ones, by name."""
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix in _ENDINGS and file.name[0] not in "._" and file.is_file()
    )


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """An open file; what pyarrow complains of becomes one line."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as opened:
            yield opened
    except OSError as error:
        if error.errno is None:
            raise _damaged(file, error) from error
        reason = "No such file or directory" if error.errno == 2 else error.strerror
        raise ValueError(
            f"cannot read {file}: {reason}; expected a Parquet file"
        ) from error
    except pa.ArrowException as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> ValueError:
    """The message for a file that is no Parquet file, or no longer."""
    reason = str(error).partition("\n")[0].rstrip(".")[:100]
    return ValueError(
        f"{file} is damaged, or no Parquet file ({reason}): write it again, or give a "
        ".csv file"
    )


def _read(group: RowGroup, names: Sequence[str]) -> Iterator[list[Any]]:
    """Columns of pyarrow of some rows at a time, in the order of the names."""
    import pyarrow as pa

    with _opened(group.file) as opened:
        stored = {name.strip(): name for name in opened.schema_arrow.names}
        batches = opened.iter_batches(
            _BATCH_ROWS, [group.number], [stored[name] for name in names]
        )
        for batch in batches:
            yield [pa.chunked_array([batch[stored[name]]]) for name in names]
