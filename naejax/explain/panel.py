"""One panel: the shape of one feature on matplotlib Axes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from naejax.data.cells import is_missing
from naejax.explain.additive import Shape

# Okabe and Ito's palette, told apart with every common colour vision.
COLORS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#F0E442",
)
GREY, PALE, FAINT = "#666666", "#BBBBBB", "#EEEEEE"
BAND_ALPHA = 0.25
RANGE_STYLE: dict[str, Any] = {"alpha": 0.6, "linewidth": 0.7}
MAX_BANDS = 3
MAX_LEVELS = 12
SMALL = 7
# The lowest share of a panel, where bars count the rows.
_STRIP = 0.16
_BAR_HEIGHT = 0.75 * _STRIP


class _Places(NamedTuple):
    """Where the m positions of a shape that are drawn go on the x axis.

    ``shown`` are their indices and ``x`` their coordinates, (m,); ``is_point`` marks
    those that no line joins, (m,), and ``room`` is how wide one of these may be.
    """

    shown: np.ndarray
    x: np.ndarray
    is_point: np.ndarray
    room: float


def draw_shape(shape: Shape, ax: Any, classes: Sequence[str]) -> None:
    """Draws everything of a panel but its y axis, see `naejax.explain.plot_shape`."""
    if shape.window is None:
        places = _level_places(shape)
        _label_levels(shape, ax, places)
    else:
        places = _number_places(shape)
        _label_numbers(shape, ax, places)
    _draw_rows(shape, ax, places)
    num_outputs = len(shape.shift)
    labels = classes if num_outputs > 1 else ("mean contribution",)
    for c in range(num_outputs):
        _draw_output(shape, ax, places, c, labels[c] if labels else f"output {c}")
    ax.axhline(0, color=GREY, linewidth=0.6, zorder=0.6)
    name = shorten(shape.feature.name, 34)
    ax.set_title(name, loc="left", fontsize=9, pad=14, parse_math=False)
    facts = (
        f"importance {_number(shape.importance.mean())}, "
        f"additivity {100 * shape.additivity.mean():.0f} %"
    )
    ax.text(0, 1.03, facts, transform=ax.transAxes, fontsize=SMALL, color=GREY)
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=SMALL)
    ax.spines[["top", "right"]].set_visible(False)


def fit_contributions(ax: Any, shapes: Sequence[Shape]) -> None:
    """Sets limits and ticks of a y axis for all shapes, above the strip of rows."""
    num_outputs = len(shapes[0].shift)
    spread = ("low", "high") if num_outputs <= MAX_BANDS else ()
    bottom, top = _extent(shapes, "mean", *spread)
    bottom, top = min(bottom, 0.0), max(top, 0.0)
    if num_outputs == 1:
        # A wide range must not flatten the curves.
        room = top - bottom or np.inf
        lower, upper = _extent(shapes, "lower", "upper")
        bottom = min(bottom, max(lower, bottom - room))
        top = max(top, min(upper, top + room))
    if bottom == top:
        bottom, top = bottom - 1, top + 1
    margin = 0.05 * (top - bottom)
    bottom, top = bottom - margin, top + margin
    ticks = _ticks(bottom, top, 7)
    ax.set_yticks(ticks, [_tick_label(tick) for tick in ticks])
    ax.set_ylim(bottom - (top - bottom) * _STRIP / (1 - _STRIP), top)


def shorten(text: str, width: int) -> str:
    """Text on one line, cut in the middle to a width."""
    line, tail = " ".join(text.split()), width // 3
    return line if len(line) <= width else f"{line[: width - tail - 1]}…{line[-tail:]}"


def _in_view(shape: Shape) -> np.ndarray:
    """Marks missing values, numbers in the window, the most frequent levels, (n,)."""
    missing = is_missing(shape.positions)
    if shape.window is not None:
        left, right = shape.window
        return missing | ((left <= shape.positions) & (shape.positions <= right))
    order = np.lexsort((-shape.counts, ~missing))
    return np.argsort(order) < MAX_LEVELS


def _extent(shapes: Sequence[Shape], *names: str) -> tuple[float, float]:
    """Smallest and largest value in view among the named arrays of the shapes."""
    arrays = [
        getattr(shape, name)[_in_view(shape)] for shape in shapes for name in names
    ]
    return min(a.min() for a in arrays), max(a.max() for a in arrays)


def _number_places(shape: Shape) -> _Places:
    """Numbers at their value, missing ones a little right of the window."""
    left, right = shape.window or (0.0, 0.0)
    width = right - left or 1.0
    missing = is_missing(shape.positions)
    x = np.where(missing, right + 0.12 * width, shape.positions)
    return _Places(np.arange(len(x)), x, missing, 0.1 * width)


def _level_places(shape: Shape) -> _Places:
    """The levels that have room, side by side."""
    shown = np.flatnonzero(_in_view(shape))
    x = np.arange(float(len(shown)))
    return _Places(shown, x, np.ones(len(x), bool), 1.0)


def _draw_output(shape: Shape, ax: Any, places: _Places, c: int, label: str) -> None:
    """Mean, spread and range of output c."""
    num_outputs, color = len(shape.shift), COLORS[c % len(COLORS)]
    mean, low, high, lower, upper = (
        values[places.shown, c]
        for values in (shape.mean, shape.low, shape.high, shape.lower, shape.upper)
    )
    line, point = ~places.is_point, places.is_point
    if line.any():
        x = places.x[line]
        style = "-" if len(shape.histogram) else "-o"
        ax.plot(
            x,
            mean[line],
            style,
            markersize=3,
            linewidth=1.6,
            color=color,
            label=label,
        )
        if num_outputs <= MAX_BANDS:
            ax.fill_between(
                x, low[line], high[line], color=color, alpha=BAND_ALPHA, linewidth=0
            )
        if num_outputs == 1:
            for bound in (lower, upper):
                ax.plot(x, bound[line], "--", color=color, **RANGE_STYLE)
    if point.any():
        # Outputs stand side by side in the middle of a point's room.
        x = places.x[point] + places.room * 0.6 * ((c + 0.5) / num_outputs - 0.5)
        if num_outputs == 1:
            ax.vlines(x, lower[point], upper[point], color=color, **RANGE_STYLE)
        if num_outputs <= MAX_BANDS:
            ax.vlines(
                x, low[point], high[point], color=color, alpha=BAND_ALPHA, linewidth=6
            )
        marker = "o" if shape.window is None else "D"
        ax.plot(
            x,
            mean[point],
            marker,
            markersize=4,
            color=color,
            label="_" if line.any() else label,
        )


def _draw_rows(shape: Shape, ax: Any, places: _Places) -> None:
    """How many rows there are: bars in a strip of its own under the curves."""
    counts, missing = shape.counts[places.shown], places.is_point
    style = {"color": PALE, "transform": ax.get_xaxis_transform(), "zorder": 0.6}
    if len(shape.histogram) == 0:
        heights = counts * (_BAR_HEIGHT / counts.max())
        width = min(max(100 / len(counts), 2), 8)
        ax.vlines(places.x, 0, heights, linewidth=width, **style)
        return
    edges = shape.edges
    x = np.append((edges[1:] + edges[:-1]) / 2, places.x[missing])
    # Areas are numbers of rows: the bar of missing values is wider than the others.
    widths = np.append(np.diff(edges), np.full(missing.sum(), places.room))
    heights = np.append(shape.histogram, counts[missing]) / widths
    ax.bar(x, heights * (_BAR_HEIGHT / heights.max()), widths, **style)


def _label_numbers(shape: Shape, ax: Any, places: _Places) -> None:
    """Limits and ticks of a numeric axis, with a tick for missing values."""
    left, right = shape.window or (0.0, 0.0)
    numbers = shape.positions[~places.is_point]
    integer = len(shape.histogram) == 0 and bool((numbers == np.round(numbers)).all())
    ticks = _ticks(left, right, 4, integer)
    labels = [_tick_label(tick) for tick in ticks]
    if places.is_point.any():
        (end,) = places.x[places.is_point]
        ax.axvline((right + end) / 2, color=PALE, linewidth=0.6, linestyle=":")
        # The word needs the room that the labels of near ticks would take.
        near = end - 2 * places.room
        kept = [i for i, tick in enumerate(ticks) if tick < near]
        ticks, labels = [ticks[i] for i in kept], [labels[i] for i in kept]
        ticks, labels, right = [*ticks, end], [*labels, "missing"], end
    ax.set_xlim(left - places.room / 2, right + places.room / 2)
    ax.set_xticks(ticks, labels)


def _label_levels(shape: Shape, ax: Any, places: _Places) -> None:
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


def _ticks(left: float, right: float, bins: int, integer: bool = False) -> list[float]:
    """Round numbers inside an interval."""
    from matplotlib.ticker import MaxNLocator

    if left == right:
        return [left]
    locator = MaxNLocator(bins, steps=[1, 2, 5, 10], integer=integer)
    return [tick for tick in locator.tick_values(left, right) if left <= tick <= right]


def _tick_label(value: float) -> str:
    """A round number in a few characters: 0.5, −20, 150k."""
    from matplotlib.ticker import EngFormatter

    if abs(value) >= 10_000:
        return EngFormatter(sep="")(value)
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")


def _number(value: float) -> str:
    """A number in a few characters."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
