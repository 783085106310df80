"""Texts in lines of a font of one width: where tokens stand, and what has to go."""

import re
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool

from naejax.explain.style import shorten

# A letter of the monospaced font is 0.602 of its size wide.
LETTER, LINE = 0.602, 1.75
_CONTEXTS = (24, 16, 12, 8, 6, 5, 4, 3, 2, 1)
# They would turn around, or hide, what follows a token.
_CONTROLS = re.compile(
    "[\u0000-\u0008\u000e-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_SPECIAL = re.compile(r"\[[A-Z]+\]|</?[a-z]+>")


def visible(token: str) -> str:
    """A token on one line, without what would turn its neighbours around.

    Args:
        token: any text.

    Returns:
        The text; a dot where nothing can be seen.

    Example:
        >>> visible(" \\n"), visible("a  b\u202e")
        ('·', 'a b')
    """
    return " ".join(_CONTROLS.sub("", token).split()) or "·"


def text_width(text: str) -> int:
    """Columns that a text takes.

    Letters of East Asian scripts take two, and marks on other letters none.

    Args:
        text: of one line.

    Returns:
        Number of columns.

    Example:
        >>> text_width("ab"), text_width("日本"), text_width("e\u0301")
        (2, 4, 1)
    """
    return sum(
        2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
        if not unicodedata.combining(c)
    )


def as_written(tokens: Sequence[str], columns: int) -> list[str]:
    """Tokens as they are written, each at most a line long.

    Args:
        tokens: texts.
        columns: of a line.

    Returns:
        A text for each.

    Example:
        >>> as_written(["good", " ", "incomprehensible"], 9)
        ['good', '·', 'incom…ble']
    """
    return [shorten(visible(token), columns) for token in tokens]


def place_tokens(tokens: Sequence[str], columns: int) -> list[tuple[int, int]]:
    """Column and line of the first letter of every token, broken into lines.

    Args:
        tokens: as they are written.
        columns: of a line.

    Returns:
        A place for each.

    Example:
        >>> place_tokens(["not", "so", "good"], 6)
        [(0, 0), (4, 0), (0, 1)]
    """
    places, x, y = [], 0, 0
    for text in tokens:
        if x and x + text_width(text) > columns:
            x, y = 0, y + 1
        places.append((x, y))
        x += text_width(text) + 1
    return places


def bare_text(tokens: Sequence[str], removable: Bool[np.ndarray, "L"]) -> np.ndarray:
    """Which tokens are shown: all but special ones at both ends of a text.

    Args:
        tokens: of a text, at most L.
        removable: which tokens masks can remove.

    Returns:
        Indices, in order.

    Example:
        >>> bare_text(["[CLS]", "good", "[SEP]"], np.array([False, True, False]))
        array([1])
    """
    first, last = 0, len(tokens)
    while first < last - 1 and _is_special(tokens[first], removable[first]):
        first += 1
    while first < last - 1 and _is_special(tokens[last - 1], removable[last - 1]):
        last -= 1
    return np.arange(first, last)


def surroundings(
    wanted: Bool[np.ndarray, "L"], fits: Callable[[np.ndarray], bool]
) -> Bool[np.ndarray, "L"]:
    """As much of a text as fits: what is wanted, and as many tokens around as can be.

    All of it if it fits; else the wanted tokens with up to c others on both sides of
    each, c as large as possible; a gap of one token is closed. If not even those alone
    fit, the first of them. Where nothing is wanted the text begins at its start.

    Args:
        wanted: tokens to show first, (L,).
        fits: whether there is room for the tokens of a mask (L,).

    Returns:
        The tokens to show, (L,).

    Example:
        >>> wanted = np.array([0, 0, 0, 1, 0, 0, 0, 0, 0, 1]) > 0
        >>> surroundings(wanted, lambda shown: shown.sum() <= 6).astype(int).tolist()
        [0, 0, 1, 1, 1, 0, 0, 0, 1, 1]
    """
    whole = np.ones(len(wanted), bool)
    if fits(whole):
        return whole
    if wanted.any():
        for context in _CONTEXTS:
            shown = _closed(_around(wanted, context))
            if fits(shown):
                return shown
        whole = wanted
    # The most of its first tokens that fit, by halving.
    place = np.cumsum(whole)
    low, high = 0, int(place[-1])
    while low < high:
        middle = (low + high + 1) // 2
        if fits(whole & (place <= middle)):
            low = middle
        else:
            high = middle - 1
    return whole & (place <= low)


def gaps(shown: Bool[np.ndarray, "L"]) -> list[int]:
    """Indices of the tokens that are shown, -1 where some are left out.

    Args:
        shown: which tokens are shown, (L,).

    Returns:
        Indices in order.

    Example:
        >>> gaps(np.array([False, True, True, False, False, True]))
        [-1, 1, 2, -1, 5]
    """
    items: list[int] = []
    for index, is_shown in enumerate(shown):
        if is_shown:
            items.append(index)
        elif not items or items[-1] >= 0:
            items.append(-1)
    return items


def _is_special(token: str, removable: bool) -> bool:
    return not removable and _SPECIAL.fullmatch(token) is not None


def _around(wanted: np.ndarray, context: int) -> np.ndarray:
    """Tokens with a wanted one at most ``context`` places away."""
    window = np.ones(2 * context + 1)
    return np.convolve(wanted, window)[context:][: len(wanted)] > 0.5


def _closed(shown: np.ndarray) -> np.ndarray:
    """Also the single tokens between two that are shown."""
    padded = np.pad(shown, 1, constant_values=True)
    return shown | (padded[:-2] & padded[2:])
