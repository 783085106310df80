"""Columns of Arrow, which Parquet files are read as, as the columns of a table."""

from collections.abc import Collection
from typing import Any

import numpy as np

from naejax.data.cells import (
    LARGEST,
    MISSING_MARKERS,
    as_text,
    booleans,
    number_text,
    too_large,
)


def arrow_kind(type_: Any) -> str:
    """What cells of an Arrow type are in a table.

    Args:
        type_: of the column.

    Returns:
        ``number``, ``boolean``, ``text``, ``missing`` (a column without a type), or
        else what it is called in a message, such as ``dates or times``.

    Example:
        >>> import pyarrow as pa
        >>> arrow_kind(pa.int8()), arrow_kind(pa.date32())
        ('number', 'dates or times')
    """
    import pyarrow.types as t

    if t.is_dictionary(type_):
        inner = arrow_kind(type_.value_type)
        return "text" if inner in ("number", "boolean") else inner
    if t.is_integer(type_) or t.is_floating(type_) or t.is_decimal(type_):
        return "number"
    if t.is_boolean(type_):
        return "boolean"
    if t.is_string(type_) or t.is_large_string(type_) or t.is_string_view(type_):
        return "text"
    if t.is_null(type_):
        return "missing"
    is_duration = t.is_duration(type_) or t.is_interval(type_)
    return "dates or times" if t.is_temporal(type_) or is_duration else str(type_)


def as_table_column(
    name: str, values: Any, *, text: bool = False, first: int = 0
) -> np.ndarray:
    """Converts a column of Arrow by its type, as those of data frames are.

    Args:
        name: of the column, for messages.
        values: a chunked array of pyarrow.
        text: whether to keep numbers as text.
        first: number of the first row, for messages.

    Returns:
        One column as `read_columns` returns it, (B,).

    Raises:
        ValueError: for dates, lists and other types, and for numbers that are infinite
            or huge.

    Example:
        >>> import pyarrow as pa
        >>> as_table_column("x", pa.chunked_array([[1, None], [3]]))
        array([ 1., nan,  3.])
    """
    import pyarrow as pa

    kind = arrow_kind(values.type)
    if kind == "missing":
        return np.full(len(values), np.nan)
    if kind == "number":
        numbers = values.cast(pa.float64(), safe=False).to_numpy()
        bad = too_large(numbers)
        if len(bad):
            what = "an infinite" if np.isinf(numbers[bad[0]]) else "a huge"
            raise ValueError(
                f"column {name!r} holds {what} number (row {first + bad[0] + 1}): "
                f"numbers must be finite, at most {LARGEST:g}; use NaN for a missing "
                "one, or change the unit"
            )
        return as_text(numbers) if text else numbers
    if kind == "boolean":
        # Without missing cells numpy can hold them.
        column = booleans(values.to_pylist()) if values.null_count else values
        column = np.asarray(column, None if values.null_count else bool)
        return as_text(column) if text else column
    if kind != "text":
        raise ValueError(
            f"column {name!r} holds {kind}: convert it to a number (for dates: the "
            "year, days since a start, hour of the day) or to text, or leave it out "
            "with drop"
        )
    chunks = [_texts(chunk) for chunk in values.chunks]
    return np.concatenate([np.empty(0, object), *chunks])


def check_kinds(
    names: Collection[str], first: dict[str, str], other: dict[str, str], where: str
) -> None:
    """Refuses files of one table whose columns differ.

    Args:
        names: columns that are read.
        first: kinds of the columns of the first file.
        other: those of another file.
        where: that other file, and the first one, in words.

    Raises:
        ValueError: naming the first column that differs.

    Example:
        >>> check_kinds(["x"], {"x": "number"}, {"x": "missing"}, "b beside a")
    """
    for name in names:
        got, expected = other.get(name, "not there"), first[name]
        if got != expected and "missing" not in (got, expected):
            raise ValueError(
                f"column {name!r} is {got} in {where}, expected {expected} as there: "
                "all files of a folder must have the same columns; write them again, "
                "or move this one away"
            )


def _texts(chunk: Any) -> np.ndarray:
    """Stripped text of one array, None where a cell is missing; each level once."""
    import pyarrow as pa

    encoded = chunk
    if not pa.types.is_dictionary(chunk.type):
        encoded = chunk.dictionary_encode()
    levels = np.empty(len(encoded.dictionary) + 1, object)
    levels[:-1] = [_clean(level) for level in encoded.dictionary.to_pylist()]
    indices = encoded.indices.cast(pa.int64()).fill_null(len(levels) - 1)
    return levels[indices.to_numpy(zero_copy_only=False)]


def _clean(level: Any) -> str | None:
    """A level as the text of a cell."""
    if isinstance(level, bool):
        return str(level).lower()
    if level is not None and not isinstance(level, str):
        return None if level != level else number_text(float(level))
    stripped = level and level.strip()
    return None if stripped is None or stripped in MISSING_MARKERS else stripped
