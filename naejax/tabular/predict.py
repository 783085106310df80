"""What a fitted model says of the rows of a table."""

from collections.abc import Mapping

import numpy as np

from naejax.data.cells import Columns
from naejax.data.table import TableEncoder, encode, encode_target
from naejax.evaluation import (
    Scores,
    classification_scores,
    log_probabilities,
    regression_scores,
)
from naejax.tabular.fitted import TabularNAE
from naejax.types import NAEOutput

_BLOCK = 8192
"""Rows whose experts are kept at once."""


def explain_rows(fitted: TabularNAE, columns: Columns) -> NAEOutput:
    """The prediction of every row and its parts, in the unit of the target.

    For a regression with the identity link everything is multiplied by the target's
    standard deviation and the bias moved by its mean, so parts still sum to the
    prediction; otherwise numbers stay on the link scale (log-odds or logarithm).

    Args:
        fitted: a fitted model.
        columns: rows; the target is not needed.

    Returns:
        Arrays of numpy; prediction (N, C).

    Raises:
        ValueError: if a column is missing or holds text where numbers are expected.

    Example:
        >>> from naejax.data import infer_schema
        >>> from naejax.settings import Settings
        >>> from naejax.tabular import fit_table
        >>> columns = {"x": np.arange(64.0), "y": np.arange(64.0) ** 2}
        >>> fitted, _ = fit_table(columns, columns, infer_schema(columns, "y"),
        ...                       Settings(epochs=1, num_experts=4), progress=False)
        >>> output = explain_rows(fitted, columns)
        >>> total = output.bias + output.contributions.sum(axis=1)
        >>> bool(np.allclose(output.prediction, total, rtol=1e-3))
        True
    """
    output = fitted.apply(encode(fitted.encoder, columns))
    mean, std = fitted.target_scale
    return NAEOutput(
        prediction=output.prediction * np.float32(std) + np.float32(mean),
        bias=output.bias * np.float32(std) + np.float32(mean),
        contributions=output.contributions * np.float32(std),
        gates=output.gates,
        experts=output.experts * np.float32(std),
    )


def score_rows(fitted: TabularNAE, columns: Columns) -> np.ndarray:
    """The prediction of every row alone, in the unit of `explain_rows`.

    Args:
        fitted: a fitted model.
        columns: rows; the target is not needed.

    Returns:
        Scores, (N, C) float32, bitwise those of `explain_rows`.

    Raises:
        ValueError: if a column is missing or holds text where numbers are expected.

    Example:
        >>> from naejax.data import infer_schema
        >>> from naejax.settings import Settings
        >>> from naejax.tabular import fit_table
        >>> columns = {"x": np.arange(64.0), "y": np.arange(64.0) ** 2}
        >>> fitted, _ = fit_table(columns, columns, infer_schema(columns, "y"),
        ...                       Settings(epochs=1, num_experts=4), progress=False)
        >>> score_rows(fitted, columns).shape
        (64, 1)
    """
    x = encode(fitted.encoder, columns)
    score = fitted.score(x)
    mean, std = fitted.target_scale
    return score * np.float32(std) + np.float32(mean)


def evaluate_table(fitted: TabularNAE, columns: Columns) -> Scores:
    """Scores of a fitted model on rows with a known target.

    Args:
        fitted: a fitted model.
        columns: rows with the target.

    Returns:
        See `naejax.evaluation.regression_scores` and `classification_scores`.

    Example:
        >>> from naejax.data import infer_schema
        >>> from naejax.settings import Settings
        >>> from naejax.tabular import fit_table
        >>> columns = {"x": np.arange(64.0), "y": np.arange(64.0) ** 2}
        >>> fitted, _ = fit_table(columns, columns, infer_schema(columns, "y"),
        ...                       Settings(epochs=1, num_experts=4), progress=False)
        >>> sorted(evaluate_table(fitted, columns))
        ['mae', 'r2', 'rmse']
    """
    return evaluate_scores(fitted, columns, score_rows(fitted, columns))


def evaluate_scores(fitted: TabularNAE, columns: Columns, score: np.ndarray) -> Scores:
    """Scores of predictions that were made before, see `evaluate_table`.

    Args:
        fitted: the model that made them.
        columns: rows with the target.
        score: of the rows, in the unit of `explain_rows`, (N, C).

    Returns:
        See `evaluate_table`.
    """
    return evaluate_against(fitted, raw_target(fitted.encoder, columns), score)


