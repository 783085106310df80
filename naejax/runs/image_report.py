"""What a run on images says and shows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from naejax.data.images import ImageDataset, Images
from naejax.evaluation import Scores
from naejax.explain import plot_groups
from naejax.explain.figure import png
from naejax.types import SOPOutput

_LABEL, _COLUMN = 28, 11


def count_images(dataset: ImageDataset) -> dict[str, int]:
    """How many images there are to train on, to validate and to test with.

    Args:
        dataset: the images.

    Returns:
        Numbers by the name of the part.

    Example:
        >>> from naejax.data import load_images
        >>> count_images(load_images("digits"))
        {'training': 1439, 'validation': 179, 'test': 179}
    """
    parts = ("training", "validation", "test")
    return {name: len(getattr(dataset, name)) for name in parts}


def describe_images(dataset: ImageDataset) -> str:
    """What the data set is, in three lines.

    Args:
        dataset: the images.

    Returns:
        The lines.

    Example:
        >>> from naejax.data import load_images
        >>> print(describe_images(load_images("digits")))
        digits: handwritten digits
        1,439 training, 179 validation, 179 test images of 8 x 8 pixels, 1 channels
        10 classes: 0; 1; 2; 3; 4; 5; 6; 7; 8; 9
    """
    sizes = ", ".join(f"{n:,} {name}" for name, n in count_images(dataset).items())
    height, width, channels = dataset.training.x.shape[1:]
    names = dataset.classes or dataset.targets
    kind = "classes" if dataset.classes else "values"
    more = "" if len(names) <= 12 else "; ..."
    known = "" if dataset.test.parts is None else "; true parts are known"
    return (
        f"{dataset.name}: {dataset.description}\n"
        f"{sizes} images of {height} x {width} pixels, {channels} channels{known}\n"
        f"{len(names)} {kind}: {'; '.join(names[:12])}{more}"
    )


def score_tables(scores: Mapping[str, Any], num_groups: int) -> str:
    """What was measured on the test images, as aligned plain-text tables.

    Args:
        scores: of `naejax.vision.evaluate_images`.
        num_groups: G.

    Returns:
        Two or three tables, with a line on what their columns mean.

    Example:
        >>> scores = {"backbone": {"mse": 1.0}, "sop": {"mse": 1.5},
        ...           "groups": {"used": 3.0, "covered": 0.25}}
        >>> print(score_tables(scores, num_groups=8))
        <BLANKLINE>
        PREDICTION, test images             mse
        backbone                              1
        Sum-of-Parts                        1.5
        <BLANKLINE>
        GROUPS: 3.0 of 8 are used for the prediction, together 25% of the image
        <BLANKLINE>
    """
    tables = [
        _prediction_table(scores),
        _group_table(scores["groups"], num_groups, "accuracy" in scores["sop"]),
    ]
    if "insertion" in scores:
        tables.append(_curve_table(scores["insertion"], scores["deletion"]))
    return "\n" + "\n\n".join(tables) + "\n"


def _prediction_table(scores: Mapping[str, Any]) -> str:
    """Scores of the model beside its backbone."""
    labels = {
        "backbone": "backbone",
        "sop": "Sum-of-Parts",
        "backbone_on_parts": "backbone, true parts alone",
    }
    names = sorted(scores["sop"], key=lambda name: name not in ("accuracy", "mse"))
    rows = {
        label: [scores[key][name] for name in names]
        for key, label in labels.items()
        if key in scores
    }
    digits = ".3f" if "accuracy" in names else ".4g"
    return _table("PREDICTION, test images", names, rows, digits)


def _group_table(groups: Mapping[str, Any], num_groups: int, is_class: bool) -> str:
    """How many groups are used, and what they have of the true parts."""
    what = "predicted class" if is_class else "prediction"
    used = (
        f"GROUPS: {groups['used']:.1f} of {num_groups} are used for the {what}, "
        f"together {groups['covered']:.0%} of the image"
    )
    if "sop" not in groups:
        return used
    single = ["iou", "purity", "object_ratio"]
    keys = [*single, *(f"union_{key}" for key in single)]
    labels = {"sop": "Sum-of-Parts", "random": "random groups, same size"}
    rows = {label: [groups[key][k] for k in keys] for key, label in labels.items()}
    names = ["IoU", "purity", "on parts"] * 2
    return (
        f"{used}\n"
        "IoU with the true parts; on parts: share of kept pixels that lie on them;\n"
        "purity: 1 if all kept pixels do, 0 if half of them or fewer\n"
        f"{'':{_LABEL}}{'each used group':>{3 * _COLUMN}}"
        f"{'all used groups as one':>{3 * _COLUMN}}\n"
        f"{_table('', names, rows, '.3f')}"
    )


def _curve_table(insertion: Scores, deletion: Scores) -> str:
    """Areas under the curves, by method."""
    labels = {
        "sop": "Sum-of-Parts",
        "random_groups": "random groups, same size",
        "gradient_saliency": "gradient saliency",
        "integrated_gradients": "integrated gradients",
    }
    rows = {label: [insertion[key], deletion[key]] for key, label in labels.items()}
    return (
        "IMPORTANCE: the backbone's mean probability of its class while parts come in\n"
        "(insertion, higher is better) or go (deletion, lower is better), the most\n"
        "important first\n"
        f"{_table('', ['insertion', 'deletion'], rows, '.3f')}"
    )


def _table(
    title: str, names: Sequence[str], rows: Mapping[str, Sequence[float]], digits: str
) -> str:
    """Numbers under the names of their columns."""
    width = max(_COLUMN, *(len(name) + 2 for name in names))
    lines = [f"{title:{_LABEL}}" + "".join(f"{name:>{width}}" for name in names)]
    lines += [
        f"{label:{_LABEL}}" + "".join(f"{value:{width}{digits}}" for value in values)
        for label, values in rows.items()
    ]
    return "\n".join(lines)


def draw_groups(dataset: ImageDataset, images: Images, output: SOPOutput) -> bytes:
    """Draws the groups of some test images, and how they add up.

    Args:
        dataset: tells what the outputs are.
        images: those to draw.
        output: of `naejax.vision.explain_images` for them.

    Returns:
        The picture as PNG.

    Example:
        >>> import numpy as np
        >>> from naejax.data import load_images, take_images
        >>> masks, ones = np.ones((2, 1, 8, 8)), np.ones((2, 1, 10))
        >>> output = SOPOutput(ones[:, 0], np.zeros(10), ones, masks, ones,
        ...                    ones[..., 0], ones, masks / 64)
        >>> digits = load_images("digits")
        >>> draw_groups(digits, take_images(digits.test, slice(2)), output)[1:4]
        b'PNG'
    """
    what = "the score of the predicted class" if dataset.classes else "the prediction"
    figure = plot_groups(
        images.x,
        output,
        classes=dataset.classes,
        targets=dataset.targets,
        y=images.target,
        parts=images.parts,
        title=f"{Path(dataset.name).name}, test images: what each group adds to {what}",
    )
    return png(figure)
