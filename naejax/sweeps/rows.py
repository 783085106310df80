"""The rows of a sweep: read, and split into those that train, validate and test."""

from typing import Any

import numpy as np

from naejax.data.cells import Columns, unknown_name
from naejax.data.columns import read_columns
from naejax.data.datasets import Dataset
from naejax.data.schema import Schema, Task
from naejax.data.split import split_rows
from naejax.tabular.rows import draw

Parts = tuple[Columns, Columns, Columns]


def read_table(x: Any, y: Any, task: Task = "auto") -> tuple[Columns, str, Task]:
    """Reads features and target into named columns.

    Args:
        x: as for `naejax.sweep`.
        y: likewise.
        task: likewise.

    Returns:
        The columns, the target's name, and what it is.

    Raises:
        ValueError: if there is no target, or another number of rows.

    Example:
        >>> columns, target, _ = read_table(np.ones((2, 1)), [0.5, 1.5])
        >>> list(columns), target
        (['x0', 'target'], 'target')
    """
    if isinstance(x, Dataset):
        if y is not None:
            raise ValueError(
                f"X is the data set {x.name!r}, which has the target {x.target!r}; "
                "leave y out"
            )
        return x.columns, x.target, x.task if task == "auto" else task
    columns = read_columns(x)
    if y is None:
        raise ValueError(
            "y is missing, expected the target, or the name of its column in X"
        )
    if isinstance(y, str):
        if y not in columns:
            raise ValueError(unknown_name(f"no target column {y!r}", y, columns))
        return columns, y, task
    name = getattr(y, "name", None)
    name = name if isinstance(name, str) and name.strip() else "target"
    while name in columns:
        name += "_"
    (target,) = read_columns({name: y}).values()
    rows = len(next(iter(columns.values())))
    if len(target) != rows:
        raise ValueError(f"X has {rows} rows and y {len(target)}, expected as many")
    return {**columns, name: target}, name, task


def split_table(
    columns: Columns,
    schema: Schema,
    test: Columns | None,
    seed: int,
    fixed: tuple[int, ...] = (),
) -> Parts:
    """Training, validation and test rows.

    Args:
        columns: the table.
        schema: of the table.
        test: test rows; None: a fifth of the table (`naejax.data.split_rows`).
        seed: of the split.
        fixed: rows of the parts, where the source of the table says them.

    Returns:
        The three parts.

    Raises:
        ValueError: if there are too few rows, or test rows lack a column.

    Example:
        >>> from naejax.data import infer_schema
        >>> columns = {"x": np.arange(80.0), "y": np.arange(80.0)}
        >>> schema = infer_schema(columns, "y")
        >>> [len(part["y"]) for part in split_table(columns, schema, columns, 0)]
        [70, 10, 80]
    """
    if test is None:
        return split_rows(columns, schema, seed, fixed)
    for name in columns:
        if name not in test:
            raise ValueError(
                unknown_name(f"the test rows lack the column {name!r}", name, test)
            )
    labels = None
    if schema.target.classes:
        _, labels = np.unique(columns[schema.target.name], return_inverse=True)
    training, validation = draw(schema.rows, 0.125, labels, seed)
    if not len(validation):
        raise ValueError(
            f"there are {schema.rows} rows, expected at least 40: an eighth of them "
            "picks every model's best epoch"
        )
    return (
        {name: column[training] for name, column in columns.items()},
        {name: column[validation] for name, column in columns.items()},
        test,
    )
