"""A table encoder as plain values and arrays, to be stored without pickling."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from naejax.data.codec import Codec
from naejax.data.schema import Feature, Schema, Target
from naejax.data.table import TableEncoder


def to_state(encoder: TableEncoder) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Splits an encoder into a header for JSON and arrays for safetensors.

    Args:
        encoder: result of `fit_encoder`.

    Returns:
        A dict of plain values, and the arrays "fill" (F,) and "table_0", "table_1", ...

    Example:
        >>> from naejax.data.schema import infer_schema
        >>> from naejax.data.table import fit_encoder
        >>> columns = {"x": np.arange(12.0), "y": np.arange(12.0)}
        >>> encoder = fit_encoder(columns, infer_schema(columns, "y"))
        >>> config, arrays = to_state(encoder)
        >>> config["rows"], sorted(arrays)
        (12, ['fill', 'table_0'])
    """
    config = {
        "schema": asdict(encoder.schema),
        "codecs": [
            {"kind": codec.kind, "levels": codec.levels} for codec in encoder.codecs
        ],
        "target_mean": encoder.target_mean,
        "target_std": encoder.target_std,
        "rows": encoder.rows,
        "seed": encoder.seed,
    }
    arrays = {f"table_{i}": codec.table for i, codec in enumerate(encoder.codecs)}
    arrays["fill"] = np.array([codec.fill for codec in encoder.codecs])
    return config, arrays


def from_state(config: Mapping[str, Any], arrays: Mapping[str, Any]) -> TableEncoder:
    """Puts together what `to_state` took apart; encodings are equal to the last bit.

    Args:
        config: the dict of plain values, also after a round trip through JSON.
        arrays: the arrays.

    Returns:
        The encoder.

    Raises:
        ValueError: the two do not belong together or are damaged.

    Example:
        >>> from naejax.data.schema import infer_schema
        >>> from naejax.data.table import encode, fit_encoder
        >>> columns = {"x": np.arange(12.0), "y": np.arange(12.0)}
        >>> encoder = fit_encoder(columns, infer_schema(columns, "y"))
        >>> x = encode(from_state(*to_state(encoder)), columns)
        >>> bool(np.all(x == encode(encoder, columns)))
        True
    """
    try:
        schema = _schema(config["schema"])
        codecs = tuple(
            Codec(
                codec["kind"],
                np.asarray(arrays[f"table_{i}"], dtype=np.float64),
                tuple(codec["levels"]),
                float(arrays["fill"][i]),
            )
            for i, codec in enumerate(config["codecs"])
        )
        options = {
            key: config[key] for key in ("target_mean", "target_std", "rows", "seed")
        }
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"not the state of a table encoder ({type(error).__name__}: {error}): "
            "save the model again"
        ) from error
    if len(codecs) != len(schema.features) or any(
        codec.levels and len(codec.levels) != len(codec.table) for codec in codecs
    ):
        raise ValueError(
            "the header and the arrays of the table encoder differ in the number of "
            "columns or levels: save the model again"
        )
    return TableEncoder(schema, codecs, **options)


def _schema(config: Mapping[str, Any]) -> Schema:
    """Inverts `dataclasses.asdict` of a schema; JSON made its tuples lists."""
    features = tuple(
        Feature(**{**feature, "levels": tuple(feature["levels"]), "range": bounds})
        for feature in config["features"]
        for bounds in [feature["range"] and tuple(feature["range"])]
    )
    target = config["target"]
    return Schema(
        features,
        Target(**{**target, "classes": tuple(target["classes"])}),
        config["rows"],
    )
