"""Tables prepared for TFDS from files that a user has: any, and some by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from naejax.data.cells import Columns, unknown_name
from naejax.data.chosen import check_chosen
from naejax.data.columns import read_columns
from naejax.data.csvfile import read_csv, read_header
from naejax.data.datasets import available, load_dataset
from naejax.data.schema import Task, infer_schema
from naejax.data.tfds_records import check_place
from naejax.data.tfds_splits import (
    Sizes,
    Splits,
    check_classes,
    split_by_name,
    split_by_size,
)
from naejax.data.tfds_tables import write_table


class TableFile(NamedTuple):
    """A public table as its authors hand it out.

    Attributes:
        file: its name.
        target: column to predict.
        task: what it is.
        description: one line.
        names: of the columns, where the file has no header.
        drop: columns that number the rows or tell the target.
        categories: columns whose numbers are names of groups.
        splits: rows of each split, one after the other; empty: one split.
    """

    file: str
    target: str
    task: Task
    description: str
    names: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    splits: Mapping[str, int] = {}


_ADULT = (
    "age workclass fnlwgt education education_num marital_status occupation "
    "relationship race sex capital_gain capital_loss hours_per_week native_country "
    "income"
)
_STAY = "death in hospital of patients in intensive care, one row for each stay"

TABLE_FILES = {
    "california": TableFile(
        "california_housing.csv",
        "MedHouseVal",
        "regression",
        "median house value (100,000 USD) of Californian blocks, census of 1990",
    ),
    "bike": TableFile(
        "hour.csv",
        "cnt",
        "regression",
        "bikes rented in an hour in Washington, DC, 2011 and 2012 (UCI)",
        drop=("instant", "dteday", "casual", "registered"),
        categories=("season", "weathersit"),
    ),
    "adult": TableFile(
        "adult.data",
        "income",
        "classification",
        "income above 50,000 USD a year, US census of 1994 (UCI, training rows)",
        names=tuple(_ADULT.split()),
    ),
    # Its authors ask for this split: no artist is in both parts.
    "year": TableFile(
        "YearPredictionMSD.txt",
        "year",
        "regression",
        "year of a song from 90 measures of its timbre (UCI)",
        names=("year", *(f"timbre{i}" for i in range(90))),
        splits={"train": 463_715, "test": 51_630},
    ),
    "credit": TableFile(
        "creditcard.csv",
        "Class",
        "classification",
        "fraud with credit cards, Europe, September 2013",
    ),
    # A user's own extract: nobody may hand it out. A header, a row for each stay, no
    # identifiers; 0 or 1 in the column mortality.
    "mimic2": TableFile("mimic2.csv", "mortality", "classification", _STAY),
    "mimic3": TableFile("mimic3.csv", "mortality", "classification", _STAY),
}


def prepare_table(
    source: Any,
    target: str | None = None,
    *,
    name: str,
    folder: str | Path,
    version: str = "1.0.0",
    task: Task = "auto",
    categories: Sequence[str] = (),
    drop: Sequence[str] = (),
    splits: Sizes | None = None,
    split_column: str | None = None,
    seed: int = 0,
    description: str | None = None,
) -> Path:
    """Prepares a table for TFDS as array_record, without TensorFlow.

    ``tfds.builder_from_directory(PATH).as_data_source("train")`` reads it anywhere, and
    `load_dataset` gives back the same cells: `naejax.data.tfds_tables.write_table` says
    how they are kept. The same table always gives the same bytes.

    Args:
        source: what `load_dataset` or `read_columns` takes: the name of a data set, the
            path of a CSV file, a data frame or a mapping of columns.
        target: column to predict; optional for a data set that has a name.
        name: of the data set in TFDS.
        folder: of all data sets; the table goes to FOLDER/NAME/VERSION.
        version: three numbers.
        task: "auto", "regression" or "classification".
        categories: columns whose numbers are names of groups (codes, postal codes).
        drop: columns to leave out, such as identifiers.
        splits: sizes of train, validation and test: shares that sum to 1, of rows drawn
            by `seed`; or numbers of rows that follow each other in the table. None
            keeps all in train.
        split_column: a column that says train, validation or test for every row; it is
            not kept.
        seed: of the draw.
        description: of the table.

    Returns:
        FOLDER/NAME/VERSION.

    Raises:
        ValueError: if the table, its target or its splits cannot be used, or the place
            is taken.

    Example:
        >>> import numpy as np, tempfile
        >>> homes = {"size": np.arange(40.0), "price": np.arange(40.0) * 2}
        >>> path = prepare_table(homes, "price", name="homes",
        ...                      folder=tempfile.mkdtemp(),
        ...                      splits={"train": 0.75, "test": 0.25})
        >>> data = load_dataset(str(path))
        >>> data.target, data.parts, sorted(data.columns["size"]) == list(range(40))
        ('price', (30, 0, 10), True)
    """
    place = check_place(folder, name, version)
    is_named = isinstance(source, str) and source in available()
    is_path = isinstance(source, str | Path) and not Path(source).is_dir()
    if is_named or is_path:
        data = load_dataset(str(source), target, task, categories, drop)
        columns, target, task = data.columns, data.target, data.task
        if is_named:
            description = description or data.description
    else:
        columns = read_columns(source, text=categories)
        target = check_chosen(columns, target, categories, drop)
        columns = {name: v for name, v in columns.items() if name not in drop}
    if split_column is None:
        rows = len(next(iter(columns.values())))
        parts = split_by_size(rows, splits or {"train": rows}, seed)
    elif splits is not None:
        raise ValueError("got splits and split_column, expected one of them")
    else:
        if split_column not in columns:
            raise ValueError(
                unknown_name(f"no column {split_column!r}", split_column, columns)
            )
        parts = split_by_name(columns.pop(split_column).tolist())
    description = description or f"the table {name}"
    return _prepare(place, columns, target, task, description, parts)


def prepare_named(
    name: str, file: str | Path, *, folder: str | Path, version: str = "1.0.0"
) -> Path:
    """Prepares one of `TABLE_FILES` for TFDS, which has none of them.

    Args:
        name: a key of `TABLE_FILES`.
        file: the file that its authors hand out, or the folder that holds it. For
            ``mimic2`` and ``mimic3`` a CSV file of the user's own: a header, one row
            for each stay, numbers and categories without identifiers, and a column
            ``mortality`` of 0 and 1.
        folder: see `prepare_table`.
        version: likewise.

    Returns:
        FOLDER/NAME/VERSION.

    Raises:
        ValueError: if the name is unknown, the file is not that table, or the place is
            taken.

    Example:
        >>> prepare_named("bikes", "hour.csv", folder="kept")
        Traceback (most recent call last):
        ValueError: no table file 'bikes'; did you mean 'bike'? There are: ...
    """
    if name not in TABLE_FILES:
        raise ValueError(unknown_name(f"no table file {name!r}", name, TABLE_FILES))
    table = TABLE_FILES[name]
    place = check_place(folder, name, version)
    path = Path(file) / table.file if Path(file).is_dir() else Path(file)
    found = table.names or read_header(path)
    check_chosen(found, table.target, table.categories, table.drop)
    columns = read_csv(path, text=table.categories, names=table.names, drop=table.drop)
    rows = len(next(iter(columns.values())))
    splits = split_by_size(rows, table.splits or {"train": rows})
    return _prepare(place, columns, table.target, table.task, table.description, splits)


def _prepare(
    place: Path,
    columns: Columns,
    target: str,
    task: Task,
    description: str,
    splits: Splits,
) -> Path:
    """Checks and writes a table."""
    if infer_schema(columns, target, task=task).target.classes:
        check_classes(target, columns[target], splits)
    write_table(
        place, columns, splits, target=target, task=task, description=description
    )
    return place
