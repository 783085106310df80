"""Pictures of shapes, drawn by matplotlib without pyplot and its global state."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from naejax.data.cells import is_missing
from naejax.explain.additive import Shape, importance_order

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
MAX_LEVELS = 12
_MAX_BANDS = 3
_GREY, _PALE = "#666666", "#BBBBBB"
_STRIP = 0.16
_SMALL = 7
_RANGE = {"alpha": 0.6, "linewidth": 0.7}


def plot_shape(
    shape: Shape, ax: Any, *, classes: Sequence[str] = (), unit: str = ""
) -> Any:
    """Draws one feature's shape.

    A line shows the mean contribution along a numeric axis, a band the 10th to 90th
    percentile over contexts, dashed lines the certified range, grey bars at the foot
    the rows. Levels, and missing values at the right, are points with a thick bar for
    the percentiles and a thin one for the range. Several outputs have a colour each,
    no range, and no percentiles beyond 3 outputs. The axes show the 0.5th to 99.5th
    percentile of the numbers, at most 12 levels, and of the range at most as much
    above and below as everything else is high.

    Args:
        shape: one of `compute_shapes`.
        ax: matplotlib Axes.
        classes: names of the C outputs if C > 1, the labels of their lines.
        unit: what the contributions add to, for the y axis.

    Returns:
        The same Axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> from naejax.data.schema import Feature
        >>> zero = np.zeros((2, 1))
        >>> shape = Shape(Feature("age", "numeric"), np.array([1.0, 2.0]),
        ...               np.array([3, 5]), zero, zero, zero, zero, zero, zero[0],
        ...               zero[0], zero[0], (1.0, 2.0), np.zeros(0))
        >>> plot_shape(shape, Figure().subplots()).lines[0].get_xdata()
        array([1., 2.])
    """
    _draw(shape, ax, classes)
    _set_contribution_limits(ax, [shape])
    label = f"contribution to {unit}" if unit else "contribution"
    ax.set_ylabel(_shorten(label, 60), parse_math=False)
    return ax


def plot_shapes(
    shapes: Sequence[Shape],
    *,
    target: str,
    classes: Sequence[str] = (),
    title: str = "",
    max_panels: int = 24,
) -> Any:
    """Draws the shapes of the most important features, with equal y axes.

    Args:
        shapes: result of `compute_shapes`.
        target: name of the column that is predicted.
        classes: its classes; of two, the scores are the log-odds of the second.
        title: of the figure.
        max_panels: features to draw; a footnote counts the others.

    Returns:
        A matplotlib Figure, one panel per feature, most important first.

    Raises:
        ValueError: there are no shapes, or the classes do not fit them.

    Example:
        >>> from naejax.data.schema import Feature
        >>> zero = np.zeros((2, 1))
        >>> shape = Shape(Feature("age", "numeric"), np.array([1.0, 2.0]),
        ...               np.array([3, 5]), zero, zero, zero, zero, zero, zero[0],
        ...               zero[0], zero[0], (1.0, 2.0), np.zeros(0))
        >>> [ax.get_title("left") for ax in plot_shapes([shape], target="pay").axes]
        ['age']
    """
    from matplotlib.figure import Figure

    if not shapes or max_panels < 1:
        raise ValueError(
            f"got {len(shapes)} shapes and max_panels={max_panels}, expected at least 1"
        )
    num_outputs = len(shapes[0].shift)
    if num_outputs > 1 and len(classes) != num_outputs:
        raise ValueError(
            f"got {len(classes)} classes for {num_outputs} outputs: pass one name each"
        )
    order = importance_order(shapes)
    notes = []
    if len(shapes) > max_panels:
        notes.append(
            f"{len(shapes) - max_panels} less important features are not shown"
        )
    if num_outputs > len(COLORS):
        # The same classes in all panels, so that one legend serves them.
        total = np.sum([shape.importance for shape in shapes], axis=0)
        chosen = np.sort(np.argsort(-total, kind="stable")[: len(COLORS)])
        shapes = [_select_outputs(shape, chosen) for shape in shapes]
        classes = [classes[c] for c in chosen]
        notes.append(f"the {len(COLORS)} classes that vary most of {num_outputs}")
    shapes = [shapes[i] for i in order[:max_panels]]

    count = len(shapes)
    columns = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3, 9: 3}.get(count, 4)
    rows = -(-count // columns)
    size = (max(3.1 * columns, 5.6), 2.2 * rows + 1.1)
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    first = None
    for i, shape in enumerate(shapes):
        ax = first = figure.add_subplot(rows, columns, i + 1, sharey=first)
        _draw(shape, ax, classes)
        ax.tick_params(labelleft=i % columns == 0)
    _set_contribution_limits(first, shapes)

    figure.supylabel(_shorten(_score_name(target, classes), 60), fontsize=9)
    figure.supxlabel("; ".join(notes), fontsize=_SMALL, color=_GREY)
    for text in figure.texts:
        text.set_parse_math(False)
    _legend(figure, shapes, classes, title)
    return figure


class _Places(NamedTuple):
    """Where the shown positions of a shape go on the x axis."""

    shown: np.ndarray  # indices of the positions, (m,)
    x: np.ndarray  # their coordinates, (m,)
    is_point: np.ndarray  # drawn as points, not joined by a line, (m,)
    step: float  # room of one point


def _draw(shape: Shape, ax: Any, classes: Sequence[str]) -> None:
    """Everything inside one panel but the y axis."""
    if shape.window is None:
        places = _level_places(shape)
        _label_levels(shape, ax, places)
    else:
        places = _number_places(shape)
        _label_numbers(shape, ax, places)
    num_outputs = len(shape.shift)
    labels = classes if num_outputs > 1 else ("mean contribution",)
    for c in range(num_outputs):
        _draw_output(shape, ax, places, c, str(labels[c]) if labels else f"output {c}")
    _draw_rows(shape, ax, places)
    ax.axhline(0, color=_GREY, linewidth=0.6, zorder=0.5)
    ax.set_title(
        _shorten(shape.feature.name, 34),
        loc="left",
        fontsize=9,
        pad=14,
        parse_math=False,
    )
    facts = (
        f"importance {_number(shape.importance.mean())}, "
        f"additivity {100 * shape.additivity.mean():.0f} %"
    )
    ax.text(0, 1.03, facts, transform=ax.transAxes, fontsize=_SMALL, color=_GREY)
    ax.tick_params(labelsize=_SMALL)
    ax.spines[["top", "right"]].set_visible(False)


def _number_places(shape: Shape) -> _Places:
    """Numbers at their value, missing ones a little right of the window."""
    left, right = shape.window
    width = right - left or 1.0
    missing = is_missing(shape.positions)
    x = np.where(missing, right + 0.12 * width, shape.positions)
    return _Places(np.arange(len(x)), x, missing, 0.1 * width)


def _level_places(shape: Shape) -> _Places:
    """The most frequent levels side by side, missing ones always among them."""
    missing = is_missing(shape.positions)
    rank = np.argsort(-(shape.counts + missing * shape.counts.sum()), kind="stable")
    shown = np.sort(rank[:MAX_LEVELS])
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
    few = len(shape.histogram) == 0
    if line.any():
        x = places.x[line]
        ax.plot(
            x,
            mean[line],
            color=color,
            linewidth=1.6,
            marker="o" if few else "",
            markersize=3,
            label=label,
        )
        if num_outputs <= _MAX_BANDS:
            ax.fill_between(
                x, low[line], high[line], color=color, alpha=0.25, linewidth=0
            )
        if num_outputs == 1:
            for edge in (lower, upper):
                ax.plot(x, edge[line], color=color, **_RANGE, linestyle="--")
    if point.any():
        # Outputs stand side by side in the middle of a point's room.
        shift = 0.6 * places.step * ((c + 0.5) / num_outputs - 0.5)
        x = places.x[point] + shift
        if num_outputs == 1:
            ax.vlines(x, lower[point], upper[point], color=color, **_RANGE)
        if num_outputs <= _MAX_BANDS:
            ax.vlines(x, low[point], high[point], color=color, alpha=0.25, linewidth=6)
        ax.plot(
            x,
            mean[point],
            color=color,
            linestyle="",
            marker="o" if shape.window is None else "D",
            markersize=4,
            label="_" if line.any() else label,
        )


def _draw_rows(shape: Shape, ax: Any, places: _Places) -> None:
    """How many rows there are: bars in a strip of its own under the curves."""
    counts = shape.counts[places.shown]
    bars = shape.histogram
    points = places.is_point if len(bars) else np.ones(len(counts), bool)
    highest = max(bars.max(initial=0), counts[points].max(initial=0))
    scale = 0.75 * _STRIP / highest
    style = {"color": _PALE, "transform": ax.get_xaxis_transform(), "zorder": 0.5}
    if len(bars):
        edges = np.linspace(*shape.window, len(bars) + 1)
        ax.bar(edges[:-1], bars * scale, np.diff(edges), align="edge", **style)
    width = min(max(100 / len(counts), 2), 8)
    ax.vlines(places.x[points], 0, counts[points] * scale, linewidth=width, **style)


def _label_numbers(shape: Shape, ax: Any, places: _Places) -> None:
    """Limits and ticks of a numeric axis, with a tick for missing values."""
    from matplotlib.ticker import MaxNLocator

    left, right = shape.window
    margin = 0.5 * places.step
    ticks = [
        tick
        for tick in MaxNLocator(4).tick_values(left, right)
        if left - margin <= tick <= right + margin
    ]
    labels = [_tick_label(tick) for tick in ticks]
    if places.is_point.any():
        (x,) = places.x[places.is_point]
        ax.axvline(x - places.step, color=_PALE, linewidth=0.6, linestyle=":")
        kept = [i for i, tick in enumerate(ticks) if tick < x - 2 * places.step]
        ticks = [*(ticks[i] for i in kept), x]
        labels = [*(labels[i] for i in kept), "missing"]
        right = x
    ax.set_xlim(left - margin, right + margin)
    ax.set_xticks(ticks, labels)


def _label_levels(shape: Shape, ax: Any, places: _Places) -> None:
    """Names of the levels under their points, and how many are not shown."""
    levels = shape.positions[places.shown]
    labels = ["missing" if level is None else _shorten(level, 14) for level in levels]
    upright = sum(map(len, labels)) <= 30 and len(labels) <= 6
    ax.set_xlim(-0.6, len(labels) - 0.4)
    ax.set_xticks(places.x, labels, rotation=0 if upright else 90, parse_math=False)
    if len(levels) < len(shape.positions):
        share = 100 * shape.counts[places.shown].sum() / shape.counts.sum()
        text = f"{len(levels)} of {len(shape.positions)} levels, {share:.0f} % of rows"
        ax.set_xlabel(text, fontsize=_SMALL, color=_GREY)


def _set_contribution_limits(ax: Any, shapes: Sequence[Shape]) -> None:
    """Limits and ticks of the y axis that fit all shapes, above the strip of rows."""
    from matplotlib.ticker import MaxNLocator

    num_outputs = len(shapes[0].shift)
    curves = [[shape.mean] for shape in shapes]
    if num_outputs <= _MAX_BANDS:
        curves = [[shape.mean, shape.low, shape.high] for shape in shapes]
    values = np.concatenate([np.ravel(curve) for curve in curves] + [np.zeros(1)])
    bottom, top = values.min(), values.max()
    if num_outputs == 1:
        # A wide range must not flatten the curves.
        room = top - bottom or np.inf
        bottom = max(min(shape.lower.min() for shape in shapes), bottom - room)
        top = min(max(shape.upper.max() for shape in shapes), top + room)
    if bottom == top:
        bottom, top = bottom - 1, top + 1
    margin = 0.05 * (top - bottom)
    bottom, top = bottom - margin, top + margin
    ticks = [t for t in MaxNLocator(5).tick_values(bottom, top) if bottom <= t <= top]
    ax.set_yticks(ticks, [_tick_label(tick) for tick in ticks])
    ax.set_ylim(bottom - (top - bottom) * _STRIP / (1 - _STRIP), top)


def _legend(figure: Any, shapes: Sequence[Shape], classes: Sequence[str]) -> None:
    """One legend for all panels: in words what is drawn, or the classes' colours."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    num_outputs = len(shapes[0].shift)
    if num_outputs == 1:
        handles = [Line2D([], [], color=COLORS[0], linewidth=1.6)]
        labels = ["mean contribution"]
    else:
        handles = [Line2D([], [], color=color) for color in COLORS[:num_outputs]]
        labels = [_shorten(str(name), 20) for name in classes]
    if num_outputs <= _MAX_BANDS:
        color = COLORS[0] if num_outputs == 1 else _GREY
        handles.append(Patch(color=color, alpha=0.25, linewidth=0))
        labels.append("10–90 % over contexts")
    if num_outputs == 1:
        handles.append(Line2D([], [], color=COLORS[0], **_RANGE, linestyle="--"))
        labels.append("context range (certified)")
    handles.append(Patch(color=_PALE, linewidth=0))
    labels.append("rows")
    legend = figure.legend(
        handles,
        # matplotlib takes a label with a leading underscore for a private one.
        [""] * len(labels),
        loc="outside upper left",
        ncols=min(len(labels), max(2, round(figure.get_figwidth() / 2.2))),
        fontsize=8,
        frameon=False,
    )
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set(text=label, parse_math=False)


def _score_name(target: str, classes: Sequence[str]) -> str:
    """What the contributions add up to."""
    if len(classes) == 2:
        return f"contribution to log-odds of {classes[1]}"
    if classes:
        return f"contribution to score of each {target}"
    return f"contribution to {target}"


def _select_outputs(shape: Shape, outputs: np.ndarray) -> Shape:
    """The shape of some of the C outputs only."""
    names = "mean low high lower upper shift importance additivity".split()
    return dataclasses.replace(
        shape, **{name: getattr(shape, name)[..., outputs] for name in names}
    )


def _shorten(text: str, width: int) -> str:
    """Text on one line, cut to a width."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def _number(value: float) -> str:
    """A number in a few characters."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _tick_label(value: float) -> str:
    """A round number in a few characters: 0.5, −20, 150k."""
    from matplotlib.ticker import EngFormatter

    if abs(value) >= 10_000:
        return EngFormatter(sep="")(value)
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")
