"""One row explained: its cells, and what each of them adds to the score."""

from dataclasses import dataclass

import numpy as np

from naejax.data.cells import Columns, is_missing, number_text
from naejax.data.schema import Schema
from naejax.explain.outputs import output_index
from naejax.models.nae import contribution_range
from naejax.types import NAEOutput


@dataclass(frozen=True, eq=False)
class LocalExplanation:
    """One output of one row as a sum: ``prediction = bias + contributions.sum()``.

    Attributes:
        names: of the F features.
        cells: the row's raw values as text; "missing" where there is none.
        contributions: what each feature adds, in the unit of the score, (F,).
        lower: smallest contribution that any context could give this cell, (F,).
        upper: largest one, (F,).
        bias: the score of a row whose contributions are all zero.
        prediction: the score.
        label: index of the output.
    """

    names: tuple[str, ...]
    cells: tuple[str, ...]
    contributions: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    bias: float
    prediction: float
    label: int


def local_explanation(
    output: NAEOutput,
    columns: Columns,
    schema: Schema,
    row: int,
    *,
    label: int | str | None = None,
    members: int = 1,
    shift: np.ndarray | None = None,
) -> LocalExplanation:
    """Explains one output of one row.

    Args:
        output: what the model returned for B rows.
        columns: raw cells of the same rows.
        schema: of the table.
        row: index of the row, from 0 to B - 1.
        label: the output to explain, by index or class; None: the predicted class.
        members: S of an ensemble.
        shift: what to move from contributions to the bias, (F, C), such as the shifts
            of `compute_shapes`: contributions are then differences from the average
            row. None: nothing.

    Returns:
        The row's cells, contributions and context ranges.

    Raises:
        ValueError: there is no such row or output.

    Example:
        >>> from naejax.data import infer_schema
        >>> columns = {"age": np.arange(12.0), "pay": np.arange(12.0)}
        >>> f = columns["age"].reshape(12, 1, 1)
        >>> output = NAEOutput(f[:, 0] + 5, np.array([5.0]), f, np.ones((12, 1, 1)),
        ...                    f[..., None])
        >>> schema = infer_schema(columns, "pay")
        >>> row = local_explanation(output, columns, schema, 3)
        >>> row.cells, row.bias, row.contributions, row.prediction
        (('3',), 5.0, array([3.]), 8.0)
    """
    rows, num_outputs = output.prediction.shape
    if not 0 <= row < rows:
        raise ValueError(f"row is {row}, expected an index from 0 to {rows - 1}")
    one = slice(row, row + 1)
    if label is None:
        c = int(np.argmax(output.prediction[row]))
    else:
        c = output_index(label, schema.target.classes, num_outputs)
    output = NAEOutput(
        output.prediction[one],
        output.bias,
        output.contributions[one],
        output.gates[one],
        output.experts[one],
    )
    moved = np.zeros(len(schema.features)) if shift is None else shift[:, c]
    lower, upper = contribution_range(output, members)
    contributions, lower, upper = (
        np.asarray(part[0, :, c], np.float64) - moved
        for part in (output.contributions, lower, upper)
    )
    names = tuple(feature.name for feature in schema.features)
    return LocalExplanation(
        names=names,
        cells=tuple(cell_texts(columns[name][one])[0] for name in names),
        contributions=contributions,
        lower=lower,
        upper=upper,
        bias=float(output.bias[c]) + float(moved.sum()),
        prediction=float(output.prediction[0, c]),
        label=c,
    )


def cell_texts(column: np.ndarray) -> list[str]:
    """Writes raw cells as a person reads them.

    Args:
        column: one column as `read_columns` returns it, (B,).

    Returns:
        B texts: whole numbers in full, others with five digits, "missing".

    Example:
        >>> cell_texts(np.array([38.0, -1.23456789, np.nan, 1e-7]))
        ['38', '−1.2346', 'missing', '1e-07']
    """
    gone = is_missing(column)
    return ["missing" if g else _text(c) for c, g in zip(column, gone, strict=True)]


def _text(cell: object) -> str:
    """One cell that is not missing."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool | np.bool_):
        return "true" if cell else "false"
    value = float(cell)  # type: ignore[arg-type]
    is_whole = value == round(value) and abs(value) < 1e15
    text = number_text(value) if is_whole else f"{value:.5g}"
    return text.replace("-", "−") if value < 0 else text
