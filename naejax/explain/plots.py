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
_BAR_HEIGHT = 0.75 * _STRIP
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
    _legend(figure, len(shapes[0].shift), classes, title)
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
    """The levels that have room, side by side."""
    shown = np.flatnonzero(_in_view(shape))
    x = np.arange(float(len(shown)))
    return _Places(shown, x, np.ones(len(x), bool), 1.0)


def _in_view(shape: Shape) -> np.ndarray:
    """Marks missing values, numbers in the window, the most frequent levels, (n,)."""
    missing = is_missing(shape.positions)
    if shape.window is not None:
        left, right = shape.window
        return missing | ((left <= shape.positions) & (shape.positions <= right))
    order = np.lexsort((-shape.counts, ~missing))
    return np.argsort(order) < MAX_LEVELS


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
    style = {"color": _PALE, "transform": ax.get_xaxis_transform(), "zorder": 0.5}
    if len(shape.histogram) == 0:
        heights = counts * (_BAR_HEIGHT / counts.max())
        width = min(max(100 / len(counts), 2), 8)
        ax.vlines(places.x, 0, heights, linewidth=width, **style)
        return
    edges = np.linspace(*shape.window, len(shape.histogram) + 1)
    missing = places.is_point
    x = np.append((edges[1:] + edges[:-1]) / 2, places.x[missing])
    widths = np.append(np.diff(edges), np.full(missing.sum(), places.step))
    # Areas are numbers of rows: the bar of missing values is wider than the others.
    heights = np.append(shape.histogram, counts[missing]) / widths
    ax.bar(x, heights * (_BAR_HEIGHT / heights.max()), widths, **style)


def _label_numbers(shape: Shape, ax: Any, places: _Places) -> None:
    """Limits and ticks of a numeric axis, with a tick for missing values."""
    left, right = shape.window
    margin = 0.5 * places.step
    numbers = shape.positions[~places.is_point]
    integer = len(shape.histogram) == 0 and bool((numbers == np.round(numbers)).all())
    ticks = _ticks(left, right, 4, integer=integer)
    labels = [_tick_label(tick) for tick in ticks]
    if places.is_point.any():
        end = right + 2.4 * margin
        ax.axvline(right + 0.5 * margin, color=_PALE, linewidth=0.6, linestyle=":")
        # The word needs room that labels near the end would take.
        keep = sum(tick < end - 4 * margin for tick in ticks)
        ticks, labels = [*ticks[:keep], end], [*labels[:keep], "missing"]
        right = end
    ax.set_xlim(left - margin, right + margin)
    ax.set_xticks(ticks, labels)


def _label_levels(shape: Shape, ax: Any, places: _Places) -> None:
    """Names of the levels under their points, and how many are not shown."""
    levels = shape.positions[places.shown]
    labels = [_level_label(level) for level in levels]
    rotation = 90 if _is_wide(labels) else 0
    ax.set_xlim(-0.6, len(labels) - 0.4)
    ax.set_xticks(places.x, labels, rotation=rotation, parse_math=False)
    if len(levels) < len(shape.positions):
        share = 100 * shape.counts[places.shown].sum() / shape.counts.sum()
        text = f"{len(levels)} of {len(shape.positions)} levels, {share:.0f} % of rows"
        ax.set_xlabel(text, fontsize=_SMALL, color=_GREY)


def _set_contribution_limits(ax: Any, shapes: Sequence[Shape]) -> None:
    """Limits and ticks of the y axis that fit all shapes, above the strip of rows."""

    def extent(*names: str) -> tuple[float, float]:
        """Smallest and largest value in view."""
        values = [
            getattr(shape, name)[_in_view(shape)] for shape in shapes for name in names
        ]
        return min(v.min() for v in values), max(v.max() for v in values)

    num_outputs = len(shapes[0].shift)
    bottom, top = extent(
        "mean", *(("low", "high") if num_outputs <= _MAX_BANDS else ())
    )
    bottom, top = min(bottom, 0.0), max(top, 0.0)
    if num_outputs == 1:
        # A wide range must not flatten the curves.
        room = top - bottom or np.inf
        lower, upper = extent("lower", "upper")
        bottom, top = max(lower, bottom - room), min(upper, top + room)
    if bottom == top:
        bottom, top = bottom - 1, top + 1
    margin = 0.05 * (top - bottom)
    bottom, top = bottom - margin, top + margin
    ticks = _ticks(bottom, top, 5)
    ax.set_yticks(ticks, [_tick_label(tick) for tick in ticks])
    ax.set_ylim(bottom - (top - bottom) * _STRIP / (1 - _STRIP), top)


def _legend(figure: Any, num_outputs: int, classes: Sequence[str], title: str) -> None:
    """The title and one legend for all panels: what is drawn, or colours of classes."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

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
    column_width = 0.7 + 0.075 * max(map(len, labels))
    legend = figure.legend(
        handles,
        # matplotlib takes a label with a leading underscore for a private one.
        [""] * len(labels),
        loc="outside upper left",
        ncols=min(len(labels), int(figure.get_figwidth() / column_width)),
        fontsize=8,
        # A title of its own would overlap the legend.
        title=_shorten(title, int(10 * figure.get_figwidth())),
        title_fontproperties={"size": 12},
        alignment="left",
        frameon=False,
    )
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set(text=label, parse_math=False)
    legend.get_title().set_parse_math(False)


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


def _level_label(level: str | None) -> str:
    """What stands under a level's point."""
    return "missing" if level is None else _shorten(level, 14)


def _is_wide(labels: Sequence[str]) -> bool:
    """Whether labels of levels must stand upright to fit beneath a panel."""
    return sum(map(len, labels)) > 30 or len(labels) > 6


def _shorten(text: str, width: int) -> str:
    """Text on one line, cut in the middle to a width."""
    line = " ".join(text.split())
    tail = width // 3
    return line if len(line) <= width else f"{line[: width - tail - 1]}…{line[-tail:]}"


def _number(value: float) -> str:
    """A number in a few characters."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


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