def evaluate_against(
    fitted: TabularNAE, truth: np.ndarray, score: np.ndarray
) -> Scores:
    """Scores of predictions for known targets, see `evaluate_table`.

    Args:
        fitted: the model that made them.
        truth: result of `raw_target`, (N,).
        score: of the same rows, in the unit of `explain_rows`, (N, C).

    Returns:
        See `evaluate_table`.
    """
    if fitted.encoder.schema.target.kind == "regression":
        return regression_scores(truth, fitted.inverse_link(score)[:, 0])
    return classification_scores(truth, log_probabilities(score))


def predict_table(fitted: TabularNAE, columns: Columns) -> dict[str, np.ndarray]:
    """Predictions of rows as named columns, with what each feature contributed.

    Args:
        fitted: a fitted model.
        columns: rows; the target is not needed.

    Returns:
        ``prediction`` (a number or a class), for classes ``probability:CLASS``, then
        ``bias`` and ``contribution:FEATURE`` on the scale of `explain_rows`; with
        several outputs one of each per class.

    Example:
        >>> from naejax.data import infer_schema
        >>> from naejax.settings import Settings
        >>> from naejax.tabular import fit_table
        >>> columns = {"x": np.arange(64.0), "y": np.arange(64.0) ** 2}
        >>> fitted, _ = fit_table(columns, columns, infer_schema(columns, "y"),
        ...                       Settings(epochs=1, num_experts=4), progress=False)
        >>> list(predict_table(fitted, {"x": np.array([3.0])}))
        ['prediction', 'bias', 'contribution:x']
    """
    return name_parts(fitted, *_without_experts(fitted, columns))


def name_parts(
    fitted: TabularNAE, score: np.ndarray, bias: np.ndarray, contributions: np.ndarray
) -> dict[str, np.ndarray]:
    """Names the parts of scores, see `predict_table`.

    Args:
        fitted: the model that made them.
        score: on the scale of `explain_rows`, (B, C).
        bias: (C,).
        contributions: (B, F, C).

    Returns:
        Column name -> (B,).
    """
    schema = fitted.encoder.schema
    classes = schema.target.classes
    if classes:
        probability = np.exp(log_probabilities(score))
        labels = np.array(classes, dtype=object)[probability.argmax(axis=1)]
        table: dict[str, np.ndarray] = {"prediction": labels}
        table |= {f"probability:{c}": probability[:, j] for j, c in enumerate(classes)}
    else:
        table = {"prediction": fitted.inverse_link(score)[:, 0]}
    several = classes if schema.target.num_outputs > 1 else ("",)
    for j, name in enumerate(several):
        suffix = f":{name}" if name else ""
        table[f"bias{suffix}"] = np.full(len(score), bias[j])
        for i, feature in enumerate(schema.features):
            table[f"contribution:{feature.name}{suffix}"] = contributions[:, i, j]
    return table


def raw_target(encoder: TableEncoder, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The target as numbers in its own unit, or as class indices.

    Args:
        encoder: a fitted encoder.
        columns: rows with the target.

    Returns:
        (N,).

    Example:
        >>> from naejax.data import fit_encoder, infer_schema
        >>> columns = {"x": np.arange(12.0), "y": np.arange(12.0)}
        >>> encoder = fit_encoder(columns, infer_schema(columns, "y"))
        >>> raw_target(encoder, columns)[-1].item()
        11.0
    """
    encoded = encode_target(encoder, columns)
    if encoder.schema.target.kind != "regression":
        return encoded
    return np.asarray(columns[encoder.schema.target.name], np.float64)


def _without_experts(
    fitted: TabularNAE, columns: Columns
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prediction, bias and contributions; of the many experts a block's at a time."""
    x, (mean, std) = encode(fitted.encoder, columns), fitted.target_scale
    outputs = []
    for first in range(0, len(x), _BLOCK):
        output = fitted.apply(x[first : first + _BLOCK])
        outputs.append((output.prediction, output.contributions))
    prediction, contributions = map(np.concatenate, zip(*outputs, strict=True))
    scale, shift = np.float32(std), np.float32(mean)
    bias = np.asarray(output.bias) * scale + shift
    return prediction * scale + shift, bias, contributions * scale
