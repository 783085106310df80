"""A fitted model of a table as a header and arrays, and what a file must hold.

Nothing here imports JAX, so that files can be checked and served without it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from naejax.container import Header, Index
from naejax.data import state as encoder_state
from naejax.data.table import TableEncoder
from naejax.layout import (
    ModelConfig,
    config_of,
    flatten,
    model_config,
    parameter_shapes,
)
from naejax.numpy_nae import tabulate
from naejax.strict_json import is_number

ENCODER = "encoder/"
"""Arrays that are no variables of the model: the table's encoder."""
ESTIMATOR = "estimator/"
"""Arrays of the estimator around the model."""
LOG_LINKS = ("gamma", "poisson", "tweedie")
"""Losses whose score is the logarithm of the mean."""
_CLASS_LOSSES = {"binary": "logistic", "multiclass": "softmax_cross_entropy"}

FORMAT = 2
FIELDS = {"model", "encoder", "loss", "loss_parameter"}
ESTIMATOR_FIELDS = FIELDS | {"estimator"}
_FIELDS_OF_ALL = {"format", "kind", "version", "sha256", "summary"}

Tensors = dict[str, np.ndarray]


def check_header(header: Header, fields: Mapping[str, set[str]]) -> str:
    """Refuses headers of another format, of unknown kind or with unknown fields.

    Args:
        header: of a file.
        fields: for every kind that is known, the fields of its header.

    Returns:
        The kind: "nae" where a header does not say it.

    Raises:
        ValueError: if this naejax cannot read the file.

    Example:
        >>> header = {"format": 2, "kind": "nae", "version": "0.1.0", "sha256": ""}
        >>> check_header(header, {"nae": set()})
        'nae'
    """
    if header["format"] == 1:
        raise ValueError(
            f"it has format 1, this naejax reads {FORMAT}; train the model again, or "
            "load it with the naejax that wrote it, before format 2"
        )
    if header["format"] != FORMAT:
        raise ValueError(
            f"it has format {header['format']!r}, this naejax reads {FORMAT}; update "
            "naejax"
        )
    kind = header.get("kind", "nae")
    if kind not in fields:
        raise ValueError(
            f"it holds a model of kind {kind!r}, this naejax knows "
            f"{', '.join(fields)}; update naejax"
        )
    unknown = sorted(set(header) - fields[kind] - _FIELDS_OF_ALL)
    if unknown:
        raise ValueError(f"its header has the unknown field {unknown[0]!r}")
    # A file that lost one of them is damaged.
    if ("version" in header) != ("sha256" in header):
        raise ValueError("its header lacks its checksum, or the version")
    return kind


def table_state(fitted: Any) -> tuple[Header, Tensors]:
    """A fitted model of a table as a header for JSON and arrays.

    Args:
        fitted: a `naejax.tabular.TabularNAE`.

    Returns:
        Plain values, and the arrays by their paths.

    Example:
        >>> from naejax.data import infer_schema
        >>> from naejax.settings import Settings
        >>> from naejax.tabular import fit_table
        >>> columns = {"x": np.arange(64.0), "y": np.arange(64.0)}
        >>> fitted, _ = fit_table(columns, columns, infer_schema(columns, "y"),
        ...                       Settings(epochs=1, num_experts=4), progress=False)
        >>> header, tensors = table_state(fitted)
        >>> header["model"]["num_experts"], tensors["params/bias"].shape
        (4, (1,))
    """
    config = config_of(fitted.model)
    variables = flatten(fitted.variables)
    if config.num_knots:
        config, variables = tabulate(config, variables)
    encoder, arrays = encoder_state.to_state(fitted.encoder)
    header = {
        "model": config._asdict(),
        "encoder": encoder,
        "loss": fitted.loss,
        "loss_parameter": fitted.loss_parameter,
    }
    tensors = {ENCODER + name: array for name, array in arrays.items()}
    return header, {**variables, **tensors}


def check_table(header: Header, index: Index) -> None:
    """Refuses a file whose arrays are not those that its header asks for.

    Args:
        header: of the file.
        index: types and shapes of its arrays.

    Raises:
        ValueError: with the first array that is wrong.

    Example:
        >>> check_table({"model": {}}, {})
        Traceback (most recent call last):
        ValueError: the model has the fields [], expected ...
    """
    config = model_config(header)
    encoder = encoder_state.state_shapes(header["encoder"])
    schema, num_features = header["encoder"]["schema"], len(header["encoder"]["codecs"])
    target = schema["target"]
    C = len(target["classes"]) if target["kind"] == "multiclass" else 1
    if config.num_outputs != C:
        raise ValueError(f"the model has {config.num_outputs} outputs, its target {C}")
    _check_monotone(config, num_features)
    _check_loss(header, target["kind"])
    # Otherwise a list of a million widths would be expanded in vain.
    if len(config.hidden) > len(index):
        raise ValueError(f"the model has {len(config.hidden)} blocks, too many")
    expected: dict[str, tuple[int | None, ...]] = {
        **parameter_shapes(config, num_features),
        **{ENCODER + name: shape for name, shape in encoder.items()},
    }
    if "estimator" in header:
        class_labels(header)
        if f"{ESTIMATOR}calibration" in index:
            expected[f"{ESTIMATOR}calibration"] = (None,)
    check_shapes(index, expected)


