"""What galleries of images and of texts share: which examples, and their groups."""

from typing import Any, NamedTuple

import numpy as np

from naejax.explain import merge_duplicates
from naejax.explain.groups import Label
from naejax.reports.numbers import rounded
from naejax.types import SOPOutput

_LOOKED_AT, _MASK_BYTES, _FEWEST = 300, 200_000_000, 32
_WORST = 4


class ExampleGroups(NamedTuple):
    """The groups of one example, those with equal masks taken as one.

    Attributes:
        masks: what each group keeps, (G, \\*spatial).
        contributions: to the output that is explained, (G,).
        counts: how many groups each one stands for; 0: unused or in another one, (G,).
        weights: selection weights, added up like the contributions, (G,).
    """

    masks: np.ndarray
    contributions: np.ndarray
    counts: np.ndarray
    weights: np.ndarray

    def split(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the used groups by falling size, and those of them to show."""
        order = np.lexsort((-abs(self.contributions), self.counts == 0))
        order = order[: np.count_nonzero(self.counts)]
        # A picture of the rest takes as much room as the one group it would replace.
        return order, order[: most if len(order) > most + 1 else None]

    def numbers(self, g: int, unit: float | None) -> dict[str, Any]:
        """What a page says of a group, to four digits of the unit."""
        contribution, weight = self.contributions[g], self.weights[g]
        return {
            "contribution": rounded(contribution, unit=unit),
            "weight": rounded(weight),
            "score": rounded(contribution / weight, unit=unit),
            "copies": int(self.counts[g]),
        }

    def rest(self, groups: np.ndarray, unit: float | None) -> dict[str, Any] | None:
        """What a page says of all groups that it does not show."""
        if not len(groups):
            return None
        total = self.contributions[groups].sum()
        return {
            "groups": int(self.counts[groups].sum()),
            "contribution": rounded(total, unit=unit),
        }


def merged_groups(output: SOPOutput, b: int, c: int) -> ExampleGroups:
    """Groups of one example for one output, merged.

    Args:
        output: of a model.
        b: which example.
        c: which output.

    Returns:
        Masks and numbers.
    """
    fields = output._asdict()
    one = output._replace(
        **{k: np.asarray(v)[b : b + 1] for k, v in fields.items() if k != "bias"}
    )
    merged = merge_duplicates(one, c)
    # Copies add up in weight as they do in contribution.
    weights = merge_duplicates(one._replace(contributions=one.selection), c)
    return ExampleGroups(
        np.asarray(one.masks[0]),
        np.asarray(merged.contributions[0]),
        np.asarray(merged.counts[0]),
        np.asarray(weights.contributions[0]),
    )


def num_looked_at(examples: int, mask_size: int) -> int:
    """How many examples a gallery is chosen from, so that their masks fit in memory.

    Args:
        examples: how many there are.
        mask_size: numbers in all masks of one.

    Returns:
        Number of examples.

    Example:
        >>> num_looked_at(1000, 20 * 100), num_looked_at(20, 20 * 100)
        (300, 20)
    """
    return min(examples, _LOOKED_AT, max(_MASK_BYTES // (4 * mask_size), _FEWEST))


def choose_examples(
    truth: np.ndarray, scores: np.ndarray, most: int
) -> tuple[np.ndarray, str]:
    """Chooses examples of all classes, some of the worst predicted among them.

    Args:
        truth: classes, (N,).
        scores: of the classes, (N, C), or log-odds of the second one, (N, 1).
        most: number of examples.

    Returns:
        Indices, and in words how they were chosen.

    Example:
        >>> scores = np.array([[3.0, 0.0], [2.0, 0.0], [0.0, 1.0], [5.0, 0.0]])
        >>> choose_examples(np.array([0, 0, 1, 1]), scores, 3)[0].tolist()
        [0, 2, 3]
    """
    looked = len(truth)
    if scores.shape[1] == 1:
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    margin = scores.max(axis=1) - scores[np.arange(looked), truth]
    wrong = np.argsort(-margin, kind="stable")[: min(_WORST, most // 3)]
    wrong = wrong[margin[wrong] > 0]
    # The first of each class, then the second of each.
    place = [np.count_nonzero(truth[:i] == c) for i, c in enumerate(truth)]
    order = np.argsort(place, kind="stable")
    others = order[~np.isin(order, wrong)][: most - len(wrong)]
    # The worst among the others, so that fewer examples keep some of them.
    step = max(len(others) // max(len(wrong), 1), 1)
    chosen = others.tolist()
    for k, index in enumerate(wrong.tolist()):
        chosen.insert((k + 1) * step + k, index)
    how = ": the first ones of each class"
    if len(wrong):
        how += f", among them the {len(wrong)} worst predicted of the first {looked}"
    return np.array(chosen), how


def group_cautions(
    output: SOPOutput, label: Label, things: str, places: str
) -> list[dict[str, Any]]:
    """What to beware of: groups that keep the same, or one that does all.

    Args:
        output: of a model for the examples of a gallery.
        label: the outputs that are explained.
        things: what the examples are.
        places: what masks keep of them.

    Returns:
        Warnings of a page.
    """
    merged = merge_duplicates(output, label)
    used = np.count_nonzero(np.asarray(merged.counts), axis=1)
    if np.median(used) > 1:
        return []
    text = (
        f"For most of these {things} one group alone makes the score. The other groups "
        f"are not chosen, or keep the same {places}."
    )
    return [
        {
            "level": "info",
            "title": "One group does it all",
            "text": text,
            "features": [],
        }
    ]
