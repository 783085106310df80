"""Runs of sweeps: a grid's table and picture, and the picked model as a run."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import numpy as np

from naejax import artifact
from naejax.data.datasets import Dataset
from naejax.data.schema import describe, infer_schema
from naejax.data.split import split_rows
from naejax.data.suspects import suspicions
from naejax.evaluation import baseline_scores
from naejax.explain.figure import png
from naejax.files import new_folder, write_file
from naejax.runs.folder import MODEL_FILE, config, json_text
from naejax.settings import Settings
from naejax.sweeps import Pick, SweepResult, sweep
from naejax.sweeps.grid import Program, split_grid
from naejax.sweeps.result import value_text
from naejax.tabular import evaluate_table, raw_target

GRID: dict[str, Sequence[Any]] = {
    "expert_variance": (0.0, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0)
}
"""What is swept where nothing is asked for: from interactions to a plain sum."""


def sweep_run(
    dataset: Dataset,
    grid: Mapping[str, Sequence[Any]] | None,
    seeds: int,
    settings: Settings,
    out: str | Path,
    *,
    additivity: float | None = None,
    seed: int = 0,
    devices: int | Sequence[jax.Device] | None = None,
    overwrite: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Sweeps a grid of settings on a data set and leaves a run folder.

    The folder holds ``sweep.csv`` (and ``sweep.parquet``), ``tradeoff.png``,
    ``config.json``, ``metrics.json`` and the picked model as ``model.safetensors``, so
    that it can be predicted with and explained like a run of one model.

    Args:
        dataset: the table, its target and task.
        grid: values of settings by name; None or empty: `GRID`.
        seeds: models of each setting.
        settings: what the grid does not name.
        out: the run folder.
        additivity: the least that the picked setting must have; None: any.
        seed: of the split into training, validation and test rows.
        devices: see `naejax.fit`.
        overwrite: whether to replace an existing run.
        progress: whether to show progress bars.
        say: gets the lines to print.

    Raises:
        ValueError: if the table, the settings or the folder cannot be used.

    Example:
        >>> import tempfile
        >>> from naejax.data import load_dataset
        >>> out = Path(tempfile.mkdtemp()) / "wine"
        >>> settings = Settings(epochs=1, num_experts=4, hidden=(8,))
        >>> sweep_run(load_dataset("wine"), {"expert_variance": [0.0, 1.0]}, 1,
        ...           settings, out, progress=False, say=lambda line: None)
        >>> (out / "sweep.csv").read_text().splitlines()[0][:20]
        'expert_variance,seed'
    """
    if additivity is not None and not 0 <= additivity <= 1:
        raise ValueError(f"additivity is {additivity}, expected a share in [0, 1]")
    if seeds < 1:
        raise ValueError(f"seeds is {seeds}, expected at least 1")
    grid = grid or GRID
    points, programs = split_grid(grid, settings)
    schema = infer_schema(dataset.columns, dataset.target, task=dataset.task)
    with new_folder(out, marker=MODEL_FILE, overwrite=overwrite) as folder:
        say(f"{dataset.name}: {dataset.description}\n{describe(schema)}")
        for line in suspicions(schema, dataset.columns):
            say(line)
        training, validation, test = split_rows(
            dataset.columns, schema, seed, dataset.parts
        )
        parts = {"training": training, "validation": validation, "test": test}
        sizes = {name: len(part[dataset.target]) for name, part in parts.items()}
        say(_plan(points, programs, seeds, sizes["training"]))
        start = time.perf_counter()
        result = sweep(
            dataset,
            grid=grid,
            seeds=seeds,
            settings=settings,
            seed=seed,
            devices=devices,
            progress=progress,
        )
        seconds = time.perf_counter() - start
        pick = _pick(result, additivity, say)
        model = result.model(pick.row)
        picked = {name: value_text(value) for name, value in pick.settings.items()}
        metrics = {
            "rows": sizes,
            "validation": evaluate_table(model, validation),
            "test": evaluate_table(model, test),
            "baselines": baseline_scores(
                schema,
                training,
                raw_target(model.encoder, training),
                test,
                raw_target(model.encoder, test),
            ),
            "picked": picked,
            "picked_seed": int(result.table["seed"][pick.row]),
            "additivity": float(result.table["additivity"][pick.row]),
            "best_epoch": int(result.table["best_epoch"][pick.row]),
            "models": len(result.models),
        }
        say(_means_table(result, pick))
        say(f"trained and scored {len(result.models)} models in {seconds:.1f} s")
        artifact.save(folder / MODEL_FILE, model, {"seed": seed, **metrics})
        write_file(
            folder / "metrics.json",
            json_text({**metrics, "training_seconds": round(result.seconds, 2)}),
        )
        chosen = replace(settings, **pick.settings).for_rows(sizes["training"])
        asked: dict[str, Any] = {"data": dataset.name, "target": dataset.target}
        asked |= {"task": dataset.task, "categories": list(dataset.categories)}
        asked |= {"drop": list(dataset.drop), "model": "nae", "seeds": seeds}
        asked["grid"] = {name: list(v) for name, v in grid.items()}
        write_file(folder / "config.json", json_text(config(chosen, seed, **asked)))
        names = [*result.save(folder), MODEL_FILE, "metrics.json", "config.json"]
        if find_spec("matplotlib"):
            write_file(folder / "tradeoff.png", png(result.plot().figure))
            names.append("tradeoff.png")
        else:
            say("no tradeoff.png: it needs matplotlib (pip install 'naejax[plot]')")
    say(f"{out}: {', '.join(names)}")


