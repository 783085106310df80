"""CSV files read strictly: what does not fit is refused with its line number."""

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from naejax.data.cells import Columns, check_names, parse_number, unknown_name
from naejax.data.csvcells import check_complete, type_cells


def read_csv(
    path: Path,
    *,
    text: Collection[str] = (),
    names: Sequence[str] = (),
    drop: Collection[str] = (),
    numbers: Collection[str] = (),
    complete: str | None = None,
) -> Columns:
    """Reads a CSV file into named, typed columns.

    A column is numeric when every cell that is not missing parses as a number, boolean
    when every such cell is ``true`` or ``false`` (any case), and text otherwise. A
    column of which more than 95 % (hence at least 20 cells) are numbers but some are
    not is refused: a stray word would silently turn numbers into categories. Cells
    such as ``NA``, ``null`` and ``None`` are missing in columns of every kind
    (`CSV_MISSING`). Blank lines are skipped.

    Args:
        path: a UTF-8 file with a header line; fields separated by comma, semicolon
            or tab.
        text: names of columns to keep as text even if they look like numbers.
        names: of the columns, for a file without a header line.
        drop: names of columns to leave out, whatever they hold.
        numbers: names of columns that a model reads as numbers: any text is refused.
        complete: name of a column of which no cell may be missing.

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
    names, lines, cells = _read(path, names)
    columns = {}
    for name, column in zip(names, cells, strict=True):
        if name in drop:
            continue
        stripped = [cell.strip() for cell in column]
        if name == complete:
            check_complete(name, stripped, lines)
        columns[name] = type_cells(
            name, stripped, lines, text=name in text, must=name in numbers
        )
    return columns


def read_header(path: Path) -> list[str]:
    """The names of a CSV file's columns.

    Args:
        path: as in `read_csv`.

    Returns:
        The names, in the order of the file.

    Raises:
        ValueError: the file has no header, or one with names that are empty or
            repeated.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "people.csv"
        >>> _ = path.write_text("age;city\\n31;Oslo\\n")
        >>> read_header(path)
        ['age', 'city']
    """
    content = _read_text(path)
    return _split(path, content, (), only_header=True)[0]


def read_texts(path: Path, names: Collection[str]) -> dict[str, list[str]]:
    """Columns of a CSV file as they are written, to be copied.

    Args:
        path: as in `read_csv`.
        names: of columns.

    Returns:
        Column name -> its B cells, in the order of ``names``.

    Raises:
        ValueError: the file cannot be read, or lacks a column.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "people.csv"
        >>> _ = path.write_text("age;code\\n31;007\\n")
        >>> read_texts(path, ["code"])
        {'code': ['007']}
    """
    header, _, cells = _read(path, ())
    table = dict(zip(header, cells, strict=True))
    for name in names:
        if name not in table:
            raise ValueError(unknown_name(f"no column {name!r}", name, table))
    return {name: list(table[name]) for name in names}


def _read(
    path: Path, names: Sequence[str]
) -> tuple[list[str], list[int], list[tuple[str, ...]]]:
    """Column names, the line of every row, and the cells of every column."""
    given, (header, rows) = names, _split(path, _read_text(path), names)
    for line, row in rows:
        if len(row) != len(header):
            who = "its table has" if given else "the header names"
            raise ValueError(
                f"line {line} of {path} has {len(row)} cells, but {who} "
                f"{len(header)} columns: repair or remove the line"
            )
    lines = [line for line, _ in rows]
    return header, lines, list(zip(*(row for _, row in rows), strict=True))


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
    path: Path, content: str, names: Sequence[str], *, only_header: bool = False
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Column names, and line number and cells of every row."""
    try:
        delimiter = max(
            ",;\t", key=lambda d: len(next(_rows(content, d, strict=False))[1])
        )
        lines = _rows(content, delimiter, strict=True)
        first, rows = next(lines), [] if only_header else list(lines)
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
    if not rows and not only_header:
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
