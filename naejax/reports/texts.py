"""The report on a Sum-of-Parts model of texts: a gallery, as the data of its page."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from naejax.data.tokenized import TokenizedTexts
from naejax.explain.style import shorten
from naejax.explain.text_layout import bare_text, gaps, surroundings, visible
from naejax.ops.tokens import PART
from naejax.reports.features import cut
from naejax.reports.gallery import (
    choose_examples,
    group_cautions,
    merged_groups,
    num_looked_at,
)
from naejax.reports.numbers import rounded
from naejax.reports.table import MOST_BYTES, json_bytes
from naejax.texts import TextSOP, explain_texts
from naejax.types import SOPOutput

_LETTERS = 60


class _Size(NamedTuple):
    """How much a gallery holds: texts, groups of each, and tokens of each."""

    texts: int
    groups: int
    tokens: int


LADDER = (
    _Size(12, 5, 600),
    _Size(12, 4, 300),
    _Size(8, 4, 160),
    _Size(6, 3, 100),
    _Size(4, 3, 60),
    _Size(2, 2, 30),
)
"""Step by step less, until the data is small enough."""


def text_report(
    fitted: TextSOP,
    texts: TokenizedTexts,
    *,
    title: str,
    what: str = "texts given",
    about: Sequence[tuple[str, str]] = (),
    scores: Sequence[dict[str, Any]] = (),
    notes: Sequence[str] = (),
    most_bytes: int = MOST_BYTES,
) -> dict[str, Any]:
    """Builds the data of a report on a Sum-of-Parts model of texts.

    Args:
        fitted: a fitted model.
        texts: to choose the gallery from.
        title: of the page.
        what: the texts are, in words.
        about: labels and texts on where the model comes from.
        scores: entries with ``name``, ``split`` and ``values`` by name.
        notes: sentences to add.
        most_bytes: size of the data as JSON that must not be exceeded; it holds less
            and less, in the order of `LADDER`, until it fits.

    Returns:
        Plain values for `naejax.reports.page.render`.
    """
    number = len(texts.x)
    looked = num_looked_at(number, fitted.model.num_groups * texts.x.shape[1])
    prediction = np.asarray(explain_texts(fitted, texts.x[:looked]).prediction)
    chosen, how = choose_examples(texts.label[:looked], prediction, LADDER[0].texts)
    output = explain_texts(fitted, texts.x[chosen])
    label = np.asarray(output.prediction).argmax(axis=1)
    data: dict[str, Any] = {}
    for size in LADDER:
        shown = range(min(size.texts, len(chosen)))
        entries = [_entry(fitted, texts, chosen[b], output, b, size) for b in shown]
        listed = [
            f"{len(shown)} of the {number:,} {what} are shown{how}.",
            "Groups stand by falling contribution, whatever its sign; groups with the "
            "same mask are one.",
        ]
        if any(None in entry["tokens"] for entry in entries):
            listed.append(
                f"Of texts with more than {size.tokens} tokens only what is around the "
                "kept and the marked ones is on this page."
            )
        data = {
            "kind": "texts",
            "title": cut(title),
            "about": [[cut(label), cut(text)] for label, text in about],
            "scores": [
                {**entry, "values": {k: rounded(v) for k, v in entry["values"].items()}}
                for entry in scores
            ],
            "notes": [*notes, *listed],
            "warnings": group_cautions(output, label, "texts", "tokens"),
            "target": {
                "name": "class",
                "kind": "multiclass",
                "classes": [cut(name) for name in fitted.classes],
            },
            "score_name": "score of the predicted class (log-odds)"
            if output.prediction.shape[1] > 1
            else f"log-odds of {cut(fitted.classes[1])}",
            "gallery": entries,
        }
        if json_bytes(data) <= most_bytes:
            break
    return data


def _entry(
    fitted: TextSOP,
    texts: TokenizedTexts,
    index: int,
    output: SOPOutput,
    b: int,
    size: _Size,
) -> dict[str, Any]:
    """One text, what its groups keep of it, and their sum."""
    prediction = np.asarray(output.prediction[b])
    c = int(prediction.argmax())
    guess = c if len(prediction) > 1 else int(prediction[0] > 0)
    groups = merged_groups(output, b, c)
    order, strongest = groups.split(size.groups)
    removable = texts.x[index, :, PART] >= 0
    total = float(prediction[c])
    unit = max(abs(total), float(abs(groups.contributions).max(initial=0))) or None

    places = bare_text(texts.pieces[index], removable)
    kept = groups.masks[strongest][:, places] > 0
    marked = texts.rationale[index, places]
    items = _cut_text(kept.any(axis=0) | marked, removable[places], size.tokens)

    def positions(flags: np.ndarray) -> list[int]:
        return [k for k, i in enumerate(items) if i >= 0 and flags[i]]

    return {
        "id": f"text {index + 1:,}",
        "truth": cut(fitted.classes[int(texts.label[index])]),
        "prediction": cut(fitted.classes[guess]),
        "explained": f"score of {cut(fitted.classes[c])}"
        if len(prediction) > 1
        else f"log-odds of {cut(fitted.classes[1])}",
        "tokens": [
            None
            if i < 0
            else shorten(visible(texts.pieces[index][places[i]]), _LETTERS)
            for i in items
        ],
        "left_out": len(places) - sum(i >= 0 for i in items),
        "marked": positions(marked),
        "still": positions(~removable[places]),
        "groups": [
            {
                "tokens": positions(mask),
                "kept": rounded(mask.sum() / max(removable.sum(), 1)),
                **groups.numbers(g, unit),
            }
            for mask, g in zip(kept, strongest.tolist(), strict=True)
        ],
        "rest": groups.rest(order[len(strongest) :], unit),
        "bias": rounded(output.bias[c], unit=unit),
        "total": rounded(total, unit=unit),
    }


def _cut_text(wanted: np.ndarray, removable: np.ndarray, most: int) -> list[int]:
    """Indices of at most so many tokens, and -1 for each gap between them."""
    still = ~removable
    # A query is what the text is about, if there is room for it.
    still &= still.sum() <= most // 3
    shown = surroundings(wanted, lambda shown: (shown | still).sum() <= most)
    return gaps(shown | still)
