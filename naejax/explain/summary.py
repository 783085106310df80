"""A few lines of HTML about an explanation, for notebooks."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from naejax.explain.local import LocalExplanation
from naejax.explain.style import RAISES, number, shorten, signed

MAX_FEATURES, MAX_ROWS, _MAX_TERMS = 10, 5, 4
_CELL = "text-align:left;padding:1px 10px 1px 0;border:0"


def summary_html(
    title: str,
    importance: Mapping[str, float],
    rows: Sequence[LocalExplanation],
    predictions: Sequence[str],
) -> str:
    """Writes importances and the strongest contributions of some rows as HTML.

    Args:
        title: what is explained.
        importance: of the features, by name.
        rows: the rows to show.
        predictions: their predictions in words.

    Returns:
        A ``<div>`` without scripts, classes or links; all names are escaped.

    Example:
        >>> "<b><bdi>a&lt;b</bdi></b>" in summary_html("a<b", {"x": 1.0}, [], [])
        True
    """
    order = sorted(importance, key=lambda name: -importance[name])
    top = max(importance.values(), default=0.0) or 1.0
    bars = [
        f"<tr><td style='{_CELL}'>{_name(name)}</td><td style='{_CELL}'>"
        f"<span style='display:inline-block;vertical-align:middle;height:10px;"
        f"background:{RAISES};width:{200 * importance[name] / top:.0f}px'></span> "
        f"{number(importance[name])}</td></tr>"
        for name in order[:MAX_FEATURES]
    ]
    hidden = len(order) - len(bars)
    if hidden:
        bars.append(
            f"<tr><td style='{_CELL}' colspan=2>{hidden} more features</td></tr>"
        )
    lines = [
        f"<tr><td style='{_CELL}'>{i}</td><td style='{_CELL}'>{_text(prediction)}</td>"
        f"<td style='{_CELL}'>{_terms(row)}</td></tr>"
        for i, (row, prediction) in enumerate(zip(rows, predictions, strict=True))
    ]
    heads = ("row", "prediction", "largest contributions, less their means")
    head = "".join(f"<th style='{_CELL}'>{text}</th>" for text in heads)
    return (
        f"<div><b>{_text(title)}</b>"
        f"<table><tr><th style='{_CELL}'>feature</th><th style='{_CELL}'>mean "
        f"|contribution|</th></tr>{''.join(bars)}</table>"
        f"<table><tr>{head}</tr>{''.join(lines)}</table></div>"
    )


def _terms(row: LocalExplanation) -> str:
    """The strongest contributions of a row, signed, and how many there are besides."""
    order = np.argsort(-np.abs(row.contributions), kind="stable")[:_MAX_TERMS]
    texts = signed(row.contributions[order].tolist())
    terms = [
        f"{_name(row.names[i])} = {_name(row.cells[i])} <b>{text}</b>"
        for i, text in zip(order, texts, strict=True)
    ]
    hidden = len(row.names) - len(terms)
    return ", ".join([*terms, f"{hidden} more"] if hidden else terms)


def _name(text: str) -> str:
    """A name, cut when it is long."""
    return _text(shorten(text, 40))


def _text(text: str) -> str:
    """Text that may read from right to left, without what HTML would understand."""
    return f"<bdi>{escape(text)}</bdi>"
