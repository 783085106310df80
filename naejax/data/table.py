"""Tables as the numbers that a model reads, and model scores as values of the target.

A `TableEncoder` is fitted on training rows once; `encode` then maps any table with the
same columns, whatever their order, to x (B, F).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from naejax.data.cells import Columns, as_text, is_missing, unknown_name
from naejax.data.codec import (
    Codec,
    decode_column,
    encode_column,
    fit_levels,
    fit_numeric,
    level_indices,
    to_numbers,
)
from naejax.data.columns import read_columns
from naejax.data.encoding import out_of_fold_statistics, standard_deviation
from naejax.data.schema import Schema, Target


@dataclass(frozen=True, eq=False)
class TableEncoder:
    """A fitted encoding of a table.

    Attributes:
        schema: the columns; feature i of x is ``schema.features[i]``.
        codecs: one per feature.
        target_mean: of a regression target, in its unit; 0 for classes.
        target_std: of a regression target, in its unit; 1 for classes.
        rows: number of rows it was fitted on.
        seed: of the folds.
    """

    schema: Schema
    codecs: tuple[Codec, ...]
    target_mean: float
    target_std: float
    rows: int
    seed: int


def fit_encoder(
    columns: Columns,
    schema: Schema,
    *,
    numeric: Literal["quantile", "standard"] = "quantile",
    categorical: Literal["auto", "levels", "target"] = "auto",
    max_levels: int = 16,
    num_knots: int = 64,
    seed: int = 0,
) -> TableEncoder:
    """Fits the encoding of every column on training rows.

    Numbers become normal quantiles (`to_normal`) or ``(x - mean) / std``;
    true and false become 1 and -1; categories become evenly spread level codes or
    target statistics. Target statistics need one number per row: a multiclass target
    has no such number, so there every category gets a level code.

    Args:
        columns: training rows, with the target.
        schema: result of `infer_schema` on a table with these columns.
        numeric: "quantile" or "standard".
        categorical: "levels", "target", or "auto": levels for columns of up to
            `max_levels` categories, target statistics above.
        max_levels: see `categorical`.
        num_knots: most knots of a column's quantiles.
        seed: of the folds.

    Returns:
        The encoder, for `encode_training` and `encode`.

    Raises:
        ValueError: a column is missing, of the wrong type or empty in these rows.

    Example:
        >>> from naejax.data.schema import infer_schema
        >>> columns = {"x": np.arange(11.0), "y": np.arange(11.0) ** 2}
        >>> encoder = fit_encoder(columns, infer_schema(columns, "y"))
        >>> encode(encoder, {"x": np.array([5.0])}).round(2) + 0.0
        array([[0.]], dtype=float32)
    """
    if numeric not in ("quantile", "standard"):
        raise ValueError(f"got numeric={numeric!r}, expected 'quantile' or 'standard'")
    if categorical not in ("auto", "levels", "target"):
        raise ValueError(
            f"got categorical={categorical!r}, expected 'auto', 'levels' or 'target'"
        )
    if categorical == "target" and schema.target.kind == "multiclass":
        raise ValueError(
            "categorical='target' needs one number per row, but the target "
            f"{schema.target.name!r} has {len(schema.target.classes)} classes: use "
            "categorical='levels'"
        )
    labels = _labels(schema.target, _column(columns, schema.target.name))
    is_regression = schema.target.kind == "regression"
    std = _target_spread(schema.target.name, labels) if is_regression else 1.0
    if schema.target.kind == "multiclass" or categorical == "levels":
        max_levels = len(labels)
    elif categorical == "target":
        max_levels = 0

    codecs = []
    for feature in schema.features:
        column = _column(columns, feature.name)
        if is_missing(column).all():
            raise ValueError(
                f"feature {feature.name!r} has no values in the {len(labels)} rows to "
                "fit on: drop the column or split the rows differently"
            )
        codecs.append(
            fit_numeric(feature.name, column, kind=numeric, num_knots=num_knots)
            if feature.kind == "numeric"
            else fit_levels(feature, column, labels, max_levels=max_levels)
        )
    return TableEncoder(
        schema=schema,
        codecs=tuple(codecs),
        target_mean=float(np.mean(labels)) if is_regression else 0.0,
        target_std=std if std > 0 else 1.0,
        rows=len(labels),
        seed=seed,
    )


def encode(encoder: TableEncoder, columns: Columns) -> np.ndarray:
    """Encodes rows for prediction or validation.

    Columns are found by name: order does not matter and others are ignored. A row's
    numbers do not depend on the other rows, to the last bit. A category not seen at fit
    counts as missing (`Codec.fill`).

    Args:
        encoder: result of `fit_encoder`.
        columns: the table; the target is not needed.

    Returns:
        x (B, F) float32; NaN where a cell is missing and the column had missing cells
        at fit.

    Raises:
        ValueError: a column is missing, or holds text where numbers are expected.

    Example:
        >>> from naejax.data.schema import infer_schema
        >>> columns = {"flag": np.arange(12) % 3 == 0, "y": np.arange(12.0)}
        >>> encoder = fit_encoder(columns, infer_schema(columns, "y"))
        >>> encode(encoder, {"flag": np.array([True, False])})
        array([[ 1.],
               [-1.]], dtype=float32)
    """
    encoded = [
        encode_column(feature, codec, _column(columns, feature.name))
        for feature, codec in zip(encoder.schema.features, encoder.codecs, strict=True)
    ]
    return np.stack(encoded, axis=1, dtype=np.float32, casting="same_kind")


def encode_training(encoder: TableEncoder, columns: Columns) -> np.ndarray:
    """Encodes the rows that the encoder was fitted on, without leaking their labels.

    Like `encode`, but target statistics are out-of-fold
    (`out_of_fold_statistics`): no row's own label enters its input.

    Args:
        encoder: result of `fit_encoder`.
        columns: the rows it was fitted on, in the same order, with the target.

    Returns:
        x (B, F) float32.

    Raises:
        ValueError: as `encode`, or the number of rows differs from that at fit.

    Example:
        >>> from naejax.data.schema import infer_schema
        >>> city = np.array(["Oslo", "Bergen"] * 10, dtype=object)
        >>> columns = {"city": city, "y": np.arange(20.0)}
        >>> schema = infer_schema(columns, "y")
        >>> encoder = fit_encoder(columns, schema, categorical="target")
        >>> len(np.unique(encode(encoder, columns))) == 2
        True
        >>> len(np.unique(encode_training(encoder, columns))) > 2
        True
    """
    target = encoder.schema.target
    x = encode(encoder, columns)
    if len(x) != encoder.rows:
        raise ValueError(
            f"got {len(x)} rows, expected the {encoder.rows} rows that the encoder was "
            "fitted on: use `encode` for other rows"
        )
    for i, codec in enumerate(encoder.codecs):
        if codec.kind == "statistics":
            labels = _labels(target, _column(columns, target.name))
            column = _column(columns, encoder.schema.features[i].name)
            levels = level_indices(codec.levels, column)
            seen = levels >= 0
            x[seen, i] = out_of_fold_statistics(
                levels[seen], labels[seen], len(codec.levels), seed=encoder.seed
            )
    return x


def decode_feature(encoder: TableEncoder, i: int, values: np.ndarray) -> np.ndarray:
    """Translates codes of one feature back, to label an axis.

    Args:
        encoder: result of `fit_encoder`.
        i: index of the feature.
        values: codes of feature i, (B,).

    Returns:
        Numbers in the unit of the column (NaN for NaN), or for categories the text of
        the level with the nearest code (None for NaN), (B,).

    Example:
        >>> from naejax.data.schema import infer_schema
        >>> columns = {"x": np.arange(0.0, 110.0, 10.0), "y": np.arange(11.0)}
        >>> schema = infer_schema(columns, "y")
        >>> encoder = fit_encoder(columns, schema, numeric="standard")
        >>> decode_feature(encoder, 0, np.array([0.0, 1.0])).round(1)
        array([50. , 81.6])
    """
    return decode_column(encoder.codecs[i], values)


def encode_target(encoder: TableEncoder, target: Any) -> np.ndarray:
    """Turns values of the target into what a loss expects.

    Args:
        encoder: result of `fit_encoder`.
        target: a table with the target column, or its B values.

    Returns:
        ``(y - mean) / std`` as float32 for regression, class indices as int32
        otherwise, (B,).

    Raises:
        ValueError: a value is missing, not a number, or an unknown class.

    Example:
        >>> from naejax.data.schema import infer_schema
        >>> columns = {"x": np.arange(12.0), "y": np.array(["a", "b"] * 6, object)}
        >>> encoder = fit_encoder(columns, infer_schema(columns, "y"))
        >>> encode_target(encoder, ["b", "a"])
        array([1, 0], dtype=int32)
    """
    name = encoder.schema.target.name
    if not isinstance(target, Mapping):
        target = read_columns({name: target})
    labels = _labels(encoder.schema.target, _column(target, name))
    if encoder.schema.target.kind != "regression":
        return labels.astype(np.int32)
    scores = (labels - encoder.target_mean) / encoder.target_std
    return scores.astype(np.float32)


def decode_target(encoder: TableEncoder, score: Any) -> np.ndarray:
    """Undoes the standardisation of a regression target.

    Args:
        encoder: result of `fit_encoder`.
        score: predictions of a model, any shape.

    Returns:
        ``score * std + mean`` in the unit of the target, float64; scores of classes
        are returned as they are.

    Example:
        >>> from naejax.data.schema import infer_schema
        >>> columns = {"x": np.arange(11.0), "y": 2 * np.arange(11.0)}
        >>> encoder = fit_encoder(columns, infer_schema(columns, "y"))
        >>> decode_target(encoder, encode_target(encoder, [4.0, 8.0])).round(4)
        array([4., 8.])
    """
    scores = np.asarray(score, dtype=np.float64)
    return scores * encoder.target_std + encoder.target_mean


def _target_spread(name: str, labels: np.ndarray) -> float:
    """The target's standard deviation, if float32 can hold numbers of its scale."""
    std, largest = standard_deviation(labels), float(np.abs(labels).max())
    if largest > 1e30 or 0 < std < 1e-30:
        what = f"goes up to {largest:.3g}" if largest > 1 else f"varies by {std:.3g}"
        raise ValueError(
            f"target {name!r} {what}: predictions are float32 and need a scale between "
            "1e-30 and 1e30; change its unit, or predict its logarithm"
        )
    return std


def _column(columns: Columns, name: str) -> np.ndarray:
    """A column by name, or an error with the nearest name."""
    if name not in columns:
        raise ValueError(
            unknown_name(f"the table lacks the column {name!r}", name, columns)
        )
    return columns[name]


def _labels(target: Target, column: np.ndarray) -> np.ndarray:
    """The target as float64: values for regression, class indices otherwise."""
    gone = is_missing(column)
    if gone.any():
        raise ValueError(
            f"target {target.name!r} is missing in {gone.sum()} of {len(column)} rows "
            f"(first: row {np.flatnonzero(gone)[0] + 1}): remove these rows"
        )
    if target.kind == "regression":
        return to_numbers(target.name, column)
    indices = level_indices(target.classes, column)
    unknown = np.flatnonzero(indices < 0)
    if unknown.size:
        raise ValueError(
            f"target {target.name!r} holds {as_text(column)[unknown[0]]!r} in row "
            f"{unknown[0] + 1}, expected one of: {', '.join(target.classes)}"
        )
    return indices.astype(np.float64)
