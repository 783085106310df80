"""What cuts of images, and the sums of attributions, are worth to a backbone."""

import numpy as np
from baselines.part_scores import score_shown
from part_maps import importance, strongest, top, unions

from naejax.explain import metrics
from naejax.ops.grouping import upsample_nearest
from naejax.vision.evaluate import image_scores

OWN = "Sum-of-Parts"
STEPS = 10
"""Steps of insertion and deletion, the same for all methods."""


def measure(fitted, explained, found):
    """What every method's attributions are worth.

    Args:
        fitted: the Sum-of-Parts model and its backbone.
        explained: both on some images.
        found: attributions by method.

    Returns:
        Measures by name for each method; numbers of the two models; for each method
        the parts that it keeps, as many as Sum-of-Parts uses, (N, L, *grid), and
        accuracy or MSE as the best parts come, (STEPS + 1,).
    """
    union, group = unions(explained), strongest(explained)
    measures, kept, curves = {}, {}, {}
    for name, attributions in found.items():
        order = importance(explained, attributions)
        cuts = [union, group]
        if name != OWN:
            cuts = [np.asarray(top(order, _sizes(cut))) for cut in cuts]
        coming, going = follow(explained, order)
        whole, one = quality(explained, score_cuts(explained, np.stack(cuts, axis=2)))
        kept[name], curves[name] = cuts[0], quality(explained, coming)
        measures[name] = {
            "union": whole,
            "group": one,
            "insertion": area(explained, coming),
            "deletion": area(explained, going),
            **overlaps(explained, cuts[0]),
            **faithfulness(explained, name, attributions),
        }
    return measures, models(fitted, explained, union), kept, curves


def follow(explained, order):
    """Scores as the best parts come, and as they go, each (N, L, STEPS + 1, C).

    Step s shows, or hides, the ``floor(s P / STEPS)`` most important of P parts.
    """
    counts = np.broadcast_to(_steps(explained), (*order.shape[:2], STEPS + 1))
    repeated = np.broadcast_to(
        np.asarray(order)[:, :, None], (*counts.shape, *explained.grid)
    )
    rows = repeated.reshape(-1, *repeated.shape[2:])
    shown = np.asarray(top(rows, counts.reshape(rows.shape[:2])))
    shown = shown.reshape(repeated.shape)
    return score_cuts(explained, shown), score_cuts(explained, ~shown)


def score_cuts(explained, shown):
    """The backbone's scores of images with sets of parts, (N, L, M, C)."""
    sets = shown.reshape(len(shown), -1, *explained.grid)
    scores = score_shown(explained.score, explained.x, sets)
    return scores.reshape(*shown.shape[:3], -1)


def quality(explained, scores):
    """Accuracy, or MSE, of scores (N, L, M, C) for each of the M sets."""
    if explained.target.ndim > 1:
        return _errors(explained, scores).mean(axis=(0, 1))
    right = scores[:, 0].argmax(axis=-1) == explained.target[:, None]
    return right.mean(axis=0)


def area(explained, scores):
    """Mean area under the explained class's probability, or under squared errors.

    By the trapezoid rule over the share of parts that came, or went, of scores
    (N, L, STEPS + 1, C).
    """
    if explained.target.ndim > 1:
        values = _errors(explained, scores)
    else:
        values = _of_labels(explained, _softmax(scores))
    shares = _steps(explained) / explained.masks[0, 0].size
    return np.trapezoid(values, shares, axis=-1).mean()


def overlaps(explained, kept):
    """How the parts kept meet the true ones, where these are known."""
    if explained.parts is None:
        return {}
    spatial = explained.x.shape[1:3]
    masks = np.asarray(upsample_nearest(kept[:, 0], spatial))
    functions = {"iou": metrics.iou, "precision": metrics.object_ratio}
    return {
        name: float(function(masks, explained.parts).mean())
        for name, function in functions.items()
    }


def faithfulness(explained, name, attributions):
    """How far sums of attributions are from the scores that they are to explain.

    KL divergence of their probabilities, of the sums alone and of the sums on the
    method's base; in a regression the squared gap of those. Sum-of-Parts explains
    itself.
    """
    scores, base = explained.scores, attributions.base
    if name == OWN:
        scores = explained.output.prediction
        alone = explained.output.contributions.sum(axis=1)
        base = explained.output.bias[None]
    elif base is None:
        return {}
    else:
        alone = attributions.sums()
    gaps = {"alone": alone, "based": alone + base}
    if explained.target.ndim > 1:
        return {"based": np.square(gaps["based"] - scores).mean()}
    return {
        # Rounding takes an exact one below 0.
        key: max(float(metrics.fidelity(sums, scores).mean()), 0.0)
        for key, sums in gaps.items()
    }


def models(fitted, explained, union):
    """What both models predict by themselves, and how much of the image SOP uses."""
    own, backbone = explained.output, fitted.backbone
    name = "accuracy" if backbone.classes else "mse"

    def score(scores):
        return image_scores(backbone, explained.target, np.asarray(scores))[name]

    selection = np.take_along_axis(own.selection, explained.labels[:, None], axis=2)
    numbers = {
        "backbone": score(explained.scores),
        "own": score(own.prediction),
        "used": (selection > 0).sum(axis=1).mean(),
        "covered": union.mean(),
    }
    if explained.parts is not None:
        shown = explained.parts[:, None]
        scores = score_shown(explained.score, explained.x, shown)
        numbers["on_parts"] = score(scores[:, 0])
    if backbone.classes:
        agrees = own.prediction.argmax(axis=1) == explained.labels[:, 0]
        numbers["agrees"] = agrees.mean()
    return numbers


def _steps(explained):
    """How many parts have come, or gone, at each step, (STEPS + 1,)."""
    return np.arange(STEPS + 1) * explained.masks[0, 0].size // STEPS


def _sizes(kept):
    """How many parts are kept, (N, L)."""
    return kept.sum(axis=tuple(range(2, kept.ndim)))


def _softmax(scores):
    """Probabilities of the classes."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _of_labels(explained, values):
    """Of values (N, L, M, C) those of the outputs explained, (N, L, M)."""
    index = explained.labels[:, :, None, None]
    return np.take_along_axis(values, index, axis=3)[..., 0]


def _errors(explained, scores):
    """Squared errors of the outputs explained, (N, L, M)."""
    return np.square(_of_labels(explained, scores) - explained.target[:, :, None])
