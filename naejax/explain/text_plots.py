"""Pictures of groups of texts: what a Sum-of-Parts model reads, and how that adds up.

Drawn by matplotlib without pyplot and its global state.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from naejax.explain.figure import new_figure
from naejax.explain.group_panel import draw_sum
from naejax.explain.group_rows import (
    GroupTerm,
    add_notes,
    check_choice,
    check_names,
    check_truth,
    class_numbers,
    example_words,
    explained_outputs,
    group_terms,
    write_words,
)
from naejax.explain.style import GREY, SMALL, sign_color, signed
from naejax.explain.text_layout import bare_text
from naejax.explain.text_panel import COLUMN, ROW, draw_text_group, take_excerpt
from naejax.types import Numbers, SOPOutput

# Inches: the columns of words and bars, all panels of texts, and what is between.
_WORDS, _BARS, _TEXTS, _GAP, _AXIS = 1.25, 1.7, 11.0, 0.16, 0.5
_NARROWEST, _WIDEST = 2.3, 4.6
_ABOVE, _BELOW, _LEAST = 0.26, 0.3, 1.0
_MOST_LINES = 14


def plot_text_groups(
    pieces: Sequence[Sequence[str]],
    output: SOPOutput,
    *,
    classes: Sequence[str],
    y: Numbers | None = None,
    rationale: Numbers | None = None,
    removable: Numbers | None = None,
    label: int | None = None,
    examples: Sequence[int] | None = None,
    max_groups: int = 4,
    title: str = "",
) -> Any:
    """Draws texts as sums: what each used group reads, with signed scores, and the sum.

    A row shows one text: the true and the predicted class; the used groups by falling
    ``|contribution|``, each as the text with the tokens that the group keeps in the
    colour of the sign and all others pale, those beyond ``max_groups`` in one last
    panel; bars from the bias to the prediction. Groups with equal masks are one panel
    with the sum of their contributions. Of a long text a panel shows the surroundings
    of what the group keeps, "…" for what is between, and says how much is left out.

    Args:
        pieces: what people see of the tokens of every text, padding left out, B lists
            of at most L.
        output: what the model returned for the texts; masks are (B, G, L).
        classes: names of the C classes, or of two for C = 1, the log-odds of the
            second.
        y: true classes as integers or names, (B,).
        rationale: tokens marked as the reason for the label, underlined, (B, L).
        removable: tokens that masks can remove, (B, L); the others, such as a query,
            are grey. None: all of them.
        label: the output to explain; None: the predicted class.
        examples: which of the B texts to draw; None: the first 6.
        max_groups: panels of single groups in a row.
        title: of the figure.

    Returns:
        A matplotlib Figure with a row of Axes for each text.

    Raises:
        ValueError: shapes or names do not fit the output, the output is not finite, or
            there is nothing to draw.

    Example:
        >>> masks = np.array([[[1.0, 0.0], [0.0, 1.0]]])
        >>> weights, one = np.array([[[0.75], [0.25]]]), np.ones((1, 2))
        >>> output = SOPOutput(np.ones((1, 1)), np.zeros(1), weights, masks, weights,
        ...                    one, one[..., None], masks)
        >>> figure = plot_text_groups([["so", "good"]], output, classes=["no", "yes"])
        >>> [ax.get_title() for ax in figure.axes]
        ['', '+0.75', '+0.25', 'sum = +1.00']
    """
    output = SOPOutput(*map(np.asarray, output))
    classes = list(map(str, classes))
    y = class_numbers(y, classes)
    chosen = list(range(min(6, len(pieces))) if examples is None else examples)
    _check(pieces, output, classes, y, chosen, max_groups)
    marked = _flags("rationale", rationale, output, False)
    can_go = _flags("removable", removable, output, True)
    batched = {k: v[chosen] for k, v in output._asdict().items() if k != "bias"}
    output = output._replace(**batched)
    prediction = np.asarray(output.prediction)
    labels = explained_outputs(prediction, classes, label)
    rows = group_terms(output, labels, max_groups)

    most = max(map(len, rows))
    width = float(np.clip(_TEXTS / most, _NARROWEST, _WIDEST))
    columns = int(width / COLUMN) - 2
    drawn = [
        _excerpts(pieces[i], terms, can_go[i], columns)
        for i, terms in zip(chosen, rows, strict=True)
    ]
    lines = [max((e.lines for _, e in panels), default=0) for panels in drawn]
    heights = [max(n * ROW + 0.12, _LEAST) for n in lines]
    full = _WORDS + most * (width + _GAP) + _AXIS + _BARS + 2 * _GAP
    top, bottom = (0.45 if title else 0.15), 0.25
    high = top + bottom + sum(heights) + len(rows) * (_ABOVE + _BELOW)
    # Places in inches, so that letters have the room that was counted for them.
    figure = new_figure(layout="none", figsize=(full, high))
    stays = any(
        not can_go[i][shown].all()
        for i, panels in zip(chosen, drawn, strict=True)
        for shown, _ in panels
    )
    add_notes(figure, title, _notes(rationale is not None, stays))

    def add(x: float, y: float, w: float, h: float, **options: Any) -> Any:
        return figure.add_axes((x / full, 1 - y / high, w / full, h / high), **options)

    bars, at = None, top
    for i, (terms, c, height) in enumerate(zip(rows, labels, heights, strict=True)):
        b, at = chosen[i], at + _ABOVE + height
        true = None if y is None else np.asarray(y)[b]
        words = example_words(prediction[i], c, classes, (), true, label)
        write_words(add(_GAP, at, _WORDS - _GAP, height), words)
        shares = {term.name: term.contribution for term in terms}
        *numbers, total = signed([*shares.values(), prediction[i, c]])
        for j, (term, number) in enumerate(zip(terms, numbers, strict=True)):
            ax = add(_WORDS + j * (width + _GAP), at, width, height)
            shown, excerpt = drawn[i][j]
            color = sign_color(term.contribution)
            draw_text_group(
                ax,
                excerpt,
                term.mask[shown] > 0,
                color,
                columns,
                marked=marked[b][shown],
                removable=can_go[b][shown],
            )
            ax.set_title(number, fontsize=9, fontweight="bold", color=color, pad=4)
            ax.set_title(term.name, loc="left", fontsize=SMALL, color=GREY, pad=4)
            note = _note(term, excerpt.left_out, excerpt.hidden)
            ax.set_xlabel(note, fontsize=SMALL, color=GREY, labelpad=2)
        bars = add(full - _BARS - _GAP, at, _BARS, height, sharey=bars)
        draw_sum(bars, shares, float(output.bias[c]))
        bars.set_title(f"sum = {total}", fontsize=9, fontweight="bold", pad=4)
        at += _BELOW
    return figure


def _check(
    pieces: Sequence[Sequence[str]],
    output: SOPOutput,
    classes: Sequence[str],
    y: Numbers | None,
    examples: Sequence[int],
    max_groups: int,
) -> None:
    """Refuses what cannot be drawn, in one line each."""
    count, num_outputs = output.prediction.shape
    if output.masks.ndim != 3 or len(pieces) != count:
        raise ValueError(
            f"got {len(pieces)} texts and masks of shape {output.masks.shape}, "
            f"expected {count} texts and (B, G, L): pass the texts that the model saw"
        )
    longest = max(map(len, pieces), default=0)
    if longest > output.masks.shape[2] or not all(map(len, pieces)):
        raise ValueError(
            f"got texts of {min(map(len, pieces))} to {longest} tokens, expected 1 to "
            f"{output.masks.shape[2]}, the length of the masks"
        )
    check_names(classes, (), num_outputs)
    if y is not None:
        check_truth(np.asarray(y), classes, (count, num_outputs))
    check_choice(examples, max_groups)
    if not np.isfinite(output.prediction).all():
        raise ValueError("the prediction is not finite, so no sum can be drawn")


def _flags(
    name: str, values: Numbers | None, output: SOPOutput, otherwise: bool
) -> np.ndarray:
    """One flag for each token, (B, L)."""
    shape = (output.masks.shape[0], output.masks.shape[2])
    if values is None:
        return np.full(shape, otherwise)
    if np.shape(values) != shape:
        raise ValueError(
            f"{name} has shape {np.shape(values)}, expected {shape}: one for each "
            "token and for padding"
        )
    return np.asarray(values) != 0


def _excerpts(
    tokens: Sequence[str],
    terms: Sequence[GroupTerm],
    removable: np.ndarray,
    columns: int,
) -> list[tuple[np.ndarray, Any]]:
    """For every group the tokens that can be shown, and which of them are."""
    shown = bare_text(tokens, removable)
    texts = [tokens[i] for i in shown]
    return [
        (
            shown,
            take_excerpt(
                texts,
                term.mask[shown] > 0,
                columns,
                _MOST_LINES,
                removable=removable[shown],
            ),
        )
        for term in terms
    ]


def _note(term: GroupTerm, left_out: int, hidden: int) -> str:
    """What a panel does not show."""
    notes = [term.note] if term.note else []
    if not (term.mask > 0).any():
        notes.append("keeps nothing that could go")
    if hidden:
        notes.append(f"{left_out} left out ({hidden} kept)")
    elif left_out:
        notes.append(f"{left_out} tokens left out")
    return "; ".join(notes)


def _notes(has_rationale: bool, stays: bool) -> list[str]:
    """What letters and lines mean."""
    notes = ["bold: kept, pale: removed"]
    if stays:
        notes.append("grey: never removed")
    if has_rationale:
        notes.append("underlined: the rationale")
    return notes
