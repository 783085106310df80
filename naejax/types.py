"""The arrays that models return, and the letters that name their axes.

B rows; F features; K experts per feature; k active experts; H hidden width;
C outputs; N devices. A contribution is what one feature adds to the score; a gate
weighs a feature's experts and lies on the simplex.
"""

from typing import NamedTuple

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
