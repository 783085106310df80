"""Fitted models as files: safetensors with a JSON header, never a pickle.

Loading executes nothing from the file and checks every shape before use.
"""

import json
import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import traverse_util
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialize

from naejax.data.state import from_state, to_state
from naejax.files import write_file
from naejax.models.nae import NAE
from naejax.tabular import TabularNAE

FORMAT = 1
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


def save(path: str | Path, fitted: TabularNAE) -> None:
    """Saves a fitted model with its configuration and the encoding of its table.

    The file is written beside, fsynced and renamed: it is whole or not there.

    Args:
        path: of the file, by custom ``*.safetensors``.
        fitted: a fitted model.

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
    params = traverse_util.flatten_dict(fitted.variables["params"], sep="/")
    tensors = {f"params/{k}": np.asarray(v) for k, v in params.items()}
    _check_finite(tensors, path)
    encoder, arrays = to_state(fitted.encoder)
    tensors |= {f"encoder/{k}": np.asarray(v) for k, v in arrays.items()}
    header = {
        "format": FORMAT,
        "model": {name: getattr(fitted.model, name) for name in _MODEL_FIELDS},
        "encoder": encoder,
        "loss": fitted.loss,
    }
    write_file(path, serialize(tensors, {"naejax": json.dumps(header)}))


def load(path: str | Path) -> TabularNAE:
    """Loads what `save` wrote.

    Args:
        path: of the file.

    Returns:
        The fitted model; its predictions are bitwise those of the saved one.

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
            # Shapes come from the file's index: nothing is allocated before the check.
            shapes = {k: tuple(file.get_slice(k).get_shape()) for k in file.keys()}
            model, expected = _model(header, path)
            loss = str(header["loss"])
            found = {k: v for k, v in shapes.items() if k.startswith("params/")}
            if found != expected:
                wrong = sorted(set(found.items()) ^ set(expected.items()))[0]
                raise ValueError(
                    f"{path}: tensor {wrong[0]!r} does not have the shape that the "
                    "file's configuration asks for; save the model again"
                )
            tensors = {name: file.get_tensor(name) for name in shapes}
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is not a model that naejax saved, or it is damaged "
            f"({type(error).__name__}: {error})"
        ) from error
    _check_finite({name: tensors[name] for name in expected}, path)
    arrays = {k[8:]: v for k, v in tensors.items() if k.startswith("encoder/")}
    params = {k[7:]: tensors[k] for k in expected}
    variables = {"params": traverse_util.unflatten_dict(params, sep="/")}
    encoder = from_state(header["encoder"], arrays)
    return TabularNAE(model, variables, encoder, loss)


def _model(header: dict[str, Any], path: Path) -> tuple[NAE, dict[str, tuple]]:
    """The module of a header, and the shapes of its parameters."""
    if header["format"] != FORMAT:
        raise ValueError(
            f"{path} has format {header['format']!r}, this naejax reads {FORMAT}; "
            "update naejax, or save the model again with this version"
        )
    settings = {name: header["model"][name] for name in _MODEL_FIELDS}
    model = NAE(**{**settings, "hidden": tuple(settings["hidden"])})
    row = np.zeros((1, len(header["encoder"]["codecs"])), np.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), row)["params"]
    flat = traverse_util.flatten_dict(shapes, sep="/")
    return model, {f"params/{k}": v.shape for k, v in flat.items()}


def _check_finite(tensors: dict[str, np.ndarray], path: str | Path) -> None:
    """Refuses parameters that are NaN or infinite."""
    for name, tensor in tensors.items():
        if not math.isfinite(np.abs(tensor).max(initial=0.0)):
            raise ValueError(
                f"{path}: tensor {name!r} holds NaN or infinite numbers; train the "
                "model again"
            )
