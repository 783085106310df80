"""How the cells of one column become numbers, fitted once and then fixed."""

from dataclasses import dataclass
from itertools import repeat
from typing import Literal

import numpy as np

from naejax.data import encoding
from naejax.data.cells import (
    LARGEST,
    as_text,
    is_missing,
    parse_number,
    quoted,
    too_large,
)
from naejax.data.schema import Feature

CodecKind = Literal["quantile", "standard", "levels", "statistics"]


@dataclass(frozen=True, eq=False)
class Codec:
    """The fitted encoding of one column.

    Attributes:
        kind: "quantile" or "standard" for numbers, "levels" or "statistics" for
            categories.
        table: knots and their codes (2, n); mean and standard deviation (2,); or one
            code per level (n,). float64.
        levels: the n categories seen at fit, sorted; empty for numbers.
        fill: the code of a missing cell and of an unseen category: NaN if the column
            had missing cells at fit (the model learns a value for them), otherwise the
            code of the median, of the most frequent level, or of the mean label.
    """

    kind: CodecKind
    table: np.ndarray
    levels: tuple[str, ...]
    fill: float


def fit_numeric(
    name: str,
    column: np.ndarray,
    *,
    kind: Literal["quantile", "standard"] = "quantile",
    num_knots: int = 64,
) -> Codec:
    """Fits knots and normal quantiles, or the mean and standard deviation, of a column.

    Args:
        name: of the column, for messages.
        column: training rows, at least one not missing, (B,).
        kind: "quantile" or "standard" (a standard deviation of 0 counts as 1).
        num_knots: most knots of the quantiles.

    Returns:
        The codec.

    Example:
        >>> fit_numeric("age", np.array([1.0, 3.0]), kind="standard").table
        array([2., 1.])
    """
    cells = to_numbers(name, column)
    values = cells[~np.isnan(cells)]
    if kind == "quantile":
        table = encoding.fit_knots(values, num_knots)
    else:
        std = encoding.standard_deviation(values)
        table = np.array([np.mean(values), std if std > 0 else 1.0])
    if len(values) < len(cells):
        return Codec(kind, table, (), np.nan)
    median = _encode_numbers(kind, table, np.array([np.median(values)]))
    return Codec(kind, table, (), float(median[0]))


def fit_levels(
    feature: Feature, column: np.ndarray, labels: np.ndarray, *, max_levels: int
) -> Codec:
    """Fits level codes or, beyond a number of categories, target statistics.

    Args:
        feature: a categorical or boolean feature; false and true become -1 and 1.
        column: training rows, at least one not missing, (B,).
        labels: value or 0/1 class of every row, (B,).
        max_levels: a column with more categories gets target statistics.

    Returns:
        The codec.

    Example:
        >>> city = np.array(["Oslo", "Bergen", "Oslo"], dtype=object)
        >>> feature = Feature("city", "categorical")
        >>> codec = fit_levels(feature, city, np.zeros(3), max_levels=16)
        >>> codec.levels, codec.table.round(2)
        (('Bergen', 'Oslo'), array([-0.67,  0.67]))
    """
    seen = ~is_missing(column)
    if feature.kind == "boolean":
        levels: tuple[str, ...] = ("false", "true")
    else:
        levels = tuple(sorted(set(as_text(column[seen]))))
    indices = level_indices(levels, column[seen])
    kind: CodecKind = "levels"
    if feature.kind == "boolean":
        table = np.array([-1.0, 1.0])
    elif len(levels) <= max_levels:
        table = encoding.level_codes(len(levels))
    else:
        kind = "statistics"
        *codes, unseen = encoding.target_statistics(indices, labels[seen], len(levels))
        table = np.array(codes)
    if not seen.all():
        fill = np.nan
    elif kind == "statistics":
        fill = float(unseen)
    else:
        fill = float(table[np.argmax(np.bincount(indices))])
    return Codec(kind, table, levels, fill)