def check_shapes(index: Index, expected: Mapping[str, tuple[int | None, ...]]) -> None:
    """Refuses arrays that are missing, too many, misshapen or of another type.

    Args:
        index: types and shapes of a file's arrays.
        expected: shapes; None stands for any length of at least 1.

    Raises:
        ValueError: with the first array that is wrong.

    Example:
        >>> from naejax.container import Spec
        >>> check_shapes({"params/w": Spec("F32", (2, 3))}, {"params/w": (2, None)})
    """
    for name in sorted({*index, *expected}):
        is_exact = name.startswith((ENCODER, ESTIMATOR))
        dtypes = ("F64",) if is_exact else ("F32", "F64")
        if name in index and name in expected:
            (dtype, shape), wanted = index[name], expected[name]
            if len(shape) == len(wanted) and dtype in dtypes:
                if all(
                    n == m or (m is None and n > 0)
                    for n, m in zip(shape, wanted, strict=True)
                ):
                    continue
        found = "is missing" if name not in index else "is not known"
        if name in index and name in expected:
            found = f"is {index[name].dtype} {index[name].shape}"
        raise ValueError(
            f"array {name!r} {found}: it does not have the shape that the "
            f"configuration asks for ({expected.get(name, 'none')}); save the model "
            "again"
        )


def check_finite(tensors: Mapping[str, np.ndarray]) -> None:
    """Refuses variables that are NaN or infinite, and knots that do not increase.

    Args:
        tensors: arrays by their paths; those of the encoder are passed over.

    Raises:
        ValueError: with the first array that is wrong.

    Example:
        >>> check_finite({"params/w": np.zeros(3)})
    """
    for name, tensor in tensors.items():
        # The encoder of a table has NaN where a number cannot be missing.
        if not name.startswith(ENCODER) and not np.isfinite(tensor).all():
            raise ValueError(
                f"array {name!r} holds NaN or infinite numbers; train the model again"
            )
        if name.startswith("knots/") and (np.diff(tensor) < 0).any():
            raise ValueError(f"array {name!r} decreases; save the model again")


def class_labels(header: Header) -> np.ndarray:
    """The labels of the classes, with the type that they had in training.

    Args:
        header: as `table_state` gives it, maybe with that of an estimator.

    Returns:
        Labels, (number of classes,); none for a regression.

    Raises:
        ValueError: if there is not one for every class of the target.

    Example:
        >>> target = {"kind": "binary", "classes": ["0", "1"]}
        >>> header = {"encoder": {"schema": {"target": target}}}
        >>> class_labels(header)
        array(['0', '1'], dtype=object)
        >>> class_labels({**header, "estimator": {"labels": [0, 1],
        ...                                       "label_dtype": "<i8"}})
        array([0, 1])
    """
    classes = header["encoder"]["schema"]["target"]["classes"]
    estimator = header.get("estimator", {})
    labels = estimator.get("labels", classes)
    dtype = np.dtype(estimator.get("label_dtype", "O"))
    longest = max((len(str(label)) for label in labels), default=0)
    # Without the size, "<U1000000000" would take gigabytes.
    fits = dtype.kind in "biufUO" and dtype.itemsize <= max(16, 4 * longest)
    if not fits or len(labels) != len(classes) or isinstance(labels, str):
        raise ValueError(f"the labels do not fit the {len(classes)} classes")
    return np.array(labels, dtype)


def table_encoder(header: Header, tensors: Mapping[str, np.ndarray]) -> TableEncoder:
    """The encoder of a model of a table.

    Args:
        header: as `table_state` gives it.
        tensors: all arrays.

    Returns:
        The encoder.

    Raises:
        ValueError: if its numbers are no encoder's.

    Example:
        >>> from naejax.data import fit_encoder, infer_schema, to_state
        >>> columns = {"x": np.arange(12.0), "y": np.arange(12.0)}
        >>> config, arrays = to_state(fit_encoder(columns, infer_schema(columns, "y")))
        >>> tensors = {f"encoder/{name}": array for name, array in arrays.items()}
        >>> table_encoder({"encoder": config}, tensors).rows
        12
    """
    arrays = {
        name.removeprefix(ENCODER): array
        for name, array in tensors.items()
        if name.startswith(ENCODER)
    }
    return encoder_state.from_state(header["encoder"], arrays)


def variables(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """Those arrays of a file that are variables of the model.

    Args:
        tensors: all arrays by their paths.

    Returns:
        Some of them.

    Example:
        >>> list(variables({"params/bias": np.zeros(1), "encoder/fill": np.zeros(1)}))
        ['params/bias']
    """
    others = (ENCODER, ESTIMATOR)
    return {k: v for k, v in tensors.items() if not k.startswith(others)}


def _check_monotone(config: ModelConfig, num_features: int) -> None:
    """Refuses signs that are not one per feature, or that the model cannot keep."""
    signs = config.monotone
    if signs is None:
        return
    fits = len(signs) == num_features and set(signs) <= {-1, 0, 1}
    if any(signs):
        fits = fits and config.num_knots >= 2 and config.gate != "own"
    if not fits:
        raise ValueError("monotone does not fit the features; save the model again")


def _check_loss(header: Header, kind: str) -> None:
    """Refuses a loss that is not of the target."""
    loss, parameter = header["loss"], header.get("loss_parameter")
    others = set(_CLASS_LOSSES.values())
    fits = (
        loss == _CLASS_LOSSES[kind]
        if kind in _CLASS_LOSSES
        else isinstance(loss, str) and loss not in others
    )
    if loss == "custom":
        fits = True
    if not fits or not (parameter is None or is_number(parameter)):
        raise ValueError(f"loss {loss!r} does not fit a {kind} target")
