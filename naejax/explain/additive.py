"""Shapes: what each feature contributes along its own axis, over all contexts.

Everything here is computed from a model's output for some rows and the raw cells of
the same rows; no model runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from naejax.data.cells import Columns, unknown_name
from naejax.data.codec import level_indices, to_numbers
from naejax.data.schema import Feature, Schema
from naejax.models.nae import contribution_range
from naejax.types import NAEOutput

MIN_POSITIONS, MAX_POSITIONS = 12, 48
_ROWS_PER_BIN = 10
SPREAD = (10, 90)
_BARS = 40
# Contributions are float32: variation below this share of their size is rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Shape:
    """One feature's contribution at n positions of its own axis.

    All contributions are centred: their mean over the rows is 0, and `shift` says what
    was subtracted, so the model's score is
    ``(bias + sum of shifts) + sum of centred contributions``.

    Attributes:
        feature: the column.
        positions: numbers, rising, in the unit of the column (float64), or texts of
            levels (object), (n,). Where rows lack a value, one more position comes
            last, NaN or None; `naejax.data.cells.is_missing` finds it.
        counts: rows at each position, (n,).
        mean: mean contribution E[f_i | x_i], (n, C).
        low: 10th percentile of the contributions of the rows there, (n, C).
        high: 90th percentile, (n, C). Other features make the difference; the mean of
            a skewed spread can lie outside.
        lower: smallest contribution that any context can give a row there, (n, C).
        upper: largest one, (n, C).
        shift: mean of f_i over the rows, subtracted from all of the above, (C,).
        importance: mean of ``|f_i - shift|`` over the rows, (C,).
        additivity: estimate of ``Var(E[f_i | x_i]) / Var(f_i)`` in [0, 1], (C,).
        window: 0.5th and 99.5th percentile of the numbers (all of them if these are
            equal); None for levels.
        histogram: rows in m <= 40 equally wide bars over the window, (m,); empty for
            levels and for distinct numbers, where `counts` says it all.
        edges: where the bars begin and end, (m + 1,); empty where `histogram` is.
    """

    feature: Feature
    positions: np.ndarray
    counts: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    shift: np.ndarray
    importance: np.ndarray
    additivity: np.ndarray
    window: tuple[float, float] | None
    histogram: np.ndarray
    edges: np.ndarray


def compute_shapes(
    output: NAEOutput, columns: Columns, schema: Schema, members: int = 1
) -> list[Shape]:
    """Computes the shape of every feature from a model's output for B rows.

    Positions are the levels that occur, or the distinct numbers if there are at most m,
    or else at most m bins at the mean of their numbers, about equally full except that
    equal numbers stay together; m is a tenth of the rows, from 12 to 48. Missing cells
    and levels that the schema lacks share one more position. With n positions and the
    sums of squares of f_i within positions and in total::

        A_i = 1 - (within / (B - n)) / (total / (B - 1)),  at least 0

    estimates ``Var(E[f_i | x_i]) / Var(f_i)``. Dividing by degrees of freedom keeps it
    near 0 for contributions that do not depend on x_i however few rows there are. It is
    an estimate by binning: what f_i varies inside a bin counts as context, so a steep
    function of a continuous feature stays a little below 1. It is 1 where f_i does not
    vary beyond rounding and where no two rows share a position.

    Args:
        output: what the model returned for the rows, contributions (B, F, C) and
            experts (B, F, K, C) in the unit of the target or as log-odds.
        columns: raw cells of the same rows.
        schema: of the table; feature i of the model is ``schema.features[i]``.
        members: S of an ensemble.

    Returns:
        One shape per feature, in the order of the schema.

    Raises:
        ValueError: a column is missing, or rows or features do not match the output.

    Example:
        >>> from naejax.data.schema import infer_schema
        >>> columns = {"x": np.arange(12.0) % 3, "y": np.arange(12.0)}
        >>> f = 10.0 * columns["x"].reshape(12, 1, 1)
        >>> output = NAEOutput(f[:, 0] + 5, np.array([5.0]), f, np.ones((12, 1, 1)),
        ...                    f[..., None])
        >>> (shape,) = compute_shapes(output, columns, infer_schema(columns, "y"))
        >>> shape.positions, shape.mean[:, 0], shape.shift
        (array([0., 1., 2.]), array([-10.,   0.,  10.]), array([10.]))

    Source: additivity is the correlation ratio; this estimate is Kelley's epsilon
    squared, "An Unbiased Correlation Ratio Measure", PNAS 1935.
    """
    contributions = np.asarray(output.contributions)
    shape, num_features = contributions.shape, len(schema.features)
    if len(shape) != 3 or shape[0] == 0 or shape[1] != num_features:
        raise ValueError(
            f"contributions have shape {shape}, expected (rows, {num_features}, "
            "outputs) with at least one row and one column per feature: pass the "
            "output and the schema of the same model"
        )
    lower, upper = map(np.asarray, contribution_range(output, members))
    return [
        _shape(
            feature,
            _cells(columns, feature.name, len(contributions)),
            np.asarray(contributions[:, i], np.float64),
            np.asarray(lower[:, i], np.float64),
            np.asarray(upper[:, i], np.float64),
        )
        for i, feature in enumerate(schema.features)
    ]


def importance_order(shapes: Sequence[Shape]) -> list[int]:
    """Sorts features by importance, the mean over the outputs.

    Args:
        shapes: result of `compute_shapes`.

    Returns:
        Indices into ``shapes``, most important first; ties keep their order.

    Example:
        >>> from types import SimpleNamespace as Fake
        >>> importance_order([Fake(importance=np.array([v])) for v in (0.1, 0.3)])
        [1, 0]
    """
    scores = np.array([shape.importance.mean() for shape in shapes])
    return np.argsort(-scores, kind="stable").tolist()


def _cells(columns: Columns, name: str, rows: int) -> np.ndarray:
    """A column by name, checked to have as many rows as the output."""
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


def _shape(
    feature: Feature,
    column: np.ndarray,
    contributions: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> Shape:
    """One feature's shape from its cells (B,) and float64 arrays (B, C)."""
    window, histogram, edges = None, np.zeros(0, np.intp), np.zeros(0)
    if feature.kind == "numeric":
        numbers = to_numbers(feature.name, column)
        positions, groups = _number_positions(numbers)
        known = numbers[~np.isnan(numbers)]
        if len(known):
            window = _window(known)
            if len(np.unique(known)) > _most_positions(len(known)):
                histogram, edges = np.histogram(known, _bar_edges(known, *window))
    else:
        positions, groups = _level_positions(feature, column)
    counts = np.bincount(groups)
    starts = np.cumsum(counts) - counts
    order = np.argsort(groups, kind="stable")
    shift = contributions.mean(axis=0)
    centred = contributions[order] - shift
    mean = np.add.reduceat(centred, starts) / counts[:, None]
    spread = [
        np.percentile(rows, SPREAD, axis=0) for rows in np.split(centred, starts[1:])
    ]
    low, high = np.stack(spread, axis=1)
    return Shape(
        feature=feature,
        positions=positions,
        counts=counts,
        mean=mean,
        low=low,
        high=high,
        lower=np.minimum.reduceat(lower[order], starts) - shift,
        upper=np.maximum.reduceat(upper[order], starts) - shift,
        shift=shift,
        importance=np.abs(centred).mean(axis=0),
        additivity=_additivity(contributions, mean, counts, shift),
        window=window,
        histogram=histogram,
        edges=edges,
    )


