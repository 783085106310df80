"""Fitted models of images as plain values and arrays, to be stored without pickling."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from naejax.models.cnn import CNN, cnn_backbone
from naejax.models.sop import SumOfParts
from naejax.vision.fitted import ImageBackbone, ImageSOP

_CNN_FIELDS = (
    "num_outputs",
    "channels",
    "hidden",
    "depth",
    "kernel",
    "padding",
    "features",
    "negative_slope",
)
_SOP_FIELDS = (
    "num_groups",
    "keep",
    "heads",
    "mask",
    "scale",
    "encoder",
    "patch",
    "width",
    "standardise",
    "grid",
    "generator_scale",
    "selector_scale",
    "blur",
    "blur_sigma",
    "finetune",
    "chunk",
)
_MEANING = ("shape", "classes", "targets", "centre", "spread")


def to_state(
    fitted: ImageBackbone | ImageSOP,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Splits a fitted model into a header for JSON and arrays for safetensors.

    Args:
        fitted: a backbone, or Sum-of-Parts with its backbone.

    Returns:
        A dict of plain values, and the parameters: those of the backbone under
        "backbone/", those of Sum-of-Parts under "params/".

    Example:
        >>> cnn = CNN(2, channels=(4, 4))
        >>> variables = cnn.init(jax.random.key(0), np.ones((1, 8, 8, 1)))
        >>> backbone = ImageBackbone(cnn, variables, (8, 8, 1), ("a", "b"), (),
        ...                          (0.0, 0.0), (1.0, 1.0))
        >>> to_state(backbone)[0]["backbone"]["channels"]
        (4, 4)
    """
    backbone = fitted.backbone if isinstance(fitted, ImageSOP) else fitted
    header: dict[str, Any] = {
        "backbone": {name: getattr(backbone.model, name) for name in _CNN_FIELDS},
        **{name: getattr(backbone, name) for name in _MEANING},
    }
    arrays = _flat("backbone", backbone.variables["params"])
    if isinstance(fitted, ImageSOP):
        header["model"] = {name: getattr(fitted.model, name) for name in _SOP_FIELDS}
        arrays |= _flat("params", fitted.variables["params"])
    return header, {name: np.asarray(array) for name, array in arrays.items()}


def state_shapes(header: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes that the arrays of a header must have; nothing is computed.

    Args:
        header: the dict of plain values, also after a round trip through JSON.

    Returns:
        Shapes by name.

    Raises:
        ValueError: for settings that no model can have.

    Example:
        >>> cnn = CNN(2, channels=(4, 4))
        >>> variables = cnn.init(jax.random.key(0), np.ones((1, 8, 8, 1)))
        >>> header, _ = to_state(ImageBackbone(cnn, variables, (8, 8, 1), ("a", "b"),
        ...                                    (), (0.0, 0.0), (1.0, 1.0)))
        >>> state_shapes(header)["backbone/conv_0_0/kernel"]
        (3, 3, 1, 4)
    """
    cnn = _cnn(header)
    outputs = len(header["classes"] or header["targets"])
    scale = [float(number) for name in _MEANING[3:] for number in header[name]]
    if len(scale) != 2 * outputs or cnn.num_outputs != outputs:
        raise ValueError(
            f"the header names {outputs} outputs, the backbone has {cnn.num_outputs}: "
            "save the model again"
        )
    if not (np.isfinite(scale).all() and min(scale[outputs:]) > 0):
        raise ValueError("centre or spread of the outputs is not a number: train again")

    def init(key: jax.Array, x: np.ndarray) -> dict[str, Any]:
        variables = cnn.init(key, x)
        shapes = {"backbone": variables["params"]}
        if "model" in header:
            shapes["params"] = _sop(header, cnn, variables).init(key, x)["params"]
        return shapes

    x = np.broadcast_to(np.float32(0), (1, *header["shape"]))
    shapes = jax.eval_shape(init, jax.random.key(0), x)
    flat = traverse_util.flatten_dict(shapes, sep="/")
    return {name: array.shape for name, array in flat.items()}


def from_state(
    header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> ImageBackbone | ImageSOP:
    """Puts together what `to_state` took apart.

    Args:
        header: the dict of plain values, also after a round trip through JSON.
        arrays: of the shapes that `state_shapes` gives.

    Returns:
        The fitted model.

    Example:
        >>> cnn = CNN(2, channels=(4, 4))
        >>> variables = cnn.init(jax.random.key(0), np.ones((1, 8, 8, 1)))
        >>> backbone = ImageBackbone(cnn, variables, (8, 8, 1), ("a", "b"), (),
        ...                          (0.0, 0.0), (1.0, 1.0))
        >>> from_state(*to_state(backbone)).model == cnn
        True
    """
    tree = traverse_util.unflatten_dict(dict(arrays), sep="/")
    height, width, channels = header["shape"]
    backbone = ImageBackbone(
        model=_cnn(header),
        variables={"params": tree["backbone"]},
        shape=(height, width, channels),
        classes=tuple(header["classes"]),
        targets=tuple(header["targets"]),
        centre=tuple(header["centre"]),
        spread=tuple(header["spread"]),
    )
    if "model" not in header:
        return backbone
    model = _sop(header, backbone.model, backbone.variables)
    tuned = model.finetune
    constants = {
        "params": {k: v for k, v in tree["backbone"].items() if k not in tuned}
    }
    return ImageSOP(model, {"params": tree["params"], "backbone": constants}, backbone)


def _flat(prefix: str, params: Any) -> dict[str, Any]:
    """Parameters by their path."""
    return traverse_util.flatten_dict({prefix: params}, sep="/")


def _cnn(header: Mapping[str, Any]) -> CNN:
    """The backbone's module."""
    return CNN(**{name: _plain(header["backbone"][name]) for name in _CNN_FIELDS})


def _sop(header: Mapping[str, Any], cnn: CNN, variables: Any) -> SumOfParts:
    """The module around it."""
    options = {name: _plain(header["model"][name]) for name in _SOP_FIELDS}
    return SumOfParts(
        cnn_backbone(cnn, variables), num_outputs=cnn.num_outputs, **options
    )


def _plain(value: Any) -> Any:
    """A setting as modules hold it: JSON made tuples lists."""
    return tuple(value) if isinstance(value, list) else value
