"""Fitted models of texts as plain values and arrays, to be stored without pickling."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from naejax.models.bert import BERT
from naejax.models.sop import SumOfParts
from naejax.models.text_backbone import REMOVALS, BertBackbone, bert_backbone
from naejax.models.transformer import ACTIVATIONS
from naejax.sop_file import (
    SOP_FIELDS,
    Fields,
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
from naejax.texts.fitted import TextSOP

_LONGEST = 2**13
"""Of any length in a header: a blur is traced as a matrix of all pairs of parts."""


def _is_length(value: Any) -> bool:
    """A number of tokens that a model can have."""
    return is_size(value) and value <= _LONGEST


_BERT_FIELDS: Fields = {
    "num_outputs": is_size,
    "vocabulary": is_size,
    "width": is_size,
    "depth": is_size,
    "heads": is_size,
    "mlp": is_size,
    "positions": _is_length,
    "types": is_size,
    "activation": lambda value: is_text(value) and value in ACTIVATIONS,
    "epsilon": is_number,
    "removed": is_whole,
}
_SOP_FIELDS: Fields = {
    **SOP_FIELDS,
    "num_parts": lambda value: value is None or _is_length(value),
    "frozen": is_flag,
}
_MEANING: Fields = {
    "removal": lambda value: value in REMOVALS,
    "classes": are_texts,
}
FIELDS = {"backbone", "model", *_MEANING}
"""All that a header holds."""


def to_state(fitted: TextSOP) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Splits a fitted model into a header for JSON and arrays for safetensors.

    Args:
        fitted: Sum-of-Parts around a BERT.

    Returns:
        A dict of plain values, and the parameters: those of the backbone under
        "backbone/", those of Sum-of-Parts under "params/".

    Raises:
        ValueError: if it is built around another backbone.

    Example:
        >>> bert = BERT(2, vocabulary=9, width=8, depth=1, heads=2, mlp=8, positions=6)
        >>> x = np.zeros((1, 6, 4))
        >>> variables = jax.jit(bert.init)(jax.random.key(0), x[..., 0].astype(int))
        >>> backbone = bert_backbone(bert, variables)
        >>> model = SumOfParts(backbone, 2, encoder="shared")
        >>> variables = jax.jit(model.init)(jax.random.key(1), x)
        >>> header, _ = to_state(TextSOP(model, variables, backbone, ("no", "yes")))
        >>> header["backbone"]["positions"], header["model"]["encoder"]
        (6, 'shared')
    """
    backbone = fitted.backbone
    if not isinstance(backbone, BertBackbone):
        raise ValueError(
            f"the model is around a {type(backbone).__name__}, expected one that "
            "naejax.models.text_backbone.bert_backbone made; keep variables of your "
            "own networks with flax.serialization"
        )
    header = {
        "backbone": settings_of(backbone.model, _BERT_FIELDS),
        "model": settings_of(fitted.model, _SOP_FIELDS),
        "removal": backbone.removal,
        "classes": fitted.classes,
    }
    arrays = flat("backbone", backbone.params) | flat(
        "params", fitted.variables["params"]
    )
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
        >>> num_layers({"backbone": {"depth": 3}})
        Traceback (most recent call last):
        ValueError: the header has or lacks 'activation': save the model again
    """
    check_fields(header["backbone"], _BERT_FIELDS)
    return header["backbone"]["depth"]


def state_shapes(header: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes that the arrays of a header must have; nothing is computed.

    Args:
        header: the dict of plain values, also after a round trip through JSON.

    Returns:
        Shapes by name.

    Raises:
        ValueError: for settings that no model can have.

    Example:
        >>> state_shapes({"backbone": {}})
        Traceback (most recent call last):
        ValueError: the header has or lacks 'activation': save the model again
    """
    check_fields(header["backbone"], _BERT_FIELDS)
    check_fields(header["model"], _SOP_FIELDS)
    check_fields({k: v for k, v in header.items() if k in _MEANING}, _MEANING)
    bert = _bert(header)
    if max(2, bert.num_outputs) != len(header["classes"]):
        raise ValueError(
            f"the header names {len(header['classes'])} classes, the backbone has "
            f"{bert.num_outputs} outputs: save the model again"
        )
    # Groups run in chunks, which shapes do not depend on: one is traced faster.
    model = {**header["model"], "chunk": header["model"]["num_groups"]}

    def init(key: jax.Array, x: np.ndarray) -> dict[str, Any]:
        variables = bert.init(key, x[..., 0].astype(int))
        backbone = bert_backbone(bert, variables, header["removal"])
        sop = sop_module(model, backbone, bert.num_outputs)
        return {
            "backbone": variables["params"],
            "params": sop.init(key, x)["params"],
        }

    x = np.broadcast_to(np.float32(0), (1, bert.positions, 4))
    shapes = jax.eval_shape(init, jax.random.key(0), x)
    arrays = traverse_util.flatten_dict(shapes, sep="/")
    return {name: array.shape for name, array in arrays.items()}


def from_state(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> TextSOP:
    """Puts together what `to_state` took apart.

    Args:
        header: the dict of plain values, also after a round trip through JSON.
        arrays: of the shapes that `state_shapes` gives.

    Returns:
        The fitted model.

    Example:
        >>> bert = BERT(2, vocabulary=9, width=8, depth=1, heads=2, mlp=8, positions=6)
        >>> x = np.zeros((1, 6, 4))
        >>> variables = jax.jit(bert.init)(jax.random.key(0), x[..., 0].astype(int))
        >>> backbone = bert_backbone(bert, variables)
        >>> model = SumOfParts(backbone, 2, encoder="shared")
        >>> variables = jax.jit(model.init)(jax.random.key(1), x)
        >>> fitted = TextSOP(model, variables, backbone, ("no", "yes"))
        >>> from_state(*to_state(fitted)).backbone.model == bert
        True
    """
    tree = traverse_util.unflatten_dict(dict(arrays), sep="/")
    bert = _bert(header)
    backbone = bert_backbone(bert, {"params": tree["backbone"]}, header["removal"])
    model: SumOfParts = sop_module(header["model"], backbone, bert.num_outputs)
    variables = sop_variables(model, tree)
    return TextSOP(model, variables, backbone, tuple(header["classes"]))


def _bert(header: Mapping[str, Any]) -> BERT:
    """The backbone's module."""
    return BERT(**plain_settings(header["backbone"]))
