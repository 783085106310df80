"""What the model loses without a rationale, or with nothing else."""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from naejax.explain.scoring import ScoreFn, Value, masked_values
from naejax.types import Numbers


def comprehensiveness(
    score_fn: ScoreFn,
    x: Float[Numbers, "B *spatial Ch"],
    rationale: Shaped[Numbers, "B *spatial"],
    *,
    target: ArrayLike | None = None,
    baseline: ArrayLike = 0.0,
    value: Value = "probability",
    batch_size: int = 128,
) -> Float[Array, "B"]:
    """What the target loses without the rationale: ``p(x) - p(x without it)``.

    Large if the rationale is all that the model needs.

    Args:
        score_fn: from inputs (N, \\*spatial, Ch) to scores (N, C), as in `insertion`.
        x: examples, (B, \\*spatial, Ch).
        rationale: mask of the part that explains, (B, \\*spatial).
        target: output to follow, one index or (B,), as in `insertion`.
        baseline: what a removed pixel shows.
        value: "probability" or "score".
        batch_size: inputs that the model gets at once.

    Returns:
        The difference, (B,).

    Raises:
        ValueError: as in `insertion`.

    Example:
        >>> import numpy as np
        >>> weights = np.array([[3.0], [1.0], [6.0]], np.float32)
        >>> comprehensiveness(lambda x: x[..., 0] @ weights, np.ones((1, 3, 1)),
        ...                   np.array([[1, 0, 1]]), value="score").tolist()
        [9.0]

    Source: DeYoung et al., ERASER, ACL 2020.
    """
    outside = jnp.asarray(rationale) == 0
    return _loss(score_fn, x, outside, target, baseline, value, batch_size)


def sufficiency(
    score_fn: ScoreFn,
    x: Float[Numbers, "B *spatial Ch"],
    rationale: Shaped[Numbers, "B *spatial"],
    *,
    target: ArrayLike | None = None,
    baseline: ArrayLike = 0.0,
    value: Value = "probability",
    batch_size: int = 128,
) -> Float[Array, "B"]:
    """What the target loses by the rationale alone: ``p(x) - p(rationale)``.

    Small if the rationale is enough.

    Args:
        score_fn: from inputs (N, \\*spatial, Ch) to scores (N, C), as in `insertion`.
        x: examples, (B, \\*spatial, Ch).
        rationale: mask of the part that explains, (B, \\*spatial).
        target: output to follow, one index or (B,), as in `insertion`.
        baseline: what a removed pixel shows.
        value: "probability" or "score".
        batch_size: inputs that the model gets at once.

    Returns:
        The difference, (B,).

    Raises:
        ValueError: as in `insertion`.

    Example:
        >>> import numpy as np
        >>> weights = np.array([[3.0], [1.0], [6.0]], np.float32)
        >>> sufficiency(lambda x: x[..., 0] @ weights, np.ones((1, 3, 1)),
        ...             np.array([[1, 0, 1]]), value="score").tolist()
        [1.0]

    Source: DeYoung et al., ERASER, ACL 2020.
    """
    inside = jnp.asarray(rationale) != 0
    return _loss(score_fn, x, inside, target, baseline, value, batch_size)


def _loss(
    score_fn: ScoreFn,
    x: Numbers,
    kept: Array,
    target: ArrayLike | None,
    baseline: ArrayLike,
    value: Value,
    batch_size: int,
) -> Array:
    """The target's value for the whole example, less that for what is kept."""
    values = masked_values(
        score_fn,
        x,
        (~kept).astype(int),
        np.array([1, 2]),
        target=target,
        baseline=baseline,
        value=value,
        batch_size=batch_size,
    )
    return values[:, 1] - values[:, 0]
