"""A picture of a sweep: how good a model is against how additive it is."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from naejax.explain.style import COLORS, FAINT, SMALL, shorten
from naejax.types import Numbers


def plot_tradeoff(
    additivity: Numbers,
    score: Numbers,
    ax: Any,
    *,
    settings: Sequence[str] = (),
    name: str = "",
    score_name: str = "",
    color: str = COLORS[0],
) -> Any:
    """Draws scores against additivity along a sweep.

    A point is the mean over the seeds of one setting, a line joins settings in their
    order, and thin lines go from the lowest to the highest value of any seed. Call it
    again on the same Axes for another sweep in another colour.

    Args:
        additivity: of the model, in [0, 1], for S seeds and n settings, (S, n) or (n,).
        score: on rows that did not train it, like `additivity`.
        ax: matplotlib Axes.
        settings: names of the n settings, written at their points.
        name: of the sweep, for ``ax.legend()``.
        score_name: of the score, for the y axis.
        color: of the sweep.

    Returns:
        The same Axes.

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> from matplotlib.figure import Figure
        >>> additivity = np.array([[0.5, 1.0], [0.5, 1.0]])
        >>> score = np.array([[0.25, 0.75], [0.75, 0.75]])
        >>> ax = plot_tradeoff(additivity, score, Figure().subplots())
        >>> ax.lines[0].get_xydata()
        array([[0.5 , 0.5 ],
               [1.  , 0.75]])
    """
    x, y = (np.atleast_2d(np.asarray(v, np.float64)) for v in (additivity, score))
    if x.shape != y.shape or x.ndim != 2 or x.size == 0:
        raise ValueError(
            f"additivity has shape {np.shape(additivity)} and score {np.shape(score)}, "
            "expected (seeds, settings) for both"
        )
    if settings and len(settings) != x.shape[1]:
        raise ValueError(f"got {len(settings)} names for {x.shape[1]} settings")
    middle = x.mean(axis=0), y.mean(axis=0)
    ax.plot(*middle, "-o", color=color, markersize=4, linewidth=1.4, label=name or None)
    if len(x) > 1:
        style = {"color": color, "linewidth": 1.0, "alpha": 0.6}
        ax.hlines(middle[1], x.min(axis=0), x.max(axis=0), **style)
        ax.vlines(middle[0], y.min(axis=0), y.max(axis=0), **style)
    # Beside the line, on the side that it leaves free.
    side = -1 if (middle[1][-1] > middle[1][0]) == (middle[0][-1] > middle[0][0]) else 1
    for point in _apart(*middle) if settings else ():
        ax.annotate(
            shorten(settings[point], 16),
            (middle[0][point], middle[1][point]),
            xytext=(5 * side, 5),
            ha="right" if side < 0 else "left",
            textcoords="offset points",
            fontsize=SMALL,
            color=color,
            parse_math=False,
        )
    ax.set_xlabel("additivity (1: one curve per feature says all)", fontsize=8)
    if score_name:
        ax.set_ylabel(shorten(score_name, 60), fontsize=8, parse_math=False)
    ax.grid(color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.margins(0.08)
    ax.tick_params(labelsize=SMALL)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _apart(x: np.ndarray, y: np.ndarray) -> list[int]:
    """Points whose names do not lie over each other; the ends come first."""
    across, up = (max(float(np.ptp(values)), 1e-12) for values in (x, y))
    found: list[int] = []
    for point in sorted(range(len(x)), key=lambda i: i not in (0, len(x) - 1)):
        if all(
            abs(x[point] - x[other]) > 0.08 * across
            or abs(y[point] - y[other]) > 0.05 * up
            for other in found
        ):
            found.append(point)
    return found
