"""Fitted models as files: safetensors with a JSON header, never a pickle.

Loading executes nothing from the file and checks every shape before use.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import traverse_util
from flax.errors import FlaxError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialize

from naejax.data import state as table_state
from naejax.files import write_file
from naejax.models.nae import NAE
from naejax.tabular import TabularNAE
from naejax.vision import ImageBackbone, ImageSOP
from naejax.vision import state as image_state

FORMAT = 1
Fitted = TabularNAE | ImageSOP | ImageBackbone
_MODEL_FIELDS = (
    "num_outputs",
    "num_experts",
    "top_k",
    "hidden",
    "gate",
    "gate_rank",
    "dropout",
    "expert_dropout",
)
_ENCODER = "encoder/"
"""Tensors that are no parameters: their shapes belong to the table's encoder."""


def save(path: str | Path, fitted: Fitted) -> None:
    """Saves a fitted model with its configuration and all that is needed to use it.

    The file is written beside, fsynced and renamed: it is whole or not there.

    Args:
        path: of the file, by custom ``*.safetensors``.
        fitted: a fitted model of a table or of images, or a backbone of images.

    Raises:
        ValueError: if a parameter is NaN or infinite, or the path is a folder.

    Example:
        >>> import tempfile
        >>> from naejax.data import infer_schema
        >>> from naejax.settings import Settings
        >>> from naejax.tabular import fit_table
        >>> columns = {"x": np.arange(64.0), "y": np.arange(64.0)}
        >>> fitted, _ = fit_table(columns, columns, infer_schema(columns, "y"),
        ...                       Settings(epochs=1), progress=False)
        >>> path = f"{tempfile.mkdtemp()}/model.safetensors"
        >>> save(path, fitted)
        >>> load(path).model == fitted.model
        True
    """
    names = {TabularNAE: "nae", ImageSOP: "sop", ImageBackbone: "backbone"}
    name = names[type(fitted)]
    header, tensors = _KINDS[name].to_state(fitted)
    _check_finite(tensors, path)
    header = {"format": FORMAT, "kind": name, **header}
    write_file(path, serialize(tensors, {"naejax": json.dumps(header)}))


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
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ValueError(f"{path} {what}, expected a model file that naejax saved")
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})["naejax"])
            kind = _kind(header, path)
            # Shapes come from the file's index: nothing is allocated before the check.
            shapes = {k: tuple(file.get_slice(k).get_shape()) for k in file.keys()}
            _check_shapes(shapes, kind.shapes(header), path)
            tensors = {name: file.get_tensor(name) for name in shapes}
        _check_finite(tensors, path)
        return kind.from_state(header, tensors)
    except (SafetensorError, FlaxError, KeyError, TypeError, json.JSONDecodeError) as e:
        raise ValueError(
            f"{path} is not a model that naejax saved, or it is damaged "
            f"({type(e).__name__}: {e})"
        ) from e


def _table_to_state(fitted: TabularNAE) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A model of a table as a header and tensors."""
    params = traverse_util.flatten_dict(fitted.variables["params"], sep="/")
    tensors = {f"params/{k}": np.asarray(v) for k, v in params.items()}
    encoder, arrays = table_state.to_state(fitted.encoder)
    tensors |= {f"{_ENCODER}{k}": np.asarray(v) for k, v in arrays.items()}
    header = {
        "model": {name: getattr(fitted.model, name) for name in _MODEL_FIELDS},
        "encoder": encoder,
        "loss": fitted.loss,
    }
    return header, tensors


def _table_shapes(header: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the parameters that a header asks for."""
    row = np.zeros((1, len(header["encoder"]["codecs"])), np.float32)
    shapes = jax.eval_shape(_nae(header).init, jax.random.key(0), row)["params"]
    flat = traverse_util.flatten_dict(shapes, sep="/")
    return {f"params/{k}": v.shape for k, v in flat.items()}


def _table_from_state(
    header: Mapping[str, Any], tensors: Mapping[str, np.ndarray]
) -> TabularNAE:
    """A model of a table from its header and tensors."""
    size = len(_ENCODER)
    arrays = {k[size:]: v for k, v in tensors.items() if k.startswith(_ENCODER)}
    params = {k: v for k, v in tensors.items() if not k.startswith(_ENCODER)}
    variables = traverse_util.unflatten_dict(params, sep="/")
    encoder = table_state.from_state(header["encoder"], arrays)
    return TabularNAE(_nae(header), variables, encoder, str(header["loss"]))


def _nae(header: Mapping[str, Any]) -> NAE:
    """The module of a header."""
    settings = {name: header["model"][name] for name in _MODEL_FIELDS}
    return NAE(**{**settings, "hidden": tuple(settings["hidden"])})


class _Kind(NamedTuple):
    """How one type of fitted model becomes a header and tensors, and back."""

    to_state: Callable[[Any], tuple[dict[str, Any], dict[str, np.ndarray]]]
    shapes: Callable[[Mapping[str, Any]], dict[str, tuple[int, ...]]]
    from_state: Callable[[Mapping[str, Any], Mapping[str, np.ndarray]], Any]


_IMAGES = _Kind(image_state.to_state, image_state.state_shapes, image_state.from_state)
_KINDS = {
    "nae": _Kind(_table_to_state, _table_shapes, _table_from_state),
    "sop": _IMAGES,
    "backbone": _IMAGES,
}


def _kind(header: Mapping[str, Any], path: Path) -> _Kind:
    """What a header is of; files of the first version do not say that it is a NAE."""
    if header["format"] != FORMAT:
        raise ValueError(
            f"{path} has format {header['format']!r}, this naejax reads {FORMAT}; "
            "update naejax, or save the model again with this version"
        )
    kind = header.get("kind", "nae")
    if kind not in _KINDS:
        raise ValueError(
            f"{path} holds a model of kind {kind!r}, this naejax knows "
            f"{', '.join(_KINDS)}; update naejax"
        )
    return _KINDS[kind]


def _check_shapes(
    shapes: Mapping[str, tuple[int, ...]],
    expected: Mapping[str, tuple[int, ...]],
    path: Path,
) -> None:
    """Refuses parameters that are not those of the header."""
    found = {k: v for k, v in shapes.items() if not k.startswith(_ENCODER)}
    if found != expected:
        wrong = sorted(set(found.items()) ^ set(expected.items()))[0]
        raise ValueError(
            f"{path}: tensor {wrong[0]!r} does not have the shape that the file's "
            "configuration asks for; save the model again"
        )


def _check_finite(tensors: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Refuses parameters that are NaN or infinite."""
    for name, tensor in tensors.items():
        # The encoder of a table has NaN where a number cannot be missing.
        if not name.startswith(_ENCODER) and not math.isfinite(
            np.abs(tensor).max(initial=0.0)
        ):
            raise ValueError(
                f"{path}: tensor {name!r} holds NaN or infinite numbers; train the "
                "model again"
            )
