"""Pictures of groups: what a Sum-of-Parts model sees, and how that adds up to a score.

Drawn by matplotlib without pyplot and its global state.
"""

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from naejax.explain.figure import new_figure
from naejax.explain.group_panel import (
    draw_group,
    draw_image,
    draw_sum,
    to_pictures,
)
from naejax.explain.groups import merge_duplicates
from naejax.explain.style import GREY, SMALL, shorten, signed
from naejax.types import Numbers, SOPOutput

# Inches: the columns of words, pictures and bars, and a row of images or of sequences.
_WORDS, _PICTURE, _BARS = 1.5, 1.4, 2.1
_IMAGE_ROW, _SEQUENCE_ROW = 1.75, 1.15


class _Term(NamedTuple):
    """One picture and bar of a row: a group with its copies, or all the rest."""

    name: str
    mask: np.ndarray
    contribution: float
    note: str


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
    y = _numbers(y, classes)
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
    labels = _labels(prediction, classes, label)
    rows = _terms(output, labels, max_groups)

    columns = max(map(len, rows))
    widths = [_WORDS, *[_PICTURE] * (1 + columns), _BARS]
    height = _SEQUENCE_ROW if len(spatial) == 1 else _IMAGE_ROW
    figure = new_figure()
    figure.set_size_inches(sum(widths), 0.6 + height * len(rows))
    grid = figure.add_gridspec(len(rows), len(widths), width_ratios=widths)
    bars = None
    for i, (terms, c) in enumerate(zip(rows, labels, strict=True)):
        true = None if truth is None else truth[i]
        words = _words(prediction[i], c, classes, targets, true, label)
        _write(figure.add_subplot(grid[i, 0]), words)
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
    _add_notes(figure, title, parts is not None)
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
    if bool(classes) == bool(targets):
        got = "both classes and" if classes else "neither classes nor"
        raise ValueError(
            f"got {got} targets, expected either the names of the classes or of the "
            f"targets: pass one of them, a name for each of {num_outputs} outputs"
        )
    wanted = 2 if classes and num_outputs == 1 else num_outputs
    if len(classes or targets) != wanted:
        raise ValueError(
            f"got {len(classes or targets)} names for {num_outputs} outputs, "
            f"expected {wanted}: one for each"
        )
    if y is not None:
        _check_truth(np.asarray(y), classes, (count, num_outputs))
    if not len(examples) or max_groups < 1:
        raise ValueError(
            f"got {len(examples)} examples and max_groups={max_groups}, expected at "
            "least 1 of each"
        )
    if not (np.isfinite(output.prediction).all() and np.isfinite(x).all()):
        raise ValueError("x or the prediction is not finite, so no sum can be drawn")


def _numbers(y: Numbers | None, classes: Sequence[str]) -> np.ndarray | None:
    """True classes given by their names as integers; all else as it is."""
    if y is None or np.asarray(y).dtype.kind not in "OSU":
        return None if y is None else np.asarray(y)
    names = np.asarray(y).astype(str)
    unknown = names[~np.isin(names, classes)]
    if len(unknown):
        raise ValueError(
            f"y holds {unknown[0]!r}, expected names among the classes "
            f"{', '.join(classes[:12])}, or their indices"
        )
    return np.array([classes.index(name) for name in names])


def _check_truth(y: np.ndarray, classes: Sequence[str], shape: tuple[int, int]) -> None:
    """Refuses true classes without a name and true values for other outputs."""
    wanted = shape[:1] if classes or (y.ndim == 1 and shape[1] == 1) else shape
    if y.shape != wanted:
        raise ValueError(f"y has shape {y.shape}, expected {wanted} like the output")
    if classes and not ((y >= 0) & (y < len(classes))).all():
        raise ValueError(
            f"y goes from {y.min()} to {y.max()}, expected the indices of the "
            f"{len(classes)} classes"
        )


def _labels(
    prediction: np.ndarray, classes: Sequence[str], label: int | None
) -> np.ndarray:
    """The output that each example explains, (B,)."""
    if label is None and classes:
        return prediction.argmax(axis=1)
    return np.full(len(prediction), label or 0)


def _terms(output: SOPOutput, labels: np.ndarray, max_groups: int) -> list[list[_Term]]:
    """For every example its strongest groups and, if there are more, all the rest."""
    merged = merge_duplicates(output, labels)
    rows = []
    for masks, contributions, counts in zip(
        output.masks, *map(np.asarray, merged), strict=True
    ):
        order = np.lexsort((-abs(contributions), counts == 0))
        used = order[: np.count_nonzero(counts)]
        # A picture of the rest takes as much room as the one group it would replace.
        shown = used[: max_groups if len(used) > max_groups + 1 else None]
        rest = used[len(shown) :]
        row = [
            _Term(
                str(rank),
                masks[g],
                float(contributions[g]),
                f"{counts[g]} equal groups" if counts[g] > 1 else "",
            )
            for rank, g in enumerate(shown, start=1)
        ]
        if len(rest):
            total = float(contributions[rest].sum())
            note = f"sum of {counts[rest].sum()} more groups"
            row.append(_Term("rest", masks[rest].max(axis=0), total, note))
        rows.append(row)
    return rows


def _words(
    prediction: np.ndarray,
    c: int,
    classes: Sequence[str],
    targets: Sequence[str],
    truth: np.ndarray | None,
    label: int | None,
) -> list[tuple[str, str]]:
    """Captions and texts on an example: what is true, predicted and explained."""
    if targets:
        true = [] if truth is None else [("true", np.reshape(truth, -1)[c])]
        values = [*true, ("predicted", prediction[c])]
        texts = [(name, f"{v:.4g}".replace("-", "−")) for name, v in values]
        return [("", targets[c]), *texts]
    guess = int(prediction.argmax() if len(prediction) > 1 else prediction[0] > 0)
    entries = [] if truth is None else [("true", classes[int(truth)])]
    is_wrong = truth is not None and int(truth) != guess
    entries.append(("predicted, wrong" if is_wrong else "predicted", classes[guess]))
    if len(prediction) == 1:
        entries.append(("log-odds of", classes[1]))
    elif label is not None:
        entries.append(("score of", classes[c]))
    return entries


def _write(ax: Any, entries: Sequence[tuple[str, str]]) -> None:
    """Captions in grey and texts in black, one under the other."""
    lines = []
    for caption, text in entries:
        lines += [(caption, SMALL, GREY)] if caption else []
        lines += [(t, 9, "#000000") for t in textwrap.wrap(shorten(text, 40), 20)]
    ax.set_axis_off()
    for i, (line, size, color) in enumerate(lines):
        ax.annotate(
            line,
            (0, 0.5),
            xytext=(0, 12 * ((len(lines) - 1) / 2 - i)),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            fontsize=size,
            color=color,
            parse_math=False,
        )


def _add_notes(figure: Any, title: str, has_parts: bool) -> None:
    """The title, and what colours and lines mean."""
    notes = ["groups by falling |contribution|: + blue raises, − orange lowers the sum"]
    if has_parts:
        notes.append("yellow line: true parts")
    figure.supxlabel("; ".join(notes), fontsize=SMALL, color=GREY)
    if title:
        width = int(10 * figure.get_figwidth())
        figure.suptitle(
            shorten(title, width), fontsize=12, x=0.01, ha="left", parse_math=False
        )
