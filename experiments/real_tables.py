"""Real tables: from files in a folder, from scikit-learn, or fetched by it."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd
from sklearn import datasets
from sklearn.model_selection import train_test_split


class Table(NamedTuple):
    """Where a table comes from.

    Attributes:
        file: in the folder of tables, comma separated.
        target: its column to predict.
        classes: how many; 0 for a number.
        names: of the columns, where the file has none.
        last: rows at the end of the file that are the test part; 0: a fifth, drawn.
        fetch: gets it where there is no file; None: nobody may hand it out.
    """

    file: str
    target: str
    classes: int = 0
    names: tuple[str, ...] | None = None
    last: int = 0
    fetch: tuple[str, int] | None = None


ADULT = (
    "age workclass fnlwgt education education_num marital_status occupation "
    "relationship race sex capital_gain capital_loss hours_per_week native_country "
    "income"
)
TABLES = {
    "california": Table(
        "california_housing.csv", "MedHouseVal", fetch=("california", 0)
    ),
    "bike": Table("bike.csv", "count", fetch=("Bike_Sharing_Demand", 2)),
    # OpenML's Adult has UCI's test rows, too: its scores do not compare.
    "adult": Table("adult.data", "income", 2, tuple(ADULT.split())),
    "year": Table(
        "YearPredictionMSD.txt",
        "year",
        names=("year", *(f"timbre{i}" for i in range(90))),
        last=51_630,
    ),
    "credit": Table("creditcard.csv", "Class", 2, fetch=("creditcard", 1)),
    "mimic2": Table("mimic2.csv", "mortality", 2),
    "mimic3": Table("mimic3.csv", "mortality", 2),
    "airfoil": Table("airfoil.csv", "y"),
    "concrete": Table("concrete.csv", "compressive_strength"),
    "kin40k": Table("kin40k.csv", "y"),
    "communities": Table("communities.csv", "ViolentCrimesPerPop"),
    "winequality": Table("winequality.csv", "quality"),
    "flights": Table("flights.csv", "arr_delay"),
    "credit_g": Table("credit_g.csv", "class", 2),
    "telco": Table("telco.csv", "churn", 2),
    "hpc": Table("hpc.csv", "class", 4),
    "phoneme": Table("phoneme.csv", "y", 2),
    "abalone": Table("abalone.csv", "Rings"),
    "nursery": Table("nursery.csv", "Class", 4),
}
# Where they come from is said in bench_tables.py.
SUITE = (
    *("airfoil", "concrete", "kin40k", "communities", "winequality", "flights"),
    *("credit_g", "telco", "hpc", "phoneme", "abalone", "nursery"),
    *("california", "bike", "adult"),
)
SMALL = {
    "breast-cancer": datasets.load_breast_cancer,
    "wine": datasets.load_wine,
    "diabetes": datasets.load_diabetes,
}
CLASSES = {name: table.classes for name, table in TABLES.items()}
CLASSES |= {"breast-cancer": 2, "wine": 3, "diabetes": 0}


def load_table(name, folders=None):
    """Reads a table.

    Args:
        name: a key of `TABLES` or `SMALL`.
        folders: of which one holds its file; None to fetch it.

    Returns:
        Features as a frame with category columns, and values or class numbers.

    Raises:
        ValueError: if the file does not hold such a table.
    """
    if name in SMALL:
        return SMALL[name](as_frame=True, return_X_y=True)
    table = TABLES[name]
    path = find_file(table.file, folders)
    if path is None:
        frame, y = _fetch(*table.fetch)
    else:
        frame = pd.read_csv(
            path,
            header=None if table.names else "infer",
            names=table.names,
            skipinitialspace=True,
            na_values="?",
        )
        if table.target not in frame:
            raise ValueError(
                f"{table.file} has the columns {', '.join(map(str, frame))}, expected "
                f"one of them to be {table.target}; rename the target so"
            )
        y = frame.pop(table.target)
    words = frame.select_dtypes(exclude="number").columns
    frame[words] = frame[words].astype("category")
    if not table.classes:
        return frame, y.astype(float)
    codes = y.astype("category").cat.codes
    if codes.max() + 1 != table.classes or codes.min() < 0:
        raise ValueError(
            f"{table.target} of {table.file} has the values {sorted(set(y))[:5]}, "
            f"expected {table.classes} different ones in every row"
        )
    return frame, codes


def find_file(file, folders):
    """Its path in the first of the folders that has it, or None."""
    paths = [folder / file for folder in folders or ()]
    return next((path for path in paths if path.is_file()), None)


def _fetch(name, version):
    """A table by scikit-learn's fetchers, which keep it for the next time."""
    if name == "california":
        return datasets.fetch_california_housing(as_frame=True, return_X_y=True)
    return datasets.fetch_openml(name, version=version, as_frame=True, return_X_y=True)


def split_table(name, x, y, seed):
    """Training and test rows.

    The large tables keep one split whatever the seed; the small ones, whose test parts
    are tiny, move it with the seed.

    Returns:
        Features to train and to test, then their targets.
    """
    last = TABLES[name].last if name in TABLES else 0
    if last:
        return x[:-last], x[-last:], y[:-last], y[-last:]
    return split_rows(name, x, y, seed if name in SMALL else 0)


def split_rows(name, x, y, seed, share=0.2):
    """Rows to learn from and a share of others, drawn by the seed, by class if any.

    Returns:
        Features of both, then their targets.
    """
    by = y if CLASSES[name] else None
    return train_test_split(x, y, test_size=share, random_state=seed, stratify=by)


def add_tables(parser, choices, default):
    """The options ``--folder`` and ``--tables``."""
    parser.add_argument(
        "--folder",
        type=Path,
        nargs="+",
        action="extend",
        help="one or more that hold the files of the tables",
    )
    parser.add_argument("--tables", nargs="+", choices=choices, default=list(default))


def check_tables(parser, options):
    """Ends with one line if a table's file is not there and nothing can fetch it."""
    for name in set(options.tables) - set(SMALL):
        table, folders = TABLES[name], options.folder
        there = find_file(table.file, folders)
        if not there and (folders or table.fetch is None):
            without = "; without --folder it is fetched" if table.fetch else ""
            parser.error(
                f"got --folder {' '.join(map(str, folders or ['none']))}, "
                f"expected a folder with {table.file}{without}"
            )
