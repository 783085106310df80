"""Predictions of a trained run, as a CSV file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from naejax.data.cells import unknown_name
from naejax.data.columns import read_columns
from naejax.data.csvfile import read_texts
from naejax.data.image_file import read_arrays
from naejax.data.image_sets import available_images, load_images
from naejax.data.images import as_images
from naejax.data.parquet_files import is_parquet, read_raw
from naejax.data.rows import read_rows
from naejax.files import check_new_file, write_file
from naejax.runs.folder import csv_text
from naejax.runs.load import load_run
from naejax.tabular import TabularNAE, predict_table
from naejax.vision import predict_images


def predict_run(
    run: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    keep: Sequence[str] = (),
    overwrite: bool = False,
) -> int:
    """Predicts the rows or images of a file with a trained run, into a CSV file.

    Args:
        run: a run folder.
        data: for a run on a table a CSV or Parquet file with its columns (that of the
            target is not needed, others are ignored). For a run on images an .npz file
            with the array ``x``, or a source of `naejax.data.load_images`, whose test
            images are predicted.
        out: the file to write, see `naejax.tabular.predict_table` and
            `naejax.vision.predict_images`.
        keep: columns of the file to copy as they are, in front of the others.
        overwrite: whether to replace an existing file.

    Returns:
        The number of rows.

    Raises:
        ValueError: if the run or the data cannot be used.

    Example:
        >>> import tempfile
        >>> from naejax.data import load_dataset
        >>> from naejax.runs import train_run
        >>> from naejax.settings import Settings
        >>> folder = Path(tempfile.mkdtemp())
        >>> train_run(load_dataset("wine"), Settings(epochs=1), folder / "run",
        ...           progress=False, say=lambda line: None)
        >>> wine = load_dataset("wine").columns
        >>> write_file(folder / "rows.csv", csv_text(wine))
        >>> predict_run(folder / "run", folder / "rows.csv", folder / "out.csv")
        178
    """
    check_new_file(out, overwrite=overwrite)
    fitted = load_run(run)
    if isinstance(fitted, TabularNAE):
        table = _predict_rows(fitted, str(data), keep)
    elif keep:
        raise ValueError(
            "--keep is for runs on tables; leave it out, images keep order"
        )
    else:
        table = predict_images(fitted, _read_pixels(Path(run), str(data)))
    write_file(out, csv_text(table))
    return len(next(iter(table.values())))


def _predict_rows(fitted: TabularNAE, data: str, keep: Sequence[str]) -> dict[str, Any]:
    """Predictions of the rows of a CSV file, after the columns to keep."""
    if data.endswith(".npz") or data in available_images():
        raise ValueError(
            f"the run is on a table, {data} holds images; give a .csv file"
        )
    kept = _read_kept(Path(data), keep) if keep else {}
    rows = read_rows(fitted.encoder, data, target=False)
    table = predict_table(fitted, rows)
    for name in kept:
        if name in table:
            raise ValueError(
                f"column {name!r} to keep has the name of a column of predictions; "
                f"rename it in {data}"
            )
    return {**kept, **table}


def _read_kept(path: Path, keep: Sequence[str]) -> dict[str, Any]:
    """Columns as they are written in a file, or as a folder of TFDS holds them."""
    if is_parquet(path):
        return dict(read_raw(path, keep))
    if not path.is_dir():
        return dict(read_texts(path, keep))
    columns = read_columns(path)
    for name in keep:
        if name not in columns:
            raise ValueError(unknown_name(f"no column {name!r}", name, columns))
    return {name: columns[name] for name in keep}


def _read_pixels(run: Path, data: str) -> np.ndarray:
    """Images to predict: all of an .npz file, or the test images of a data set."""
    if not data.endswith(".npz"):
        # The run's own seed: its test images are those that it was not trained on.
        config = json.loads((run / "config.json").read_text())
        return load_images(data, seed=int(config.get("seed", 0))).test.x
    arrays = read_arrays(Path(data))
    if "x" not in arrays:
        raise ValueError(
            f"{data} holds {', '.join(arrays) or 'no arrays'}, expected the array x; "
            "add it with numpy.savez"
        )
    return as_images(arrays["x"], np.zeros(arrays["x"].shape[:1], np.int32)).x
