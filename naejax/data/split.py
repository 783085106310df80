"""Training, validation and test rows of a table."""

import numpy as np

from naejax.data.cells import Columns
from naejax.data.schema import Schema


def split_rows(
    columns: Columns, schema: Schema, seed: int
) -> tuple[Columns, Columns, Columns]:
    """Splits a table: 20 % test rows, then 12.5 % of the rest to validate on.

    Classes keep their shares in every part.

    Args:
        columns: the table.
        schema: of the table.
        seed: of the shuffling.

    Returns:
        Training, validation and test rows.

    Raises:
        ValueError: if a class has too few rows to be in every part.

    Example:
        >>> from naejax.data.schema import infer_schema
        >>> columns = {"x": np.arange(100.0), "y": np.arange(100.0)}
        >>> parts = split_rows(columns, infer_schema(columns, "y"), seed=0)
        >>> [len(part["x"]) for part in parts]
        [70, 10, 20]
    """
    from sklearn.model_selection import train_test_split

    labels = None
    classes = schema.target.classes
    if classes:
        texts, labels = np.unique(columns[schema.target.name], return_inverse=True)
        counts = np.bincount(labels)
        if counts.min() < 3:
            raise ValueError(
                f"class {texts[counts.argmin()]!r} of {schema.target.name!r} has "
                f"{counts.min()} rows, expected at least 3 (to train, validate and "
                "test); merge it with another class or drop its rows"
            )
    rows = np.arange(schema.rows)

    def split(rows: np.ndarray, share: float) -> list[np.ndarray]:
        return train_test_split(
            rows,
            test_size=max(int(np.ceil(share * len(rows))), len(classes)),
            random_state=seed,
            stratify=None if labels is None else labels[rows],
        )

    rest, test = split(rows, 0.2)
    training, validation = split(rest, 0.125)

    def take(part: np.ndarray) -> Columns:
        return {name: column[part] for name, column in columns.items()}

    return take(training), take(validation), take(test)
