"""Folders of TFDS written and read without TensorFlow: metadata and array_record files.

A record is a ``tf.train.Example``. Joined messages are one message that holds all their
fields, so that a row is the bytes of its cells one after the other: every cell is
encoded on its own, equal ones once, and the same table always gives the same bytes.
"""

import contextlib
import io
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from naejax.files import new_folder

Cells = np.ndarray | Sequence[Any]
"""A column as it is stored: an array of numbers (float64 for a feature encoded as
bytes), or one text, list of texts or array of whole numbers for each row."""

MARKER = "dataset_info.json"
SHARD_ROWS = 2**18
_CHUNK_ROWS = 4096


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides what TFDS prints and logs about packages that are not needed.

    Example:
        >>> with quiet():
        ...     print("a banner")
    """
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def check_place(folder: str | Path, name: str, version: str) -> Path:
    """Where a data set goes, before the work begins.

    Args:
        folder: of all data sets, what TFDS calls ``data_dir``.
        name: of the data set.
        version: three numbers.

    Returns:
        The folder of this version, which holds nothing yet.

    Raises:
        ValueError: if the name or the version is none for TFDS, or the place is taken.

    Example:
        >>> check_place("kept", "my homes", "1.0.0")
        Traceback (most recent call last):
        ValueError: got the name 'my homes', expected small letters, digits and ...
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        hint = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")
        raise ValueError(
            f"got the name {name!r}, expected small letters, digits and underscores, "
            f"a letter first; pass name={hint or 'my_table'!r}"
        )
    if not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", version):
        raise ValueError(
            f"got the version {version!r}, expected three numbers such as '1.0.0'"
        )
    place = Path(folder) / name / version
    if place.exists() and not (place.is_dir() and not any(place.iterdir())):
        raise ValueError(
            f"{place} exists and is never overwritten; remove it, or choose another "
            "folder, name or version"
        )
    return place


