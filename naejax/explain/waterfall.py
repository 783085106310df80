"""A picture of one row: bars that lead from the bias to the prediction."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from naejax.explain.bars import style_axes
from naejax.explain.local import LocalExplanation
from naejax.explain.style import GREY, shorten, sign_color, signed

MAX_BARS = 12


class _Bar(NamedTuple):
    """One feature, or the sum of all others, with its context range."""

    label: str
    contribution: float
    lower: float
    upper: float


def plot_waterfall(
    local: LocalExplanation,
    ax: Any,
    *,
    unit: str = "score",
    title: str = "",
    bias_name: str = "bias",
    max_bars: int = MAX_BARS,
) -> Any:
    """Draws how the contributions of one row add up to its score.

    From top to bottom: the bias, bars by falling ``|contribution|``, each of which
    starts where the one before ends, the prediction. A thin line is the bar's context
    range: where it could end if the other features had other values. It says nothing
    about certainty. The x axis shows ranges up to one width of all bars beyond them.

    Args:
        local: one row, from `local_explanation`.
        ax: matplotlib Axes.
        unit: what the contributions add up to, for the x axis.
        title: of the Axes.
        bias_name: of the first row, such as "mean score" where contributions are
            differences from the mean.
        max_bars: features to draw; the others are one bar, their sum.

    Returns:
        The same Axes; ``ax.patches`` are the bars from top to bottom.

    Raises:
        ValueError: if `max_bars` is not positive.

    Example:
        >>> from matplotlib.figure import Figure
        >>> f = np.array([-0.5, 2.0])
        >>> local = LocalExplanation(("age", "sex"), ("38", "male"), f, f - 1, f + 1,
        ...                          bias=1.0, prediction=2.5, label=0)
        >>> ax = plot_waterfall(local, Figure().subplots())
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['bias', 'sex = male', 'age = 38', 'prediction']
        >>> [(float(bar.get_x()), float(bar.get_width())) for bar in ax.patches]
        [(1.0, 2.0), (3.0, -0.5)]
    """
    if max_bars < 1:
        raise ValueError(f"max_bars is {max_bars}, expected at least 1")
    bars = _bars(local, max_bars)
    widths = np.array([bar.contribution for bar in bars])
    ends = local.bias + widths.cumsum()
    starts, y = ends - widths, np.arange(1, len(bars) + 1)
    ax.barh(y, widths, 0.62, left=starts, color=[sign_color(w) for w in widths])
    lower = starts + [bar.lower for bar in bars]
    upper = starts + [bar.upper for bar in bars]
    ax.hlines(y, lower, upper, color="#000000", linewidth=0.9, label="context range")
    for x in (lower, upper):
        ax.vlines(x, y - 0.16, y + 0.16, color="#000000", linewidth=0.9)
    last = len(bars) + 1
    ax.vlines(
        [local.bias, *ends],
        np.arange(last) - 0.31,
        np.arange(1, last + 1) + 0.31,
        color=GREY,
        linewidth=0.6,
        zorder=0.9,
    )
    ends_of_sum = [local.bias, local.prediction]
    ax.plot(ends_of_sum, [0, last], "D", color="#000000", markersize=4)

    *texts, first, total = signed([*widths, *ends_of_sum])
    labels = [bias_name, *(bar.label for bar in bars), "prediction"]
    ax.set_yticks(range(last + 1), labels, fontsize=8, parse_math=False)
    for at, text in enumerate([first, *texts, total]):
        weight = "bold" if at == last else "normal"
        ax.annotate(
            text.removeprefix("+") if at in (0, last) else text,
            (1.01, at),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            fontweight=weight,
            annotation_clip=False,
        )
    _fit(ax, [*starts, *ends], [*lower, *upper])
    ax.set_ylim(last + 0.6, -0.6)
    note = "thin lines: context range, how far other features can move a bar's end"
    ax.set_xlabel(f"{shorten(unit, 60)}\n{note}", fontsize=8, parse_math=False)
    if title:
        ax.set_title(shorten(title, 60), loc="left", fontsize=9, parse_math=False)
    style_axes(ax)
    return ax


def _bars(local: LocalExplanation, max_bars: int) -> list[_Bar]:
    """The strongest features and, if there are more, the sum of all others."""
    order = np.argsort(-np.abs(local.contributions), kind="stable")
    # A bar of the rest takes as much room as the one feature it would replace.
    shown = order[: max_bars if len(order) > max_bars + 1 else None]
    rest = order[len(shown) :]
    bars = [
        _Bar(
            f"{shorten(local.names[i], 26)} = {shorten(local.cells[i], 18)}",
            *(float(part[i]) for part in _parts(local)),
        )
        for i in shown
    ]
    if len(rest):
        sums = (float(part[rest].sum()) for part in _parts(local))
        bars.append(_Bar(f"{len(rest)} others", *sums))
    return bars


def _parts(local: LocalExplanation) -> Sequence[np.ndarray]:
    """Contributions and the bounds of their ranges."""
    return local.contributions, local.lower, local.upper


def _fit(ax: Any, bars: Sequence[float], ranges: Sequence[float]) -> None:
    """Limits that show all bars, and ranges as far as they leave the bars readable."""
    left, right = min(bars), max(bars)
    room = right - left or np.inf
    left = max(min(*ranges, left), left - room)
    right = min(max(*ranges, right), right + room)
    margin = 0.04 * (right - left) or 1.0
    ax.set_xlim(left - margin, right + margin)
