"""What a single cell or name of a table means: missing, a number, a word."""

import difflib
import math
from collections.abc import Iterable, Sequence

import numpy as np

Columns = dict[str, np.ndarray]
"""Column name -> (B,) array: float64 with NaN for missing, object array of str with
None for missing, or bool (a boolean column with missing cells holds "true", "false"
and None)."""

LARGEST = 1e300
"""Numbers beyond it are refused: sums and differences of two stay finite."""

MISSING_MARKERS = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "None", "?"})


def parse_number(cell: str) -> float | None:
    """Reads a cell as a number, None where it is not one.

    Python's digit grouping is refused: ``2011_01`` is a label, not 201101.

    Args:
        cell: the text of one cell.

    Returns:
        The number, or None.

    Example:
        >>> parse_number("1e3"), parse_number("2011_01")
        (1000.0, None)
    """
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def number_text(value: float) -> str:
    """Writes a finite number as short as it can be read back.

    Args:
        value: a finite number.

    Returns:
        Its text, whole numbers without a trailing ``.0``.

    Example:
        >>> number_text(3.0), number_text(0.1)
        ('3', '0.1')
    """
    return str(int(value)) if value == int(value) else repr(float(value))


def too_large(values: np.ndarray) -> np.ndarray:
    """Finds numbers that are infinite, or so large that computing with them overflows.

    Args:
        values: numbers, NaN for missing, (B,).

    Returns:
        Rows at fault, increasing.

    Example:
        >>> too_large(np.array([1e300, np.nan, -np.inf, 2e300]))
        array([2, 3])
    """
    return np.flatnonzero(np.abs(values) > LARGEST)


def quoted(text: str) -> str:
    """Text of the user's for a message: in quotes, on one line, not long.

    Args:
        text: any text.

    Returns:
        Its ``repr``, cut to 60 characters.

    Example:
        >>> quoted("two\\nlines"), len(quoted("long" * 100))
        ("'two\\\\nlines'", 60)
    """
    shown = repr(text)
    return shown if len(shown) <= 60 else f"{shown[:56]}...{shown[0]}"


def as_text(column: np.ndarray) -> np.ndarray:
    """Turns a column of any type into text: True -> "true", 3.0 -> "3", NaN -> None.

    Args:
        column: one column as `read_columns` returns it, (B,).

    Returns:
        Object array of str, None for missing, (B,).

    Example:
        >>> as_text(np.array([3.0, 0.5, np.nan]))
        array(['3', '0.5', None], dtype=object)
    """
    if column.dtype == object:
        return column
    if column.dtype == bool:
        return np.where(column, "true", "false").astype(object)
    values, inverse = np.unique(column, return_inverse=True)
    texts = [None if math.isnan(value) else number_text(value) for value in values]
    return np.array(texts, dtype=object)[inverse]


def is_missing(column: np.ndarray) -> np.ndarray:
    """Marks the missing cells of a column of any type.

    Args:
        column: one column as `read_columns` returns it, (B,).

    Returns:
        Bool array, (B,).

    Example:
        >>> is_missing(np.array(["a", None], dtype=object))
        array([False,  True])
    """
    if column.dtype == object:
        return np.array([cell is None for cell in column], dtype=bool)
    return (
        np.isnan(column) if column.dtype == np.float64 else np.zeros(len(column), bool)
    )


def booleans(values: Sequence[bool | None]) -> np.ndarray:
    """Makes a boolean column, as text where some values are missing.

    Args:
        values: True, False or None for each of B rows.

    Returns:
        Bool array, or object array of "true", "false" and None, (B,).

    Example:
        >>> booleans([True, None])
        array(['true', None], dtype=object)
    """
    if None not in values:
        return np.array(values, dtype=bool)
    words = {True: "true", False: "false", None: None}
    return np.array([words[value] for value in values], dtype=object)


def check_names(names: Sequence[str]) -> None:
    """Refuses a table with unnamed columns, repeated names or no columns at all.

    Args:
        names: the column names, in order.

    Raises:
        ValueError: saying which column is at fault.

    Example:
        >>> check_names(["age", "sex"])
    """
    if not names:
        raise ValueError("the table has no columns: expected at least one")
    seen = set()
    for i, name in enumerate(names):
        if not name:
            raise ValueError(
                f"column {i + 1} of {len(names)} has no name: name it, or remove it "
                "if it is a saved row index"
            )
        if name in seen:
            raise ValueError(f"two columns are called {name!r}: rename one of them")
        seen.add(name)


def unknown_name(message: str, name: str, names: Iterable[str]) -> str:
    """Completes an error message with the nearest of the names that there are.

    Args:
        message: what is wrong, without a full stop.
        name: the name that is not known.
        names: the names that are.

    Returns:
        The message, the nearest name, and the (first 20) known names, on one line.

    Example:
        >>> unknown_name("no column 'Age'", "Age", ["age", "sex"])
        "no column 'Age'; did you mean 'age'? There are: age, sex"
    """
    known = list(names)
    folded = {other.casefold(): other for other in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    hint = f"; did you mean {folded[close[0]]!r}?" if close else "."
    more = f", ... ({len(known)} in all)" if len(known) > 20 else ""
    listed = ", ".join(quoted(known_name)[1:-1] for known_name in known[:20])
    return f"{message}{hint} There are: {listed}{more}"
