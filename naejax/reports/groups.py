"""Groups of rows by the cells of one column, with names for them."""

import numpy as np

from naejax.data.cells import as_text, is_missing
from naejax.data.codec import to_numbers
from naejax.data.schema import Feature
from naejax.explain.local import cell_texts

_GROUPS = 3


def split_rows(feature: Feature, column: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Splits rows into up to three groups by one column, and one of missing cells.

    Numbers are cut at their thirds, rounded; up to three distinct numbers have a group
    each. Of categories the three most frequent have a group each, with one more of all
    others.

    Args:
        feature: describes the column.
        column: cells, (B,).

    Returns:
        Names and masks (B,) of the groups that have rows; every row is in one.

    Example:
        >>> age = Feature("age", "numeric")
        >>> for name, rows in split_rows(age, np.arange(10.0, 100.0)):
        ...     print(name, rows.sum())
        age ≤ 39 30
        39 < age ≤ 69 30
        age > 69 30
    """
    gone = is_missing(column)
    if feature.kind == "numeric":
        groups = _by_number(feature.name, to_numbers(feature.name, column), gone)
    else:
        groups = _by_level(feature.name, as_text(column), gone)
    groups.append((f"{feature.name} is missing", gone))
    return [(name, rows) for name, rows in groups if rows.any()]


def _by_number(
    name: str, numbers: np.ndarray, gone: np.ndarray
) -> list[tuple[str, np.ndarray]]:
    """Groups of numbers, NaN where gone."""
    known = numbers[~gone]
    distinct = np.unique(known)
    if len(distinct) <= _GROUPS:
        texts = cell_texts(distinct)
        return [
            (f"{name} = {text}", numbers == value)
            for text, value in zip(texts, distinct, strict=True)
        ]
    thirds = np.quantile(known, [1 / 3, 2 / 3], method="lower")
    # The largest number alone above a cut would leave no group above it.
    cuts = np.unique([_short(cut, known) for cut in thirds if cut < distinct[-1]])
    if len(cuts) == 0:
        cuts = np.array([distinct[-2]])
    texts = cell_texts(cuts)
    groups = [(f"{name} ≤ {texts[0]}", numbers <= cuts[0])]
    for low, high in zip(range(len(cuts) - 1), range(1, len(cuts)), strict=True):
        inside = (numbers > cuts[low]) & (numbers <= cuts[high])
        groups.append((f"{texts[low]} < {name} ≤ {texts[high]}", inside))
    return [*groups, (f"{name} > {texts[-1]}", numbers > cuts[-1])]


def _short(value: float, known: np.ndarray) -> float:
    """The number of the fewest digits that moves few rows to the other side."""
    for digits in range(2, 6):
        short = float(f"{value:.{digits}g}")
        moved = np.mean((known <= short) != (known <= value))
        if moved < 0.02:
            return short
    return float(value)


def _by_level(
    name: str, texts: np.ndarray, gone: np.ndarray
) -> list[tuple[str, np.ndarray]]:
    """Groups of texts, None where gone."""
    levels, index = np.unique(texts[~gone].astype(str), return_inverse=True)
    counts = np.bincount(index, minlength=len(levels))
    first = np.argsort(-counts, kind="stable")
    # A group of all others is not worth a place for one level.
    shown = first[: _GROUPS if len(levels) > _GROUPS + 1 else None]
    groups = [(f"{name} is {levels[k]}", texts == levels[k]) for k in shown]
    others = ~gone & ~np.isin(texts, levels[shown])
    return [*groups, (f"{name} is one of {len(levels) - len(shown)} others", others)]
