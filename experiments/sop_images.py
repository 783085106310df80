"""Sum-of-Parts against its backbone and other explanations, cut to the same size.

Command: python experiments/sop_images.py [--data shapes digits fields] [--publish]
Time: 25 minutes on two cores; --quick 15 seconds.
Score: shapes: accuracy 0.96 (backbone 1.00), IoU with the true shapes 0.40, as SHAP
    with twelve times the calls, 0.53 on the best seed. Cuts of integrated gradients,
    and of LIME and SHAP with many calls, tell the backbone more.

Three data sets by default; --data takes every name of `naejax.data.load_images`, those
of TFDS where they are prepared. For every seed a small CNN is trained, half of its
images with random patches removed, then Sum-of-Parts around it. Gradient, integrated
gradients, LIME and SHAP explain the same CNN; all keep as many parts as the groups that
Sum-of-Parts uses, and the CNN judges what is left.
"""

from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np
from part_maps import BUDGETS, attributions, explain
from part_measures import measure
from part_pictures import draw_cuts, draw_shares
from publish import at_least_one, deliver, make_parser, mean_sd, table

from naejax.data import load_images
from naejax.data.images import take_images
from naejax.settings import SOPSettings
from naejax.vision import fit_backbone, fit_sop

DEFAULTS = ("shapes", "digits", "fields")
SETTINGS = {
    # Its parts are single pixels, too few to blur.
    "digits": SOPSettings(blur=1),
    # The widths of the CosmoGrid network; groups are larger, as a field has no objects.
    "fields": SOPSettings(
        keep=0.4,
        selector_scale=0.1,
        channels=(16, 32, 48),
        hidden=(128, 64, 32),
        kernel=4,
        backbone_epochs=8,
        epochs=3,
    ),
}
ROWS = {"fields": 2000}
"""How many images are drawn or read, where not all."""
QUICK = {
    "epochs": 1,
    "backbone_epochs": 1,
    "channels": (4, 8),
    "hidden": (8,),
    "num_groups": 4,
}
CLASSES = {
    "union": "accuracy, cut as all groups",
    "group": "accuracy, cut as one group",
    "insertion": "insertion",
    "deletion": "deletion",
    "iou": "IoU",
    "precision": "precision",
    "alone": "KL of the sums",
    "based": "KL on the base",
}
VALUES = CLASSES | {
    "union": "MSE, cut as all groups",
    "group": "MSE, cut as one group",
    "insertion": "MSE, insertion",
    "deletion": "MSE, deletion",
    "based": "squared gap of the sums",
}


class Result(NamedTuple):
    """What is kept of one data set and seed.

    Attributes:
        measures: by method.
        models: numbers of the backbone and of Sum-of-Parts.
        curves: accuracy or MSE as the best parts come, by method.
        calls: of the backbone for an image, in words, by method.
    """

    measures: dict
    models: dict
    curves: dict
    calls: dict


def compare(name, seed, options):
    """The `Result` of one data set and seed, and the figure of its first images."""
    settings, rows = SETTINGS.get(name, SOPSettings()), ROWS.get(name)
    if options.quick:
        settings, rows = replace(settings, **QUICK), 100
    images = load_images(name, seed=seed, rows=rows)
    print(f"{name}, seed {seed}: backbone", flush=True)
    backbone, _ = fit_backbone(images, settings, seed=seed, progress=False)
    print(f"{name}, seed {seed}: Sum-of-Parts", flush=True)
    fitted, _ = fit_sop(images, backbone, settings, seed=seed, progress=False)
    print(f"{name}, seed {seed}: explanations", flush=True)
    explained = explain(fitted, take_images(images.test, slice(options.images)))
    budgets = BUDGETS[:1] if options.quick else BUDGETS
    found = attributions(explained, jax.random.key(seed), budgets)
    measures, models, kept, curves = measure(fitted, explained, found)
    calls = {method: _calls(one) for method, one in found.items()}
    return Result(measures, models, curves, calls), draw_cuts(
        explained, kept, images.classes or images.targets
    )


def _calls(attributions):
    """Calls of the backbone for an image, in words."""
    back = ", and back" if attributions.gradients else ""
    return f"{attributions.calls}{back}"


def methods_table(results):
    """A line per method: means and standard deviations over the seeds."""
    labels = CLASSES if _has_classes(results) else VALUES
    known = set().union(*results[0].measures.values())
    labels = {key: label for key, label in labels.items() if key in known}
    rows = [
        [method, calls, *(_spread(results, method, key) for key in labels)]
        for method, calls in results[0].calls.items()
    ]
    return table(["method", "calls", *labels.values()], rows)


def models_text(results):
    """What the two models predict by themselves, in words."""
    digits = 3 if _has_classes(results) else 4

    def mean(key, digits=digits):
        return mean_sd([result.models[key] for result in results], digits)

    text = f"{_quality(results)} of the backbone {mean('backbone')}"
    if "on_parts" in results[0].models:
        text += f", on the true parts alone {mean('on_parts')}"
    text += f"; of Sum-of-Parts' own sum {mean('own')}"
    if _has_classes(results):
        text += f", of the same class as the backbone {mean('agrees')}"
    used, covered = mean("used", 1), mean("covered", 2)
    return f"{text}. It uses {used} groups, together {covered} of the image."


def _spread(results, method, key):
    """A measure over the seeds."""
    values = [result.measures[method].get(key) for result in results]
    digits = 3 if _has_classes(results) else 4
    return "-" if values[0] is None else mean_sd(values, digits)


def _has_classes(results):
    """Whether classes are predicted, not values."""
    return "agrees" in results[0].models


def _quality(results):
    """What predictions are judged by."""
    return "Accuracy" if _has_classes(results) else "MSE"


def shares(results):
    """What `draw_shares` takes, of the results by data set."""
    curves, models, labels = {}, {}, {}
    for name, found in results.items():
        curves[name] = {
            method: [result.curves[method] for result in found]
            for method in found[0].curves
        }
        models[name] = {
            key: np.mean([result.models[key] for result in found])
            for key in ("own", "backbone", "covered")
        }
        labels[name] = _quality(found)
    return curves, models, labels


def check_data(parser, options):
    """Ends with a line on data that cannot be loaded, before the work."""
    for name in options.data:
        try:
            load_images(name, rows=10)
        except ValueError as error:
            parser.error(str(error))


def main():
    parser = make_parser(__doc__, seeds=3)
    parser.add_argument(
        "--data", nargs="+", help=f"names or files (default: {' '.join(DEFAULTS)})"
    )
    parser.add_argument("--images", type=at_least_one, default=200, help="to explain")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.images = 1, 8
    options.data = options.data or (["digits"] if options.quick else [*DEFAULTS])
    check_data(parser, options)
    results, figures = {}, {}
    for name in options.data:
        found = [compare(name, seed, options) for seed in range(options.seeds)]
        results[name] = [result for result, _ in found]
        if name == options.data[0]:
            figures["sop_groups"] = found[0][1]
    figures["sop_cuts"] = draw_shares(*shares(results))
    text = "\n\n".join(
        f"{name}. {models_text(found)}\n\n{methods_table(found)}"
        for name, found in results.items()
    )
    deliver(options, "sop_images", text, figures)


if __name__ == "__main__":
    main()
