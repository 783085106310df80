"""Runs: a folder that holds a trained model, its scores, its history and a picture."""

import csv
import io
import json
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from naejax import artifact
from naejax.data.cells import Columns
from naejax.data.columns import read_columns
from naejax.data.datasets import Dataset
from naejax.data.schema import Schema, describe, infer_schema
from naejax.data.split import split_rows
from naejax.evaluation import Scores, baseline_scores, best_score_name
from naejax.explain import compute_shapes, plot_shapes
from naejax.files import new_folder, write_file
from naejax.settings import Settings
from naejax.tabular import (
    TabularNAE,
    evaluate_table,
    explain_rows,
    fit_table,
    predict_table,
    raw_target,
)
from naejax.train.loop import FitResult

MODEL_FILE = "model.safetensors"
_PICTURE_ROWS = 50_000


def train_run(
    dataset: Dataset,
    settings: Settings,
    out: str | Path,
    *,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Trains on a data set and leaves a run folder.

    The folder appears when everything in it is written: ``model.safetensors``,
    ``metrics.json``, ``history.csv``, ``config.json`` and ``shapes.png``.

    Args:
        dataset: the table, its target and task.
        settings: how to build and train the model.
        out: the run folder.
        seed: seed of splits, initial parameters, shuffling and dropout.
        overwrite: whether to replace an existing run.
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
    schema = infer_schema(dataset.columns, dataset.target, task=dataset.task)
    with new_folder(out, marker=MODEL_FILE, overwrite=overwrite) as folder:
        say(f"{dataset.name}: {dataset.description}\n{describe(schema)}")
        training, validation, test = split_rows(dataset.columns, schema, seed)
        sizes = {
            name: len(part[schema.target.name])
            for name, part in zip(
                ("training", "validation", "test"),
                (training, validation, test),
                strict=True,
            )
        }
        settings = settings.for_rows(
            sizes["training"], len(schema.features), schema.target.kind
        )
        start = time.perf_counter()
        fitted, result = fit_table(
            training, validation, schema, settings, seed=seed, progress=progress
        )
        seconds = time.perf_counter() - start
        scores = {
            "validation": evaluate_table(fitted, validation),
            "test": evaluate_table(fitted, test),
            "baselines": baseline_scores(
                schema,
                training,
                raw_target(fitted.encoder, training),
                test,
                raw_target(fitted.encoder, test),
            ),
        }
        metrics = {
            "rows": sizes,
            **scores,
            "best_epoch": result.best_epoch,
            "epochs": len(result.history),
            "stopped": result.stopped,
            "training_seconds": round(seconds, 2),
        }
        say(_score_table(schema, scores))
        say(_training_line(result, sizes, seconds))
        artifact.save(folder / MODEL_FILE, fitted)
        write_file(folder / "metrics.json", _json(metrics))
        write_file(folder / "history.csv", _csv_text(_history_columns(result)))
        write_file(folder / "config.json", _json(_config(dataset, settings, seed)))
        names = [MODEL_FILE, "metrics.json", "history.csv", "config.json"]
        if find_spec("matplotlib"):
            write_file(
                folder / "shapes.png",
                draw_shapes(fitted, training, Path(dataset.name).name),
            )
            names.append("shapes.png")
        else:
            say("no shapes.png: it needs matplotlib (pip install 'naejax[plot]')")
    say(f"{out}: {', '.join(names)}")


def predict_run(run: str | Path, data: str | Path, out: str | Path) -> int:
    """Predicts the rows of a CSV file with a trained run, into another CSV file.

    Args:
        run: a run folder.
        data: rows; the target's column is not needed and other columns are ignored.
        out: the file to write, see `naejax.tabular.predict_table`.

    Returns:
        The number of rows.

    Raises:
        ValueError: if the run or the rows cannot be used.

    Example:
        >>> import tempfile
        >>> from naejax.data import load_dataset
        >>> folder = Path(tempfile.mkdtemp())
        >>> train_run(load_dataset("wine"), Settings(epochs=1), folder / "run",
        ...           progress=False, say=lambda line: None)
        >>> wine = load_dataset("wine").columns
        >>> write_file(folder / "rows.csv", _csv_text(wine))
        >>> predict_run(folder / "run", folder / "rows.csv", folder / "out.csv")
        178
    """
    if not Path(run).is_dir():
        raise ValueError(f"{run} is not a folder, expected one that naejax train made")
    fitted = artifact.load(Path(run) / MODEL_FILE)
    features = fitted.encoder.schema.features
    text = [feature.name for feature in features if feature.kind == "categorical"]
    table = predict_table(fitted, read_columns(data, text=text))
    write_file(out, _csv_text(table))
    return len(table["prediction"])


def draw_shapes(fitted: TabularNAE, columns: Columns, title: str) -> bytes:
    """Draws every feature's shape over rows of a table, most important first.

    Args:
        fitted: a fitted model.
        columns: rows; of more than 50,000 an even sample is drawn.
        title: of the figure.

    Returns:
        The picture as PNG.

    Example:
        >>> import numpy as np
        >>> from naejax.tabular import fit_table
        >>> columns = {"x": np.arange(64.0), "y": np.arange(64.0) ** 2}
        >>> fitted, _ = fit_table(columns, columns, infer_schema(columns, "y"),
        ...                       Settings(epochs=1, num_experts=4), progress=False)
        >>> draw_shapes(fitted, columns, "squares")[1:4]
        b'PNG'
    """
    schema = fitted.encoder.schema
    rows = len(columns[schema.features[0].name])
    step = -(-rows // _PICTURE_ROWS)
    sample = {name: column[::step] for name, column in columns.items()}
    shapes = compute_shapes(explain_rows(fitted, sample), sample, schema)
    figure = plot_shapes(
        shapes, target=schema.target.name, classes=schema.target.classes, title=title
    )
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Names in scripts that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


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


def _training_line(result: FitResult, sizes: dict[str, int], seconds: float) -> str:
    """How training went, in one line."""
    ended = {
        "finished": "",
        "early": ", stopped early",
        "interrupted": ", stopped by Ctrl-C",
    }[result.stopped]
    return (
        f"trained on {sizes['training']} rows for {len(result.history)} epochs in "
        f"{seconds:.1f} s{ended}; kept epoch {result.best_epoch}"
    )


def _history_columns(result: FitResult) -> dict[str, list]:
    """The history as columns."""
    names = list(result.history[0]) if result.history else ["epoch"]
    return {name: [row[name] for row in result.history] for name in names}


def _config(dataset: Dataset, settings: Settings, seed: int) -> dict[str, Any]:
    """All that was asked for, and the versions that ran it."""
    versions = {"python": platform.python_version()}
    for name in ("naejax", "jax", "flax", "optax", "numpy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # run from a source tree that is not installed
            versions[name] = "unknown"
    return {
        "data": dataset.name,
        "target": dataset.target,
        "task": dataset.task,
        "model": "nae",
        "seed": seed,
        "settings": asdict(settings),
        "versions": versions,
    }


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"


def _csv_text(columns: dict[str, Any]) -> str:
    """Columns as the text of a CSV file; missing cells are empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return buffer.getvalue()
