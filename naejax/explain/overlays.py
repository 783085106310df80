"""What may lie over the shape of one output: expert curves, the members' range."""

from typing import Any

import numpy as np

from naejax.explain.additive import Shape
from naejax.explain.axis import Places
from naejax.explain.style import COLORS

EXPERT_COLOR, MEMBER_COLOR = COLORS[2], COLORS[4]
EXPERT_STYLE: dict[str, Any] = {"color": EXPERT_COLOR, "alpha": 0.6}
MEMBER_STYLE: dict[str, Any] = {"color": MEMBER_COLOR, "alpha": 0.5}
MAX_EXPERTS = 8
_THINNEST, _THICKEST = 0.3, 2.2


def draw_experts(shape: Shape, ax: Any, places: Places) -> None:
    """Curves of the most used experts, each as wide as its mean gate at a position."""
    from matplotlib.collections import LineCollection

    chosen = most_used(shape)
    curves = shape.experts[places.shown][:, chosen, 0]
    usage = shape.usage[places.shown][:, chosen]
    line, point = ~places.is_point, places.is_point
    # A curve through m positions is m - 1 segments with the mean gate of their ends.
    xy = np.stack(
        [np.repeat(places.x[line, None], len(chosen), axis=1), curves[line]], axis=-1
    )
    joined = np.stack([xy[:-1], xy[1:]], axis=2).reshape(-1, 2, 2)
    between = (usage[line][:-1] + usage[line][1:]).ravel() / 2
    # Of levels and missing values every expert is a dash.
    x, y = np.broadcast_arrays(places.x[point, None], curves[point])
    half = np.full(x.shape, 0.3 * places.room)
    ends = [np.stack([x + sign * half, y], axis=-1) for sign in (-1, 1)]
    dashes = np.stack(ends, axis=2).reshape(-1, 2, 2)
    # Relative: the gates of an ensemble's experts are small, there are so many.
    gates = np.append(between, usage[point].ravel()) / usage.max()
    lines = LineCollection(
        list(np.concatenate([joined, dashes])),
        linewidths=_THINNEST + (_THICKEST - _THINNEST) * gates,
        label="experts",
        capstyle="butt",
        zorder=1.8,
        **EXPERT_STYLE,
    )
    ax.add_collection(lines, autolim=False)


def most_used(shape: Shape) -> np.ndarray:
    """Indices of at most 8 experts with the largest mean gates over the rows."""
    share = shape.counts @ shape.usage
    used = np.argsort(-share, kind="stable")[:MAX_EXPERTS]
    return used[share[used] > 0]


def draw_members(shape: Shape, ax: Any, places: Places) -> None:
    """From the lowest to the highest mean contribution of any member."""
    means = shape.members[:, places.shown, 0]
    low, high = means.min(axis=0), means.max(axis=0)
    line, point = ~places.is_point, places.is_point
    if line.any():
        ax.fill_between(
            places.x[line],
            low[line],
            high[line],
            # Its border shows over the band of contexts.
            linewidth=0.8,
            label="members' range",
            **MEMBER_STYLE,
        )
    if point.any():
        label = "_" if line.any() else "members' range"
        # Beside the bars of contexts, which would hide it.
        x = places.x[point] + 0.12 * places.room
        ax.vlines(x, low[point], high[point], linewidth=3, label=label, **MEMBER_STYLE)
