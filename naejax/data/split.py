"""Training, validation and test rows of a table."""

from collections.abc import Sequence

import numpy as np

from naejax.data.cells import Columns
from naejax.data.schema import Schema


def split_rows(
    columns: Columns, schema: Schema, seed: int, parts: Sequence[int] = ()
) -> tuple[Columns, Columns, Columns]:
    """Splits a table: 20 % test rows, then 12.5 % of the rest to validate on.

    Classes keep their shares in every part that is drawn.

    Args:
        columns: the table.
        schema: of the table.
        seed: of the shuffling.
        parts: rows of training, validation and test that the source of the table has
            fixed, in this order; those with 0 are drawn from training.

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
    starts = np.cumsum(parts or (schema.rows, 0))[:2]
    rest, validation, test = np.split(np.arange(schema.rows), starts)
    if classes:
        texts, labels = np.unique(columns[schema.target.name], return_inverse=True)
        counts = np.bincount(labels[rest], minlength=len(texts))
        if counts.min() < 3:
            raise ValueError(
                f"class {texts[counts.argmin()]!r} of {schema.target.name!r} has "
                f"{counts.min()} rows, expected at least 3 (to train, validate and "
                "test); merge it with another class or drop its rows"
            )

    def split(rows: np.ndarray, share: float) -> list[np.ndarray]:
        return train_test_split(
            rows,
            test_size=max(int(np.ceil(share * len(rows))), len(classes)),
            random_state=seed,
            stratify=None if labels is None else labels[rows],
        )

    if not len(test):
        rest, test = split(rest, 0.2)
    training, validation = (rest, validation) if len(validation) else split(rest, 0.125)

    def take(part: np.ndarray) -> Columns:
        return {name: column[part] for name, column in columns.items()}

    return take(training), take(validation), take(test)
