"""How good a Sum-of-Parts model of images is, and what its groups are worth.

Everything stands beside what it must be held against: the backbone, random groups of
the same size, and attributions that need no training.
"""

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float

from naejax.data.images import Images, take_images
from naejax.evaluation import (
    Scores,
    classification_scores,
    log_probabilities,
    regression_scores,
)
from naejax.explain import curves, metrics
from naejax.explain.groups import pixel_map, union_mask, used_groups
from naejax.explain.saliency import (
    gradient_saliency,
    integrated_gradients,
    pool_parts,
)
from naejax.ops.grouping import upsample_nearest
from naejax.types import SOPOutput
from naejax.vision.fitted import ImageBackbone, ImageSOP, explain_images, score_images
from naejax.vision.networks import image_backbone

_CHUNK = 64
_STEPS = 16
_GRADIENT_STEPS = 16
_OVERLAPS = {
    "iou": metrics.iou,
    "purity": metrics.entropy_purity,
    "object_ratio": metrics.object_ratio,
}


def evaluate_images(
    fitted: ImageSOP, images: Images, *, seed: int = 0, num_curves: int = 192
) -> dict[str, Any]:
    """Scores of a model and its backbone, and of the groups it uses.

    For every used group of the predicted class (in regression of each output) its
    overlap with the true parts, and the same for all used groups as one mask; beside
    them groups of the same sizes at random places. For classes the areas under fair
    insertion and deletion curves of the backbone's predicted class: parts in the order
    of ``sum_g mask_g contribution_g``, of the same sum with the groups at random
    places, of gradient saliency and of integrated gradients. The backbone judges all.

    Args:
        fitted: a fitted model.
        images: examples with targets.
        seed: of the random groups.
        num_curves: how many of the first images the curves are taken of; 0 for none.

    Returns:
        ``backbone``, ``sop`` and, where the true parts are known, ``backbone_on_parts``
        (it sees nothing else): scores by name. ``groups``: number of ``used`` groups,
        ``covered`` share of the image; where parts are known under ``sop`` and
        ``random`` the ``iou``, ``purity`` and ``object_ratio`` of single groups and,
        beginning with ``union_``, of their union. For classes ``insertion`` (larger is
        better) and ``deletion`` (smaller is better): areas by method.

    Example:
        >>> from naejax.data import load_images
        >>> from naejax.settings import SOPSettings
        >>> from naejax.vision import fit_backbone, fit_sop
        >>> digits = load_images("digits", rows=100)
        >>> settings = SOPSettings(num_groups=4, epochs=1, backbone_epochs=1,
        ...                        channels=(4, 8))
        >>> backbone, _ = fit_backbone(digits, settings, progress=False)
        >>> fitted, _ = fit_sop(digits, backbone, settings, progress=False)
        >>> scores = evaluate_images(fitted, digits.test, num_curves=0)
        >>> sorted(scores["sop"]), sorted(scores["groups"])
        (['accuracy', 'log_loss'], ['covered', 'used'])
    """
    backbone = fitted.backbone
    # By chunks: the masks of all groups of all images would fill the memory.
    chunks = [
        _evaluate_chunk(fitted, chunk, key) for chunk, key in _chunks(images, seed)
    ]
    joined = jax.tree.map(lambda *parts: np.concatenate(parts), *chunks)
    results: dict[str, Any] = {
        name: image_scores(backbone, images.target, scores)
        for name, scores in joined["scores"].items()
    }
    results["groups"] = jax.tree.map(lambda a: float(a.mean()), joined["groups"])
    if backbone.classes and num_curves:
        results |= _curves(fitted, take_images(images, slice(num_curves)), seed)
    return results


def image_scores(
    backbone: ImageBackbone, target: np.ndarray, scores: Float[np.ndarray, "N C"]
) -> Scores:
    """Scores of predictions, by the kind of the target.

    Args:
        backbone: tells what the outputs are.
        target: class indices (N,), or values (N, C).
        scores: log-odds, or values in the targets' units, (N, C).

    Returns:
        Those of `naejax.evaluation.classification_scores`; or ``mse``, the mean squared
        error over all outputs, and those of `naejax.evaluation.regression_scores`,
        ending in ``:NAME`` where there are several outputs.

    Example:
        >>> from naejax.models.cnn import CNN
        >>> backbone = ImageBackbone(CNN(1), {}, (8, 8, 1), (), ("mass",), (), ())
        >>> image_scores(backbone, np.zeros((2, 1)), np.ones((2, 1)))["mse"]
        1.0
    """
    if backbone.classes:
        return classification_scores(target, log_probabilities(scores))
    result = {"mse": float(np.square(target - scores).mean())}
    for c, name in enumerate(backbone.targets):
        suffix = f":{name}" if len(backbone.targets) > 1 else ""
        own = regression_scores(target[:, c], scores[:, c])
        result |= {f"{key}{suffix}": value for key, value in own.items()}
    return result


