"""One panel: the shape of one feature on matplotlib Axes."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from naejax.explain.additive import Shape
from naejax.explain.axis import Places, draw_axis, in_view
from naejax.explain.overlays import draw_experts, draw_members
from naejax.explain.style import (
    COLORS,
    FAINT,
    GREY,
    PALE,
    SMALL,
    number,
    shorten,
    tick_label,
    ticks,
)

BAND_ALPHA = 0.25
RANGE_STYLE: dict[str, Any] = {"alpha": 0.6, "linewidth": 0.7}
SPREAD_NAME, RANGE_NAME = "10–90 % over contexts", "context range (certified)"
MAX_BANDS = 3
# The lowest share of a panel, where bars count the rows.
_STRIP = 0.16
_BAR_HEIGHT = 0.75 * _STRIP


def draw_shape(
    shape: Shape,
    ax: Any,
    classes: Sequence[str],
    *,
    experts: bool = False,
    members: bool = False,
) -> None:
    """Draws everything of a panel but its y axis, see `naejax.explain.plot_shape`."""
    num_outputs = len(shape.shift)
    if num_outputs > 1 and (experts or members):
        raise ValueError(
            f"the shape of {shape.feature.name!r} has {num_outputs} outputs, and "
            "experts and members are drawn for one: choose it with label="
        )
    if (experts and not shape.experts.size) or (members and not shape.members.size):
        raise ValueError(
            f"the shape of {shape.feature.name!r} holds no experts or members: make it "
            "with compute_shapes"
        )
    places = draw_axis(shape, ax)
    _draw_rows(shape, ax, places)
    labels = classes if num_outputs > 1 else ("mean contribution",)
    for c in range(num_outputs):
        _draw_output(shape, ax, places, c, labels[c] if labels else f"output {c}")
    if experts:
        draw_experts(shape, ax, places)
    if members:
        draw_members(shape, ax, places)
    ax.axhline(0, color=GREY, linewidth=0.6, zorder=0.6)
    name = shorten(shape.feature.name, 34)
    ax.set_title(name, loc="left", fontsize=9, pad=14, parse_math=False)
    facts = (
        f"importance {number(shape.importance.mean())}, "
        f"additivity {100 * shape.additivity.mean():.0f} %"
    )
    ax.annotate(
        facts,
        (0, 1),
        xytext=(0, 5),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=SMALL,
        color=GREY,
    )
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=SMALL)
    ax.spines[["top", "right"]].set_visible(False)


def select_outputs(shape: Shape, outputs: Sequence[int]) -> Shape:
    """The shape of some of the outputs, which are the last axis of all curves."""
    names = (
        "mean low high lower upper shift importance additivity experts members "
        "member_importance"
    ).split()
    parts = {name: getattr(shape, name) for name in names}
    chosen = {
        name: part[..., list(outputs)] for name, part in parts.items() if part.size
    }
    return dataclasses.replace(shape, **chosen)


def fit_contributions(
    ax: Any, shapes: Sequence[Shape], *, members: bool = False
) -> None:
    """Sets limits and ticks of a y axis for all shapes, above the strip of rows."""
    num_outputs = len(shapes[0].shift)
    spread = ("low", "high") if num_outputs <= MAX_BANDS else ()
    bottom, top = _extent(shapes, "mean", *spread, *(["members"] if members else []))
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
    at = ticks(bottom, top, 7)
    ax.set_yticks(at, [tick_label(tick) for tick in at])
    ax.set_ylim(bottom - (top - bottom) * _STRIP / (1 - _STRIP), top)


def _extent(shapes: Sequence[Shape], *names: str) -> tuple[float, float]:
    """Smallest and largest value in view among the named arrays of the shapes."""
    # Positions are the last axis but one, of members too.
    arrays = [
        getattr(shape, name)[..., in_view(shape), :]
        for shape in shapes
        for name in names
    ]
    return min(a.min() for a in arrays), max(a.max() for a in arrays)


def _draw_output(shape: Shape, ax: Any, places: Places, c: int, label: str) -> None:
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
                x,
                low[line],
                high[line],
                color=color,
                alpha=BAND_ALPHA,
                linewidth=0,
                label=SPREAD_NAME if num_outputs == 1 else "_",
            )
        if num_outputs == 1:
            for bound, name in ((lower, RANGE_NAME), (upper, "_")):
                ax.plot(x, bound[line], "--", color=color, label=name, **RANGE_STYLE)
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


def _draw_rows(shape: Shape, ax: Any, places: Places) -> None:
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
