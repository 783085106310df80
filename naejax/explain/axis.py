"""The x axis of a shape: where its positions stand, and how they are called."""

from typing import Any, NamedTuple

import numpy as np

from naejax.data.cells import is_missing
from naejax.explain.additive import Shape
from naejax.explain.style import GREY, PALE, SMALL, shorten, tick_label, ticks

MAX_LEVELS = 12


class Places(NamedTuple):
    """Where the m positions of a shape that are drawn go on the x axis.

    ``shown`` are their indices and ``x`` their coordinates, (m,); ``is_point`` marks
    those that no line joins, (m,), and ``room`` is how wide one of these may be.
    """

    shown: np.ndarray
    x: np.ndarray
    is_point: np.ndarray
    room: float


def draw_axis(shape: Shape, ax: Any) -> Places:
    """Sets limits, ticks and labels of the x axis; says where positions stand."""
    if shape.window is None:
        places = _level_places(shape)
        _label_levels(shape, ax, places)
    else:
        places = _number_places(shape)
        _label_numbers(shape, ax, places)
    return places


def in_view(shape: Shape) -> np.ndarray:
    """Marks missing values, numbers in the window, the most frequent levels, (n,)."""
    missing = is_missing(shape.positions)
    if shape.window is not None:
        left, right = shape.window
        return missing | ((left <= shape.positions) & (shape.positions <= right))
    order = np.lexsort((-shape.counts, ~missing))
    return np.argsort(order) < MAX_LEVELS


def _number_places(shape: Shape) -> Places:
    """Numbers at their value, missing ones a little right of the window."""
    left, right = shape.window or (0.0, 0.0)
    width = right - left or 1.0
    missing = is_missing(shape.positions)
    x = np.where(missing, right + 0.12 * width, shape.positions)
    return Places(np.arange(len(x)), x, missing, 0.1 * width)


def _level_places(shape: Shape) -> Places:
    """The levels that have room, side by side."""
    shown = np.flatnonzero(in_view(shape))
    x = np.arange(float(len(shown)))
    return Places(shown, x, np.ones(len(x), bool), 1.0)


def _label_numbers(shape: Shape, ax: Any, places: Places) -> None:
    """Limits and ticks of a numeric axis, with a tick for missing values."""
    left, right = shape.window or (0.0, 0.0)
    numbers = shape.positions[~places.is_point]
    integer = len(shape.histogram) == 0 and bool((numbers == np.round(numbers)).all())
    at = ticks(left, right, 4, integer)
    labels = [tick_label(tick) for tick in at]
    if places.is_point.any():
        (end,) = places.x[places.is_point]
        ax.axvline((right + end) / 2, color=PALE, linewidth=0.6, linestyle=":")
        # The word needs the room that the labels of near ticks would take.
        near = end - 2 * places.room
        kept = [i for i, tick in enumerate(at) if tick < near]
        at, labels = [at[i] for i in kept], [labels[i] for i in kept]
        at, labels, right = [*at, end], [*labels, "missing"], end
    ax.set_xlim(left - places.room / 2, right + places.room / 2)
    ax.set_xticks(at, labels)


def _label_levels(shape: Shape, ax: Any, places: Places) -> None:
    """Names of the levels under their points, and how many are not shown."""
    levels = shape.positions[places.shown]
    labels = [
        "missing" if gone else shorten(level, 16)
        for level, gone in zip(levels, is_missing(levels), strict=True)
    ]
    is_wide = sum(map(len, labels)) > 30 or len(labels) > 6
    ax.set_xlim(-0.6, len(labels) - 0.4)
    ax.set_xticks(places.x, labels, rotation=90 * is_wide, parse_math=False)
    if len(levels) < len(shape.positions):
        share = 100 * shape.counts[places.shown].sum() / shape.counts.sum()
        text = f"{len(levels)} of {len(shape.positions)} levels, {share:.0f} % of rows"
        ax.set_xlabel(text, fontsize=SMALL, color=GREY)
