"""A table encoder as plain values and arrays, to be stored without pickling."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from naejax.data.codec import Codec
from naejax.data.schema import Feature, Schema, Target
from naejax.data.table import TableEncoder
from naejax.strict_json import are_texts, is_number, is_whole


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
    shapes = state_shapes(config)
    schema = _schema(config["schema"])
    try:
        tables = {name: np.asarray(arrays[name], np.float64) for name in shapes}
    except (KeyError, TypeError, ValueError) as error:
        raise _wrong(f"{type(error).__name__}: {error}") from error
    for name, wanted in shapes.items():
        shape = tables[name].shape
        fits = len(shape) == len(wanted) and all(
            n >= 1 and m in (None, n) for n, m in zip(shape, wanted, strict=True)
        )
        _require(fits, f"array {name!r} has shape {shape}")
    _require(not np.isinf(tables["fill"]).any(), "a missing cell's code is infinite")
    codecs = tuple(
        Codec(
            codec["kind"],
            _checked_table(codec["kind"], tables[f"table_{i}"]),
            tuple(codec["levels"]),
            float(tables["fill"][i]),
        )
        for i, codec in enumerate(config["codecs"])
    )
    mean, std = float(config["target_mean"]), float(config["target_std"])
    return TableEncoder(schema, codecs, mean, std, config["rows"], config["seed"])


def state_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int | None, ...]]:
    """The shapes that the arrays of an encoder must have, from its checked config.

    Args:
        config: the dict of plain values, also after a round trip through JSON.

    Returns:
        Shapes by name; None stands for any length of at least 1.

    Raises:
        ValueError: a value is missing, of the wrong type, or fits no encoder.

    Example:
        >>> from naejax.data.schema import infer_schema
        >>> from naejax.data.table import fit_encoder
        >>> columns = {"x": np.arange(12.0), "y": np.arange(12.0)}
        >>> config, _ = to_state(fit_encoder(columns, infer_schema(columns, "y")))
        >>> state_shapes(config)
        {'table_0': (2, None), 'fill': (1,)}
    """
    try:
        schema = _schema(config["schema"])
        codecs = [(codec["kind"], codec["levels"]) for codec in config["codecs"]]
        mean, std = config["target_mean"], config["target_std"]
        counts = (config["rows"], schema.rows)
        seed = config["seed"]
    except (KeyError, TypeError, AttributeError) as error:
        raise _wrong(f"{type(error).__name__}: {error}") from error
    _require(is_number(mean) and is_number(std) and std > 0, "scale of the target")
    _require(all(is_whole(n, 1) for n in counts) and is_whole(seed), "rows or seed")
    _require(len(codecs) == len(schema.features) > 0, "number of columns")
    shapes: dict[str, tuple[int | None, ...]] = {}
    for i, (feature, codec) in enumerate(zip(schema.features, codecs, strict=True)):
        kind, levels = codec
        is_numeric = feature.kind == "numeric"
        kinds = ("quantile", "standard") if is_numeric else ("levels", "statistics")
        _require(kind in kinds, f"column {feature.name!r} of kind {kind!r}")
        fits = are_texts(levels) and bool(levels) != is_numeric
        _require(fits, f"levels of column {feature.name!r}")
        sizes = {"quantile": (2, None), "standard": (2,)}
        shapes[f"table_{i}"] = sizes.get(kind, (len(levels),))
    return {**shapes, "fill": (len(codecs),)}


def _schema(config: Mapping[str, Any]) -> Schema:
    """Inverts `dataclasses.asdict` of a schema; JSON made its tuples lists."""
    features = tuple(
        Feature(**{**feature, "levels": tuple(feature["levels"]), "range": bounds})
        for feature in config["features"]
        for bounds in [feature["range"] and tuple(feature["range"])]
    )
    target = config["target"]
    schema = Schema(
        features,
        Target(**{**target, "classes": tuple(target["classes"])}),
        config["rows"],
    )
    _require(are_texts([f.name for f in features]), "names of the columns")
    for feature in features:
        fits = (
            feature.kind in ("numeric", "categorical", "boolean")
            and are_texts(feature.levels)
            and is_whole(feature.missing)
            and is_whole(feature.unique)
            and (feature.range is None or len(feature.range) == 2)
            and all(is_number(bound) for bound in feature.range or ())
        )
        _require(fits, f"description of column {feature.name!r}")
    least, most = {
        "regression": (0, 0),
        "binary": (2, 2),
        "multiclass": (1, len(schema.target.classes)),
    }.get(schema.target.kind, (1, 0))
    fits = least <= len(schema.target.classes) <= most
    _require(
        fits and are_texts([schema.target.name]) and are_texts(schema.target.classes),
        "description of the target",
    )
    return schema


def _checked_table(kind: str, table: np.ndarray) -> np.ndarray:
    """The numbers of a codec, if they are what its kind asks for."""
    fits = np.isfinite(table).all()
    if kind == "quantile":
        fits = fits and (np.diff(table) > 0).all()
    if kind == "standard":
        fits = fits and table[1] > 0
    _require(bool(fits), f"numbers of a {kind!r} column")
    return table


def _require(fits: bool, what: str) -> None:
    """Refuses a state of which something is wrong."""
    if not fits:
        raise _wrong(what)


def _wrong(what: str) -> ValueError:
    """The one line about a state that is of no encoder."""
    return ValueError(
        f"not the state of a table encoder ({what}): save the model again"
    )
