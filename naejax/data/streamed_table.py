"""Large tables in Parquet files: memory holds a sample, and two bytes a cell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from naejax.data.cells import Columns
from naejax.data.chosen import check_chosen
from naejax.data.fixed_point import PlacedRows, Places
from naejax.data.parquet_files import (
    ParquetTable,
    RowGroup,
    is_parquet,
    join_cells,
    open_parquet,
)
from naejax.data.schema import Schema, Task, infer_features, infer_target
from naejax.data.table import encode_target

MOST_CELLS = 20_000_000
"""Cells of a Parquet table that is read whole: 160 MB as numbers, more as text."""

_SAMPLE_ROWS = 200_000
_SAMPLE_GROUPS = 64
TRAINING, VALIDATION, TEST = range(3)


class Sample(NamedTuple):
    """Training rows that are kept as they are, to fit the encoding on.

    Attributes:
        columns: of the rows, with the target.
        rows: their numbers in the table, rising.
    """

    columns: Columns
    rows: np.ndarray


@dataclass(frozen=True, eq=False)
class StreamedTable:
    """A table that is read in streams.

    Attributes:
        name: path of the file or folder.
        table: the files.
        schema: of all rows; values, levels and missing cells are those of the sample.
        task: what was said of the target.
        categories: columns of numbers that are read as text.
        drop: columns that are left out.
        sample: at most 200,000 training rows.
        seed: of the split and the sample.
    """

    name: str
    table: ParquetTable
    schema: Schema
    task: Task
    categories: tuple[str, ...]
    drop: tuple[str, ...]
    sample: Sample
    seed: int

    @property
    def names(self) -> list[str]:
        """The columns that are read: features and the target."""
        target = self.schema.target.name
        return [*(feature.name for feature in self.schema.features), target]

    def sizes(self, groups: Sequence[RowGroup] | None = None) -> tuple[int, int, int]:
        """Numbers of training, validation and test rows.

        Args:
            groups: of these row groups; None: of all.

        Returns:
            Three counts.
        """
        counts = np.zeros(3, np.int64)
        for group in self.table.groups if groups is None else groups:
            parts = draw_parts(group.first, group.rows, self.seed)
            counts += np.bincount(parts, minlength=3)
        training, validation, test = counts.tolist()
        return training, validation, test

    def parts(self, wanted: Sequence[int]) -> Iterator[tuple[int, Columns]]:
        """Rows of parts of the split as they are in the files, some at a time.

        Args:
            wanted: some of TRAINING, VALIDATION and TEST.

        Yields:
            The part, and rows of it.
        """
        for first, columns in self._batches(self.table.groups):
            size = len(columns[self.schema.target.name])
            drawn = draw_parts(first, size, self.seed)
            for part in wanted:
                mine = drawn == part
                if mine.any():
                    yield part, {name: c[mine] for name, c in columns.items()}

    def read(
        self, places: Places, sample_x: np.ndarray, groups: Sequence[RowGroup]
    ) -> tuple[tuple[PlacedRows, np.ndarray], tuple[PlacedRows, np.ndarray]]:
        """Reads training and validation rows of row groups into two bytes a cell.

        Args:
            places: of the encoder that was fitted on the sample.
            sample_x: the sample as training sees it, whose statistics of the target
                leave out a row's own, (sample rows, F).
            groups: which row groups.

        Returns:
            Of either part rows and targets, see `encode_target`.
        """
        encoder, tables = places.encoder, places.tables()
        sizes, done = self.sizes(groups)[:2], [0, 0]
        kind = np.float32 if self.schema.target.kind == "regression" else np.int32
        cells = [np.empty((size, len(tables)), np.uint16) for size in sizes]
        targets = [np.empty(size, kind) for size in sizes]
        leaks = [i for i, c in enumerate(encoder.codecs) if c.kind == "statistics"]
        kept = places.store_codes(sample_x) if leaks else np.empty((0, 0), np.uint16)
        for first, columns in self._batches(groups):
            stored, target = places.store(columns), encode_target(encoder, columns)
            if leaks:
                low, high = np.searchsorted(
                    self.sample.rows, (first, first + len(stored))
                )
                rows = self.sample.rows[low:high] - first
                stored[rows[:, None], leaks] = kept[low:high, leaks]
            drawn = draw_parts(first, len(stored), self.seed)
            for part in (TRAINING, VALIDATION):
                mine, start = drawn == part, done[part]
                done[part] = end = start + int(mine.sum())
                cells[part][start:end] = stored[mine]
                targets[part][start:end] = target[mine]
        training, validation = (
            (PlacedRows(own, tables), target)
            for own, target in zip(cells, targets, strict=True)
        )
        return training, validation

    def _batches(self, groups: Sequence[RowGroup]) -> Iterator[tuple[int, Columns]]:
        """All columns that are read, some rows at a time."""
        return self.table.batches(self.names, groups, text=_as_text(self))


def must_stream(source: str) -> bool:
    """Whether a path is one of a Parquet table too large to be read whole.

    Args:
        source: name of a data set, or a path.

    Returns:
        Whether it has more than 20 million cells.

    Example:
        >>> must_stream("wine")
        False
    """
    return is_parquet(source) and open_parquet(source).cells > MOST_CELLS


def open_streamed(
    source: str,
    target: str | None,
    task: Task = "auto",
    categories: Sequence[str] = (),
    drop: Sequence[str] = (),
    *,
    seed: int = 0,
) -> StreamedTable:
    """Opens a table of Parquet files, and reads its target and a sample of its rows.

    Args:
        source: path of the file or folder.
        target: column to predict.
        task: see `naejax.data.infer_schema`.
        categories: columns whose numbers are names of groups.
        drop: columns to leave out.
        seed: of the split and the sample.

    Returns:
        The table.

    Raises:
        ValueError: it cannot be read, or a column cannot be used.

    Example:
        >>> import pathlib, tempfile
        >>> import pyarrow as pa, pyarrow.parquet as pq
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "rows.parquet"
        >>> x = np.arange(100.0)
        >>> pq.write_table(pa.table({"x": x, "y": x**2}), path)
        >>> open_streamed(str(path), "y").sizes()
        (67, 12, 21)
    """
    table = open_parquet(source)
    target = check_chosen(table.kinds, target, categories, drop, source=source)
    names = [name for name in table.kinds if name not in (*drop, target)]
    values = table.read([target])[target]
    found = infer_target(target, values, task)
    text = [*categories, *([target] if found.classes else [])]
    sample = _draw_sample(table, [*names, target], text, seed)
    features = {name: sample.columns[name] for name in names}
    if not features:
        raise ValueError(
            f"the table has no column besides the target {target!r}: add features"
        )
    schema = Schema(infer_features(features), found, table.rows)
    return StreamedTable(
        source, table, schema, task, tuple(categories), tuple(drop), sample, seed
    )


def draw_parts(first: int, count: int, seed: int) -> np.ndarray:
    """Which part rows belong to, by a hash of their numbers, whoever reads them.

    Args:
        first: number of the first row.
        count: how many rows.
        seed: of the split.

    Returns:
        TRAINING for about 70 %, VALIDATION for 10 % and TEST for 20 %, (count,).

    Example:
        >>> whole = draw_parts(0, 1000, seed=0)
        >>> (whole[400:] == draw_parts(400, 600, seed=0)).all().item()
        True
        >>> np.bincount(whole).tolist()
        [696, 99, 205]
    """
    start = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    z = np.arange(first, first + count, dtype=np.uint64) * np.uint64(_STEP) + start
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    share = ((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
    return np.where(share < 0.2, TEST, np.where(share < 0.3, VALIDATION, TRAINING))


_STEP = 0x9E3779B97F4A7C15
"""Of splitmix64 (Steele, Lea, Flood 2014), whose finaliser follows."""


def _draw_sample(
    table: ParquetTable, names: list[str], text: Sequence[str], seed: int
) -> Sample:
    """Training rows drawn from row groups that are spread over the table."""
    count = min(_SAMPLE_GROUPS, len(table.groups))
    numbers = np.linspace(0, len(table.groups) - 1, count).round().astype(int)
    groups = [table.groups[number] for number in numbers]
    share = min(1.0, _SAMPLE_ROWS / sum(0.7 * group.rows for group in groups))
    rng = np.random.default_rng(seed)
    parts, rows = [], []
    for first, columns in table.batches(names, groups, text=text):
        size = len(columns[names[0]])
        mine = np.flatnonzero(draw_parts(first, size, seed) == TRAINING)
        wanted = int(np.ceil(share * len(mine)))
        mine = np.sort(rng.choice(mine, wanted, replace=False))
        parts.append({name: column[mine] for name, column in columns.items()})
        rows.append(first + mine)
    joined = {
        name: join_cells([part[name] for part in parts], table.kinds[name])
        for name in names
    }
    return Sample(joined, np.concatenate(rows))


def _as_text(table: StreamedTable) -> list[str]:
    """Columns to read as text: categories, and classes."""
    target = table.schema.target
    return [*table.categories, *([target.name] if target.classes else [])]
