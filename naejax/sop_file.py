"""Settings of Sum-of-Parts and its backbone as plain values of a file's header."""

from collections.abc import Callable, Mapping
from typing import Any

from flax import traverse_util

from naejax.models.sop import SumOfParts
from naejax.strict_json import are_texts, is_number, is_whole
from naejax.types import Backbone

LARGEST = 2**20
"""Of any size in a header: shapes are found by tracing, which makes some constants."""

Fields = dict[str, Callable[[Any], bool]]
"""What a header must hold: names, and which values can stand there."""


def is_size(value: Any) -> bool:
    """Whether it is a whole number that a model can have of anything."""
    return is_whole(value, 1) and value <= LARGEST


def are_sizes(values: Any) -> bool:
    """Whether they are several sizes."""
    return isinstance(values, list | tuple) and all(map(is_size, values))


def are_numbers(values: Any) -> bool:
    """Whether they are several finite numbers."""
    return isinstance(values, list | tuple) and all(map(is_number, values))


def is_text(value: Any) -> bool:
    """Whether it is a name."""
    return isinstance(value, str)


def is_flag(value: Any) -> bool:
    """Whether it is yes or no."""
    return isinstance(value, bool)


SOP_FIELDS: Fields = {
    "num_groups": is_size,
    "keep": is_number,
    "heads": is_size,
    "mask": is_text,
    "scale": is_text,
    "encoder": is_text,
    "patch": lambda value: value is None or is_size(value) or are_sizes(value),
    "width": is_size,
    "standardise": is_flag,
    "grid": lambda value: value is None or are_sizes(value),
    "generator_scale": is_number,
    "selector_scale": is_number,
    "blur": is_size,
    "blur_sigma": is_number,
    "finetune": are_texts,
    "chunk": is_size,
}
"""What all models of Sum-of-Parts have."""


def settings_of(module: Any, fields: Fields) -> dict[str, Any]:
    """The attributes of a module that a header holds.

    Args:
        module: any.
        fields: their names.

    Returns:
        Values by name.

    Example:
        >>> from naejax.models.cnn import CNN
        >>> settings_of(CNN(2), {"num_outputs": is_size})
        {'num_outputs': 2}
    """
    return {name: getattr(module, name) for name in fields}


def plain_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as modules hold them: JSON made tuples lists.

    Args:
        values: by name.

    Returns:
        The same with tuples.

    Example:
        >>> plain_settings({"grid": [4, 4]})
        {'grid': (4, 4)}
    """
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def check_fields(values: Mapping[str, Any], fields: Fields) -> None:
    """Refuses settings that are missing, too many, or of no model.

    Args:
        values: by name.
        fields: what they must be.

    Raises:
        ValueError: with the first that is wrong.

    Example:
        >>> check_fields({"blur": 0}, {"blur": is_size})
        Traceback (most recent call last):
        ValueError: blur is 0: save the model again
    """
    if set(values) != set(fields):
        wrong = sorted(set(values) ^ set(fields))[0]
        raise ValueError(f"the header has or lacks {wrong!r}: save the model again")
    for name, fits in fields.items():
        if not fits(values[name]):
            raise ValueError(f"{name} is {values[name]!r}: save the model again")


def flat(prefix: str, params: Any) -> dict[str, Any]:
    """Parameters by their path.

    Args:
        prefix: of all paths.
        params: nested dicts.

    Returns:
        Arrays by name.

    Example:
        >>> flat("params", {"dense": {"bias": 3}})
        {'params/dense/bias': 3}
    """
    return traverse_util.flatten_dict({prefix: params}, sep="/")


def sop_module(
    values: Mapping[str, Any], backbone: Backbone, num_outputs: int
) -> SumOfParts:
    """The module of a header around a backbone.

    Args:
        values: its settings, checked.
        backbone: what it is built around.
        num_outputs: C.

    Returns:
        The module.

    Example:
        >>> from naejax.models.backbones import from_function
        >>> backbone = from_function(lambda w, x: x @ w, 0)
        >>> sop_module({"num_groups": 4}, backbone, 2).num_groups
        4
    """
    return SumOfParts(backbone, num_outputs=num_outputs, **plain_settings(values))


def sop_variables(model: SumOfParts, tree: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of a module, its backbone's constants among them.

    Args:
        model: the module.
        tree: parameters: "backbone", and "params" of the module.

    Returns:
        Collections by name.

    Example:
        >>> from naejax.models.backbones import from_function
        >>> model = SumOfParts(from_function(lambda w, x: x @ w, {"w": 1, "c": 2}), 2,
        ...                    finetune=("c",))
        >>> sop_variables(model, {"backbone": {"w": 1, "c": 2}, "params": {}})
        {'params': {}, 'backbone': {'params': {'w': 1}}}
    """
    if not model.frozen:
        return {"params": tree["params"]}
    rest = {k: v for k, v in tree["backbone"].items() if k not in model.finetune}
    return {"params": tree["params"], "backbone": {"params": rest}}
