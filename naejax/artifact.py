"""Fitted models as files: safetensors with a JSON header, never a pickle.

Loading executes nothing from the file and checks every shape before use.
"""

import math
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from flax.errors import FlaxError

from naejax import table_file
from naejax.container import (
    Header,
    Index,
    blaming,
    read_container,
    read_index,
    write_container,
)
from naejax.layout import model_config
from naejax.models.ensemble import NAEEnsemble
from naejax.models.nae import NAE
from naejax.objectives import losses
from naejax.table_file import ESTIMATOR, FORMAT, Tensors
from naejax.tabular import TabularNAE
from naejax.tabular.fitted import CUSTOM_LOSS
from naejax.texts import state as text_state
from naejax.vision import state as image_state

_KIND_OF = {
    "TabularNAE": "nae",
    "NAERegressor": "estimator",
    "NAEClassifier": "estimator",
    "ImageSOP": "sop",
    "ImageBackbone": "backbone",
    "TextSOP": "texts",
}


def save(
    path: str | Path, fitted: Any, summary: Mapping[str, Any] | None = None
) -> None:
    """Saves a fitted model with its configuration and all that is needed to use it.

    The file is written beside, fsynced and renamed: it is whole or not there. Its
    header holds the format, the version of naejax, the kind of model, its whole
    configuration with columns and labels, a checksum of the file, and the summary.

    Args:
        path: of the file, by custom ``*.safetensors``.
        fitted: a fitted estimator, model of a table, of images or of texts around
            `naejax.BERT`, or backbone of images; a tokenizer stays where it is.
        summary: plain values worth knowing of the training, such as rows, epochs,
            seconds and scores; `describe` gives them back, None for NaN.

    Raises:
        ValueError: if it is not fitted, a parameter is NaN or infinite, or the path is
            a folder.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from naejax.data import infer_schema
        >>> from naejax.settings import Settings
        >>> from naejax.tabular import fit_table
        >>> columns = {"x": np.arange(64.0), "y": np.arange(64.0)}
        >>> fitted, _ = fit_table(columns, columns, infer_schema(columns, "y"),
        ...                       Settings(epochs=1), progress=False)
        >>> path = f"{tempfile.mkdtemp()}/model.safetensors"
        >>> save(path, fitted, {"rows": 64})
        >>> load(path).loss, describe(path)["summary"]
        ('squared', {'rows': 64})
    """
    kind = _KIND_OF.get(type(fitted).__name__)
    if kind is None:
        raise ValueError(
            f"got a {type(fitted).__name__}, expected one of {', '.join(_KIND_OF)}; "
            "keep variables of your own modules with flax.serialization"
        )
    state, tensors = _KINDS[kind].to_state(fitted)
    header = {"format": FORMAT, "version": version("naejax"), "kind": kind, **state}
    if summary is not None:
        header["summary"] = _plain(summary)
    with blaming(path):
        table_file.check_finite(tensors)
    write_container(path, header, tensors)


def load(path: str | Path) -> Any:
    """Loads what `save` wrote.

    Args:
        path: of the file.

    Returns:
        The fitted model, of the type that was saved; its predictions are bitwise those
        of the saved one.

    Raises:
        ValueError: if the file is missing, damaged, of another format, or holds tensors
            that do not fit its configuration.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from naejax.data import infer_schema
        >>> from naejax.settings import Settings
        >>> from naejax.tabular import explain_rows, fit_table
        >>> columns = {"x": np.arange(64.0), "y": np.arange(64.0)}
        >>> fitted, _ = fit_table(columns, columns, infer_schema(columns, "y"),
        ...                       Settings(epochs=1), progress=False)
        >>> path = f"{tempfile.mkdtemp()}/model.safetensors"
        >>> save(path, fitted)
        >>> before = explain_rows(fitted, columns).prediction
        >>> bool((before == explain_rows(load(path), columns).prediction).all())
        True
    """
    header, tensors = read_container(path, _check)
    with blaming(path):
        table_file.check_finite(tensors)
        try:
            return _kind(header).from_state(header, tensors)
        except FlaxError as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error


