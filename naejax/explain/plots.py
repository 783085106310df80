"""Pictures of shapes, drawn by matplotlib without pyplot and its global state."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from naejax.explain.additive import Shape, importance_order
from naejax.explain.figure import new_figure
from naejax.explain.outputs import output_index, score_name
from naejax.explain.overlays import EXPERT_STYLE, MAX_EXPERTS, MEMBER_STYLE
from naejax.explain.panel import (
    BAND_ALPHA,
    MAX_BANDS,
    RANGE_NAME,
    RANGE_STYLE,
    SPREAD_NAME,
    draw_shape,
    fit_contributions,
    select_outputs,
)
from naejax.explain.style import COLORS, GREY, PALE, SMALL, shorten


def plot_shape(
    shape: Shape,
    ax: Any,
    *,
    classes: Sequence[str] = (),
    unit: str = "",
    label: int | str | None = None,
    experts: bool = False,
    members: bool = False,
) -> Any:
    """Draws one feature's shape.

    A line shows the mean contribution along a numeric axis, a band the 10th to 90th
    percentile over contexts, dashed lines the certified range, grey bars at the foot
    the rows. Levels, and missing values at the right, are points with a thick bar for
    the percentiles and a thin one for the range. Several outputs have a colour each,
    no range, and no percentiles beyond 3 outputs. The x axis shows the 0.5th to 99.5th
    percentile of the numbers, or the 12 most frequent levels. The y axis shows the
    range up to one height of all other curves above and below them.

    Args:
        shape: one of `compute_shapes`.
        ax: matplotlib Axes.
        classes: names of the C outputs if C > 1, which label their lines.
        unit: what the contributions add to, for the y axis.
        label: the one output to draw, by index or class; None: all of them.
        experts: whether to draw what the 8 most used experts propose, each curve as
            wide as its mean gate there.
        members: whether to draw the range of the means of an ensemble's members.

    Returns:
        The same Axes, ready for ``ax.legend()``.

    Raises:
        ValueError: there is no such output, or experts or members of several outputs
            are asked for.

    Example:
        >>> from matplotlib.figure import Figure
        >>> from naejax.data import infer_schema
        >>> from naejax.explain import compute_shapes
        >>> from naejax.types import NAEOutput
        >>> columns = {"age": np.repeat([18.0, 65.0], 6), "pay": np.arange(12.0)}
        >>> f = np.repeat([-1.0, 1.0], 6).reshape(12, 1, 1)
        >>> output = NAEOutput(f[:, 0], np.zeros(1), f, np.ones((12, 1, 1)),
        ...                    f[..., None])
        >>> (shape,) = compute_shapes(output, columns, infer_schema(columns, "pay"))
        >>> plot_shape(shape, Figure().subplots()).lines[0].get_xydata()
        array([[18., -1.],
               [65.,  1.]])
    """
    num_outputs = len(shape.shift)
    if label is not None:
        c = output_index(label, classes, num_outputs)
        shape = select_outputs(shape, [c])
        unit = unit or (score_name("", classes, c) if classes else f"output {c}")
    draw_shape(shape, ax, classes, experts=experts, members=members)
    fit_contributions(ax, [shape], members=members)
    text = f"contribution to {unit}" if unit else "contribution"
    ax.set_ylabel(shorten(text, 60), parse_math=False)
    return ax


def plot_shapes(
    shapes: Sequence[Shape],
    *,
    target: str,
    classes: Sequence[str] = (),
    title: str = "",
    max_panels: int = 24,
    label: int | str | None = None,
    experts: bool = False,
    members: bool = False,
) -> Any:
    """Draws the shapes of the most important features, on equal y axes.

    Args:
        shapes: result of `compute_shapes`.
        target: name of the column that is predicted.
        classes: its classes; of two, the scores are the log-odds of the second. More
            than 8 cannot be told apart by colour: the 8 whose scores vary most are
            drawn.
        title: of the figure.
        max_panels: features to draw; a footnote counts the others.
        label: the one output to draw, by index or class; None: all of them.
        experts: as for `plot_shape`.
        members: as for `plot_shape`.

    Returns:
        A matplotlib Figure, one panel per feature, most important first.

    Raises:
        ValueError: there is nothing to draw, the classes do not fit the shapes, or
            experts or members of several outputs are asked for.

    Example:
        >>> from naejax.data import infer_schema
        >>> from naejax.explain import compute_shapes
        >>> from naejax.types import NAEOutput
        >>> columns = {"age": np.repeat([18.0, 65.0], 6), "pay": np.arange(12.0)}
        >>> f = np.repeat([-1.0, 1.0], 6).reshape(12, 1, 1)
        >>> output = NAEOutput(f[:, 0], np.zeros(1), f, np.ones((12, 1, 1)),
        ...                    f[..., None])
        >>> shapes = compute_shapes(output, columns, infer_schema(columns, "pay"))
        >>> figure = plot_shapes(shapes, target="pay")
        >>> figure.get_supylabel(), [ax.get_title("left") for ax in figure.axes]
        ('contribution to pay', ['age'])
    """
    if not shapes or max_panels < 1:
        raise ValueError(
            f"got {len(shapes)} shapes and max_panels={max_panels}, expected at least 1"
        )
    num_outputs = len(shapes[0].shift)
    if num_outputs > 1 and len(classes) != num_outputs:
        raise ValueError(
            f"got {len(classes)} classes for {num_outputs} outputs: pass one name each"
        )
    notes, c = [], None
    if label is not None:
        c = output_index(label, classes, num_outputs)
        shapes, num_outputs = [select_outputs(shape, [c]) for shape in shapes], 1
    score = f"contribution to {score_name(target, classes, c)}"
    order = importance_order(shapes)
    if len(order) > max_panels:
        notes.append(f"{len(order) - max_panels} less important features not shown")
    if num_outputs > len(COLORS):
        shapes, chosen = _most_varied(shapes, len(COLORS))
        classes = [classes[c] for c in chosen]
        notes.append(f"{num_outputs - len(chosen)} classes that vary less not shown")
    most = max(shape.experts.shape[1] for shape in shapes) if experts else 0
    if most > MAX_EXPERTS:
        notes.append(f"the {MAX_EXPERTS} most used of {most} experts shown")

    count = min(len(order), max_panels)
    columns = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3, 9: 3}.get(count, 4)
    rows = -(-count // columns)
    figure = new_figure()
    ax = None
    for i in range(count):
        ax = figure.add_subplot(rows, columns, i + 1, sharey=ax)
        draw_shape(shapes[order[i]], ax, classes, experts=experts, members=members)
        ax.tick_params(labelleft=i % columns == 0)
    fit_contributions(ax, [shapes[i] for i in order[:count]], members=members)
    tall = {
        i // columns
        for i, ax in enumerate(figure.axes)
        if any(label.get_rotation() for label in ax.get_xticklabels())
    }
    height = 1.1 + 2.2 * rows + 0.6 * len(tall)
    figure.set_size_inches(max(3.1 * columns, 6.4), height)

    figure.supylabel(shorten(score, 60), fontsize=9, parse_math=False)
    if notes:
        figure.supxlabel("; ".join(notes), fontsize=SMALL, color=GREY)
    entries = _legend_entries(classes if num_outputs > 1 else (), experts, members)
    _add_legend(figure, entries, title)
    return figure


def _most_varied(shapes: Sequence[Shape], count: int) -> tuple[list[Shape], np.ndarray]:
    """The curves of those outputs that vary most, and the outputs' indices."""
    total = np.sum([shape.importance for shape in shapes], axis=0)
    chosen = np.sort(np.argsort(-total, kind="stable")[:count])
    # Importance and additivity stay those of the whole score.
    selected = [
        dataclasses.replace(
            select_outputs(shape, chosen.tolist()),
            importance=shape.importance,
            additivity=shape.additivity,
        )
        for shape in shapes
    ]
    return selected, chosen


