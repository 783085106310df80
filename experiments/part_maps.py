"""What methods hold for important in an image, all judged by the same backbone.

Attributions are on the grid of parts of a Sum-of-Parts model. A method explains the
class that the backbone predicts, or every output of a regression: L of them.
"""

from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from baselines.lime_parts import lime_parts
from baselines.part_scores import Attributions, score_shown
from baselines.shapley_parts import shapley_parts
from jax.tree_util import Partial

from naejax.explain.groups import union_mask
from naejax.explain.saliency import gradient_saliency, integrated_gradients, pool_parts
from naejax.explain.scoring import ranks
from naejax.ops.grouping import upsample_nearest
from naejax.vision import explain_images, score_images


class Budget(NamedTuple):
    """How far a method that only asks the model may go.

    Attributes:
        side: parts along each axis.
        orders: of the Shapley values; LIME gets as many calls.
    """

    side: int
    orders: int

    @property
    def calls(self):
        """Calls of the model for an example."""
        return self.orders * (self.side**2 - 1) + 2


# The first has about as many calls as Sum-of-Parts, which affords no more parts.
BUDGETS = (Budget(4, 1), Budget(8, 4))
GRADIENT_STEPS = 16


class Explained(NamedTuple):
    """A fitted model on some images, and all that is needed to judge explanations.

    Attributes:
        score: the backbone's scores, (N, H, W, Ch) to (N, C), in the targets' units.
        x: images, (N, H, W, Ch).
        target: classes (N,), or values (N, C).
        parts: the true parts (N, H, W), or None.
        scores: of the whole images, (N, C).
        labels: outputs that are explained, (N, L).
        output: of Sum-of-Parts.
        masks: of its groups on its grid, (N, G, *grid).
    """

    score: Partial
    x: np.ndarray
    target: np.ndarray
    parts: np.ndarray | None
    scores: np.ndarray
    labels: np.ndarray
    output: tuple
    masks: np.ndarray

    @property
    def grid(self):
        """Parts along each axis."""
        return self.masks.shape[2:]


def explain(fitted, images):
    """Runs a fitted model, and its backbone, on images."""
    backbone = fitted.backbone
    params = backbone.variables["params"]
    scale = tuple(array[None] for array in backbone.target_scale)
    score = Partial(_in_units(backbone.model), params, scale)
    scores = score_images(backbone, images.x)
    if backbone.classes:
        labels = scores.argmax(axis=1)[:, None]
    else:
        labels = np.tile(np.arange(scores.shape[1]), (len(scores), 1))
    output = explain_images(fitted, images.x)
    masks = np.asarray(pool_parts(output.masks, output.attention.shape[2:], "mean"))
    return Explained(
        score, images.x, images.target, images.parts, scores, labels, output, masks
    )


@cache
def _in_units(model):
    """A network's scores in the targets' units; one function, and so one program."""

    def score(params, scale, x):
        return scale[0] + scale[1] * model.apply({"params": params}, x).scores

    return score


def attributions(explained, key, budgets=BUDGETS):
    """`Attributions` by method, each on the pixels or parts that are its own."""
    score, x, grid = explained.score, explained.x, explained.grid
    own, outputs = explained.output, explained.scores.shape[1]
    nothing = np.zeros((len(x), 1, *grid), bool)
    integrate = partial(integrated_gradients, steps=GRADIENT_STEPS)
    found = {
        # A group stands at each of its parts: this orders them, it does not add up.
        "Sum-of-Parts": Attributions(
            np.einsum("ng...,ngc->n...c", explained.masks, own.contributions),
            None,
            explained.masks.shape[1] + 1,
        ),
        "gradient": _by_output(gradient_saliency, explained, 1),
        "integrated gradients": _by_output(
            integrate, explained, GRADIENT_STEPS, score_shown(score, x, nothing)[:, 0]
        ),
    }
    for_random, *keys = jax.random.split(key, 1 + 2 * len(budgets))
    for budget, one, two in zip(budgets, keys[::2], keys[1::2], strict=True):
        parts, calls = (budget.side,) * 2, budget.calls
        found[f"LIME, {calls} calls"] = lime_parts(one, score, x, parts, calls)
        shapley = shapley_parts(two, score, x, parts, budget.orders)
        found[f"SHAP, {calls} calls"] = shapley
    shape = (len(x), *[min(8, side) for side in grid], outputs)
    uniform = np.asarray(jax.random.uniform(for_random, shape))
    found["random"] = Attributions(uniform, None, 0)
    return found


def _by_output(method, explained, calls, base=None):
    """A method of `naejax.explain.saliency`, of every output."""
    outputs = range(explained.scores.shape[1])
    values = [method(explained.score, explained.x, c) for c in outputs]
    return Attributions(np.stack(values, axis=-1), base, calls, gradients=True)


def importance(explained, found):
    """How much each part matters for the outputs explained, (N, L, *grid).

    On the grid of Sum-of-Parts: that of pixels is averaged, of larger parts spread. In
    a regression what lowers the value matters as much as what raises it.
    """
    values = jnp.moveaxis(jnp.asarray(found.values), -1, 1)
    index = explained.labels.reshape(*explained.labels.shape, 1, 1)
    values = jnp.take_along_axis(values, index, axis=1)
    sides = zip(values.shape[2:], explained.grid, strict=True)
    if any(side > wanted for side, wanted in sides):
        values = pool_parts(values, explained.grid, "mean")
    values = upsample_nearest(values, explained.grid)
    return values if explained.target.ndim == 1 else abs(values)


@jax.jit
def top(importance, counts):
    """The ``counts`` (N, L) most important parts, (N, L, *grid).

    Of equally important ones, those with the lower index.
    """
    flat = importance.reshape(*importance.shape[:2], -1)
    places = ranks(flat).reshape(importance.shape)
    return places < counts.reshape(*counts.shape, *[1] * (places.ndim - 2))


def unions(explained):
    """The parts that any group keeps that Sum-of-Parts uses, (N, L, *grid)."""
    output = explained.output._replace(masks=explained.masks)
    return np.stack(
        [np.asarray(union_mask(output, label)) for label in explained.labels.T], axis=1
    )


def strongest(explained):
    """The group that adds most to each output explained, (N, L, *grid)."""
    index = explained.labels[:, None]
    added = np.take_along_axis(np.asarray(explained.output.contributions), index, 2)
    added = added if explained.target.ndim == 1 else abs(added)
    return explained.masks[np.arange(len(added))[:, None], added.argmax(axis=1)] > 0
