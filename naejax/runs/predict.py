"""Predictions of a trained run, as a CSV file."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from naejax.data.arrow_cells import as_table_column
from naejax.data.cells import unknown_name
from naejax.data.columns import read_columns
from naejax.data.csvfile import read_texts
from naejax.data.image_file import read_arrays
from naejax.data.image_sets import available_images, load_images
from naejax.data.images import as_images
from naejax.data.parquet_files import ParquetTable, is_parquet, open_parquet
from naejax.data.rows import read_rows
from naejax.files import check_new_file, write_file, write_pieces
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
        data: for a run on a table a CSV or Parquet file with its columns (the target's
            is not needed, others are ignored). For a run on images an .npz file with
            the array ``x``, or a source of `naejax.data.load_images`, whose test images
            are predicted.
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
    if isinstance(fitted, TabularNAE) and is_parquet(data):
        count = 0

        def pieces() -> Iterator[str]:
            nonlocal count
            for part in _predict_parquet(fitted, open_parquet(data), keep):
                yield csv_text(part, header=not count)
                count += len(part["prediction"])

        write_pieces(out, pieces())
        return count
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
    return _beside(kept, predict_table(fitted, rows), data)


def _predict_parquet(
    fitted: TabularNAE, table: ParquetTable, keep: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Predictions of the rows of Parquet files, some at a time."""
    for name in keep:
        if name not in table.kinds:
            raise ValueError(unknown_name(f"no column {name!r}", name, table.kinds))
    features = fitted.encoder.schema.features
    for feature in features:
        if feature.name not in table.kinds:
            what = f"the table lacks the column {feature.name!r}"
            raise ValueError(unknown_name(what, feature.name, table.kinds))
    text = [feature.name for feature in features if feature.kind == "categorical"]
    names = list(dict.fromkeys([*(feature.name for feature in features), *keep]))
    for first, cells in table.raw_batches(names):
        rows = {
            feature.name: as_table_column(
                feature.name,
                cells[feature.name],
                text=feature.name in text,
                first=first,
            )
            for feature in features
        }
        kept = {name: cells[name].to_pylist() for name in keep}
        yield _beside(kept, predict_table(fitted, rows), str(table.path))


def _beside(kept: dict[str, Any], table: dict[str, Any], source: str) -> dict[str, Any]:
    """Columns to keep in front of predictions."""
    for name in kept:
        if name in table:
            raise ValueError(
                f"column {name!r} to keep has the name of a column of predictions; "
                f"rename it in {source}"
            )
    return {**kept, **table}


def _read_kept(path: Path, keep: Sequence[str]) -> dict[str, Any]:
    """Columns as they are written in a file, or as a folder of TFDS holds them."""
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
