"""JSON as files of models hold it: read strictly, its values checked."""

import json
import math
from typing import Any


def parse_object(text: bytes | str) -> dict[str, Any]:
    """Reads a JSON object, without what the standard does not know.

    Args:
        text: UTF-8.

    Returns:
        The object.

    Raises:
        ValueError: if it is not JSON, NaN or infinite numbers included, has a member
            twice, or is not an object.
        RecursionError: if it is nested some thousand levels deep.

    Example:
        >>> parse_object(b'{"a": [1, null]}')
        {'a': [1, None]}
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    value = json.loads(text, object_pairs_hook=_members, parse_constant=_refuse)
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, got a {type(value).__name__}")
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members of an object, none of them twice."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a JSON object has a member twice")
    return members


def _refuse(constant: str) -> None:
    """NaN and Infinity, which are no JSON."""
    raise ValueError(f"{constant} in the header")


def is_whole(value: Any, least: int = 0) -> bool:
    """Whether a value from JSON is a whole number of at most 64 bits.

    Args:
        value: of any type.
        least: the smallest number that will do.

    Returns:
        True for an int, which true and false are not.

    Example:
        >>> is_whole(3), is_whole(3.0), is_whole(True), is_whole(0, least=1)
        (True, False, False, False)
    """
    return type(value) is int and least <= value < 2**63


def is_number(value: Any) -> bool:
    """Whether a value from JSON is a finite number.

    Args:
        value: of any type.

    Returns:
        True for a float or an int, which true and false are not.

    Example:
        >>> is_number(0.5), is_number(float("inf")), is_number("1")
        (True, False, False)
    """
    return is_whole(value, -(2**63)) or (type(value) is float and math.isfinite(value))


def are_texts(values: Any) -> bool:
    """Whether a value from JSON is a list of distinct texts.

    Args:
        values: of any type.

    Returns:
        True for a list or tuple of str, none of them twice.

    Example:
        >>> are_texts(["a", "b"]), are_texts(["a", "a"]), are_texts("ab")
        (True, False, False)
    """
    return (
        isinstance(values, list | tuple)
        and all(isinstance(value, str) for value in values)
        and len(set(values)) == len(values)
    )
