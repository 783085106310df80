"""Parts of a text: which word, sentence or token each of its tokens belongs to."""

import re
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int

Parts = Literal["words", "sentences", "tokens"]
PARTS: tuple[str, ...] = get_args(Parts)

_END = re.compile(r"[;,.?!\n]")


def number_parts(
    parts: Parts,
    text: str,
    starts: Int[np.ndarray, "L"],
    words: Int[np.ndarray, "L"],
    max_parts: int | None = None,
) -> Int[np.ndarray, "L"]:
    """Numbers the parts of a text: 0, 1, ... in order without gaps.

    A sentence ends after each of ``; , . ? !`` and each end of a line, as in the
    released Sum-of-Parts code (but for ends of lines), and so a clause is one too. A
    token belongs to the sentence of its first character; a sentence without tokens is
    none.

    Where there are n parts and only M may be, neighbours join:
    ``new = floor(old M / n)``.

    Args:
        parts: "words", "sentences" or "tokens".
        text: the characters.
        starts: first character of every token, (L,).
        words: number of the word that every token is of, (L,).
        max_parts: M, the most parts; None for any number.

    Returns:
        The part of every token, (L,).

    Example:
        >>> text = "not bad, really.  Good!"
        >>> starts = np.array([0, 4, 7, 9, 15, 18, 22])
        >>> number_parts("sentences", text, starts, np.arange(7)).tolist()
        [0, 0, 0, 1, 1, 2, 2]
    """
    if parts == "words":
        found = words
    elif parts == "sentences":
        ends = np.array([match.end() for match in _END.finditer(text)], dtype=np.int64)
        found = np.searchsorted(ends, starts, side="right")
    else:
        found = np.arange(len(starts))
    if not len(found):
        return np.zeros(0, np.int64)
    numbers = np.cumsum(np.diff(found, prepend=found[0]) != 0)
    count = numbers[-1] + 1
    if max_parts is not None and count > max_parts:
        numbers = numbers * max_parts // count
    return numbers