def _evaluate_chunk(fitted: ImageSOP, images: Images, key: jax.Array) -> dict[str, Any]:
    """Scores (N, C) of the models, and measures (N,) of the groups, of some images."""
    output = explain_images(fitted, images.x)
    scores = {
        "backbone": score_images(fitted.backbone, images.x),
        "sop": output.prediction,
    }
    if images.parts is not None:
        shown = images.x * images.parts[..., None]
        scores["backbone_on_parts"] = score_images(fitted.backbone, shown)
    if fitted.backbone.classes:
        labels = [np.asarray(output.prediction).argmax(axis=1)]
    else:
        labels = [np.full(len(images), c) for c in range(output.prediction.shape[1])]
    groups = [_measures(key, output, images.parts, label) for label in labels]
    return {
        "scores": scores,
        "groups": jax.tree.map(lambda *a: np.mean(a, axis=0), *groups),
    }


def _measures(
    key: jax.Array, output: SOPOutput, parts: np.ndarray | None, label: np.ndarray
) -> dict[str, Any]:
    """What the groups that one output uses keep of each image, (N,)."""
    used, covered = _extent(output, label)
    measures: dict[str, Any] = {"used": used, "covered": covered}
    if parts is not None:
        measures["sop"] = _against_parts(output, parts, label)
        measures["random"] = _against_parts(_move_groups(key, output), parts, label)
    return measures


# Compiled: one by one these many small operations take seconds at first.
@jax.jit
def _extent(output: SOPOutput, label: Array) -> tuple[Array, Array]:
    """How many groups are used, and the share of the image that they keep, (N,)."""
    used = used_groups(output, label).used.sum(axis=1)
    return used, metrics.kept_share(union_mask(output, label))


@jax.jit
def _against_parts(output: SOPOutput, parts: Array, label: Array) -> dict[str, Array]:
    """Overlap of the used groups with the true parts, mean and union, (N,)."""
    used = used_groups(output, label).used
    union = union_mask(output, label)
    measures = {}
    for name, function in _OVERLAPS.items():
        single = function(output.masks, parts[:, None])
        measures[name] = (used * single).sum(axis=1) / used.sum(axis=1)
        measures[f"union_{name}"] = function(union, parts)
    return measures


@jax.jit
def _move_groups(key: jax.Array, output: SOPOutput) -> SOPOutput:
    """The same output with the parts of every group at random places."""
    grid, spatial = output.attention.shape[2:], output.masks.shape[2:]
    masks = pool_parts(output.masks, grid, "mean")
    flat = masks.reshape(*masks.shape[:2], -1)
    moved = jax.random.permutation(key, flat, axis=-1, independent=True)
    return output._replace(masks=upsample_nearest(moved.reshape(masks.shape), spatial))


def _curves(fitted: ImageSOP, images: Images, seed: int) -> dict[str, Scores]:
    """Mean areas of insertion and deletion by every order of the parts."""
    label = score_images(fitted.backbone, images.x).argmax(axis=1)
    backbone = image_backbone(fitted.backbone.model, fitted.backbone.variables)
    score = Partial(lambda params, x: backbone.apply(params, x).scores, backbone.params)
    importance = [
        _importance(fitted, chunk.x, label[i * _CHUNK :][: len(chunk)], score, key)
        for i, (chunk, key) in enumerate(_chunks(images, seed))
    ]
    orders = jax.tree.map(lambda *a: jnp.concatenate(a), *importance)
    areas: dict[str, Scores] = {}
    for curve in (curves.insertion, curves.deletion):
        areas[curve.__name__] = {
            name: float(
                curve(
                    score,
                    images.x,
                    order,
                    target=label,
                    steps=min(_STEPS, math.prod(order.shape[1:])),
                ).area.mean()
            )
            for name, order in orders.items()
        }
    return areas


def _importance(
    fitted: ImageSOP, x: np.ndarray, label: np.ndarray, score: Partial, key: jax.Array
) -> dict[str, Float[Array, "B *grid"]]:
    """How much each part matters for an output of each image, by every method."""
    output = explain_images(fitted, x)
    pixels = {
        "sop": pixel_map(output, label),
        "random_groups": pixel_map(_move_groups(key, output), label),
        "gradient_saliency": gradient_saliency(score, x, label),
        "integrated_gradients": integrated_gradients(
            score, x, label, steps=_GRADIENT_STEPS
        ),
    }
    grid = output.attention.shape[2:]
    return {name: pool_parts(a, grid, "mean") for name, a in pixels.items()}


def _chunks(images: Images, seed: int) -> Iterator[tuple[Images, jax.Array]]:
    """Images in chunks, each with a random key."""
    for i, start in enumerate(range(0, len(images), _CHUNK)):
        chunk = take_images(images, slice(start, start + _CHUNK))
        yield chunk, jax.random.fold_in(jax.random.key(seed), i)
