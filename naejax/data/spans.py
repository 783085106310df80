"""Spans of a text: characters ``text[start:stop]``."""

import re
from collections.abc import Iterable

import numpy as np


def token_spans(text: str) -> np.ndarray:
    """Where the words of a text are, those between white space.

    Args:
        text: any text.

    Returns:
        First character and the one after the last, (number of words, 2).

    Example:
        >>> token_spans("a  big cat").tolist()
        [[0, 1], [3, 6], [7, 10]]
    """
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    return np.array(spans, dtype=np.int64).reshape(-1, 2)


def merge_spans(spans: Iterable[tuple[int, int]]) -> np.ndarray:
    """Sorts spans and joins those that overlap.

    Args:
        spans: start and stop of each.

    Returns:
        The same characters, (R, 2).

    Example:
        >>> merge_spans([(4, 9), (0, 2), (1, 3)]).tolist()
        [[0, 3], [4, 9]]
    """
    merged: list[list[int]] = []
    for start, stop in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1][1] = max(stop, merged[-1][1])
        else:
            merged.append([start, stop])
    return np.array(merged, dtype=np.int64).reshape(-1, 2)