def describe(path: str | Path) -> dict[str, Any]:
    """What the header of a model file says; its parameters are not read.

    Args:
        path: of the file.

    Returns:
        Plain values: ``format``, ``version`` of naejax, ``kind``, the configuration,
        and the ``summary`` of the training that `save` was given, if any.

    Raises:
        ValueError: if the file is missing, damaged or of another format.

    Example:
        >>> import tempfile, jax, numpy as np
        >>> from naejax.models.cnn import CNN
        >>> from naejax.vision import ImageBackbone
        >>> cnn = CNN(2, channels=(4, 4))
        >>> variables = cnn.init(jax.random.key(0), np.ones((1, 8, 8, 1)))
        >>> path = f"{tempfile.mkdtemp()}/model.safetensors"
        >>> save(path, ImageBackbone(cnn, variables, (8, 8, 1), ("a", "b"), (),
        ...                          (0.0, 0.0), (1.0, 1.0)))
        >>> describe(path)["kind"], describe(path)["classes"]
        ('backbone', ['a', 'b'])
    """
    header, index = read_index(path)
    with blaming(path):
        _check(header, index)
    return header


class _Kind(NamedTuple):
    """How one type of fitted model becomes a header and tensors, and back."""

    fields: set[str]
    to_state: Callable[[Any], tuple[Header, Tensors]]
    check: Callable[[Header, Index], None]
    from_state: Callable[[Header, Tensors], Any]


def _check(header: Header, index: Index) -> None:
    """Refuses a header and shapes of no model, before any tensor is read."""
    _kind(header).check(header, index)


def _kind(header: Header) -> _Kind:
    """What a header is of."""
    fields = {name: kind.fields for name, kind in _KINDS.items()}
    return _KINDS[table_file.check_header(header, fields)]


def _table_from_state(header: Header, tensors: Tensors) -> TabularNAE:
    """A model of a table from its header and tensors."""
    loss = header["loss"]
    if loss != CUSTOM_LOSS:
        losses.get(loss)
    return TabularNAE(
        _model(header),
        traverse_util.unflatten_dict(table_file.variables(tensors), sep="/"),
        table_file.table_encoder(header, tensors),
        loss,
        header.get("loss_parameter"),
    )


def _estimator_to_state(estimator: Any) -> tuple[Header, Tensors]:
    """A fitted estimator as a header and tensors."""
    from naejax.estimators.state import to_state

    state, fitted, arrays = to_state(estimator)
    header, tensors = table_file.table_state(fitted)
    summary = {"rows": fitted.encoder.rows, "epochs": state["n_iter"]}
    summary["best_epoch"] = state["best_epoch"]
    tensors |= {ESTIMATOR + name: array for name, array in arrays.items()}
    return {**header, "estimator": state, "summary": summary}, tensors


def _estimator_from_state(header: Header, tensors: Tensors) -> Any:
    """An estimator from its header and tensors."""
    from naejax.estimators.state import from_state

    arrays = {
        name.removeprefix(ESTIMATOR): array
        for name, array in tensors.items()
        if name.startswith(ESTIMATOR)
    }
    fitted = _table_from_state(header, tensors)
    return from_state(header["estimator"], fitted, arrays)


def _model(header: Header) -> NAE | NAEEnsemble:
    """The module of a header."""
    fields = model_config(header)._asdict()
    members, dtype = fields.pop("members"), fields.pop("dtype")
    model = NAE(**fields, dtype=dtype and jnp.dtype(dtype))
    return model if members is None else NAEEnsemble(model, members)


def _plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _sop_kind(state: ModuleType) -> _Kind:
    """Models of Sum-of-Parts, or backbones, by the module that takes them apart."""

    def check(header: Header, index: Index) -> None:
        # Shapes are found by tracing, which would take hours on a million layers.
        if state.num_layers(header) > len(index):
            raise ValueError(
                "the backbone has more layers than the file has arrays; save it again"
            )
        table_file.check_shapes(index, state.state_shapes(header))

    return _Kind(state.FIELDS, state.to_state, check, state.from_state)


_KINDS = {
    "nae": _Kind(
        table_file.FIELDS,
        table_file.table_state,
        table_file.check_table,
        _table_from_state,
    ),
    "estimator": _Kind(
        table_file.ESTIMATOR_FIELDS,
        _estimator_to_state,
        table_file.check_table,
        _estimator_from_state,
    ),
    "sop": _sop_kind(image_state),
    "backbone": _sop_kind(image_state),
    "texts": _sop_kind(text_state),
}
