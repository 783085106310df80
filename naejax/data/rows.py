"""Rows for a model that is fitted: what its columns must hold is known."""

from pathlib import Path
from typing import Any

from naejax.data.cells import Columns
from naejax.data.columns import read_columns
from naejax.data.csvfile import read_csv, read_header
from naejax.data.parquet_files import is_parquet, open_parquet, read_parquet
from naejax.data.table import TableEncoder


def read_rows(encoder: TableEncoder, source: Any, *, target: bool = True) -> Columns:
    """Reads rows for a fitted encoder from anything that `read_columns` takes.

    Args:
        encoder: result of `fit_encoder`.
        source: path of a CSV or Parquet file, data frame, mapping or (B, F) array.
        target: whether the target is of use; else what it holds does not matter.

    Returns:
        Columns; those that were categories at fit are read as text, as are, from a CSV
        file, those that the encoder does not know.

    Raises:
        ValueError: see `read_columns`; of a CSV file also for text in a column that
            was numbers at fit, with its line.

    Example:
        >>> import numpy as np
        >>> from naejax.data import fit_encoder, infer_schema
        >>> code = np.array(["1", "2"] * 6, dtype=object)
        >>> columns = {"code": code, "y": np.arange(12.0)}
        >>> encoder = fit_encoder(columns, infer_schema(columns, "y"))
        >>> read_rows(encoder, {"code": [2, 1]})
        {'code': array(['2', '1'], dtype=object)}
    """
    schema = encoder.schema
    kinds: dict[str, str] = {feature.name: feature.kind for feature in schema.features}
    if target:
        is_number = schema.target.kind == "regression"
        kinds[schema.target.name] = "numeric" if is_number else "classes"
    text = [name for name, kind in kinds.items() if kind == "categorical"]
    if isinstance(source, str | Path) and is_parquet(source):
        # Others may hold what no table can, such as dates.
        return read_parquet(source, text=text, only=kinds)
    if isinstance(source, str | Path) and not Path(source).is_dir():
        path = Path(source)
        typed = {name for name, kind in kinds.items() if kind != "categorical"}
        return read_csv(
            path,
            text=set(read_header(path)) - typed,
            numbers={name for name, kind in kinds.items() if kind == "numeric"},
        )
    return read_columns(source, text=text)


def column_names(path: Path) -> list[str]:
    """The names of the columns of a CSV or Parquet file, without reading it.

    Args:
        path: of the file, or of a folder of Parquet files.

    Returns:
        The names, in the order of the file.

    Raises:
        ValueError: the file cannot be read.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "people.csv"
        >>> _ = path.write_text("age;city\\n31;Oslo\\n")
        >>> column_names(path)
        ['age', 'city']
    """
    return list(open_parquet(path).kinds) if is_parquet(path) else read_header(path)
