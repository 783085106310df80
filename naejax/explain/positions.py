"""Positions along a feature's axis: levels, distinct numbers, or bins of numbers."""

from typing import NamedTuple

import numpy as np

from naejax.data.cells import Columns, unknown_name
from naejax.data.codec import level_indices, to_numbers
from naejax.data.schema import Feature

MIN_POSITIONS, MAX_POSITIONS = 12, 48
_ROWS_PER_BIN = 10
_BARS = 40


class Positions(NamedTuple):
    """Where the rows of a column stand.

    Attributes:
        values: n positions, as `naejax.explain.Shape.positions`.
        groups: the position of every row, in [0, n), (B,).
    """

    values: np.ndarray
    groups: np.ndarray


class Density(NamedTuple):
    """How many rows stand where, as the attributes of `naejax.explain.Shape` say.

    Attributes:
        window: (left, right) or None.
        histogram: (m,).
        edges: (m + 1,).
    """

    window: tuple[float, float] | None
    histogram: np.ndarray
    edges: np.ndarray


def find_positions(feature: Feature, column: np.ndarray) -> Positions:
    """Finds the positions of a column and which rows stand at each.

    Positions are the levels that occur, or the distinct numbers if there are at most m,
    or else at most m bins at the mean of their numbers, about equally full except that
    equal numbers stay together; m is a tenth of the rows, from 12 to 48. Missing cells
    and levels that the feature lacks share one more position, the last.

    Args:
        feature: describes the column.
        column: raw cells, (B,).

    Returns:
        The positions.

    Raises:
        ValueError: text in a numeric column.

    Example:
        >>> x = np.array([2.0, np.nan, 1.0, 2.0])
        >>> find_positions(Feature("x", "numeric"), x)
        Positions(values=array([ 1.,  2., nan]), groups=array([1, 2, 0, 1]))
    """
    if feature.kind == "numeric":
        return _number_positions(to_numbers(feature.name, column))
    return _level_positions(feature, column)


def find_density(feature: Feature, column: np.ndarray) -> Density:
    """Counts the rows in bars along the axis of a column.

    Args:
        feature: describes the column.
        column: raw cells, (B,).

    Returns:
        The window, and bars where the column has more numbers than positions.

    Example:
        >>> find_density(Feature("x", "numeric"), np.arange(100.0)).histogram.max()
        np.int64(3)
    """
    window, histogram, edges = None, np.zeros(0, np.intp), np.zeros(0)
    if feature.kind == "numeric":
        numbers = to_numbers(feature.name, column)
        known = numbers[~np.isnan(numbers)]
        if len(known):
            window = _window(known)
            if len(np.unique(known)) > _most_positions(len(known)):
                histogram, edges = np.histogram(known, _bar_edges(known, *window))
    return Density(window, histogram, edges)


def cells_of(columns: Columns, name: str, rows: int) -> np.ndarray:
    """A column by name, checked to have as many rows as a model's output.

    Args:
        columns: a table.
        name: of the column.
        rows: B.

    Returns:
        Its cells, (B,).

    Raises:
        ValueError: the table lacks the column, or has another number of rows.

    Example:
        >>> cells_of({"x": np.arange(2.0)}, "x", 2)
        array([0., 1.])
    """
    if name not in columns:
        raise ValueError(
            unknown_name(f"the table lacks the column {name!r}", name, columns)
        )
    if len(columns[name]) != rows:
        raise ValueError(
            f"column {name!r} has {len(columns[name])} rows and the model's output "
            f"{rows}: pass the columns that were encoded for this output"
        )
    return columns[name]


def _most_positions(rows: int) -> int:
    """How many positions numbers get: bins of few rows show noise, not a shape."""
    return int(np.clip(rows // _ROWS_PER_BIN, MIN_POSITIONS, MAX_POSITIONS))


def _number_positions(numbers: np.ndarray) -> Positions:
    """Positions of numbers, NaN last."""
    values, groups, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    distinct = len(values) - int(np.isnan(values[-1]))
    if distinct <= _most_positions(counts[:distinct].sum()):
        return Positions(values, groups)
    starts = _bin_starts(counts[:distinct])
    if distinct < len(values):
        starts = np.append(starts, distinct)
    sums = np.add.reduceat(values * counts, starts)
    bins = np.searchsorted(starts, np.arange(len(values)), side="right") - 1
    return Positions(sums / np.add.reduceat(counts, starts), bins[groups])


def _bin_starts(counts: np.ndarray) -> np.ndarray:
    """First value of each bin, of values that occur ``counts`` times."""
    most = _most_positions(counts.sum())
    # A frequent value has a bin of its own, and only the others share the rest.
    frequent, shared = 0, counts.sum()
    for count in np.sort(counts)[::-1]:
        size = shared / (most - frequent)
        if count <= size:
            break
        frequent, shared = frequent + 1, shared - count
    ends = np.cumsum(np.minimum(counts, size))
    starts, filled = [0], 0.0
    for bins_left in range(most, 1, -1):
        goal = filled + (ends[-1] - filled) / bins_left
        start = max(starts[-1] + 1, int(np.searchsorted(ends, goal, side="right")))
        if start >= len(counts):
            break
        starts.append(start)
        filled = ends[start - 1]
    return np.array(starts)


def _level_positions(feature: Feature, column: np.ndarray) -> Positions:
    """Levels that occur, None last for all other cells."""
    # A boolean column may show only one of its values in the schema's table.
    levels = ("false", "true") if feature.kind == "boolean" else feature.levels
    indices = level_indices(levels, column)
    found, groups = np.unique(
        np.where(indices < 0, len(levels), indices), return_inverse=True
    )
    return Positions(np.array([*levels, None], dtype=object)[found], groups)


def _window(known: np.ndarray) -> tuple[float, float]:
    """The numbers' 0.5th and 99.5th percentile, or their range if these are equal."""
    left = np.percentile(known, 0.5, method="lower")
    right = np.percentile(known, 99.5, method="higher")
    if left == right:
        left, right = known.min(), known.max()
    return float(left), float(right)


def _bar_edges(known: np.ndarray, left: float, right: float) -> np.ndarray:
    """Edges of at most 40 equally wide bars over the window."""
    if (known == np.round(known)).all():
        # Bars of whole width hold equally many whole numbers each.
        width = np.ceil((right - left + 1) / _BARS)
        return np.arange(left - 0.5, right + 0.5 + width, width)
    return np.linspace(left, right, _BARS + 1)
