"""Columns that are hardly features: identifiers, and dates read as categories."""

import re
import shlex

import numpy as np

from naejax.data.cells import Columns
from naejax.data.codec import to_numbers
from naejax.data.schema import Feature, Schema

_DATE = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?"
)
_SHARE, _FEW, _MANY = 0.95, 50, 1000


def is_identifier(feature: Feature, rows: int, column: np.ndarray) -> bool:
    """Whether a column's values are as many as rows and look like names of rows.

    So look texts of which nearly every row has its own, and whole numbers that are
    nearly all different and lie densely. Where they lie far apart, as measured numbers
    of many digits do, every one of at least 1,000 rows must have its own.

    Args:
        feature: of the schema.
        rows: number of rows of the table that the schema was inferred from.
        column: these rows, or some of them, (B,).

    Returns:
        Whether it may be an identifier.

    Example:
        >>> ids = np.arange(7000.0, 7060.0)
        >>> feature = Feature("id", "numeric", unique=60, range=(7000.0, 7059.0))
        >>> is_identifier(feature, 60, ids)
        True
    """
    if feature.kind == "boolean" or feature.unique < _SHARE * (rows - feature.missing):
        return False
    if feature.range is None:
        return True
    numbers = to_numbers(feature.name, column)
    numbers = numbers[~np.isnan(numbers)]
    if feature.unique <= _FEW or (numbers != np.trunc(numbers)).any():
        return False
    low, high = feature.range
    return high - low < 2 * feature.unique or feature.unique == rows >= _MANY


def is_date(feature: Feature) -> bool:
    """Whether all levels of a category are dates or times as ISO 8601 writes them.

    Args:
        feature: of the schema.

    Returns:
        Whether they are.

    Example:
        >>> is_date(Feature("day", "categorical", ("2011-01-01", "2011-01-02 10:30")))
        True
    """
    return feature.kind == "categorical" and all(map(_DATE.fullmatch, feature.levels))


def suspicions(schema: Schema, columns: Columns) -> list[str]:
    """Lines that caution against columns which are hardly features.

    Args:
        schema: of the table.
        columns: the table.

    Returns:
        A line on identifiers and a line on dates, where there are some.

    Example:
        >>> from naejax.data import infer_schema
        >>> columns = {"id": np.arange(60.0), "x": np.arange(60) % 7.0}
        >>> columns["y"] = columns["x"] * 2
        >>> suspicions(infer_schema(columns, "y"), columns)
        ["caution: 'id' may be an identifier, ... in nearly every row: --drop id ..."]
    """
    dates = [feature.name for feature in schema.features if is_date(feature)]
    ids = [
        feature.name
        for feature in schema.features
        if is_identifier(feature, schema.rows, columns[feature.name])
        and feature.name not in dates
    ]
    lines = []
    if ids:
        what = "may be an identifier" if len(ids) == 1 else "may be identifiers"
        lines.append(
            f"caution: {_listed(ids)} {what}, with a value of its own in nearly every "
            f"row: {_advice(ids)}"
        )
    if dates:
        what = "holds dates" if len(dates) == 1 else "hold dates"
        lines.append(
            f"caution: {_listed(dates)} {what}, which are read as categories, so that "
            "new ones are unknown: give year, month, weekday or hour as columns, and "
            f"{_advice(dates)}"
        )
    return lines


def _listed(names: list[str]) -> str:
    """Names in quotes."""
    return ", ".join(map(repr, names))


def _advice(names: list[str]) -> str:
    """How to leave columns out, to be copied."""
    them = "it" if len(names) == 1 else "them"
    return f"--drop {shlex.join(names)} leaves {them} out"
