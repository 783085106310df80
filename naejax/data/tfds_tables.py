"""The columns of a table as features of TFDS, and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from naejax.data.cells import MISSING_MARKERS, Columns
from naejax.data.schema import Task
from naejax.data.tfds_records import (
    Cells,
    open_folder,
    quiet,
    read_cells,
    write_folder,
)
from naejax.data.tfds_splits import SPLITS, Splits


class PreparedTable(NamedTuple):
    """A table that was read from a folder of TFDS.

    Attributes:
        columns: all rows: those of train, then of validation, then of test.
        target: name of the column to predict; None where the folder does not say it.
        task: what the target is.
        parts: rows of each of these splits; empty where there is only one.
        description: one line.
    """

    columns: Columns
    target: str | None
    task: Task
    parts: tuple[int, ...]
    description: str


def write_table(
    place: Path,
    columns: Columns,
    splits: Splits,
    *,
    target: str,
    task: Task,
    description: str,
) -> None:
    """Writes a table as a folder of TFDS.

    Whole numbers become int64, all others float64 bit by bit (NaN where missing), true
    and false bool. Text becomes Text, empty where it is missing; a target of text a
    ClassLabel, its classes sorted. The order of the columns, the target and the task
    are kept in ``metadata.json``.

    Args:
        place: see `write_folder`.
        columns: as `read_columns` returns them.
        splits: numbers of the rows of every split.
        target: name of the column to predict.
        task: what it is.
        description: of the table.

    Raises:
        ValueError: if the place cannot be written.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "two" / "1.0.0"
        >>> columns = {"x": np.array([0.1, np.nan]), "y": np.array([5.0, 6.0])}
        >>> write_table(place, columns, {"train": np.arange(2)}, target="y",
        ...             task="regression", description="two rows")
        >>> read_table(place).columns
        {'x': array([0.1, nan]), 'y': array([5., 6.])}
    """
    stored = {name: _store(name, v, name == target) for name, v in columns.items()}
    inputs = {name: name for name in columns if name != target}
    write_folder(
        place,
        {name: feature for name, (feature, _) in stored.items()},
        {name: cells for name, (_, cells) in stored.items()},
        splits,
        metadata={"columns": list(columns), "target": target, "task": task},
        supervised_keys=(inputs, target),
        description=description,
    )


def read_table(folder: str | Path) -> PreparedTable:
    """Reads a table that `write_table` or TFDS prepared, without TensorFlow.

    Args:
        folder: of one version, in array_record files. Features are single numbers,
            booleans, texts or class labels.

    Returns:
        The table. Of a folder with other splits than train, validation and test it is
        the only one.

    Raises:
        ValueError: if the folder, its splits or its features are not as above.

    Example:
        >>> read_table("nowhere")
        Traceback (most recent call last):
        ValueError: no dataset_info.json in nowhere, expected a folder ...
    """
    builder = open_folder(folder)
    with quiet():
        info = builder.info
        features, metadata = dict(info.features), dict(info.metadata or {})
        there = {name: split.num_examples for name, split in info.splits.items()}
        keys = info.supervised_keys
    # Features that were read from a file are in no order of their own.
    names = metadata.get("columns", sorted(features))
    if sorted(names) != sorted(features):
        raise ValueError(
            f"metadata.json in {folder} names other columns than features.json; "
            "prepare it again"
        )
    target = metadata.get("target", keys[1] if keys else None)
    splits = [name for name in SPLITS if there.get(name)]
    if "train" not in splits:
        if len(there) != 1:
            raise ValueError(
                f"got the splits {', '.join(there) or 'none'} in {folder}, expected "
                "train; name the split for training so"
            )
        splits = list(there)
    for name in names:
        _check_feature(name, features[name], folder)
    read = [read_cells(builder, split, names) for split in splits]
    columns = {
        name: _load(features[name], [cell for part in read for cell in part[name]])
        for name in names
    }
    parts = tuple(there.get(name, 0) for name in SPLITS) if len(splits) > 1 else ()
    return PreparedTable(
        columns,
        target if target in columns else None,
        metadata.get("task", "auto"),
        parts,
        " ".join(info.description.split()) or f"{info.name} {info.version}",
    )


def _store(name: str, column: np.ndarray, is_target: bool) -> tuple[Any, Cells]:
    """The feature of a column and its cells."""
    import tensorflow_datasets as tfds

    if column.dtype == object and is_target and _has_label_names(name, column):
        names, indices = np.unique(column, return_inverse=True)
        return tfds.features.ClassLabel(names=names.tolist()), indices
    if column.dtype == object:
        cells = np.array(["" if v is None else v for v in column], dtype=object)
        return tfds.features.Text(), cells
    if column.dtype == bool:
        return tfds.features.Scalar(np.bool_), column
    if _is_whole(column):
        return tfds.features.Scalar(np.int64), column.astype(np.int64)
    # Without an encoding, TFDS would round to single precision.
    options = {"shape": (), "dtype": np.float64, "encoding": "bytes"}
    return tfds.features.Tensor(**options), column


def _is_whole(column: np.ndarray) -> bool:
    """Whether int64 gives back every bit; NaN and -0.0 are no whole numbers."""
    whole = (np.trunc(column) == column) & (np.abs(column) <= 2.0**53)
    return bool(whole.all() and not (np.signbit(column) & (column == 0)).any())


def _has_label_names(name: str, column: np.ndarray) -> bool:
    """Whether TFDS can keep the classes: in a file NAME.labels.txt, a line for each."""
    return "/" not in name and not any({"\n", "\r"} & set(text) for text in set(column))


def _check_feature(name: str, feature: Any, folder: str | Path) -> None:
    """Refuses what is not one cell of a table."""
    if getattr(feature, "shape", None) != () or isinstance(feature, Mapping):
        kind = type(feature).__name__
        raise ValueError(
            f"feature {name!r} in {folder} is {kind} of shape "
            f"{getattr(feature, 'shape', '?')}, expected numbers, booleans, texts and "
            "class labels, one for each row; images are for --model sop"
        )


def _load(feature: Any, values: list[Any]) -> np.ndarray:
    """A column from the cells of its feature."""
    names = getattr(feature, "names", None)
    if names is not None:
        return np.array([*names, None], dtype=object)[np.array(values, dtype=int)]
    if values and isinstance(values[0], bytes):
        dtype = np.dtype(feature.np_dtype)
        if dtype.kind in "biuf":
            return np.frombuffer(b"".join(values), dtype).astype(np.float64)
        texts = (value.decode().strip() for value in values)
        return np.array(
            [None if text in MISSING_MARKERS else text for text in texts], dtype=object
        )
    is_boolean = np.dtype(feature.np_dtype).kind == "b"
    return np.array(values, dtype=bool if is_boolean else np.float64)
