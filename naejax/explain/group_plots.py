"""Pictures of groups: what a Sum-of-Parts model sees, and how that adds up to a score.

Drawn by matplotlib without pyplot and its global state.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from naejax.explain.figure import new_figure
from naejax.explain.group_panel import (
    draw_group,
    draw_image,
    draw_sum,
    to_pictures,
)
from naejax.explain.group_rows import (
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
from naejax.explain.style import GREY, SMALL, signed
from naejax.types import Numbers, SOPOutput

# Inches: the columns of words, pictures and bars, and a row of images or of sequences.
_WORDS, _PICTURE, _BARS = 1.5, 1.4, 2.1
_IMAGE_ROW, _SEQUENCE_ROW = 1.75, 1.15


def plot_groups(
    x: Numbers,
    output: SOPOutput,
    *,
    classes: Sequence[str] = (),
    targets: Sequence[str] = (),
    y: Numbers | None = None,
    label: int | None = None,
    parts: Numbers | None = None,
    examples: Sequence[int] | None = None,
    max_groups: int = 5,
    title: str = "",
) -> Any:
    """Draws examples as sums: the input, the groups used with signed scores, the sum.

    A row shows one example: the true and the predicted class or value; the input; the
    used groups by falling ``|contribution|``, each as the input with all else pale,
    those beyond ``max_groups`` in one last picture; bars from the bias to the
    prediction. Groups with equal masks are one picture with the sum of their
    contributions. All pictures share one colour scale, all bars one axis.

    Args:
        x: the examples, (B, H, W) or (B, H, W, Ch), or sequences (B, L) or (B, L, Ch).
        output: what the model returned for them.
        classes: names of the C classes, or of two for C = 1, the log-odds of the
            second; empty in regression.
        targets: names of the C targets of a regression, with their units; a single one
            needs no name.
        y: true classes as integers or names, (B,), or true values, (B,) or (B, C).
        label: the output to explain; None: the predicted class, in regression output 0.
        parts: true parts, outlined in the input, (B, \\*spatial) or several masks per
            example, (B, n, \\*spatial), inside where not 0.
        examples: which of the B examples to draw; None: the first 6.
        max_groups: pictures of single groups in a row.
        title: of the figure.

    Returns:
        A matplotlib Figure with a row of Axes for each example.

    Raises:
        ValueError: shapes or names do not fit the output, the output is not finite, or
            there is nothing to draw.

    Example:
        >>> masks = np.array([[[[1.0, 0.0]], [[0.0, 1.0]]]])
        >>> weights, one = np.array([[[0.75], [0.25]]]), np.ones((1, 2))
        >>> output = SOPOutput(np.ones((1, 1)), np.zeros(1), weights, masks, weights,
        ...                    one, one[..., None], masks)
        >>> figure = plot_groups(np.ones((1, 1, 2)), output, targets=["height in m"])
        >>> [ax.get_title() for ax in figure.axes]
        ['', 'input', '+0.75', '+0.25', 'sum = +1.00']
    """
    x, output = np.asarray(x), SOPOutput(*map(np.asarray, output))
    classes, targets = list(map(str, classes)), list(map(str, targets))
    if not classes and not targets and output.prediction.shape[1] == 1:
        targets = ["prediction"]
    y = class_numbers(y, classes)
    chosen = list(range(min(6, len(x))) if examples is None else examples)
    _check(x, output, classes, targets, y, parts, chosen, max_groups)
    spatial = output.masks.shape[2:]
    pictures = to_pictures(x, len(spatial))[chosen]
    outlines = None
    if parts is not None:
        outlines = np.asarray(parts).reshape(len(x), -1, *pictures.shape[1:3])[chosen]
    truth = None if y is None else np.asarray(y)[chosen]
    batched = {k: v[chosen] for k, v in output._asdict().items() if k != "bias"}
    output = output._replace(**batched)
    prediction = np.asarray(output.prediction)
    labels = explained_outputs(prediction, classes, label)
    rows = group_terms(output, labels, max_groups)

    columns = max(map(len, rows))
    widths = [_WORDS, *[_PICTURE] * (1 + columns), _BARS]
    height = _SEQUENCE_ROW if len(spatial) == 1 else _IMAGE_ROW
    figure = new_figure()
    figure.set_size_inches(sum(widths), 0.6 + height * len(rows))
    grid = figure.add_gridspec(len(rows), len(widths), width_ratios=widths)
    bars = None
    for i, (terms, c) in enumerate(zip(rows, labels, strict=True)):
        true = None if truth is None else truth[i]
        words = example_words(prediction[i], c, classes, targets, true, label)
        write_words(figure.add_subplot(grid[i, 0]), words)
        ax = figure.add_subplot(grid[i, 1])
        draw_image(ax, pictures[i], None if outlines is None else outlines[i])
        if i == 0:
            ax.set_title("input", fontsize=9, color=GREY)
        shares = {term.name: term.contribution for term in terms}
        *numbers, total = signed([*shares.values(), prediction[i, c]])
        for j, (term, number) in enumerate(zip(terms, numbers, strict=True)):
            ax = figure.add_subplot(grid[i, 2 + j])
            draw_group(ax, pictures[i], term.mask, term.contribution, text=number)
            ax.set_title(term.name, loc="left", fontsize=SMALL, color=GREY)
            ax.set_xlabel(term.note, fontsize=SMALL, color=GREY, labelpad=2)
        bars = figure.add_subplot(grid[i, -1], sharey=bars)
        draw_sum(bars, shares, float(output.bias[c]))
        bars.set_title(f"sum = {total}", fontsize=9, fontweight="bold")
    add_notes(figure, title, ["yellow line: true parts"] if parts is not None else [])
    return figure


def _check(
    x: np.ndarray,
    output: SOPOutput,
    classes: Sequence[str],
    targets: Sequence[str],
    y: Numbers | None,
    parts: Numbers | None,
    examples: Sequence[int],
    max_groups: int,
) -> None:
    """Refuses what cannot be drawn, in one line each."""
    count, num_outputs = output.prediction.shape
    spatial = output.masks.shape[2:]
    if x.shape[: 1 + len(spatial)] != (count, *spatial) or x.ndim > len(spatial) + 2:
        raise ValueError(
            f"x has shape {x.shape} and the masks {output.masks.shape}, expected "
            f"{(count, *spatial)} with or without channels: pass the examples that "
            "the model saw"
        )
    if parts is not None and (
        len(parts) != count or parts.shape[-len(spatial) :] != spatial
    ):
        raise ValueError(
            f"parts has shape {parts.shape}, expected {count} examples of {spatial}"
        )
    check_names(classes, targets, num_outputs)
    if y is not None:
        check_truth(np.asarray(y), classes, (count, num_outputs))
    check_choice(examples, max_groups)
    if not (np.isfinite(output.prediction).all() and np.isfinite(x).all()):
        raise ValueError("x or the prediction is not finite, so no sum can be drawn")
