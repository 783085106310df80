"""Fitted models of images as plain values and arrays, to be stored without pickling."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from naejax.models.cnn import CNN
from naejax.models.sop import SumOfParts
from naejax.models.transformer import ACTIVATIONS
from naejax.models.vit import ViT
from naejax.sop_file import (
    LARGEST,
    SOP_FIELDS,
    Fields,
    are_numbers,
    are_sizes,
    check_fields,
    flat,
    is_flag,
    is_size,
    is_text,
    plain_settings,
    settings_of,
    sop_module,
    sop_variables,
)
from naejax.strict_json import are_texts, is_number, is_whole
from naejax.vision.fitted import ImageBackbone, ImageSOP
from naejax.vision.networks import Network, image_backbone

_PADDINGS = ("SAME", "SAME_LOWER", "VALID", "CIRCULAR")
_CNN_FIELDS: Fields = {
    "num_outputs": is_size,
    "channels": are_sizes,
    "hidden": are_sizes,
    "depth": is_size,
    "kernel": is_size,
    "padding": lambda value: str(value).upper() in _PADDINGS,
    "features": lambda value: is_whole(value, -LARGEST),
    "negative_slope": is_number,
}
_VIT_FIELDS: Fields = {
    "num_outputs": is_size,
    "patch": is_size,
    "width": is_size,
    "depth": is_size,
    "heads": is_size,
    "mlp": is_size,
    "activation": lambda value: is_text(value) and value in ACTIVATIONS,
    "epsilon": is_number,
    "qkv_bias": is_flag,
    "drop_zeros": is_flag,
}
_NETWORKS: dict[str, tuple[type, Fields]] = {
    "cnn": (CNN, _CNN_FIELDS),
    "vit": (ViT, _VIT_FIELDS),
}
_MEANING: Fields = {
    "shape": lambda value: are_sizes(value) and len(value) == 3,
    "classes": are_texts,
    "targets": are_texts,
    "centre": are_numbers,
    "spread": are_numbers,
}
FIELDS = {"backbone", "model", *_MEANING}
"""All that a header holds."""


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
        "backbone": _network_state(backbone.model),
        **{name: getattr(backbone, name) for name in _MEANING},
    }
    arrays = flat("backbone", backbone.variables["params"])
    if isinstance(fitted, ImageSOP):
        header["model"] = settings_of(fitted.model, SOP_FIELDS)
        arrays |= flat("params", fitted.variables["params"])
    return header, {name: np.asarray(array) for name, array in arrays.items()}


def num_layers(header: Mapping[str, Any]) -> int:
    """How many layers the backbone of a header has, at least.

    Args:
        header: the dict of plain values, also after a round trip through JSON.

    Returns:
        The number.

    Raises:
        ValueError: for settings that no backbone can have.

    Example:
        >>> cnn = CNN(2, channels=(4, 4))
        >>> variables = cnn.init(jax.random.key(0), np.ones((1, 8, 8, 1)))
        >>> num_layers(to_state(ImageBackbone(cnn, variables, (8, 8, 1), ("a", "b"),
        ...                                   (), (0.0, 0.0), (1.0, 1.0)))[0])
        3
    """
    _check_network(header)
    network = _network(header)
    if isinstance(network, ViT):
        return network.depth
    return network.depth * len(network.channels) + len(network.hidden)


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
    _check_network(header)
    check_fields({k: v for k, v in header.items() if k in _MEANING}, _MEANING)
    if "model" in header:
        check_fields(header["model"], SOP_FIELDS)
        # Groups run in chunks, which shapes do not depend on: one is traced faster.
        model = header["model"]
        header = {**header, "model": {**model, "chunk": model["num_groups"]}}
    network = _network(header)
    outputs = len(header["classes"] or header["targets"])
    counts = {network.num_outputs, len(header["centre"]), len(header["spread"])}
    if counts != {outputs}:
        raise ValueError(
            f"the header names {outputs} outputs, the backbone has "
            f"{network.num_outputs}: save the model again"
        )
    if min(header["spread"]) <= 0:
        raise ValueError("the spread of an output is not positive: train again")

    def init(key: jax.Array, x: np.ndarray) -> dict[str, Any]:
        variables = network.init(key, x)
        shapes = {"backbone": variables["params"]}
        if "model" in header:
            shapes["params"] = _sop(header, network, variables).init(key, x)["params"]
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
        model=_network(header),
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
    return ImageSOP(model, sop_variables(model, tree), backbone)


def _network_state(network: Network) -> dict[str, Any]:
    """The backbone's kind and its attributes."""
    kind = next(k for k, (module, _) in _NETWORKS.items() if type(network) is module)
    return {"kind": kind, **settings_of(network, _NETWORKS[kind][1])}


def _check_network(header: Mapping[str, Any]) -> None:
    """Refuses what no backbone has."""
    values = dict(header["backbone"])
    kind = values.pop("kind", "cnn")  # older files hold nothing but CNNs
    if kind not in _NETWORKS:
        raise ValueError(
            f"the backbone is a {kind!r}, expected one of {', '.join(_NETWORKS)}: "
            "install a newer naejax"
        )
    check_fields(values, _NETWORKS[kind][1])


def _network(header: Mapping[str, Any]) -> Network:
    """The backbone's module."""
    values = plain_settings(header["backbone"])
    module, _ = _NETWORKS[values.pop("kind", "cnn")]
    return module(**values)


def _sop(header: Mapping[str, Any], network: Network, variables: Any) -> SumOfParts:
    """The module around it."""
    backbone = image_backbone(network, variables)
    return sop_module(header["model"], backbone, network.num_outputs)
