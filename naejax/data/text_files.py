"""Rows of JSON lines and of CSV files, each with the place where it stands."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def read_utf8(path: Path) -> str:
    """The text of a file.

    Args:
        path: of the file.

    Returns:
        Its text, line ends as they are.

    Raises:
        ValueError: if it cannot be read, or is not UTF-8.

    Example:
        >>> read_utf8(Path("lost.txt"))
        Traceback (most recent call last):
        ValueError: cannot read lost.txt: No such file or directory
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text (byte {error.start}): save it in UTF-8"
        ) from error


def json_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Rows of a file of JSON lines.

    Args:
        path: of the file.

    Yields:
        Where it stands, and the row.

    Raises:
        ValueError: if a line is no JSON object.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "few.jsonl"
        >>> _ = path.write_text('{"text": "so good", "label": 1}')
        >>> [row for _, row in json_rows(path)]
        [{'text': 'so good', 'label': 1}]
    """
    # Not splitlines: texts may hold other characters that end a line.
    for number, line in enumerate(read_utf8(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"line {number} of {path}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{where} is no JSON ({error}); repair it") from error
        if not isinstance(row, dict):
            raise ValueError(f"{where} is no JSON object, expected {{...}}; repair it")
        yield where, row


def csv_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Rows of a CSV file with commas and a header line, cells as they are.

    Args:
        path: of the file.

    Yields:
        Where it stands, and the row; ``rationales`` are read as JSON.

    Raises:
        ValueError: if a line has another number of cells than the header.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "few.csv"
        >>> _ = path.write_text('text,label,rationales\\nso good,pos,"[[3, 7]]"')
        >>> [row for _, row in csv_rows(path)]
        [{'text': 'so good', 'label': 'pos', 'rationales': [[3, 7]]}]
    """
    reader = csv.reader(io.StringIO(read_utf8(path), newline=""), strict=True)
    try:
        names = next(reader, [])
        for cells in filter(None, reader):
            where = f"line {reader.line_num} of {path}"
            if len(cells) != len(names):
                raise ValueError(
                    f"{where} has {len(cells)} cells, but the header names "
                    f"{len(names)} columns: repair or remove the line"
                )
            row: dict[str, Any] = dict(zip(names, cells, strict=True))
            if marks := row.get("rationales"):
                row["rationales"] = _marks(marks, where)
            yield where, row
    except csv.Error as error:
        raise ValueError(f"{path} is not a readable CSV file: {error}") from error


def _marks(cell: str, where: str) -> Any:
    """The rationales in a cell."""
    try:
        return json.loads(cell)
    except ValueError as error:
        raise ValueError(
            f"{where} has the rationales {cell[:40]!r}, expected a list such as "
            "[[0, 4], [9, 12]]"
        ) from error
