"""The report on a Sum-of-Parts model of images: a gallery, as the data of its page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from naejax.explain.group_panel import to_pictures
from naejax.explain.style import number
from naejax.ops.grouping import flatten_masks
from naejax.reports.features import cut
from naejax.reports.gallery import (
    choose_examples,
    group_cautions,
    merged_groups,
    num_looked_at,
)
from naejax.reports.numbers import rounded
from naejax.reports.pictures import data_uri, draw_flat, draw_group, draw_outline
from naejax.reports.table import MOST_BYTES, json_bytes
from naejax.types import SOPOutput
from naejax.vision import ImageSOP, explain_images

_TARGETS = 3


@dataclass(frozen=True, eq=False)
class ImageRows:
    """The images that a report is about.

    Attributes:
        x: pixels, (N, H, W, Ch).
        what: they are, in words.
        target: class indices (N,), or values (N, C), or None.
        parts: the pixels that decide, (N, H, W), or None.
        image_name: what an image is called, before its number.
    """

    x: np.ndarray
    what: str
    target: np.ndarray | None = None
    parts: np.ndarray | None = None
    image_name: str = "image"


class _Size(NamedTuple):
    """How much a gallery holds: images, groups of each, and their longer side."""

    images: int
    groups: int
    side: int


LADDER = (
    _Size(12, 5, 160),
    _Size(12, 4, 128),
    _Size(8, 4, 112),
    _Size(6, 3, 96),
    _Size(4, 3, 64),
    _Size(2, 2, 48),
)
"""Step by step less, until the data is small enough."""


def image_report(
    fitted: ImageSOP,
    rows: ImageRows,
    *,
    title: str,
    about: Sequence[tuple[str, str]] = (),
    scores: Sequence[dict[str, Any]] = (),
    notes: Sequence[str] = (),
    most_bytes: int = MOST_BYTES,
) -> dict[str, Any]:
    """Builds the data of a report on a Sum-of-Parts model.

    Args:
        fitted: a fitted model.
        rows: images to choose the gallery from.
        title: of the page.
        about: labels and texts on where the model comes from.
        scores: entries with ``name``, ``split`` and ``values`` by name.
        notes: sentences to add.
        most_bytes: size of the data as JSON that must not be exceeded; it holds less
            and less, in the order of `LADDER`, until it fits.

    Returns:
        Plain values for `naejax.reports.page.render`.

    Raises:
        ValueError: if the images have another size than those it was trained on, or
            matplotlib, which chooses colours, is missing.
    """
    classes, targets = fitted.backbone.classes, fitted.backbone.targets
    chosen, how = _choose(fitted, rows, LADDER[0].images)
    output = explain_images(fitted, rows.x[chosen])
    pictures = _pictures(rows.x[chosen])
    label = np.asarray(output.prediction).argmax(axis=1) if classes else 0
    data: dict[str, Any] = {}
    for size in LADDER:
        shown = range(min(size.images, len(chosen)))
        labels = [0] if classes else range(min(len(targets), _TARGETS))
        listed = [
            f"{len(shown)} of the {len(rows.x):,} {rows.what} are shown{how}.",
            "Groups stand by falling contribution, whatever its sign; groups with the "
            "same mask are one.",
        ]
        data = {
            "kind": "sop",
            "title": cut(title),
            "about": [[cut(label), cut(text)] for label, text in about],
            "scores": [
                {**entry, "values": {k: rounded(v) for k, v in entry["values"].items()}}
                for entry in scores
            ],
            "notes": [*notes, *listed],
            "warnings": group_cautions(output, label, "images", "pixels"),
            "target": {
                "name": "class" if classes else ", ".join(map(cut, targets)),
                "kind": "multiclass" if classes else "regression",
                "classes": [cut(name) for name in classes],
            },
            "score_name": "score of the predicted class (log-odds)"
            if classes
            else "prediction",
            "gallery": [
                _entry(fitted, rows, chosen[b], output, b, t, pictures[b], size)
                for b in shown
                for t in labels
            ],
        }
        if json_bytes(data) <= most_bytes:
            break
    return data


def _choose(fitted: ImageSOP, rows: ImageRows, most: int) -> tuple[np.ndarray, str]:
    """Which images to show, and in words how they were chosen."""
    pixels = int(np.prod(rows.x.shape[1:3]))
    looked = num_looked_at(len(rows.x), fitted.model.num_groups * pixels)
    if rows.target is None or rows.target.ndim > 1:
        return np.arange(min(most, looked)), ", the first ones"
    scores = np.asarray(explain_images(fitted, rows.x[:looked]).prediction)
    return choose_examples(rows.target[:looked], scores, most)


def _entry(
    fitted: ImageSOP,
    rows: ImageRows,
    index: int,
    output: SOPOutput,
    b: int,
    t: int,
    picture: np.ndarray,
    size: _Size,
) -> dict[str, Any]:
    """One image, its groups and their sum; for a regression its output t."""
    classes, targets = fitted.backbone.classes, fitted.backbone.targets
    prediction = np.asarray(output.prediction[b])
    c = int(prediction.argmax()) if classes else t
    groups = merged_groups(output, b, c)
    masks, contributions = groups.masks, groups.contributions
    order, shown = groups.split(size.groups)
    ranks = np.full(masks.shape[1:], len(order))
    if len(order):
        strongest = jnp.arange(len(order))[None]
        ranks = np.asarray(
            flatten_masks(jnp.asarray(masks[order][None]), strongest, 0.0)[0]
        )
    total = float(prediction[c])
    unit = max(abs(total), float(abs(contributions).max(initial=0))) or None
    truth = None
    if rows.target is not None:
        true = rows.target[index]
        truth = cut(classes[int(true)]) if classes else number(float(true[t]))
    parts = None if rows.parts is None else rows.parts[index]
    return {
        "id": f"{rows.image_name} {index + 1:,}",
        "truth": truth,
        "prediction": cut(classes[c]) if classes else number(total),
        "explained": f"score of {cut(classes[c])}" if classes else cut(targets[c]),
        "image": data_uri(picture, size.side),
        "outline": None if parts is None else draw_outline(parts, size.side),
        "flat": draw_flat(picture, ranks, contributions[order], size.side),
        "groups": [
            {
                "image": draw_group(picture, masks[g], contributions[g], size.side),
                "kept": rounded(np.mean(masks[g] > 0)),
                **groups.numbers(g, unit),
            }
            for g in shown.tolist()
        ],
        "rest": groups.rest(order[len(shown) :], unit),
        "bias": rounded(output.bias[c], unit=unit),
        "total": rounded(total, unit=unit),
    }


def _pictures(x: np.ndarray) -> np.ndarray:
    """Colours of the images, (B, H, W, 3)."""
    try:
        return to_pictures(x, 2)
    except ImportError as error:
        raise ValueError(
            "a report on images needs matplotlib: pip install 'naejax[plot]'"
        ) from error