def write_folder(
    place: Path,
    features: Mapping[str, Any],
    cells: Mapping[str, Cells],
    splits: Mapping[str, np.ndarray],
    *,
    metadata: Mapping[str, Any],
    **info: Any,
) -> None:
    """Writes a folder that `tfds.builder_from_directory` reads anywhere.

    It appears under its name when all of it is on the disk, or not at all.

    Args:
        place: as `check_place` gives it: NAME/VERSION at its end.
        features: of TFDS, by name.
        cells: by the same names, N each.
        splits: numbers of the rows of every split, in their order.
        metadata: for ``metadata.json``.
        info: for `tfds.core.DatasetInfo`.

    Raises:
        ValueError: if the place cannot be written.

    Example:
        >>> import tempfile
        >>> import tensorflow_datasets as tfds
        >>> place = check_place(tempfile.mkdtemp(), "few", "1.0.0")
        >>> write_folder(place, {"x": tfds.features.Scalar(np.int64)},
        ...              {"x": np.array([3, 4])}, {"train": np.array([1])}, metadata={})
        >>> tfds.builder_from_directory(place).as_data_source("train")[0]
        {'x': 4}
    """
    with new_folder(place, marker=MARKER) as folder, quiet():
        import tensorflow_datasets as tfds

        infos = []
        for split, rows in splits.items():
            start = f"{folder}/{place.parent.name}-{split}.array_record"
            parts = np.array_split(rows, max(1, -(-len(rows) // SHARD_ROWS)))
            paths = [f"{start}-{i:05d}-of-{len(parts):05d}" for i in range(len(parts))]
            size = sum(
                _write_shard(path, cells, part)
                for path, part in zip(paths, parts, strict=True)
            )
            lengths = [len(part) for part in parts]
            infos.append(tfds.core.SplitInfo(split, lengths, size))
        tfds.folder_dataset.write_metadata(
            data_dir=folder,
            features=dict(features),
            split_infos=infos,
            version=place.name,
            metadata=tfds.core.MetadataDict(metadata),
            disable_shuffling=True,
            check_data=False,
            **info,
        )
        for file in folder.iterdir():
            _sync(file)


def open_folder(folder: str | Path) -> Any:
    """Opens a folder that TFDS or `write_folder` prepared.

    Args:
        folder: of one version.

    Returns:
        A builder of TFDS.

    Raises:
        ValueError: if it is no such folder, or not in array_record files.

    Example:
        >>> open_folder("nowhere")
        Traceback (most recent call last):
        ValueError: no dataset_info.json in nowhere, expected a folder ...
    """
    if not (Path(folder) / MARKER).is_file():
        raise ValueError(
            f"no {MARKER} in {folder}, expected a folder that TFDS prepared; name the "
            "folder of one version, such as my_table/1.0.0"
        )
    with quiet():
        import tensorflow_datasets as tfds

        try:
            builder = tfds.builder_from_directory(Path(folder))
        except Exception as error:  # TFDS wraps what protobuf and json raise.
            raise ValueError(
                f"cannot read {folder} ({type(error).__name__}), expected a folder "
                "that TFDS prepared; prepare it again"
            ) from error
        found = builder.info.file_format
    if found is None or found.value != "array_record":
        raise ValueError(
            f"{folder} holds {found and found.value} files, expected array_record; "
            "prepare it again with file_format='array_record'"
        )
    return builder


def how_to_prepare(
    name: str, builder: str, place: str | Path, data_dir: str | None
) -> str:
    """What to do about a data set of TFDS that is not there.

    Args:
        name: what the user calls it.
        builder: what TFDS calls it.
        place: where it should be.
        data_dir: where TFDS keeps its data; None if the user did not say.

    Returns:
        One line.

    Example:
        >>> print(how_to_prepare("mnist", "mnist", "kept/mnist/3.0.1", "kept"))
        mnist is not prepared as array_record in kept/mnist/3.0.1: prepare it once, ...
    """
    where = f", data_dir={data_dir!r}" if data_dir else ""
    return (
        f"{name} is not prepared as array_record in {place}: prepare it once, with "
        "TensorFlow (pip install 'naejax[tf]'), by python -c \"import "
        f"tensorflow_datasets as tfds; tfds.builder({builder!r}{where}, "
        "file_format='array_record').download_and_prepare()\", or name the folder that "
        "has it by data_dir or TFDS_DATA_DIR"
    )


def read_cells(
    builder: Any, split: str, scalars: Sequence[str], lists: Sequence[str] = ()
) -> dict[str, list[Any]]:
    """Reads features of all rows of a split as they are stored.

    Args:
        builder: from `open_folder`.
        split: its name.
        scalars: names of features that hold one number or text in every row.
        lists: names of features that hold any number of them.

    Returns:
        Name -> what every row holds: a number, bytes, or a list of them.

    Raises:
        ValueError: if the files are damaged or not those that the folder describes.

    Example:
        >>> import tempfile
        >>> import tensorflow_datasets as tfds
        >>> place = check_place(tempfile.mkdtemp(), "few", "1.0.0")
        >>> write_folder(place, {"x": tfds.features.Text()}, {"x": ["a", "b"]},
        ...              {"train": np.arange(2)}, metadata={})
        >>> read_cells(open_folder(place), "train", ["x"])
        {'x': [b'a', b'b']}
    """
    cells: dict[str, list[Any]] = {name: [] for name in (*scalars, *lists)}
    try:
        for feature in _records(builder, split):
            for name in scalars:
                cells[name].append(_values(feature[name])[0])
            for name in lists:
                cells[name].append(list(_values(feature[name])))
    except Exception as error:  # protobuf and array_record have errors of their own.
        raise ValueError(
            f"the split {split} in {builder.data_dir} cannot be read "
            f"({type(error).__name__}), its files are missing or damaged; prepare it "
            "again"
        ) from error
    return cells


def _records(builder: Any, split: str) -> Iterator[Any]:
    """The features of every row."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.proto import tf_example_pb2

    raw = tfds.decode.DeserializeMethod.RAW_BYTES
    source = builder.as_data_source(split, deserialize_method=raw)
    count = builder.info.splits[split].num_examples
    for start in range(0, count, _CHUNK_ROWS):
        rows = range(start, min(start + _CHUNK_ROWS, count))
        for record in source.__getitems__(list(rows)):
            yield tf_example_pb2.Example.FromString(record).features.feature


def _values(feature: Any) -> Sequence[Any]:
    """What a feature of one row holds, of whatever kind."""
    return (
        feature.bytes_list.value or feature.int64_list.value or feature.float_list.value
    )


def _write_shard(path: str, cells: Mapping[str, Cells], rows: np.ndarray) -> int:
    """Writes rows to one file; returns the bytes of their records."""
    from array_record.python.array_record_module import ArrayRecordWriter

    size = 0
    writer = ArrayRecordWriter(path, "group_size:1")
    try:
        for start in range(0, len(rows), _CHUNK_ROWS):
            chunk = rows[start : start + _CHUNK_ROWS]
            columns = [_encode(name, _take(v, chunk)) for name, v in cells.items()]
            for row in zip(*columns, strict=True):
                record = b"".join(row)
                size += len(record)
                writer.write(record)
    finally:
        writer.close()
    return size


def _take(values: Cells, rows: np.ndarray) -> Cells:
    """Some rows of a column."""
    return values[rows] if isinstance(values, np.ndarray) else [values[i] for i in rows]


def _encode(name: str, values: Cells) -> list[bytes]:
    """Every cell of a column as an Example that holds nothing else."""
    if not isinstance(values, np.ndarray):
        return [_example(name, value) for value in values]
    if values.dtype == object:
        known = {value: _example(name, value) for value in set(values)}
        return [known[value] for value in values]
    if values.dtype == np.float64:
        # All cells differ in their last eight bytes alone.
        start = _example(name, bytes(8))[:-8]
        content = values.astype("<f8").tobytes()
        return [start + content[i : i + 8] for i in range(0, len(content), 8)]
    unique, inverse = np.unique(values, return_inverse=True)
    encoded = [_example(name, int(value)) for value in unique]
    return [encoded[i] for i in inverse]


def _example(name: str, value: Any) -> bytes:
    """One cell: whole numbers, text, bytes, or a list of texts."""
    from tensorflow_datasets.proto import tf_example_pb2, tf_feature_pb2

    if isinstance(value, str | bytes | list):
        values = value if isinstance(value, list) else [value]
        contents = [v.encode() if isinstance(v, str) else v for v in values]
        texts = tf_feature_pb2.BytesList(value=contents)
        feature = tf_feature_pb2.Feature(bytes_list=texts)
    else:
        numbers = tf_feature_pb2.Int64List(value=np.atleast_1d(value).ravel().tolist())
        feature = tf_feature_pb2.Feature(int64_list=numbers)
    features = tf_feature_pb2.Features(feature={name: feature})
    return tf_example_pb2.Example(features=features).SerializeToString()


def _sync(file: Path) -> None:
    """Makes a file survive a crash."""
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
