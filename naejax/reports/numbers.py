"""Numbers for a report: as few digits as tell them apart, so that the file is small."""

from typing import Any

import numpy as np

_DIGITS = 4
_MOST_DIGITS = 17


def rounded(values: Any, unit: Any = None, digits: int = _DIGITS) -> Any:
    """Rounds numbers to significant digits and makes them plain Python values.

    Args:
        values: a number or an array of any shape.
        unit: a size that differences are to be told apart at, such as the largest
            contribution beside a much larger score: numbers are rounded to
            ``digits`` digits of it, not of themselves.
        digits: number of significant digits.

    Returns:
        A number or nested lists of them; whole ones as int, NaN and infinity as None.

    Example:
        >>> rounded([3.14159, 123456.0, np.nan, 2.0])
        [3.142, 123500, None, 2]
        >>> rounded(1_000_000.123456, unit=0.5)
        1000000.1235
    """
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    size = np.where(finite, np.abs(values), 0.0) if unit is None else unit
    size = np.where(size > 0, size, 1.0)
    decimals = np.clip(digits - 1 - np.floor(np.log10(size)), -300, 300)
    # Powers of ten are exact where they are whole numbers.
    up, down = 10.0 ** np.maximum(decimals, 0), 10.0 ** np.maximum(-decimals, 0)
    with np.errstate(all="ignore"):
        result = np.round(np.where(finite, values, 0.0) * up / down) / up * down
    result = np.where(np.isfinite(result), result, np.where(finite, values, 0.0))
    return _plain(result.tolist(), finite.tolist())


def rounded_axis(values: np.ndarray) -> list[float | None]:
    """Rounds rising numbers so that each stays well apart from its neighbours.

    Args:
        values: numbers along an axis, (n,), NaN for a missing one.

    Returns:
        Numbers within a fiftieth of the gap to the nearest neighbour, with 5 digits
        where these are enough; NaN as None.

    Example:
        >>> rounded_axis(np.array([1_600_000_000.0, 1_600_000_001.0, np.nan]))
        [1600000000, 1600000001, None]
        >>> rounded_axis(np.array([0.0, 1 / 3]))
        [0, 0.33333]
    """
    values = np.asarray(values, np.float64)
    known = np.isfinite(values)
    gaps = np.diff(values[known])
    room = np.minimum(np.append(gaps, np.inf), np.insert(gaps, 0, np.inf)) / 50
    shown = rounded(values, digits=5)
    for digits in range(5, _MOST_DIGITS + 1):
        shown = rounded(values, digits=digits)
        numbers = np.array([x for x in shown if x is not None], np.float64)
        if (np.abs(numbers - values[known]) <= room).all():
            break
    return shown


def positions_json(positions: np.ndarray) -> list[Any]:
    """Positions of a shape as numbers or texts; a missing one as None.

    Args:
        positions: of `naejax.explain.Shape`, (n,).

    Returns:
        A list of n.

    Example:
        >>> positions_json(np.array(["a", None], object))
        ['a', None]
    """
    if positions.dtype == object:
        return positions.tolist()
    return rounded_axis(positions)


def _plain(values: Any, finite: Any) -> Any:
    """Nested lists with whole numbers as int and None where not finite."""
    if isinstance(values, list):
        return [_plain(v, ok) for v, ok in zip(values, finite, strict=True)]
    if not finite:
        return None
    # 1e300 as an int would be 301 digits long.
    return int(values) if values.is_integer() and abs(values) < 1e15 else values
