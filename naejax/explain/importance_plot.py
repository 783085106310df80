"""A picture of importance: which features move the score most."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from naejax.explain.additive import Shape, importance_order
from naejax.explain.bars import style_axes
from naejax.explain.outputs import output_index
from naejax.explain.panel import select_outputs
from naejax.explain.style import COLORS, GREY, SMALL, number, shorten

MAX_BARS = 20


def plot_importance(
    shapes: Sequence[Shape],
    ax: Any,
    *,
    unit: str = "the score",
    classes: Sequence[str] = (),
    label: int | str | None = None,
    max_bars: int = MAX_BARS,
) -> Any:
    """Draws the importance of features as bars, most important first.

    A bar is as long as the mean over the rows of ``|f_i - mean f_i|``. Of an ensemble a
    thin line goes from the lowest to the highest importance that any member gives the
    feature: the members' range. (Where members disagree, the mean model's importance
    can lie below all of theirs.)

    Args:
        shapes: result of `compute_shapes`.
        ax: matplotlib Axes.
        unit: what contributions add up to, for the x axis.
        classes: names of the C outputs, to choose one.
        label: the output, by index or class; None: the mean over the outputs.
        max_bars: features to draw; a note counts the others.

    Returns:
        The same Axes; ``ax.patches`` are the bars from top to bottom.

    Raises:
        ValueError: there is nothing to draw, or no such output.

    Example:
        >>> from matplotlib.figure import Figure
        >>> from naejax.data import infer_schema
        >>> from naejax.explain import compute_shapes
        >>> from naejax.types import NAEOutput
        >>> columns = {"age": np.repeat([18.0, 65.0], 6), "pay": np.arange(12.0)}
        >>> f = np.repeat([-1.0, 1.0], 6).reshape(12, 1, 1)
        >>> output = NAEOutput(f[:, 0], np.zeros(1), f, np.ones((12, 1, 1)),
        ...                    f[..., None])
        >>> shapes = compute_shapes(output, columns, infer_schema(columns, "pay"))
        >>> ax = plot_importance(shapes, Figure().subplots(), unit="pay")
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['age']
        >>> float(ax.patches[0].get_width()), ax.get_xlabel()
        (1.0, 'mean |contribution to pay|')
    """
    if not shapes or max_bars < 1:
        raise ValueError(
            f"got {len(shapes)} shapes and max_bars={max_bars}, expected at least 1"
        )
    if label is not None:
        c = output_index(label, classes, len(shapes[0].shift))
        shapes = [select_outputs(shape, [c]) for shape in shapes]
    order = importance_order(shapes)
    chosen = [shapes[i] for i in order[:max_bars]]
    widths = np.array([shape.importance.mean() for shape in chosen])
    y = np.arange(len(chosen))
    ax.barh(y, widths, 0.66, color=COLORS[0])
    ends = widths
    members = np.array([shape.member_importance.mean(axis=-1) for shape in chosen])
    if members.shape[1] > 1:
        low, high = members.min(axis=1), members.max(axis=1)
        ax.hlines(y, low, high, color="#000000", linewidth=1.2, label="members' range")
        for x in (low, high):
            ax.vlines(x, y - 0.16, y + 0.16, color="#000000", linewidth=1.2)
        ends = np.maximum(widths, high)
        ax.legend(loc="lower right", fontsize=8, frameon=False)
    for at, width, end in zip(y, widths, ends, strict=True):
        ax.annotate(
            number(width),
            (end, at),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=GREY,
        )
    names = [shorten(shape.feature.name, 34) for shape in chosen]
    ax.set_yticks(y, names, fontsize=8, parse_math=False)
    ax.set_ylim(len(chosen) - 0.4, -0.6)
    ax.set_xlim(0, 1.12 * ends.max() or 1.0)
    text = f"mean |contribution to {shorten(unit, 60)}|"
    hidden = len(order) - len(chosen)
    note = f"\n{hidden} less important features not shown" if hidden else ""
    ax.set_xlabel(text + note, fontsize=8, parse_math=False)
    style_axes(ax)
    return ax