def _plan(
    points: Sequence[Mapping[str, Any]],
    programs: Sequence[Program],
    seeds: int,
    rows: int,
) -> str:
    """What will be trained, before it takes its time."""
    epochs = {program.settings.for_rows(rows).epochs or 0 for program in programs}
    values = "; ".join(
        f"{name} {', '.join(dict.fromkeys(value_text(p[name]) for p in points))}"
        for name in points[0]
    )
    longest = " or ".join(map(str, sorted(epochs)))
    total = len(points) * seeds
    return (
        f"{total} model{_s(total)}: {len(points)} setting{_s(len(points))} ({values}) "
        f"times {seeds} seed{_s(seeds)}, in {len(programs)} program{_s(len(programs))}"
        f"; each for at most {longest} epochs on {rows:,} training rows"
    )


def _s(count: int) -> str:
    """The ending of a noun that was counted."""
    return "" if count == 1 else "s"


def _pick(
    result: SweepResult, additivity: float | None, say: Callable[[str], None]
) -> Pick:
    """The setting to take; where none is so additive, the most additive one."""
    try:
        return result.pick(additivity)
    except ValueError as error:
        if additivity is None:
            raise
        complete = np.isfinite(result.means(f"validation_{result.score}"))
        highest = result.means("additivity")[complete].max(initial=0.0)
        pick = result.pick(float(highest))
        say(f"{error}; the most additive one is taken")
        return pick


def _means_table(result: SweepResult, pick: Pick) -> str:
    """Means over the seeds of every setting as aligned text; the picked one marked."""
    names, score = list(result.points[0]), result.score
    columns = [f"validation_{score}", f"test_{score}", "additivity"]
    means = [result.means(column) for column in columns]
    widths = [max(12, len(name) + 2) for name in names]
    head = "".join(f"{n:>{w}}" for n, w in zip(names, widths, strict=True))
    lines = [head + "".join(f"{column:>21}" for column in columns)]
    for cell, point in enumerate(result.points):
        values = zip(point.values(), widths, strict=True)
        line = "".join(f"{value_text(value):>{width}}" for value, width in values)
        line += "".join(f"{mean[cell]:21.4g}" for mean in means)
        lines.append(line + ("  <- picked" if point is pick.settings else ""))
    return "\n".join(lines)
