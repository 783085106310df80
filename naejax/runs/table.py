"""Runs on tables: Neural Additive Experts in a folder."""

import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax

from naejax import artifact
from naejax.data.cells import Columns
from naejax.data.datasets import Dataset
from naejax.data.schema import Schema, describe
from naejax.data.streamed_table import StreamedTable
from naejax.evaluation import Scores, best_score_name
from naejax.explain import compute_shapes, plot_shapes
from naejax.explain.figure import png
from naejax.files import write_file
from naejax.runs.distributed import run_folder
from naejax.runs.folder import (
    MODEL_FILE,
    config,
    history_text,
    json_text,
    training_line,
)
from naejax.runs.tables import as_run_table
from naejax.runs.unfinished import unfinished
from naejax.settings import Settings
from naejax.tabular import TabularNAE, explain_rows
from naejax.train.checkpoint import Checkpoints

_PICTURE_ROWS = 50_000


def train_run(
    dataset: Dataset | StreamedTable,
    settings: Settings,
    out: str | Path,
    *,
    seed: int = 0,
    overwrite: bool = False,
    resume: bool = False,
    devices: int | None = None,
    checkpoint_seconds: float = 60.0,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Trains on a data set and leaves a run folder.

    The folder appears when everything in it is written: ``model.safetensors``,
    ``metrics.json``, ``history.csv``, ``config.json`` and ``shapes.png``. Until then
    the training is kept beside it, see `naejax.runs.unfinished`.

    Args:
        dataset: the table, its target and task, see `naejax.runs.tables.open_data`.
        settings: how to build and train the model.
        out: the run folder.
        seed: seed of splits, initial parameters, shuffling and dropout.
        overwrite: whether to replace an existing run.
        resume: whether to go on with an unfinished run.
        devices: how many to train on; None: all.
        checkpoint_seconds: least time between two checkpoints.
        progress: whether to show a progress bar.
        say: gets the lines to print.

    Raises:
        ValueError: if the table, the settings or the folder cannot be used.

    Example:
        >>> import tempfile
        >>> from naejax.data import load_dataset
        >>> out = Path(tempfile.mkdtemp()) / "wine"
        >>> train_run(load_dataset("wine"), Settings(epochs=1), out,
        ...           progress=False, say=lambda line: None)
        >>> (out / "model.safetensors").is_file()
        True
    """
    table = as_run_table(dataset, seed)
    schema = table.schema
    source: dict[str, Any] = {"data": dataset.name, "target": schema.target.name}
    source |= {"task": dataset.task, "categories": list(dataset.categories)}
    source |= {"drop": list(dataset.drop), "model": "nae"}
    how = {"overwrite": overwrite, "devices": devices, "seconds": checkpoint_seconds}
    asked = config(settings, seed, **source, how=how)
    with (
        unfinished(out, asked, overwrite=overwrite, resume=resume) as kept,
        run_folder(
            out, marker=MODEL_FILE, overwrite=overwrite, within=kept.parent
        ) as folder,
    ):
        what, cautions = table.lines()
        say(f"{dataset.name}: {what}\n{describe(schema)}")
        for line in cautions:
            say(line)
        table.split()
        sizes = table.sizes
        settings = settings.for_rows(sizes["training"])
        start = time.perf_counter()
        fitted, result = table.fit(
            settings,
            devices=devices,
            checkpoints=Checkpoints(kept / "nae", checkpoint_seconds),
            seed=seed,
            progress=progress,
        )
        if jax.process_index() > 0:
            return  # The first process writes the folder.
        seconds = time.perf_counter() - start
        scores = table.scores(fitted)
        metrics = {
            "rows": sizes,
            **scores,
            "best_epoch": result.best_epoch,
            "epochs": len(result.history),
            "stopped": result.stopped,
            "training_seconds": round(seconds, 2),
        }
        say(_score_table(schema, scores))
        say(training_line(result, seconds, f"{sizes['training']:,} rows"))
        # No seconds: the same command gives the same file, bit for bit.
        summary = {"seed": seed, **metrics}
        del summary["training_seconds"]
        artifact.save(folder / MODEL_FILE, fitted, summary)
        write_file(folder / "metrics.json", json_text(metrics))
        write_file(folder / "history.csv", history_text(result.history))
        write_file(folder / "config.json", json_text(config(settings, seed, **source)))
        names = [MODEL_FILE, "metrics.json", "history.csv", "config.json"]
        if find_spec("matplotlib"):
            write_file(
                folder / "shapes.png",
                draw_shapes(fitted, table.shown, Path(dataset.name).name),
            )
            names.append("shapes.png")
        else:
            say("no shapes.png: it needs matplotlib (pip install 'naejax[plot]')")
    say(f"{out}: {', '.join(names)}")


def draw_shapes(fitted: TabularNAE, columns: Columns, title: str) -> bytes:
    """Draws every feature's shape over rows of a table, most important first.

    Args:
        fitted: a fitted model.
        columns: rows; of more than 50,000 (an ensemble: that many by its size) an even
            sample is drawn.
        title: of the figure.

    Returns:
        The picture as PNG.

    Example:
        >>> import numpy as np
        >>> from naejax.data import infer_schema
        >>> from naejax.tabular import fit_table
        >>> columns = {"x": np.arange(64.0), "y": np.arange(64.0) ** 2}
        >>> fitted, _ = fit_table(columns, columns, infer_schema(columns, "y"),
        ...                       Settings(epochs=1, num_experts=4), progress=False)
        >>> draw_shapes(fitted, columns, "squares")[1:4]
        b'PNG'
    """
    schema = fitted.encoder.schema
    rows = len(columns[schema.features[0].name])
    members = getattr(fitted.model, "size", 1)
    step = -(-rows * members // _PICTURE_ROWS)
    sample = {name: column[::step] for name, column in columns.items()}
    shapes = compute_shapes(explain_rows(fitted, sample), sample, schema, members)
    figure = plot_shapes(
        shapes, target=schema.target.name, classes=schema.target.classes, title=title
    )
    return png(figure)


def _score_table(schema: Schema, scores: dict[str, Any]) -> str:
    """Scores beside the baselines, as an aligned plain-text table."""
    rows: list[tuple[str, Scores]] = [
        ("NAE, test", scores["test"]),
        ("NAE, validation", scores["validation"]),
        *((f"{name}, test", s) for name, s in scores["baselines"].items()),
    ]
    names = list(scores["test"])
    names.sort(key=lambda name: name != best_score_name(schema.target))
    lines = [f"{'':16}" + "".join(f"{name:>11}" for name in names)]
    lines += [
        f"{label:16}" + "".join(f"{score[name]:11.4g}" for name in names)
        for label, score in rows
    ]
    return "\n".join(lines)
