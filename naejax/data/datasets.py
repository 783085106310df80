"""Data sets by name: scikit-learn's own, fetched ones, and any file."""

import http.client
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from naejax.data.cells import Columns, unknown_name
from naejax.data.chosen import check_chosen
from naejax.data.columns import read_columns
from naejax.data.csvfile import read_csv, read_header
from naejax.data.parquet_files import is_parquet, open_parquet
from naejax.data.schema import Task
from naejax.data.tfds_records import MARKER
from naejax.data.tfds_tables import PreparedTable, read_table


@dataclass(frozen=True, eq=False)
class Dataset:
    """A table with a target.

    Attributes:
        name: of the data set, or the path of the file.
        columns: the table, target included.
        target: name of the column to predict.
        task: what `infer_schema` needs to know about the target.
        description: one line.
        categories: columns of numbers that were read as text.
        parts: rows to train, to validate and to test on, in this order, where the
            source has fixed them (see `split_rows`); else empty.
        drop: columns of the source that were left out.
    """

    name: str
    columns: Columns
    target: str
    task: Task
    description: str
    categories: tuple[str, ...] = ()
    parts: tuple[int, ...] = ()
    drop: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetInfo:
    """An entry of the registry.

    Attributes:
        name: to pass to `load_dataset`.
        rows: number of rows.
        features: number of features.
        target: name of the column to predict.
        task: "regression" or "classification".
        network: whether the first use downloads it.
        description: one line.
        load: reads the columns.
    """

    name: str
    rows: int
    features: int
    target: str
    task: Task
    network: bool
    description: str
    load: Callable[[], Columns] = field(repr=False)


def available() -> dict[str, DatasetInfo]:
    """The data sets that `load_dataset` knows by name.

    Returns:
        Name -> entry, those that need no network first.

    Example:
        >>> available()["wine"].rows
        178
    """
    return dict(_REGISTRY)


def load_dataset(
    source: str,
    target: str | None = None,
    task: Task = "auto",
    categories: Sequence[str] = (),
    drop: Sequence[str] = (),
) -> Dataset:
    """Loads a data set by name, or a CSV or Parquet file or a folder by path.

    A registered name wins over a file of the same name; write ``./name`` for the file.

    Args:
        source: a name listed by `available`, or the path of a CSV or Parquet file, of a
            folder of Parquet files, or of one of TFDS such as homes/1.0.0 (see
            `naejax.data.prepare_table`).
        target: column to predict; needed for a file, optional for a name or a folder.
        task: "auto" is what the registry or folder says, or what `infer_schema` finds.
        categories: columns whose numbers are names of groups (codes, postal codes).
        drop: columns to leave out, such as identifiers.

    Returns:
        The data set.

    Raises:
        ValueError: the name, file or target is unknown, or the network out of reach.

    Example:
        >>> wine = load_dataset("wine")
        >>> wine.target, len(wine.columns), wine.columns["cultivar"][0]
        ('cultivar', 14, 'class_0')
    """
    info, path = _REGISTRY.get(source), Path(source)
    parts: tuple[int, ...] = ()
    if info is None and is_parquet(path):
        opened = open_parquet(path)
        target = check_chosen(opened.kinds, target, categories, drop, source=source)
        names = [name for name in opened.kinds if name not in drop]
        columns = opened.read(names, text=categories)
        description = f"Parquet {'files in' if path.is_dir() else 'file'} {path.name}"
    elif info is None and not path.is_dir():
        if not (path.suffix or path.name != source or path.exists()):
            message = unknown_name(f"no data set {source!r}", source, _REGISTRY)
            raise ValueError(f"{message}, or give the path of a .csv or .parquet file")
        # Names first: a slip in one of them must not hide behind faults of cells.
        names = read_header(path)
        target = check_chosen(names, target, categories, drop, source=source)
        columns = read_csv(path, text=categories, drop=drop, complete=target)
        description = f"CSV file {path.name}"
    else:
        if info is None:
            table = _read_folder(path)
            columns, own, its_task = table.columns, table.target, table.task
            description, parts = table.description, table.parts
        else:
            columns, own, its_task = info.load(), info.target, info.task
            description = info.description
        if target in (None, own) and task == "auto":
            task = its_task
        target = target or own
        target = check_chosen(columns, target, categories, drop, source=source)
        columns = read_columns(columns, text=categories, drop=drop)
    return Dataset(
        source,
        columns,
        target,
        task,
        description,
        tuple(categories),
        parts,
        tuple(drop),
    )


