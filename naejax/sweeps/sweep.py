"""Populations of models over a grid of settings and several seeds."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from naejax.data.cells import Columns
from naejax.data.datasets import Dataset
from naejax.data.schema import Schema, Task, infer_schema
from naejax.explain.additive import model_additivity
from naejax.settings import Settings
from naejax.sweeps.grid import split_grid
from naejax.sweeps.result import SweepResult, value_text
from naejax.sweeps.rows import read_table, split_table
from naejax.tabular.fitted import TabularNAE
from naejax.tabular.members import SCALARS, fit_members
from naejax.tabular.predict import evaluate_scores, evaluate_table, explain_rows


def sweep(
    X: Any,
    y: Any = None,
    *,
    grid: Mapping[str, Sequence[Any]],
    seeds: int | Sequence[int] = 5,
    settings: Settings | None = None,
    task: Task = "auto",
    test: Any = None,
    seed: int = 0,
    devices: int | Sequence[jax.Device] | None = None,
    memory_budget: int | None = None,
    progress: bool = True,
) -> SweepResult:
    """Trains a grid of settings, each with several seeds, side by side.

    Settings that are numbers in the program (`naejax.tabular.members.SCALARS`:
    learning rate, weight decay and penalties) and seeds are trained together by one
    compiled program, over all devices; others, such as ``num_experts`` or ``hidden``,
    by one program for each of their combinations. All see the same training,
    validation and test rows.

    Args:
        X: a data frame of pandas or polars, a mapping of columns, the path of a CSV
            file, an (N, F) array, or a `naejax.data.Dataset`.
        y: the target, (N,), or the name of its column in X; None for a Dataset.
        grid: values of `naejax.settings.Settings` by name.
        seeds: of initial variables, shuffling and dropout, or how many: 0, 1, ...
        settings: what the grid does not name; None: by rows.
        task: what the target is; "auto" reads it off.
        test: ``(X, y)`` to score the models on, or X alone where y is a name; None:
            a fifth of the rows.
        seed: of the split into training, validation and test rows.
        devices: how many, or which, as in `naejax.fit`.
        memory_budget: bytes that a population may take on a device; None: 80 % of
            what is free.
        progress: whether to show a progress bar for each program.

    Returns:
        The table, the models, what to pick, and a picture. Ctrl-C ends training early
        with the models that were trained.

    Raises:
        ValueError: if the table, the grid or the settings cannot be used.

    Example:
        >>> x = np.linspace(-2, 2, 80)
        >>> settings = Settings(epochs=2, num_experts=4, hidden=(8,))
        >>> result = sweep({"x": x, "y": np.sin(x)}, "y", seeds=2, settings=settings,
        ...                grid={"expert_variance": [0.0, 10.0]}, progress=False)
        >>> result.table["expert_variance"].tolist(), result.table["seed"].tolist()
        ([0.0, 0.0, 10.0, 10.0], [0, 1, 0, 1])
        >>> sorted(result.pick().settings)
        ['expert_variance']
    """
    columns, target, task = read_table(X, y, task)
    schema = infer_schema(columns, target, task=task)
    points, programs = split_grid(grid, settings or Settings())
    own = list(range(seeds)) if isinstance(seeds, int) else [int(s) for s in seeds]
    if not own or len(set(own)) < len(own):
        raise ValueError(f"seeds are {seeds!r}, expected different ones, at least one")
    fixed = X.parts if isinstance(X, Dataset) else ()
    parts = split_table(columns, schema, _read_test(test, y, target), seed, fixed)
    start, rows = time.perf_counter(), []
    for program in programs:
        scalars = {
            name: np.repeat([point[name] for point in program.points], len(own))
            for name in program.points[0]
            if name in SCALARS
        }
        members, result = fit_members(
            *parts[:2],
            schema,
            program.settings,
            seeds=own * len(program.cells),
            scalars=scalars,
            encoder_seed=seed,
            devices=devices,
            memory_budget=memory_budget,
            progress=progress,
        )
        cells = np.repeat(program.cells, len(own)).tolist()
        described = zip(
            cells,
            own * len(program.cells),
            members,
            result.best_epochs.tolist(),
            result.diverged.tolist(),
            strict=True,
        )
        # Without an epoch to its name a member was not trained before Ctrl-C.
        rows += [_Row(*row) for row in described if row[3] or row[4]]
        if result.stopped == "interrupted":
            break
    seconds = time.perf_counter() - start
    if not rows:
        raise KeyboardInterrupt
    rows.sort(key=lambda row: row.cell)
    return SweepResult(
        _table(rows, points, schema, *parts[1:]),
        points,
        np.array([row.cell for row in rows]),
        [row.model for row in rows],
        schema,
        seconds,
    )


class _Row(NamedTuple):
    """A trained member: its cell of the grid, its seed and how it went."""

    cell: int
    seed: int
    model: TabularNAE
    best_epoch: int
    diverged: bool


def _read_test(test: Any, y: Any, target: str) -> Columns | None:
    """Test rows with their target under its name."""
    if test is None:
        return None
    if isinstance(test, tuple):
        columns, name, _ = read_table(*test)
    else:
        columns, name, _ = read_table(test, y if isinstance(y, str) else None)
    values = columns.pop(name)
    return {**columns, target: values}


def _table(
    rows: list[_Row],
    points: list[dict[str, Any]],
    schema: Schema,
    validation: Columns,
    test: Columns,
) -> dict[str, np.ndarray]:
    """The columns of the result's table."""
    lines: list[dict[str, Any]] = []
    for row in rows:
        output = explain_rows(row.model, test)
        scores = {"validation": evaluate_table(row.model, validation)}
        scores["test"] = evaluate_scores(row.model, test, np.asarray(output.prediction))
        found = {f"{part}_{k}": v for part, s in scores.items() for k, v in s.items()}
        found["additivity"] = model_additivity(output, test, schema).mean()
        if row.diverged:
            found = dict.fromkeys(found, float("nan"))
        line = {name: _cell(value) for name, value in points[row.cell].items()}
        line |= {"seed": row.seed, **found, "best_epoch": row.best_epoch}
        lines.append({**line, "diverged": row.diverged})
    return {name: np.array([line[name] for line in lines]) for name in lines[0]}


def _cell(value: Any) -> Any:
    """A value of a setting as a table holds it."""
    return value if isinstance(value, int | float) else value_text(value)