def _legend_entries(
    classes: Sequence[str], experts: bool, members: bool
) -> list[tuple[str, Any]]:
    """What is drawn, in words, and an example of each."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    color = GREY if classes else COLORS[0]
    band = Patch(color=color, alpha=BAND_ALPHA, linewidth=0)
    entries: list[tuple[str, Any]] = [
        (shorten(name, 20), Line2D([], [], color=c))
        for name, c in zip(classes, COLORS, strict=False)
    ]
    if not classes:
        entries.append(("mean contribution", Line2D([], [], color=color)))
    if len(classes) <= MAX_BANDS:
        entries.append((SPREAD_NAME, band))
    if not classes:
        line = Line2D([], [], color=color, linestyle="--", **RANGE_STYLE)
        entries.append((RANGE_NAME, line))
    if experts:
        line = Line2D([], [], linewidth=2, **EXPERT_STYLE)
        entries.append(("experts, as wide as used", line))
    if members:
        entries.append(("members' range", Patch(linewidth=0, **MEMBER_STYLE)))
    return [*entries, ("rows", Patch(color=PALE, linewidth=0))]


def _add_legend(figure: Any, entries: list[tuple[str, Any]], title: str) -> None:
    """The title, and one legend for all panels."""
    labels, handles = zip(*entries, strict=True)
    width = figure.get_figwidth()
    legend = figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=min(len(labels), int(width / (0.7 + 0.075 * max(map(len, labels))))),
        fontsize=8,
        # The figure's own title would lie over a legend outside the panels.
        title=shorten(title, int(10 * width)),
        title_fontsize=12,
        alignment="left",
        frameon=False,
    )
    for text in (*legend.get_texts(), legend.get_title()):
        text.set_parse_math(False)