def encode_column(feature: Feature, codec: Codec, column: np.ndarray) -> np.ndarray:
    """Encodes the cells of one column.

    Args:
        feature: describes the column that the codec was fitted on.
        codec: result of `fit_numeric` or `fit_levels`.
        column: cells, (B,).

    Returns:
        Codes, (B,) float64; `Codec.fill` for missing cells and unseen categories.

    Raises:
        ValueError: text in a numeric column, or numbers in a boolean one.

    Example:
        >>> codec = Codec("levels", np.array([-1.0, 1.0]), ("a", "b"), np.nan)
        >>> cells = np.array(["b", "c"], dtype=object)
        >>> encode_column(Feature("x", "categorical"), codec, cells)
        array([ 1., nan])
    """
    if feature.kind == "numeric":
        codes = _encode_numbers(
            codec.kind, codec.table, to_numbers(feature.name, column)
        )
        return np.where(np.isnan(codes), codec.fill, codes)
    if (
        feature.kind == "boolean"
        and column.dtype == np.float64
        and not np.isnan(column).all()
    ):
        raise ValueError(
            f"column {feature.name!r} holds numbers, expected true and false as in the "
            "training table"
        )
    return np.append(codec.table, codec.fill)[level_indices(codec.levels, column)]


def decode_column(codec: Codec, codes: np.ndarray) -> np.ndarray:
    """Translates codes back into cells.

    Args:
        codec: result of `fit_numeric` or `fit_levels`.
        codes: (B,).

    Returns:
        Numbers in the unit of the column (NaN for NaN), or the text of the level with
        the nearest code (None for NaN), (B,).

    Example:
        >>> codec = Codec("levels", np.array([-1.0, 1.0]), ("a", "b"), np.nan)
        >>> decode_column(codec, np.array([0.9, np.nan]))
        array(['b', None], dtype=object)
    """
    codes = np.asarray(codes, dtype=np.float64)
    if codec.kind == "quantile":
        return encoding.from_normal(codes, codec.table)
    if codec.kind == "standard":
        return codes * codec.table[1] + codec.table[0]
    nearest = np.argmin(np.abs(codes[:, None] - codec.table), axis=1)
    texts = np.array(codec.levels, dtype=object)[nearest]
    texts[np.isnan(codes)] = None
    return texts


def level_indices(levels: tuple[str, ...], column: np.ndarray) -> np.ndarray:
    """Position of every cell among the levels, -1 if it is missing or not there.

    Args:
        levels: n distinct texts.
        column: cells of any type, compared as text (`as_text`), (B,).

    Returns:
        Indices in [-1, n), (B,).

    Example:
        >>> level_indices(("1", "2"), np.array([2.0, 3.0, np.nan]))
        array([ 1, -1, -1])
    """
    index = {level: i for i, level in enumerate(levels)}
    texts = as_text(column)
    return np.fromiter(map(index.get, texts, repeat(-1)), np.intp, len(texts))


def to_numbers(name: str, column: np.ndarray) -> np.ndarray:
    """Reads a column of any type as numbers.

    Args:
        name: of the column, for messages.
        column: cells, (B,); true is 1 and false is 0.

    Returns:
        float64, NaN for missing, (B,).

    Raises:
        ValueError: a cell is text or infinite; the message names the row.

    Example:
        >>> to_numbers("age", np.array(["31", None], dtype=object))
        array([31., nan])
    """
    if column.dtype != object:
        numbers = column.astype(np.float64)
    else:
        numbers = np.full(len(column), np.nan)
        for row in np.flatnonzero(~is_missing(column)):
            number = parse_number(column[row])
            if number is None:
                raise ValueError(
                    f"text in the numeric column {name!r}: {quoted(column[row])} "
                    f"in row {row + 1}; correct the cell or empty it"
                )
            numbers[row] = number
    bad = too_large(numbers)
    if len(bad):
        what = "an infinite" if np.isinf(numbers[bad[0]]) else "a huge"
        raise ValueError(
            f"column {name!r} holds {what} number in row {bad[0] + 1}: numbers must be "
            f"finite, at most {LARGEST:g}"
        )
    return numbers


def _encode_numbers(
    kind: CodecKind, table: np.ndarray, values: np.ndarray
) -> np.ndarray:
    """Normal quantiles, or standardised values within a million; NaN stays NaN."""
    if kind == "quantile":
        return encoding.to_normal(values, table)
    with np.errstate(over="ignore"):
        return np.clip((values - table[0]) / table[1], -1e6, 1e6)
