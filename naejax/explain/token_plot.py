"""A picture of a text: what each of its tokens adds to the score."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from naejax.explain.style import GREY, SMALL, shorten, sign_color
from naejax.explain.text_layout import (
    LETTER,
    LINE,
    as_written,
    place_tokens,
    text_width,
)
from naejax.types import Numbers

_LARGEST, _SMALLEST = 11, 5
_STRONGEST = 0.6


def plot_tokens(
    tokens: Sequence[str],
    values: Numbers,
    ax: Any,
    *,
    marked: Numbers | None = None,
    title: str = "",
) -> Any:
    """Writes a text whose tokens are coloured by what they add.

    Blue raises and orange lowers the score; the colour is full at the largest
    ``|value|``. Marked tokens, such as those that a group keeps, are underlined. The
    text is as large as the Axes allow, which must have their final size; what has no
    room is counted at the end.

    Args:
        tokens: words or pieces of words, L of them.
        values: what each adds, in the unit of the score, (L,), such as a row of
            `pixel_map`.
        ax: matplotlib Axes.
        marked: the tokens to underline, true where marked, (L,); None: none.
        title: of the Axes.

    Returns:
        The same Axes; ``ax.texts`` are the tokens.

    Raises:
        ValueError: the lengths differ, or a value is not finite.

    Example:
        >>> from matplotlib.figure import Figure
        >>> ax = Figure().subplots()
        >>> ax = plot_tokens(["not", "bad"], np.array([-0.5, 1.0]), ax)
        >>> [text.get_text() for text in ax.texts[:2]]
        ['not', 'bad']
        >>> [patch.get_alpha() for patch in ax.patches]
        [0.3, 0.6]
    """
    values = np.asarray(values, np.float64)
    flags = np.zeros(len(tokens), bool) if marked is None else np.asarray(marked) != 0
    if values.shape != (len(tokens),) or flags.shape != values.shape or not len(tokens):
        raise ValueError(
            f"got {len(tokens)} tokens, values of shape {values.shape} and marks of "
            f"shape {flags.shape}, expected as many of each, at least one"
        )
    if not np.isfinite(values).all():
        raise ValueError("a token's value is not finite, so it cannot be drawn")
    from matplotlib.patches import Rectangle

    box = ax.get_position()
    inches = ax.get_figure().get_size_inches() * (box.width, box.height)
    size, columns, rows, places = _layout(tokens, inches)
    ax.set(xlim=(0, columns), ylim=(rows * LINE, 0))
    ax.set_axis_off()
    top = float(np.abs(values).max()) or 1.0
    for text, (x, y), value, is_marked in zip(
        as_written(tokens, columns), places, values, flags, strict=False
    ):
        middle, width = (y + 0.5) * LINE, text_width(text)
        color = sign_color(value)
        strength = _STRONGEST * float(abs(value)) / top
        corner = x - 0.2, middle - 0.65
        ax.add_patch(
            Rectangle(
                corner, width + 0.4, 1.3, color=color, alpha=strength, linewidth=0
            )
        )
        if is_marked:
            ends = [x, x + width]
            ax.plot(ends, [middle + 0.62] * 2, color="#000000", linewidth=1.2)
        ax.text(
            x,
            middle,
            text,
            family="monospace",
            fontsize=size,
            va="center_baseline",
            parse_math=False,
        )
    notes = ["blue raises, orange lowers the score"]
    if flags.any():
        notes.append("underlined: kept")
    if len(places) < len(tokens):
        notes.append(f"{len(tokens) - len(places)} more tokens not shown")
    ax.text(
        0,
        (places[-1][1] + 1.1) * LINE,
        "; ".join(notes),
        va="top",
        fontsize=SMALL,
        color=GREY,
    )
    if title:
        ax.set_title(shorten(title, 60), loc="left", fontsize=9, parse_math=False)
    return ax


def _layout(
    tokens: Sequence[str], inches: np.ndarray
) -> tuple[float, int, int, list[tuple[int, int]]]:
    """The size of the font, columns and lines, and where tokens that fit begin."""
    for size in np.arange(_LARGEST, _SMALLEST - 0.5, -0.5):
        columns = max(int(inches[0] * 72 / (size * LETTER)), 8)
        rows = max(int(inches[1] * 72 / (size * LINE)), 1)
        places = place_tokens(as_written(tokens, columns), columns)
        if places[-1][1] < rows:
            break
    return float(size), columns, rows, [place for place in places if place[1] < rows]