def _read_folder(folder: Path) -> PreparedTable:
    """The table of a folder, or what else somebody could have meant."""
    if not (folder / MARKER).is_file():
        raise ValueError(
            f"{folder} is a folder without {MARKER}, expected a CSV file, "
            "a folder of .parquet files, or one that TensorFlow Datasets prepared, of "
            "one version, such as homes/1.0.0"
        )
    return read_table(folder)


def _table(bunch: Any, target: str, labels: np.ndarray) -> Columns:
    """Features of a scikit-learn Bunch, and the labels as the last column."""
    features = zip(bunch.feature_names, np.asarray(bunch.data).T, strict=True)
    return read_columns({**dict(features), target: labels})


def _diabetes() -> Columns:
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes(scaled=False)
    columns = _table(bunch, "progression", bunch.target)
    # The codes 1 and 2 are not documented, but they are two groups, not a quantity.
    return read_columns(columns, text=["sex"])


def _breast_cancer() -> Columns:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    return _table(bunch, "diagnosis", bunch.target_names[bunch.target])


def _wine() -> Columns:
    from sklearn.datasets import load_wine

    bunch = load_wine()
    return _table(bunch, "cultivar", bunch.target_names[bunch.target])


def _digits() -> Columns:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return _table(bunch, "digit", bunch.target)


def _california() -> Columns:
    from sklearn import datasets

    bunch = _fetch("california", datasets.fetch_california_housing)
    return _table(bunch, "MedHouseVal", bunch.target)


def _adult() -> Columns:
    from sklearn import datasets

    bunch = _fetch(
        "adult",
        datasets.fetch_openml,
        name="adult",
        version=2,
        as_frame=False,
        parser="liac-arff",
    )
    columns = _table(bunch, "income", bunch.target)
    # Without pandas, categories come as indices into bunch.categories.
    for name, levels in bunch.categories.items():
        texts = np.array([*levels, None], dtype=object)
        columns[name] = texts[np.nan_to_num(columns[name], nan=-1).astype(int)]
    return columns


def _covertype() -> Columns:
    from sklearn import datasets

    bunch = _fetch("covertype", datasets.fetch_covtype)
    return _table(bunch, "cover_type", bunch.target)


def _fetch(dataset: str, fetcher: Callable[..., Any], **options: Any) -> Any:
    """Calls a scikit-learn fetcher; a network failure becomes one line."""
    try:
        with warnings.catch_warnings():
            # Retries are reported as warnings; the error below says enough.
            warnings.simplefilter("ignore")
            return fetcher(n_retries=1, **options)
    except (OSError, http.client.HTTPException) as error:
        raise ValueError(
            f"data set {dataset!r} is downloaded once and then cached, but the network "
            f"failed ({type(error).__name__}): try again with a network, or give the "
            "path of a .csv file"
        ) from error


_REGISTRY = {
    entry.name: entry
    for entry in (
        DatasetInfo(
            "diabetes",
            442,
            10,
            "progression",
            "regression",
            False,
            "progression of diabetes after a year, from age, sex, body and blood",
            _diabetes,
        ),
        DatasetInfo(
            "breast-cancer",
            569,
            30,
            "diagnosis",
            "classification",
            False,
            "benign or malignant, from 30 measures of cell nuclei",
            _breast_cancer,
        ),
        DatasetInfo(
            "wine",
            178,
            13,
            "cultivar",
            "classification",
            False,
            "which of three cultivars, from 13 chemical measures",
            _wine,
        ),
        DatasetInfo(
            "digits",
            1797,
            64,
            "digit",
            "classification",
            False,
            "handwritten digits, 8 x 8 pixels as 64 columns",
            _digits,
        ),
        DatasetInfo(
            "california",
            20640,
            8,
            "MedHouseVal",
            "regression",
            True,
            "median house value (100,000 USD) of Californian blocks, census of 1990",
            _california,
        ),
        DatasetInfo(
            "adult",
            48842,
            14,
            "income",
            "classification",
            True,
            "income above 50,000 USD a year, US census of 1994",
            _adult,
        ),
        DatasetInfo(
            "covertype",
            581012,
            54,
            "cover_type",
            "classification",
            True,
            "which of 7 forest cover types, from maps of Colorado",
            _covertype,
        ),
    )
}
