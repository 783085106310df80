"""Conditions on the cells of a row, and how to say them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from naejax.data.cells import Columns
from naejax.data.codec import level_indices, to_numbers
from naejax.data.schema import Feature, Schema

EVERY_CONTEXT = "in every context"


class Condition(NamedTuple):
    """What the cell of one feature is.

    Attributes:
        feature: index in the schema.
        lower: numbers are above it; -inf if there is no bound.
        upper: numbers are at most it; inf if there is no bound.
        levels: what a cell that is not a number may say; None for numbers.
        known: whether any number at all may be there.
        missing: whether the cell may be missing, or a level that the schema lacks.
    """

    feature: int
    lower: float = -np.inf
    upper: float = np.inf
    levels: tuple[str, ...] | None = None
    known: bool = True
    missing: bool = False


def words(conditions: Sequence[Condition], schema: Schema) -> str:
    """Says conditions in words.

    Args:
        conditions: at most one per feature.
        schema: names the features and their levels.

    Returns:
        Such as ``3 < age ≤ 7 and sex is male``; "in every context" for none.

    Example:
        >>> from naejax.data.schema import Target
        >>> sex = Feature("sex", "categorical", ("f", "m"))
        >>> features = Feature("age", "numeric"), sex
        >>> schema = Schema(features, Target("y", "regression"), 9)
        >>> words([Condition(0, 3, 7), Condition(1, levels=("m",))], schema)
        '3 < age ≤ 7 and sex is m'
    """
    texts = [_text(one, schema.features[one.feature]) for one in conditions]
    return " and ".join(texts) if texts else EVERY_CONTEXT


def holds(
    conditions: Sequence[Condition], columns: Columns, schema: Schema
) -> np.ndarray:
    """Marks the rows for which all conditions hold.

    Args:
        conditions: on features of the schema.
        columns: raw cells of B rows.
        schema: of the table.

    Returns:
        Bool array, (B,).

    Example:
        >>> from naejax.data.schema import Target
        >>> schema = Schema((Feature("x", "numeric"),), Target("y", "regression"), 9)
        >>> x = np.array([3.0, 5.0, np.nan])
        >>> holds([Condition(0, lower=3, missing=True)], {"x": x}, schema)
        array([False,  True,  True])
    """
    rows = len(columns[schema.features[0].name])
    result = np.ones(rows, bool)
    for one in conditions:
        feature = schema.features[one.feature]
        column = columns[feature.name]
        if one.levels is None:
            numbers = to_numbers(feature.name, column)
            gone = np.isnan(numbers)
            inside = one.known & (numbers > one.lower) & (numbers <= one.upper)
        else:
            gone = level_indices(levels_of(feature), column) < 0
            inside = level_indices(one.levels, column) >= 0
        result &= np.where(gone, one.missing, inside)
    return result


def levels_of(feature: Feature) -> tuple[str, ...]:
    """What the cells of a feature that is not numeric can say.

    Args:
        feature: categorical or boolean.

    Returns:
        Its levels; a boolean has both whatever its table showed.

    Example:
        >>> levels_of(Feature("x", "boolean", ("true",)))
        ('false', 'true')
    """
    return ("false", "true") if feature.kind == "boolean" else feature.levels


def _text(one: Condition, feature: Feature) -> str:
    """One condition in words."""
    name = feature.name
    if one.levels is None:
        text = _numbers(one, name)
        none, everything = not one.known, text == ""
    else:
        text = _levels(one.levels, levels_of(feature), name)
        none, everything = not one.levels, len(one.levels) == len(levels_of(feature))
    if none:
        return f"{name} is missing"
    if everything:
        return f"{name} is known"
    return f"{text} (or missing)" if one.missing else text


def _numbers(one: Condition, name: str) -> str:
    """Bounds of a number in words, empty if there are none."""
    lower, upper = map(_number, (one.lower, one.upper))
    if np.isinf(one.lower):
        return "" if np.isinf(one.upper) else f"{name} ≤ {upper}"
    return f"{name} > {lower}" if np.isinf(one.upper) else f"{lower} < {name} ≤ {upper}"


def _levels(chosen: Sequence[str], levels: Sequence[str], name: str) -> str:
    """The fewer of the levels that are chosen and that are not."""
    others = [level for level in levels if level not in chosen]
    if len(chosen) <= len(others):
        return f"{name} is {' or '.join(chosen)}"
    return f"{name} is not {' or '.join(others)}"


def _number(value: float) -> str:
    """A number, short and exact."""
    short = f"{value:.12g}"
    text = short if float(short) == value else repr(float(value))
    return text.replace("-", "\N{MINUS SIGN}")
