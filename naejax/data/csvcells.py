"""The cells of one column of a CSV file: missing, numbers, booleans or text."""

import shlex
from collections.abc import Sequence

import numpy as np

from naejax.data.cells import (
    LARGEST,
    MISSING_MARKERS,
    booleans,
    parse_number,
    quoted,
    too_large,
)

CSV_MISSING = MISSING_MARKERS | {
    *"n/a NULL <NA> #N/A #NA -nan -NaN 1.#IND -1.#IND 1.#QNAN -1.#QNAN".split(),
    "#N/A N/A",
}
"""Cells of a CSV file that are missing: those that are to pandas, and ``?``."""


def check_complete(name: str, cells: Sequence[str], lines: Sequence[int]) -> None:
    """Refuses a target that is not known in every row.

    Args:
        name: of the column, for messages.
        cells: without spaces around them, (B,).
        lines: where they are in the file, (B,).

    Raises:
        ValueError: saying how many are missing, and the line of the first.

    Example:
        >>> check_complete("y", ["1", "NA"], [2, 3])
        Traceback (most recent call last):
        ValueError: target 'y' is missing in 1 of 2 rows (first: line 3): remove ...
    """
    gone = [i for i, cell in enumerate(cells) if cell in CSV_MISSING]
    if gone:
        raise ValueError(
            f"target {name!r} is missing in {len(gone)} of {len(cells)} rows (first: "
            f"line {lines[gone[0]]}): remove these lines"
        )


def type_cells(
    name: str,
    cells: Sequence[str],
    lines: Sequence[int],
    *,
    text: bool = False,
    must: bool = False,
) -> np.ndarray:
    """Finds the type of one column and converts it, see `naejax.data.csvfile.read_csv`.

    Args:
        name: of the column, for messages.
        cells: without spaces around them, (B,).
        lines: where they are in the file, (B,).
        text: whether to keep all as text.
        must: whether words are refused however many they are.

    Returns:
        Numbers, booleans or text, (B,).

    Raises:
        ValueError: a word among numbers, or a number that is too large.

    Example:
        >>> type_cells("age", ["31", "n/a"], [2, 3])
        array([31., nan])
    """
    column = np.array(cells, dtype=object)
    places = np.array([i for i, c in enumerate(cells) if c not in CSV_MISSING], int)
    present = column[places]
    column[:] = None
    column[places] = present
    if text:
        return column
    is_boolean = {cell.lower() for cell in set(present)} <= {"true", "false"}
    if present.size and is_boolean:
        return booleans([cell and cell.lower() == "true" for cell in column])

    numbers = [parse_number(cell) for cell in present]
    words = [i for i, number in enumerate(numbers) if number is None]
    if words:
        line = lines[places[words[0]]]
        where = f"{quoted(present[words[0]])} (line {line})"
        good = present.size - len(words)
        if all(parse_number(cell.replace(",", ".")) is not None for cell in present):
            raise ValueError(
                f"column {quoted(name)} writes numbers with a comma: {where}; use a "
                "decimal point and no thousands separators"
            )
        if must or good > 0.95 * present.size:
            raise ValueError(_stray_text(name, where, len(words) - 1, must))
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


def _stray_text(name: str, where: str, others: int, must: bool) -> str:
    """The message for words among numbers, with advice that can be copied."""
    if others:
        where += f" and {others:,} more cell{'s' if others > 1 else ''} of text"
    advice = "correct it, or empty it if it is missing"
    if others:
        advice = "correct them, or empty them if they are missing"
    if must:
        advice += "; the model was trained on numbers there"
    elif quoted(name) != repr(name):  # too long to be copied
        advice += "; or name the column in --categories, to read it as categories"
    else:
        advice += (
            f"; or read the column as categories: --categories {shlex.quote(name)} or, "
            f"in Python, naejax.data.read_columns(PATH, text=[{name!r}])"
        )
    return f"text in a numeric column: {quoted(name)} holds {where}; {advice}"
