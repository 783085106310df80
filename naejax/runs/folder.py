"""What all run folders hold, as text and bytes to write."""

import csv
import io
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from naejax.settings import SharedSettings
from naejax.train.result import FitResult

MODEL_FILE = "model.safetensors"
_LISTED = 10


def config(settings: SharedSettings, seed: int, **asked: Any) -> dict[str, Any]:
    """All that was asked for, and the versions that ran it.

    Args:
        settings: of the run, filled in.
        seed: of the run.
        **asked: other entries, which come first.

    Returns:
        A dict of plain values.

    Example:
        >>> config(SharedSettings(epochs=3), 0, model="nae")["settings"]["epochs"]
        3
    """
    versions = {"python": platform.python_version()}
    for name in ("naejax", "jax", "flax", "optax", "numpy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # run from a source tree that is not installed
            versions[name] = "unknown"
    return {**asked, "seed": seed, "settings": asdict(settings), "versions": versions}


def history_text(history: Sequence[Mapping[str, Any]]) -> str:
    """The history of a training as the text of a CSV file, a line for each epoch.

    Args:
        history: of `naejax.train.loop.FitResult`.

    Returns:
        The text.

    Example:
        >>> history_text([{"epoch": 1, "loss": 0.5}])
        'epoch,loss\\n1,0.5\\n'
    """
    names = list(history[0]) if history else ["epoch"]
    return csv_text({name: [row[name] for row in history] for name in names})


def training_line(result: FitResult, seconds: float, examples: str) -> str:
    """How training went, in one line.

    Args:
        result: of `naejax.fit`.
        seconds: how long it took.
        examples: on what, in words.

    Returns:
        The line.

    Example:
        >>> training_line(FitResult(None, [{}], 1, "finished"), 2.5, "84 rows")
        'trained on 84 rows for 1 epochs in 2.5 s, with compilation; kept epoch 1'
    """
    ended = {
        "finished": "",
        "early": ", stopped early",
        "interrupted": ", stopped by Ctrl-C",
    }[result.stopped]
    return (
        f"trained on {examples} for {len(result.history)} epochs in {seconds:.1f} s, "
        f"with compilation{ended}; kept epoch {result.best_epoch}"
    )


def json_text(value: Mapping[str, Any]) -> str:
    """A dict as the text of a JSON file.

    Args:
        value: plain values.

    Returns:
        The text.

    Example:
        >>> json_text({"a": 1})
        '{\\n  "a": 1\\n}\\n'
    """
    return json.dumps(value, indent=2) + "\n"


def csv_text(columns: Mapping[str, Any], *, header: bool = True) -> str:
    """Columns as the text of a CSV file; missing cells are empty, and no zero is -0.

    Args:
        columns: sequences of one length by name.
        header: whether to write the names.

    Returns:
        The text.

    Example:
        >>> csv_text({"a": [1, 2], "b": ["x", None]})
        'a,b\\n1,x\\n2,\\n'
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    if header:
        writer.writerow(columns)
    cells = [
        column + column.dtype.type(0)
        if isinstance(column, np.ndarray) and column.dtype.kind == "f"
        else column
        for column in columns.values()
    ]
    writer.writerows(zip(*cells, strict=True))
    return buffer.getvalue()
