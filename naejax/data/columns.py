"""Tables as named columns, read from files, data frames, mappings or arrays."""

import math
from collections.abc import Collection, Mapping
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from naejax.data.cells import (
    LARGEST,
    MISSING_MARKERS,
    Columns,
    as_text,
    booleans,
    check_names,
    too_large,
)
from naejax.data.csvfile import read_csv
from naejax.data.parquet_files import is_parquet, read_parquet
from naejax.data.tfds_tables import read_table

__all__ = ["Columns", "read_columns"]


def read_columns(
    source: Any, *, text: Collection[str] = (), drop: Collection[str] = ()
) -> Columns:
    """Reads a table into named, typed columns of equal length.

    The columns of a CSV file are typed by their cells (`read_csv`). Parquet files, data
    frames, mappings and arrays keep the type that they have; categories become text.
    Text is stripped, and the cells ``"" NA N/A NaN nan null None ?`` are missing
    everywhere; in CSV files so are the others that pandas takes for missing, such as
    ``n/a NULL <NA> #N/A``.

    Args:
        source: path of a CSV or Parquet file, of a folder of Parquet files or one that
            TFDS prepared, a pandas or polars data frame, a mapping from name to a
            sequence of B values, or a two-dimensional (B, F) array, whose columns are
            then called x0, x1, ...
        text: names of columns to keep as text even if they hold numbers (codes, postal
            codes). Names that the table lacks are ignored.
        drop: names of columns to leave out, whatever they hold; likewise.

    Returns:
        Column name -> array of shape (B,), in the order of the source.

    Raises:
        ValueError: the source cannot be read as a table; the message is one line and
            names the column and the line or row.

    Example:
        >>> read_columns({"age": [31, None], "city": ["Oslo", "?"]})
        {'age': array([31., nan]), 'city': array(['Oslo', None], dtype=object)}
    """
    if isinstance(source, str | Path):
        if is_parquet(source):
            return read_parquet(source, text=text, drop=drop)
        if Path(source).is_dir():
            columns = read_table(source).columns
            return {
                name: as_text(column) if name in text else column
                for name, column in columns.items()
                if name not in drop
            }
        return read_csv(Path(source), text=text, drop=drop)
    if isinstance(source, Mapping):
        names = _clean_names(source)
        values = list(source.values())
    elif hasattr(source, "columns") and hasattr(source, "__getitem__"):
        names = _clean_names(source.columns)
        values = [source[name] for name in source.columns]
    else:
        matrix = np.asarray(source)
        if matrix.ndim != 2:
            raise ValueError(
                f"got {type(source).__name__} of shape {matrix.shape}, expected a "
                "path, a data frame, a mapping of columns or a 2-D array (B, F)"
            )
        names = _clean_names(f"x{i}" for i in range(matrix.shape[1]))
        values = list(matrix.T)
    columns = {
        name: _as_column(name, value, name in text)
        for name, value in zip(names, values, strict=True)
        if name not in drop
    }
    _check_lengths(columns)
    return columns


def _clean_names(names: Any) -> list[str]:
    """Column names as stripped text, each there once."""
    cleaned = [str(name).strip() for name in names]
    check_names(cleaned)
    return cleaned


def _check_lengths(columns: Columns) -> None:
    """Refuses columns of different lengths and tables without columns or rows."""
    check_names(list(columns))
    (first, column), *others = columns.items()
    for name, other in others:
        if len(other) != len(column):
            raise ValueError(
                f"column {name!r} has {len(other)} rows, but {first!r} has "
                f"{len(column)}: columns must be equally long"
            )
    if not len(column):
        raise ValueError("the table has no rows of data")


def _as_column(name: str, values: Any, text: bool) -> np.ndarray:
    """Converts one column, keeping the type that it has."""
    # A list goes through objects: numpy would turn [1, "a"] into text.
    is_list = isinstance(values, list | tuple)
    array = np.asarray(values, dtype=object if is_list else None)
    if array.ndim != 1:
        raise ValueError(
            f"column {name!r} has shape {array.shape}, expected one value per row"
        )
    if array.dtype.kind in "Mm":
        raise ValueError(_unsupported(name, "dates or times"))
    if array.dtype.kind == "b":
        column = array.astype(bool)
    elif array.dtype.kind in "iuf":
        column = array.astype(np.float64)
    else:
        column = _from_objects(name, array.astype(object))
    if column.dtype == np.float64 and len(bad := too_large(column)):
        what = "an infinite number" if np.isinf(column[bad[0]]) else "a huge number"
        raise ValueError(
            f"column {name!r} holds {what} (row {bad[0] + 1}): numbers must be finite, "
            f"at most {LARGEST:g}; use NaN for a missing one, or change the unit"
        )
    is_categorical = str(getattr(values, "dtype", "")) == "category"
    return as_text(column) if text or is_categorical else column


def _from_objects(name: str, array: np.ndarray) -> np.ndarray:
    """Types an object array by what its values are."""
    kinds = [_kind(value) for value in array]
    present = dict.fromkeys(kind for kind in kinds if kind != "missing")
    if not present:
        return np.full(len(array), np.nan)
    first, *others = present
    for kind in present:
        if kind not in ("boolean", "number", "text"):
            raise ValueError(_unsupported(name, f"values of type {kind}"))
    if others:
        row = kinds.index(others[0])
        raise ValueError(
            f"column {name!r} mixes {first} and {others[0]} (row {row + 1}: "
            f"{array[row]!r}): make it one kind"
        )
    if first == "number":
        return np.array(
            [
                math.nan if kind == "missing" else _to_float(value)
                for value, kind in zip(array, kinds, strict=True)
            ]
        )
    values = [
        None if kind == "missing" else value
        for value, kind in zip(array, kinds, strict=True)
    ]
    if first == "boolean":
        return booleans([value if value is None else bool(value) for value in values])
    return np.array([value and value.strip() for value in values], dtype=object)


def _kind(value: Any) -> str:
    """What a Python value is: missing, boolean, number, text, or its type's name."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return "missing"
    if isinstance(value, bool | np.bool_):
        return "boolean"
    if isinstance(value, Real | Decimal):
        return "missing" if math.isnan(_to_float(value)) else "number"
    if isinstance(value, str):
        return "missing" if value.strip() in MISSING_MARKERS else "text"
    return type(value).__name__


def _to_float(value: Real | Decimal) -> float:
    """A number as float, infinite where that cannot hold it."""
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.nan


def _unsupported(name: str, what: str) -> str:
    """The message for a column that is neither number, text nor boolean."""
    return (
        f"column {name!r} holds {what}: convert it to a number (for dates: the year, "
        "days since a start, hour of the day) or to text"
    )
