"""Features of prepared texts: which hold the text, the query, and the reasons."""

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np

from naejax.data.spans import merge_spans


class TextLayout(NamedTuple):
    """Names of the features of labelled texts.

    Attributes:
        text: those that make the text, a line for each.
        query: the question about it; None where there is none.
        evidences: words of the text that people gave as reasons, without their places;
            None where there are none.
    """

    text: tuple[str, ...]
    query: str | None = None
    evidences: str | None = None


LAYOUTS = (
    TextLayout(("text",), "query"),
    # Those of TFDS: eraser_multi_rc, movie_rationales, glue/sst2, ag_news_subset.
    TextLayout(("passage",), "query_and_answer", "evidences"),
    TextLayout(("review",), None, "evidences"),
    TextLayout(("sentence",)),
    TextLayout(("title", "description")),
)


def find_layout(features: Collection[str]) -> TextLayout | None:
    """The layout of a data set.

    Args:
        features: their names.

    Returns:
        The first of `LAYOUTS` whose text is there, without what is not; None if none.

    Example:
        >>> find_layout(["label", "review", "evidences"]).text
        ('review',)
    """
    for layout in LAYOUTS:
        if all(name in features for name in layout.text):
            return TextLayout(
                layout.text,
                layout.query if layout.query in features else None,
                layout.evidences if layout.evidences in features else None,
            )
    return None


def locate(text: str, evidences: Iterable[str]) -> np.ndarray:
    """Where a text has some words.

    They are found up to the kind and amount of white space between them, as whole
    words if they are there so, and at the first place that has them.

    Args:
        text: any text.
        evidences: words, in the order of the text.

    Returns:
        Their characters, joined where they overlap, (R, 2); what the text does not have
        is left out.

    Example:
        >>> locate("hearts, a work\\nof art .", ["work of", "art", "lost"]).tolist()
        [[10, 17], [18, 21]]
    """
    found = []
    for evidence in evidences:
        words = r"\s+".join(map(re.escape, evidence.split()))
        if words:
            whole = re.search(rf"(?<!\S){words}(?!\S)", text)
            if match := whole or re.search(words, text):
                found.append(match.span())
    return merge_spans(found)
