"""Grids of settings: what is swept in one program, and what needs another one."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from naejax.data.cells import unknown_name
from naejax.settings import Settings
from naejax.tabular.members import SCALARS

_REFUSED = ("members", "bootstrap", "monotone", "loss", "loss_parameter")
"""Settings of other models than one, or whose models no score compares."""


class Program(NamedTuple):
    """The settings of a grid that one compiled program trains.

    Attributes:
        settings: of all of them, but for their scalars.
        cells: positions in the order of the grid.
        points: the swept settings by name, one mapping for each cell.
    """

    settings: Settings
    cells: list[int]
    points: list[dict[str, Any]]


def split_grid(
    grid: Mapping[str, Sequence[Any]], settings: Settings
) -> tuple[list[dict[str, Any]], list[Program]]:
    """Makes all combinations of a grid, and sorts them by the program they need.

    Args:
        grid: values of settings by name; the first name varies slowest.
        settings: what the grid does not name.

    Returns:
        All combinations, and the programs.

    Raises:
        ValueError: for an unknown name, or a setting without values.

    Example:
        >>> grid = {"num_experts": [4, 8], "expert_variance": [0, 1, 10]}
        >>> points, programs = split_grid(grid, Settings())
        >>> len(points), [len(program.cells) for program in programs]
        (6, [3, 3])
    """
    if not grid:
        raise ValueError(
            "the grid is empty, expected values of settings by name, such as "
            "{'expert_variance': [0, 1, 10]}"
        )
    values = {name: _check_values(name, given) for name, given in grid.items()}
    points = [
        dict(zip(values, point, strict=True))
        for point in itertools.product(*values.values())
    ]
    found: dict[Settings, list[int]] = {}
    for cell, point in enumerate(points):
        shape = {name: v for name, v in point.items() if name not in SCALARS}
        found.setdefault(replace(settings, **shape), []).append(cell)
    programs = [
        Program(shape, cells, [points[cell] for cell in cells])
        for shape, cells in found.items()
    ]
    return points, programs


def parse_grid(words: Sequence[str]) -> dict[str, list[Any]]:
    """Reads a grid from words such as ``expert-variance=0,0.1,10``.

    Args:
        words: one for each setting: its name and its values; widths are joined by x
            (``hidden=32x32,64x64``).

    Returns:
        Values of settings by name.

    Raises:
        ValueError: for what is no such word.

    Example:
        >>> parse_grid(["num-experts=4,8", "hidden=32x32"])
        {'num_experts': [4, 8], 'hidden': [(32, 32)]}
    """
    grid: dict[str, list[Any]] = {}
    for word in words:
        name, equals, text = word.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not equals or not text:
            raise ValueError(
                f"got {word!r} in the grid, expected NAME=VALUE,VALUE,... such as "
                "expert-variance=0,0.1,10"
            )
        if name in grid:
            raise ValueError(f"the grid names {name!r} twice; put all values together")
        _check_name(name)
        grid[name] = [_read(name, value.strip()) for value in text.split(",")]
    return grid


def _check_name(name: str) -> None:
    """Refuses what cannot be swept."""
    known = [field.name for field in fields(Settings) if field.name not in _REFUSED]
    if name in _REFUSED:
        raise ValueError(
            f"the grid names {name!r}, which cannot be swept; pass it in settings, or "
            "sweep once for each of its values"
        )
    if name not in known:
        raise ValueError(unknown_name(f"the grid names {name!r}", name, known))


def _check_values(name: str, given: Any) -> list[Any]:
    """The values of a setting, each once."""
    _check_name(name)
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise ValueError(
            f"the grid has {given!r} for {name}, expected a list of values"
        )
    plain = [value.item() if hasattr(value, "item") else value for value in given]
    values = [tuple(value) if isinstance(value, list) else value for value in plain]
    if not values or len(set(values)) < len(values):
        raise ValueError(f"the grid has {values} for {name}, expected different values")
    for value in values:
        _check_choice(name, value)
    return values


def _read(name: str, text: str) -> Any:
    """One value of a setting."""
    hint = str(get_type_hints(Settings)[name])
    try:
        if "tuple" in hint:
            return tuple(int(width) for width in text.split("x"))
        if "float" in hint:
            return float(text)
        return int(text) if "int" in hint else text
    except ValueError as error:
        raise ValueError(
            f"the grid has {text!r} for {name}, expected numbers"
        ) from error


def _check_choice(name: str, value: Any) -> None:
    """Refuses a word that is none of the setting's."""
    hint = get_type_hints(Settings)[name]
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    if choices and value not in choices:
        raise ValueError(unknown_name(f"the grid has {value!r}", str(value), choices))
