"""The arrays that models return, and the letters that name their axes.

B rows or examples; F features; K experts per feature; k active experts; H hidden
width; C outputs; P parts (patches, tokens or features); G groups; D width of pooled
features; N devices. A contribution is what one feature or group adds to the score; a
gate weighs a feature's experts and lies on the simplex; a mask says which parts a group
keeps; a selection weighs groups, one simplex per output.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float

Numbers = Array | np.ndarray
"""Device arrays inside programs, numpy arrays where results come out."""


class NAEOutput(NamedTuple):
    """What a Neural Additive Experts model computes for a batch of rows.

    The prediction is on the link scale (value, logit or log-odds) and satisfies
    ``prediction = bias + contributions.sum(axis=1)`` with
    ``contributions = (gates[..., None] * experts).sum(axis=2)``.

    Attributes:
        prediction: score of each row and output, (B, C).
        bias: score of a row whose contributions are all zero, (C,).
        contributions: what each feature adds to the score, (B, F, C).
        gates: weights over a feature's experts, on the simplex, (B, F, K).
        experts: the contribution each expert proposes, (B, F, K, C).
    """

    prediction: Float[Numbers, "B C"]
    bias: Float[Numbers, "C"]
    contributions: Float[Numbers, "B F C"]
    gates: Float[Numbers, "B F K"]
    experts: Float[Numbers, "B F K C"]


class SOPOutput(NamedTuple):
    """What a Sum-of-Parts model computes for a batch of examples.

    The prediction is on the link scale and satisfies
    ``prediction = bias + contributions.sum(axis=1)`` with
    ``contributions = selection * scale[..., None] * group_scores``.

    Attributes:
        prediction: score of each example and output, (B, C).
        bias: zero, (C,): the method has none.
        contributions: what each group adds to the score, (B, G, C).
        masks: what each group keeps of the example, in [0, 1], (B, G, \\*spatial).
        selection: weights of the groups, on the simplex over G, (B, G, C).
        scale: factor of a group's scores, (B, G).
        group_scores: the backbone's scores of the masked example, (B, G, C).
        attention: how much each group attends to each part; it sums to 1 over the
            parts, (B, G, \\*grid).
    """

    prediction: Float[Numbers, "B C"]
    bias: Float[Numbers, "C"]
    contributions: Float[Numbers, "B G C"]
    masks: Float[Numbers, "B G *spatial"]
    selection: Float[Numbers, "B G C"]
    scale: Float[Numbers, "B G"]
    group_scores: Float[Numbers, "B G C"]
    attention: Float[Numbers, "B G *grid"]


class BackboneOutput(NamedTuple):
    """What a backbone computes for a batch of examples.

    Attributes:
        scores: on the link scale, (B, C).
        pooled: the vector that the last layer sees, (B, D); None: the scores serve.
        features: an inner map with channels last, (B, \\*grid, d), or None.
    """

    scores: Float[Numbers, "B C"]
    pooled: Float[Numbers, "B D"] | None = None
    features: Float[Numbers, "B *grid d"] | None = None


@dataclass(frozen=True, eq=False)
class Backbone:
    """A differentiable model that Sum-of-Parts shows parts of an example.

    Compared and hashed by identity, so that it can be a static argument of ``jit``.

    Attributes:
        apply: pure function ``apply(params, x) -> BackboneOutput``.
        params: its parameters, any pytree.
        class_weights: weights of the last layer, which maps pooled features to scores,
            (C, D), or None.
        masked: pure function ``masked(params, x, mask, count) -> BackboneOutput``, the
            backbone on what masks leave of the examples: parts on their grid,
            (B, \\*grid), or, with `parts`, positions (B, L); ``count`` is how many
            parts every mask keeps, a number, or None where it differs. None: removed
            parts are 0, ``apply(params, x * mask)``.
        parts: pure function from examples to the part of every position, (B, L) whole
            numbers: 0, 1, ... in order, -1 for a position that no mask removes. None:
            parts lie on the grid of the features.
    """

    apply: Callable[[Any, Any], BackboneOutput]
    params: Any = field(repr=False)
    class_weights: Float[Numbers, "C D"] | None = field(default=None, repr=False)
    masked: Callable[[Any, Any, Any, int | None], BackboneOutput] | None = None
    parts: Callable[[Any], Array] | None = None
