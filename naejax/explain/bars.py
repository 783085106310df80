"""Axes for horizontal bars."""

from typing import Any

from naejax.explain.figure import new_figure
from naejax.explain.style import FAINT, SMALL


def new_axes(bars: int) -> Any:
    """The only Axes of a new figure, as high as its bars need."""
    return new_figure(figsize=(6.8, 1.0 + 0.27 * bars)).subplots()


def style_axes(ax: Any) -> None:
    """Lines of a grid that numbers are read from, and no others."""
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(axis="x", labelsize=SMALL)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
