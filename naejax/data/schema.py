"""What a table's columns are: features, the target, and a description to print."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from naejax.data.cells import (
    Columns,
    as_text,
    is_missing,
    number_text,
    unknown_name,
)

FeatureKind = Literal["numeric", "categorical", "boolean"]
TargetKind = Literal["regression", "binary", "multiclass"]
Task = Literal["auto", "regression", "classification"]

MIN_ROWS = 10
MAX_CLASSES = 100


@dataclass(frozen=True)
class Feature:
    """A column that the model may look at.

    Attributes:
        name: of the column.
        kind: "numeric", "categorical" (text) or "boolean".
        levels: the texts of a categorical or boolean column, sorted.
        missing: number of missing cells.
        unique: number of distinct values, missing ones not counted.
        range: smallest and largest value of a numeric column.
    """

    name: str
    kind: FeatureKind
    levels: tuple[str, ...] = ()
    missing: int = 0
    unique: int = 0
    range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Target:
    """The column to predict.

    Attributes:
        name: of the column.
        kind: "regression", "binary" (the score is the log-odds of ``classes[1]``) or
            "multiclass".
        classes: labels as text, sorted (numbers by value); empty for regression.
    """

    name: str
    kind: TargetKind
    classes: tuple[str, ...] = ()

    @property
    def num_outputs(self) -> int:
        """C: one score per class for multiclass, otherwise 1."""
        return len(self.classes) if self.kind == "multiclass" else 1


@dataclass(frozen=True)
class Schema:
    """What `infer_schema` found in a table.

    Attributes:
        features: in the order of the table.
        target: the column to predict.
        rows: number of rows of that table.
    """

    features: tuple[Feature, ...]
    target: Target
    rows: int


def infer_schema(columns: Columns, target: str, *, task: Task = "auto") -> Schema:
    """Decides what every column of a table is.

    With ``task="auto"`` a text or boolean target means classes, as does a numeric one
    with exactly two values that are whole numbers; any other numeric target means
    regression.

    Args:
        columns: the table, as `read_columns` returns it.
        target: name of the column to predict; all others are features.
        task: "auto", "regression" or "classification".

    Returns:
        The schema; features keep the order of the table.

    Raises:
        ValueError: the target is unknown, incomplete, constant or an identifier, a
            feature has no values, or the table has fewer than 10 rows or no features.

    Example:
        >>> columns = {"x": np.arange(12.0), "y": np.array(["no", "yes"] * 6, object)}
        >>> infer_schema(columns, "y").target
        Target(name='y', kind='binary', classes=('no', 'yes'))
    """
    if task not in ("auto", "regression", "classification"):
        raise ValueError(
            f"got task {task!r}, expected 'auto', 'regression' or 'classification'"
        )
    if not target:
        raise ValueError(f"no target column given; name one of: {', '.join(columns)}")
    if target not in columns:
        raise ValueError(unknown_name(f"no target column {target!r}", target, columns))
    rows = len(columns[target])
    if rows < MIN_ROWS:
        raise ValueError(f"the table has {rows} rows, expected at least {MIN_ROWS}")
    if len(columns) == 1:
        raise ValueError(
            f"the table has no column besides the target {target!r}: add features"
        )
    features = infer_features(
        {name: column for name, column in columns.items() if name != target}
    )
    return Schema(features, infer_target(target, columns[target], task), rows)


def infer_features(columns: Columns) -> tuple[Feature, ...]:
    """Decides what the feature columns of a table are.

    Args:
        columns: the features, as `read_columns` returns them, without the target.

    Returns:
        One description per column, in the order of the table.

    Raises:
        ValueError: a feature has no values.

    Example:
        >>> [f.kind for f in infer_features({"x": np.ones(2), "y": np.ones(2, bool)})]
        ['numeric', 'boolean']
    """
    return tuple(_feature(name, column) for name, column in columns.items())


def infer_target(name: str, column: np.ndarray, task: Task) -> Target:
    """Decides what the column to predict is, see `infer_schema`.

    Args:
        name: of the column.
        column: all rows, as `read_columns` returns it.
        task: "auto", "regression" or "classification".

    Returns:
        Its description.

    Raises:
        ValueError: it is incomplete, constant or an identifier.

    Example:
        >>> infer_target("y", np.arange(12.0), "auto").kind
        'regression'
    """
    numeric, gone = column.dtype == np.float64, is_missing(column)
    if gone.any():
        raise ValueError(
            f"target {name!r} is missing in {gone.sum()} of {len(column)} rows (first: "
            f"row {np.flatnonzero(gone)[0] + 1}): remove these rows"
        )
    values = np.unique(column) if numeric else sorted(set(as_text(column)))
    if len(values) == 1:
        raise ValueError(
            f"target {name!r} has the same value in all {len(column)} rows: there is "
            "nothing to learn"
        )
    is_binary = len(values) == 2 and all(
        float(v).is_integer() for v in values if numeric
    )
    if numeric and (task == "regression" or (task == "auto" and not is_binary)):
        return Target(name, "regression")
    if task == "regression":
        raise ValueError(
            f"target {name!r} holds {values[0]!r}, which is not a number: regression "
            "cannot predict it, use task='classification'"
        )
    if len(values) > MAX_CLASSES or 2 * len(values) >= len(column):
        raise ValueError(
            f"target {name!r} has {len(values)} classes in {len(column)} rows, at most "
            f"{MAX_CLASSES} of more than 2 rows each are possible: choose another "
            "target if it is an identifier, task='regression' if it is a quantity"
        )
    classes = tuple(number_text(value) if numeric else value for value in values)
    return Target(name, "binary" if len(classes) == 2 else "multiclass", classes)


def describe(schema: Schema) -> str:
    """Writes a schema as an aligned plain-text table.

    Args:
        schema: result of `infer_schema`.

    Returns:
        A line about rows and target, a header line, and one line per feature.

    Example:
        >>> columns = {"x": np.arange(12.0), "y": np.array([0.0, 1.0] * 6)}
        >>> print(describe(infer_schema(columns, "y")))
        12 rows, 1 feature; target 'y': binary (0, 1)
        feature  kind     values        missing
        x        numeric  0 .. 11 (12)
    """
    count, target = len(schema.features), schema.target
    classes = f" ({_short(', '.join(target.classes))})" if target.classes else ""
    title = (
        f"{schema.rows} rows, {count} feature{'s' if count != 1 else ''}; "
        f"target {_short(target.name)!r}: {target.kind}{classes}"
    )
    lines = [("feature", "kind", "values", "missing")]
    for feature in schema.features:
        missing = str(feature.missing) if feature.missing else ""
        lines.append((_short(feature.name), feature.kind, _values(feature), missing))
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    rows = (
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True))
        for line in lines
    )
    return "\n".join([title, *(row.rstrip() for row in rows)])


def _feature(name: str, column: np.ndarray) -> Feature:
    """Describes one feature column."""
    gone = is_missing(column)
    if gone.all():
        raise ValueError(f"feature {name!r} has no values at all: drop the column")
    missing = int(gone.sum())
    if column.dtype == np.float64:
        values = np.unique(column[~gone])
        bounds = float(values[0]), float(values[-1])
        return Feature(name, "numeric", (), missing, len(values), bounds)
    levels = tuple(sorted(set(as_text(column)[~gone])))
    kind: FeatureKind = "boolean" if set(levels) <= {"true", "false"} else "categorical"
    return Feature(name, kind, levels, missing, len(levels))


def _values(feature: Feature) -> str:
    """The range or the levels of a feature, in a few words."""
    if feature.range is not None:
        low, high = (f"{bound:.6g}" for bound in feature.range)
        text = f"{low} .. {high} ({feature.unique})"
    else:
        text = f"{feature.unique}: {_short(', '.join(feature.levels))}"
    return f"{text}, constant" if feature.unique == 1 else text


def _short(text: str, width: int = 40) -> str:
    """Text on one line, cut to a width."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 3]}..."
