"""What pictures of groups share: a row's words, its groups in order, its notes."""

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from naejax.explain.groups import merge_duplicates
from naejax.explain.style import GREY, SMALL, shorten
from naejax.types import SOPOutput


class GroupTerm(NamedTuple):
    """One picture and bar of a row: a group with its copies, or all the rest."""

    name: str
    mask: np.ndarray
    contribution: float
    note: str


def check_names(
    classes: Sequence[str], targets: Sequence[str], num_outputs: int
) -> None:
    """Refuses names of both kinds or none, or of another number of outputs."""
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


def class_numbers(y: Any, classes: Sequence[str]) -> np.ndarray | None:
    """True classes given by their names as integers; all else as it is.

    Args:
        y: true classes or values, or None.
        classes: names of the classes.

    Returns:
        An array, or None.

    Raises:
        ValueError: if a name is not among the classes.

    Example:
        >>> class_numbers(["dog", "cat"], ["cat", "dog"]).tolist()
        [1, 0]
    """
    if y is None or np.asarray(y).dtype.kind not in "OSU":
        return None if y is None else np.asarray(y)
    names = np.asarray(y).astype(str)
    unknown = names[~np.isin(names, classes)]
    if len(unknown):
        raise ValueError(
            f"y holds {str(unknown[0])!r}, expected names among the classes "
            f"{', '.join(classes[:12])}, or their indices"
        )
    return np.array([classes.index(name) for name in names])


def check_truth(y: np.ndarray, classes: Sequence[str], shape: tuple[int, int]) -> None:
    """Refuses true classes without a name and true values for other outputs."""
    wanted = shape[:1] if classes or (y.ndim == 1 and shape[1] == 1) else shape
    if y.shape != wanted:
        raise ValueError(f"y has shape {y.shape}, expected {wanted} like the output")
    if classes and not ((y >= 0) & (y < len(classes))).all():
        raise ValueError(
            f"y goes from {y.min()} to {y.max()}, expected the indices of the "
            f"{len(classes)} classes"
        )


def check_choice(examples: Sequence[int], max_groups: int) -> None:
    """Refuses to draw nothing."""
    if not len(examples) or max_groups < 1:
        raise ValueError(
            f"got {len(examples)} examples and max_groups={max_groups}, expected at "
            "least 1 of each"
        )


def explained_outputs(
    prediction: np.ndarray, classes: Sequence[str], label: int | None
) -> np.ndarray:
    """The output that each example explains, (B,)."""
    if label is None and classes:
        return prediction.argmax(axis=1)
    return np.full(len(prediction), label or 0)


def group_terms(
    output: SOPOutput, labels: np.ndarray, max_groups: int
) -> list[list[GroupTerm]]:
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
            GroupTerm(
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
            row.append(GroupTerm("rest", masks[rest].max(axis=0), total, note))
        rows.append(row)
    return rows


def example_words(
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


def write_words(ax: Any, entries: Sequence[tuple[str, str]]) -> None:
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


def add_notes(figure: Any, title: str, notes: Sequence[str]) -> None:
    """The title, and what colours and lines mean."""
    notes = [
        "groups by falling |contribution|: + blue raises, − orange lowers the sum",
        *notes,
    ]
    figure.supxlabel("; ".join(notes), fontsize=SMALL, color=GREY)
    if title:
        width = int(10 * figure.get_figwidth())
        figure.suptitle(
            shorten(title, width), fontsize=12, x=0.01, ha="left", parse_math=False
        )
