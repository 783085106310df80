"""A panel of a picture of groups of texts: the text, with what one group keeps."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from naejax.explain.style import FAINT, GREY, PALE
from naejax.explain.text_layout import (
    LETTER,
    as_written,
    gaps,
    place_tokens,
    surroundings,
    text_width,
)

SIZE = 7.0
# Inches: the width of a letter and the distance of two lines.
COLUMN, ROW = SIZE * LETTER / 72, SIZE * 1.6 / 72


class Excerpt(NamedTuple):
    """What a panel shows of a text.

    Attributes:
        items: index of every token shown, -1 for a gap.
        texts: as they are written.
        places: column and line of each.
        left_out: number of tokens that are not shown.
        hidden: how many of these are kept.
    """

    items: list[int]
    texts: list[str]
    places: list[tuple[int, int]]
    left_out: int
    hidden: int

    @property
    def lines(self) -> int:
        """Number of lines."""
        return 1 + max((y for _, y in self.places), default=0)


def take_excerpt(
    tokens: Sequence[str],
    kept: Bool[np.ndarray, "L"],
    columns: int,
    lines: int,
    *,
    removable: Bool[np.ndarray, "L"] | None = None,
) -> Excerpt:
    """Chooses what a panel shows of a text: the kept tokens and what is around them.

    Tokens that no mask removes, such as a query, are shown too if they are few.

    Args:
        tokens: of the text, L of them.
        kept: which of them a group keeps, (L,).
        columns: letters of a line.
        lines: the most lines.
        removable: which tokens masks can remove, (L,); None: all.

    Returns:
        Tokens and places.

    Example:
        >>> tokens, kept = [f"w{i}" for i in range(9)], np.arange(9) == 5
        >>> excerpt = take_excerpt(tokens, kept, columns=9, lines=2)
        >>> excerpt.texts, excerpt.left_out
        (['…', 'w4', 'w5', 'w6', '…'], 6)
    """
    written = as_written(tokens, columns)

    def texts(shown: np.ndarray) -> list[str]:
        return ["…" if i < 0 else written[i] for i in gaps(shown)]

    def rows(shown: np.ndarray) -> int:
        return 1 + place_tokens(texts(shown), columns)[-1][1]

    still = np.zeros(len(tokens), bool) if removable is None else ~removable
    if still.any() and rows(still) > lines // 3:
        still = still & False
    wanted = np.asarray(kept)
    shown = still | surroundings(wanted, lambda shown: rows(shown | still) <= lines)
    found = texts(shown)
    return Excerpt(
        gaps(shown),
        found,
        place_tokens(found, columns),
        int((~shown).sum()),
        int((kept & ~shown).sum()),
    )


def draw_text_group(
    ax: Any,
    excerpt: Excerpt,
    kept: Bool[np.ndarray, "L"],
    color: str,
    columns: int,
    *,
    marked: Bool[np.ndarray, "L"],
    removable: Bool[np.ndarray, "L"],
) -> Any:
    """Writes a text: what a group keeps bold and in colour, the rest pale.

    Tokens that no mask removes are grey; marked ones are underlined.

    Args:
        ax: matplotlib Axes, as wide as ``columns + 2`` letters.
        excerpt: of `take_excerpt`.
        kept: which tokens the group keeps, (L,).
        color: of the group.
        columns: letters of a line.
        marked: which tokens are underlined, (L,).
        removable: which tokens masks can remove, (L,).

    Returns:
        The same Axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> kept = np.array([False, True, True])
        >>> excerpt = take_excerpt(["so", "very", "good"], kept, 20, 2)
        >>> ax = draw_text_group(Figure().subplots(), excerpt, kept, "#0072B2", 20,
        ...                      marked=kept, removable=kept | True)
        >>> [text.get_text() for text in ax.texts], len(ax.lines)
        (['so', 'very good'], 1)
    """
    ax.set(xlim=(-1, columns + 1), ylim=(ax.bbox.height / ax.figure.dpi / ROW, 0))
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_color(FAINT)
    runs: list[list[Any]] = []
    lines: list[list[int]] = []
    for index, text, (x, y) in zip(*excerpt[:3], strict=True):
        style = _style(index, kept, removable, color)
        width = text_width(text)
        last = runs[-1] if runs else None
        # One artist for a run of tokens; letters of other fonts have other widths.
        if last and last[3:] == [y, *style] and (last[0] + text).isascii():
            last[0] = f"{last[0]} {text}"
        else:
            runs.append([text, x, width, y, *style])
        if index >= 0 and marked[index]:
            if lines and lines[-1][2] == y and lines[-1][1] == x - 1:
                lines[-1][1] = x + width
            else:
                lines.append([x, x + width, y])
    for text, x, _, y, shade, weight in runs:
        ax.text(
            x,
            y + 0.75,
            text,
            family="monospace",
            fontsize=SIZE,
            color=shade,
            weight=weight,
            va="center_baseline",
            parse_math=False,
        )
    for start, stop, row in lines:
        ax.plot([start, stop], [row + 1.22] * 2, color="#000000", linewidth=0.9)
    return ax


def _style(
    index: int, kept: np.ndarray, removable: np.ndarray, color: str
) -> tuple[str, str]:
    """Colour and weight of a token, or of a gap."""
    if index < 0 or not removable[index]:
        return GREY, "normal"
    return (color, "bold") if kept[index] else (PALE, "normal")
