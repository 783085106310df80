"""Predictions of a trained run, as a CSV file."""

import json
from pathlib import Path

import numpy as np

from naejax import artifact
from naejax.data.image_file import read_arrays
from naejax.data.image_sets import available_images, load_images
from naejax.data.images import as_images
from naejax.data.rows import read_rows
from naejax.files import write_file
from naejax.runs.folder import MODEL_FILE, csv_text
from naejax.tabular import TabularNAE, predict_table
from naejax.vision import ImageSOP, predict_images


def predict_run(run: str | Path, data: str | Path, out: str | Path) -> int:
    """Predicts the rows or images of a file with a trained run, into a CSV file.

    Args:
        run: a run folder.
        data: for a run on a table a CSV file with its columns (the target's is not
            needed, others are ignored). For a run on images an .npz file with the
            array ``x``, or a source of `naejax.data.load_images`, whose test images
            are predicted.
        out: the file to write, see `naejax.tabular.predict_table` and
            `naejax.vision.predict_images`.

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
    run = Path(run)
    if not run.is_dir():
        raise ValueError(f"{run} is not a folder, expected one that naejax train made")
    fitted = artifact.load(run / MODEL_FILE)
    if isinstance(fitted, TabularNAE):
        table = _predict_rows(fitted, str(data))
    elif isinstance(fitted, ImageSOP):
        table = predict_images(fitted, _read_pixels(run, str(data)))
    else:
        raise ValueError(
            f"{run / MODEL_FILE} is a backbone alone, expected a model that explains "
            "itself; train one with naejax train --model sop --backbone"
        )
    write_file(out, csv_text(table))
    return len(next(iter(table.values())))


def _predict_rows(fitted: TabularNAE, data: str) -> dict[str, np.ndarray]:
    """Predictions of the rows of a CSV file."""
    if data.endswith(".npz") or data in available_images():
        raise ValueError(
            f"the run is on a table, {data} holds images; give a .csv file"
        )
    return predict_table(fitted, read_rows(fitted.encoder, data))


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
