"""Panels of a picture of groups: the input, one group, the sum, on matplotlib Axes."""

from typing import Any

import numpy as np

from naejax.explain.style import GREY, PALE, SMALL, sign_color, signed
from naejax.types import Numbers

_PARTS = "#F0E442"


def to_pictures(x: Numbers, spatial_ndim: int) -> np.ndarray:
    """Colours of a set of images or sequences, on one scale for the set.

    ``(x - low) / (high - low)``, cut to [0, 1], with the 0.5th and 99.5th percentile of
    the whole set, or its range where these are equal. Three channels are red, green and
    blue; of another number of channels the mean goes from dark blue to yellow.

    Args:
        x: examples, (B, \\*spatial) or (B, \\*spatial, Ch), in any unit.
        spatial_ndim: 2 for images, 1 for sequences, which become one row of pixels.

    Returns:
        Red, green and blue from 0 to 1, (B, H, W, 3); H = 1 for sequences.

    Example:
        >>> rgb = to_pictures(np.arange(12.0).reshape(2, 1, 2, 3), spatial_ndim=2)
        >>> rgb[0, 0].round(1).tolist(), float(rgb.max())
        ([[0.0, 0.1, 0.2], [0.3, 0.4, 0.5]], 1.0)
    """
    from matplotlib import colormaps

    values = np.asarray(x, np.float32)
    if values.ndim == 1 + spatial_ndim:
        values = values[..., None]
    if spatial_ndim == 1:
        values = values[:, None]
    is_rgb = values.shape[-1] == 3
    if not is_rgb:
        values = values.mean(axis=-1)
    low, high = np.percentile(values, [0.5, 99.5])
    if low == high:
        low, high = values.min(), values.max()
    values = np.clip((values - low) / (high - low if high > low else 1), 0, 1)
    return values if is_rgb else np.asarray(colormaps["viridis"](values))[..., :3]


def draw_image(ax: Any, picture: np.ndarray, parts: np.ndarray | None = None) -> Any:
    """Draws a picture, with an outline around the true parts.

    Args:
        ax: matplotlib Axes.
        picture: one of `to_pictures`, (H, W, 3).
        parts: masks to outline, (n, H, W), inside where not 0.

    Returns:
        The same Axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> ax = draw_image(Figure().subplots(), np.zeros((4, 5, 3)))
        >>> ax.images[0].get_array().shape
        (4, 5, 3)
    """
    show(ax, picture)
    for mask in () if parts is None else parts:
        # Yellow on black shows on every picture.
        draw_outline(ax, mask != 0, "#000000", 2.6)
        draw_outline(ax, mask != 0, _PARTS, 1.3)
    return ax


def draw_group(
    ax: Any,
    picture: np.ndarray,
    mask: np.ndarray,
    contribution: float,
    *,
    text: str = "",
) -> Any:
    """Draws a group: the picture where the mask is 1, grey and pale where it is 0.

    The title is the signed contribution; its colour and that of the group's outline
    repeat the sign.

    Args:
        ax: matplotlib Axes.
        picture: one of `to_pictures`, (H, W, 3).
        mask: what the group keeps, (H, W) or (L,); scaled to a largest value of 1.
        contribution: what the group adds to the score.
        text: the contribution in words; by default the number with its sign.

    Returns:
        The same Axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> mask = np.eye(4)
        >>> ax = draw_group(Figure().subplots(), np.zeros((4, 4, 3)), mask, -0.5)
        >>> ax.get_title(), ax.images[1].get_alpha()[0].tolist()
        ('−0.500', [1.0, 0.0, 0.0, 0.0])
    """
    mask = np.reshape(mask, picture.shape[:2])
    mask = mask / (mask.max() or 1)
    color = sign_color(contribution)
    show(ax, 0.8 + 0.2 * picture.mean(axis=-1, keepdims=True).repeat(3, axis=-1))
    show(ax, picture, alpha=mask)
    draw_outline(ax, mask > 0, color, 1.3)
    ax.set_title(
        text or signed([contribution])[0], fontsize=9, fontweight="bold", color=color
    )
    return ax


def draw_sum(ax: Any, contributions: dict[str, float], bias: float = 0.0) -> Any:
    """Draws how contributions add up: each bar starts where the one before ends.

    Args:
        ax: matplotlib Axes.
        contributions: what each group adds, by the name under its bar.
        bias: where the first bar starts; a bar of its own if not 0.

    Returns:
        The same Axes; the last bar is the sum.

    Example:
        >>> from matplotlib.figure import Figure
        >>> ax = draw_sum(Figure().subplots(), {"1": 2.0, "2": -0.5})
        >>> [float(bar.get_height()) for bar in ax.patches]
        [2.0, -0.5, 1.5]
    """
    steps = ({"bias": bias} if bias else {}) | contributions
    heights = np.array([*steps.values()], float)
    ends = heights.cumsum()
    total = ends[-1] if len(ends) else 0.0
    x = np.arange(len(heights) + 1)
    colors = [GREY if name == "bias" else sign_color(v) for name, v in steps.items()]
    bars = ax.bar(x[:-1], heights, 0.7, bottom=ends - heights, color=colors)
    signs = ["+" if v > 0 else "−" if v < 0 else "" for v in heights]
    ax.bar_label(bars, signs, fontsize=8, padding=1)
    ax.bar(x[-1], total, 0.7, color="#000000")
    ax.hlines(ends, x[:-1], x[1:], color=GREY, linewidth=0.6)
    ax.axhline(0, color=GREY, linewidth=0.6)
    ax.set_xticks(x, [*steps, "sum"])
    # The signs need room beyond the bars, at zero too.
    ax.use_sticky_edges = False
    ax.margins(y=0.15)
    ax.locator_params(axis="y", nbins=4)
    ax.tick_params(labelsize=SMALL)
    ax.tick_params(axis="x", length=0)
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    return ax


def show(ax: Any, picture: np.ndarray, alpha: np.ndarray | None = None) -> None:
    """A picture without ticks; a sequence fills the height of its Axes."""
    aspect = "auto" if len(picture) == 1 else "equal"
    ax.imshow(picture, alpha=alpha, aspect=aspect, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_color(PALE)


def draw_outline(ax: Any, inside: np.ndarray, color: str, width: float) -> None:
    """Lines along the sides of pixels where a mask (H, W) begins or ends."""
    from matplotlib.collections import LineCollection

    padded = np.pad(inside, 1)
    # Pixel (i, j) reaches from i - 0.5 to i + 0.5 and from j - 0.5 to j + 0.5.
    i, j = np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1])
    across = np.stack([np.c_[j - 0.5, i - 0.5], np.c_[j + 0.5, i - 0.5]], axis=1)
    i, j = np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1])
    down = np.stack([np.c_[j - 0.5, i - 0.5], np.c_[j - 0.5, i + 0.5]], axis=1)
    # In a sequence lines between pixels would hide them: it has lines at the border.
    is_flat = len(inside) == 1
    sides = across if is_flat else np.concatenate([across, down])
    lines = LineCollection(
        list(sides),
        colors=color,
        linewidths=2 * width if is_flat else width,
        capstyle="butt" if is_flat else "projecting",
        clip_on=False,
    )
    ax.add_collection(lines, autolim=False)
