"""Pictures of where the groups of one example lie: all of them over one input."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from naejax.explain.group_panel import draw_outline, show, to_pictures
from naejax.explain.groups import merge_duplicates
from naejax.explain.style import COLORS, GREY, PALE, SMALL, sign_color, signed
from naejax.ops.grouping import flatten_masks
from naejax.types import Numbers, SOPOutput

# Black and yellow do not show on every picture.
_GROUP_COLORS = (*COLORS[:6], "#882255")
_TINT, _STRONGEST = 0.35, 0.75


class _Groups(NamedTuple):
    """The n used groups of one example by falling ``|contribution|``.

    ``masks`` are (n, H, W) and ``contributions`` (n,), equal masks taken as one.
    """

    picture: np.ndarray
    masks: np.ndarray
    contributions: np.ndarray


def plot_group_overlay(
    x: Numbers,
    output: SOPOutput,
    ax: Any,
    *,
    example: int = 0,
    label: int | None = None,
    max_groups: int = 5,
) -> Any:
    """Draws the outlines and tints of the strongest groups over one input.

    Each group has a colour; the legend gives its place by falling ``|contribution|``
    and its signed contribution. Where groups overlap, the stronger one is on top.

    Args:
        x: the examples, (B, H, W) or (B, H, W, Ch), or sequences (B, L) or (B, L, Ch).
        output: what the model returned for them.
        ax: matplotlib Axes.
        example: which of the B examples to draw.
        label: the output to explain; None: the one with the largest prediction.
        max_groups: groups to draw, at most 7; the legend counts the others.

    Returns:
        The same Axes.

    Raises:
        ValueError: there is no such example or output, or too many groups.

    Example:
        >>> from matplotlib.figure import Figure
        >>> masks = np.array([[[[1.0, 0.0]], [[0.0, 1.0]]]])
        >>> weights, one = np.array([[[0.75], [0.25]]]), np.ones((1, 2))
        >>> output = SOPOutput(np.ones((1, 1)), np.zeros(1), weights, masks, weights,
        ...                    one, one[..., None], masks)
        >>> ax = plot_group_overlay(np.ones((1, 1, 2)), output, Figure().subplots())
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['1: +0.750', '2: +0.250']
    """
    if not 1 <= max_groups <= len(_GROUP_COLORS):
        raise ValueError(
            f"max_groups is {max_groups}, expected 1 to {len(_GROUP_COLORS)}: more "
            "cannot be told apart by colour"
        )
    groups = _used(x, output, example, label)
    show(ax, _pale(groups.picture))
    colors = _GROUP_COLORS[: min(max_groups, len(groups.masks))]
    for color, mask in reversed(list(zip(colors, groups.masks, strict=False))):
        show(ax, _filled(color, mask.shape), alpha=_TINT * (mask > 0))
        draw_outline(ax, mask > 0, color, 1.8)
    _add_legend(ax, groups.contributions, dict(enumerate(colors)), 1.0)
    return ax


def plot_flat_mask(
    x: Numbers,
    output: SOPOutput,
    ax: Any,
    *,
    example: int = 0,
    label: int | None = None,
    threshold: float = 0.0,
) -> Any:
    """Draws the strongest group at every pixel: its sign as colour, its place as text.

    Blue raises and orange lowers the score, the more the stronger. A number is the
    group's place by falling ``|contribution|``. The picture does not add up to the
    score: a group stands at each of its pixels, and not where a stronger one lies.

    Args:
        x: the examples, as for `plot_group_overlay`.
        output: what the model returned for them.
        ax: matplotlib Axes.
        example: which of the B examples to draw.
        label: the output to explain; None: the one with the largest prediction.
        threshold: a group covers the pixels where its mask is larger than this.

    Returns:
        The same Axes.

    Raises:
        ValueError: there is no such example or output.

    Example:
        >>> from matplotlib.figure import Figure
        >>> masks = np.array([[[[1.0, 1.0, 0.0]], [[0.0, 1.0, 1.0]]]])
        >>> weights, one = np.array([[[0.25], [0.75]]]), np.ones((1, 2))
        >>> output = SOPOutput(np.ones((1, 1)), np.zeros(1), weights, masks, weights,
        ...                    one, one[..., None], masks)
        >>> ax = plot_flat_mask(np.ones((1, 1, 3)), output, Figure().subplots())
        >>> [(text.get_text(), text.get_position()) for text in ax.texts]
        [('1', (1, 0)), ('2', (0, 0))]
    """
    groups = _used(x, output, example, label)
    count = len(groups.contributions)
    ranks = np.asarray(
        flatten_masks(
            jnp.asarray(groups.masks[None]), jnp.arange(count)[None], threshold
        )[0]
    )
    show(ax, _pale(groups.picture))
    colors = {}
    for rank, contribution in enumerate(groups.contributions):
        inside = ranks == rank
        if not inside.any():
            continue
        colors[rank] = sign_color(contribution)
        strength = abs(contribution) / (abs(groups.contributions[0]) or 1)
        alpha = _STRONGEST * (0.2 + 0.8 * strength)
        show(ax, _filled(colors[rank], ranks.shape), alpha=alpha * inside)
        draw_outline(ax, inside, "#FFFFFF", 0.8)
        i, j = _inner_pixel(inside)
        style = {"facecolor": "#FFFFFF", "edgecolor": "none", "pad": 1, "alpha": 0.8}
        text = f"{rank + 1}"
        ax.text(j, i, text, ha="center", va="center", fontsize=SMALL, bbox=style)
    _add_legend(ax, groups.contributions, colors, _STRONGEST)
    return ax


def _used(x: Numbers, output: SOPOutput, example: int, label: int | None) -> _Groups:
    """The used groups of one example, equal ones taken as one."""
    x, spatial = np.asarray(x), output.masks.shape[2:]
    count = len(output.prediction)
    if x.shape[: 1 + len(spatial)] != (count, *spatial) or not 0 <= example < count:
        raise ValueError(
            f"got example {example} of x with shape {x.shape}, expected one of "
            f"{count} examples of shape {spatial}, with or without channels"
        )
    picture = to_pictures(x, len(spatial))[example]
    one = output._replace(
        **{
            name: np.asarray(part)[example : example + 1]
            for name, part in output._asdict().items()
            if name != "bias"
        }
    )
    merged = merge_duplicates(one, label)
    contributions, counts = (np.asarray(part[0]) for part in merged)
    order = np.lexsort((-abs(contributions), counts == 0))[: np.count_nonzero(counts)]
    masks = np.asarray(one.masks[0])[order].reshape(-1, *picture.shape[:2])
    return _Groups(picture, masks, contributions[order])


def _pale(picture: np.ndarray) -> np.ndarray:
    """The picture in light grey, so that colours show on it."""
    return 0.4 + 0.6 * picture.mean(axis=-1, keepdims=True).repeat(3, axis=-1)


def _filled(color: str, shape: tuple[int, ...]) -> np.ndarray:
    """A picture of one colour."""
    from matplotlib.colors import to_rgb

    return np.broadcast_to(to_rgb(color), (*shape, 3))


def _inner_pixel(inside: np.ndarray) -> tuple[int, int]:
    """The pixel of a region that is nearest to its centre."""
    pixels = np.argwhere(inside)
    distance = ((pixels - pixels.mean(axis=0)) ** 2).sum(axis=1)
    i, j = pixels[distance.argmin()]
    return int(i), int(j)


def _add_legend(
    ax: Any, contributions: np.ndarray, colors: dict[int, str], alpha: float
) -> None:
    """Signed contributions beside the picture, and the sum of groups not drawn."""
    from matplotlib.patches import Patch

    hidden = np.delete(contributions, [*colors])
    *texts, rest = signed([*contributions, hidden.sum()])
    handles = [
        Patch(color=color, alpha=alpha, linewidth=0, label=f"{i + 1}: {texts[i]}")
        for i, color in colors.items()
    ]
    if len(hidden):
        noun = "other" if len(hidden) == 1 else "others"
        text = f"{len(hidden)} {noun}: {rest}"
        handles.append(Patch(color=PALE, linewidth=0, label=text))
    ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        fontsize=8,
        labelcolor=GREY,
        frameon=False,
    )