def _additivity(
    contributions: np.ndarray, mean: np.ndarray, counts: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """Epsilon squared of contributions (B, C) grouped into n positions, (C,)."""
    rows, n = len(contributions), len(counts)
    size = np.abs(contributions).max(axis=0)
    varies = np.ptp(contributions, axis=0) > _ROUNDING * size
    if rows == n:
        return np.ones(len(shift))
    total = ((contributions - shift) ** 2).sum(axis=0)
    within = total - counts @ mean**2
    unexplained = within / (rows - n) / np.where(varies, total / (rows - 1), 1)
    return np.where(varies, np.clip(1 - unexplained, 0, 1), 1.0)


def _most_positions(rows: int) -> int:
    """How many positions numbers get: bins of few rows show noise, not a shape."""
    return int(np.clip(rows // _ROWS_PER_BIN, MIN_POSITIONS, MAX_POSITIONS))


def _number_positions(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n,) of numbers, NaN last, and the position of every row, (B,)."""
    values, groups, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    distinct = len(values) - int(np.isnan(values[-1]))
    if distinct <= _most_positions(counts[:distinct].sum()):
        return values, groups
    starts = _bin_starts(counts[:distinct])
    if distinct < len(values):
        starts = np.append(starts, distinct)
    sums = np.add.reduceat(values * counts, starts)
    bins = np.searchsorted(starts, np.arange(len(values)), side="right") - 1
    return sums / np.add.reduceat(counts, starts), bins[groups]


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


def _level_positions(
    feature: Feature, column: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Levels that occur, None last for all other cells, and each row's position."""
    # A boolean column may show only one of its values in the schema's table.
    levels = ("false", "true") if feature.kind == "boolean" else feature.levels
    indices = level_indices(levels, column)
    found, groups = np.unique(
        np.where(indices < 0, len(levels), indices), return_inverse=True
    )
    return np.array([*levels, None], dtype=object)[found], groups


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
