"""CSV files read strictly: what does not fit is refused with its line number."""

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from naejax.data.cells import (
    LARGEST,
    MISSING_MARKERS,
    Columns,
    booleans,
    check_names,
    parse_number,
    quoted,
    too_large,
)


def read_csv(
    path: Path, *, text: Collection[str] = (), names: Sequence[str] = ()
) -> Columns:
    """Reads a CSV file into named, typed columns.

    A column is numeric when every cell that is not missing parses as a number, boolean
    when every such cell is ``true`` or ``false`` (any case), and text otherwise. A
    column of which more than 95 % (hence at least 20 cells) are numbers but some are
    not is refused: a stray word would silently turn numbers into categories. Blank
    lines are skipped.

    Args:
        path: a UTF-8 file with a header line; fields separated by comma, semicolon
            or tab.
        text: names of columns to keep as text even if they look like numbers.
        names: of the columns, for a file without a header line.

    Returns:
        Column name -> array of shape (B,), in the order of the file.

    Raises:
        ValueError: with one line that names the file, column and line at fault.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "people.csv"
        >>> _ = path.write_text("age;city\\n31;Oslo\\n?;Bergen\\n")
        >>> read_csv(path)
        {'age': array([31., nan]), 'city': array(['Oslo', 'Bergen'], dtype=object)}
    """
    given, (names, rows) = names, _split(path, _read_text(path), names)
    for line, row in rows:
        if len(row) != len(names):
            who = "its table has" if given else "the header names"
            raise ValueError(
                f"line {line} of {path} has {len(row)} cells, but {who} "
                f"{len(names)} columns: repair or remove the line"
            )
    lines = [line for line, _ in rows]
    columns = zip(*(row for _, row in rows), strict=True)
    return {
        name: _type_cells(name, [cell.strip() for cell in cells], lines, name in text)
        for name, cells in zip(names, columns, strict=True)
    }


def _read_text(path: Path) -> str:
    """The text of a file that people may have mistaken for a CSV file."""
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ValueError(
            f"cannot read {path}: {error.strerror}; expected a CSV file"
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text (byte {error.start}): save it as CSV in UTF-8"
        ) from error
    if "\0" in content:
        raise ValueError(f"{path} is a binary file (NUL bytes): save it as CSV text")
    return content


def _split(
    path: Path, content: str, names: Sequence[str]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Column names, and line number and cells of every row."""
    try:
        delimiter = max(
            ",;\t", key=lambda d: len(next(_rows(content, d, strict=False))[1])
        )
        first, *rows = _rows(content, delimiter, strict=True)
    except StopIteration:
        raise ValueError(
            f"{path} is empty: expected a header line and rows of data"
        ) from None
    except csv.Error as error:
        what = str(error).replace("\t", "\\t")
        raise ValueError(f"{path} is not a readable CSV file: {what}") from error
    if names:
        return list(names), [first, *rows]
    header = [name.strip() for name in first[1]]
    _check_header(path, header)
    if not rows:
        raise ValueError(f"{path} has a header line but no rows of data")
    return header, rows


def _rows(
    content: str, delimiter: str, *, strict: bool
) -> Iterator[tuple[int, list[str]]]:
    """Yields line number and cells of every line that is not blank."""
    reader = csv.reader(
        io.StringIO(content, newline=""),
        delimiter=delimiter,
        skipinitialspace=True,
        strict=strict,
    )
    for row in reader:
        if len(row) > 1 or any(cell.strip() for cell in row):
            yield reader.line_num, row


def _check_header(path: Path, names: list[str]) -> None:
    """Refuses a first line that is data, and names that are empty or repeated."""
    found = [(name, parse_number(name)) for name in names]
    numbers = [(name, number) for name, number in found if number is not None]
    last = -np.inf
    for name, number in numbers:
        # Names may be whole numbers that count up (years, pixels); data rarely do.
        if not number.is_integer() or number <= last:
            raise ValueError(
                f"{path} seems to lack a header: its first line holds the number "
                f"{name!r}; add a line with the column names"
            )
        last = number
    check_names(names)


def _type_cells(
    name: str, cells: list[str], lines: list[int], text: bool
) -> np.ndarray:
    """Finds the type of one column and converts it."""
    column = np.array(cells, dtype=object)
    places = np.array([i for i, c in enumerate(cells) if c not in MISSING_MARKERS], int)
    present = column[places]
    column[:] = None
    column[places] = present
    if text:
        return column
    if present.size and {cell.lower() for cell in set(present)} <= {"true", "false"}:
        return booleans([cell and cell.lower() == "true" for cell in column])

    numbers = [parse_number(cell) for cell in present]
    words = [i for i, number in enumerate(numbers) if number is None]
    if words:
        where = f"{quoted(present[words[0]])} (line {lines[places[words[0]]]})"
        good = present.size - len(words)
        if good > 0.95 * present.size:
            raise ValueError(
                f"text in a numeric column: {name!r} holds {where}; correct the cell, "
                "empty it if it is missing, or read the column as categories, with "
                f"--categories {name} or, in Python, text=[{name!r}]"
            )
        if all(parse_number(cell.replace(",", ".")) is not None for cell in present):
            raise ValueError(
                f"column {name!r} writes numbers with a comma: {where}; use a decimal "
                "point and no thousands separators"
            )
        return column

    values = np.full(len(cells), np.nan)
    values[places] = numbers
    bad = too_large(values)
    if len(bad):
        raise ValueError(
            f"column {name!r} holds {quoted(cells[bad[0]])} (line {lines[bad[0]]}): "
            f"numbers must be finite, at most {LARGEST:g}; empty the cell if it is "
            "missing, or change the unit"
        )
    return values
