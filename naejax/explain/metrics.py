"""Metrics of masks against known parts, and of attributions against scores.

No model runs here. Masks come with any leading axes; ``axis`` names those of one mask.
A position belongs to a mask where it is not 0. The share of an empty set is 0, not NaN.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import entr
from jaxtyping import Array, Float, Int, Shaped

from naejax.explain.scoring import PROTOCOLS, Protocol, check_choice
from naejax.types import Numbers

Axes = int | tuple[int, ...]
IMAGE = (-2, -1)


def fidelity(
    attribution_sums: Float[Numbers, "B C"], scores: Float[Numbers, "B C"]
) -> Float[Array, "B"]:
    """Divergence between what attributions add up to and what the model says.

    ``KL(p || q) = sum_c p_c log(p_c / q_c)`` in nats, p the softmax of the sums and q
    that of the scores; for C = 1 of the two classes whose log-odds they are. 0 for a
    model that is the sum of its contributions.

    Args:
        attribution_sums: sum over parts or groups of the attributions, (B, C).
        scores: of the model, on the link scale, (B, C).

    Returns:
        Divergence of each example, at least 0 up to rounding, (B,).

    Raises:
        ValueError: shapes that differ or are not (B, C).

    Example:
        >>> import jax.numpy as jnp
        >>> zeros, scores = jnp.zeros((1, 2)), jnp.log(jnp.array([[1.0, 3.0]]))
        >>> round(float(fidelity(zeros, scores)[0]), 4)
        0.1438
    """
    sums, scores = jnp.asarray(attribution_sums), jnp.asarray(scores)
    if sums.ndim != 2 or sums.shape != scores.shape:
        raise ValueError(
            f"got attribution sums of shape {sums.shape} and scores of shape "
            f"{scores.shape}, expected (B, C) for both; sum over parts or groups first"
        )
    if sums.shape[1] == 1:
        # One score is the log-odds against a class with score 0.
        sums, scores = (jnp.pad(a, ((0, 0), (1, 0))) for a in (sums, scores))
    log_p, log_q = jax.nn.log_softmax(sums), jax.nn.log_softmax(scores)
    return (jnp.exp(log_p) * (log_p - log_q)).sum(1)


def kept_share(
    masks: Shaped[Numbers, "..."], axis: Axes = IMAGE
) -> Float[Array, "..."]:
    """The share of positions in each mask: ``|m| / S``; small is sparse.

    Args:
        masks: with the axes of one mask at ``axis``.
        axis: (-2, -1) for images, -1 for sequences.

    Returns:
        One share per mask.

    Example:
        >>> import jax.numpy as jnp
        >>> kept_share(jnp.array([[0.5, 0.0, 0.0, 1.0], [0.0] * 4]), axis=-1).tolist()
        [0.5, 0.0]
    """
    return (jnp.asarray(masks) != 0).mean(axis)


def num_groups_used(selection: Float[Numbers, "B G C"]) -> Int[Array, "B C"]:
    """How many groups each output is made of: those with a selection weight above 0.

    Args:
        selection: weights of the groups, (B, G, C).

    Returns:
        Number of groups, (B, C).

    Example:
        >>> import jax.numpy as jnp
        >>> num_groups_used(jnp.array([[[0.75, 0.0], [0.25, 1.0]]])).tolist()
        [[2, 1]]
    """
    return (jnp.asarray(selection) > 0).sum(1)


def object_ratio(
    masks: Shaped[Numbers, "..."], objects: Shaped[Numbers, "..."], axis: Axes = IMAGE
) -> Float[Array, "..."]:
    """The share of the mask that lies on the object, its precision: ``|m & o| / |m|``.

    Args:
        masks: with the axes of one mask at ``axis``.
        objects: the true parts, of as many axes; those of length 1 broadcast.
        axis: (-2, -1) for images, -1 for sequences.

    Returns:
        One ratio per mask; 0 for an empty mask.

    Raises:
        ValueError: shapes that do not broadcast.

    Example:
        >>> import jax.numpy as jnp
        >>> mask, part = jnp.array([1, 1, 1, 0]), jnp.array([0, 0, 1, 1])
        >>> round(float(object_ratio(mask, part, axis=-1)), 4)
        0.3333
    """
    mask, part = _memberships(masks, objects)
    return _ratio((mask & part).sum(axis), mask.sum(axis))


def object_coverage(
    masks: Shaped[Numbers, "..."], objects: Shaped[Numbers, "..."], axis: Axes = IMAGE
) -> Float[Array, "..."]:
    """The share of the object that the mask has, its recall: ``|m & o| / |o|``.

    Args:
        masks: with the axes of one mask at ``axis``.
        objects: the true parts, of as many axes; those of length 1 broadcast.
        axis: (-2, -1) for images, -1 for sequences.

    Returns:
        One ratio per mask; 0 for an empty object.

    Raises:
        ValueError: shapes that do not broadcast.

    Example:
        >>> import jax.numpy as jnp
        >>> mask, part = jnp.array([1, 1, 1, 0]), jnp.array([0, 0, 1, 1])
        >>> float(object_coverage(mask, part, axis=-1))
        0.5
    """
    mask, part = _memberships(masks, objects)
    return _ratio((mask & part).sum(axis), part.sum(axis))


def iou(
    masks: Shaped[Numbers, "..."],
    objects: Shaped[Numbers, "..."],
    axis: Axes = IMAGE,
    protocol: Protocol = "fair",
) -> Float[Array, "..."]:
    """Intersection over union, ``|m & o| / |m | o|``.

    The reference divides by ``|o|`` only and still calls it IoU: it is
    `object_coverage`, which a mask of everything maximises.

    Args:
        masks: with the axes of one mask at ``axis``.
        objects: the true parts, of as many axes; those of length 1 broadcast.
        axis: (-2, -1) for images, -1 for sequences.
        protocol: "fair" or "reference".

    Returns:
        One ratio per mask; 0 if mask and object are empty.

    Raises:
        ValueError: shapes that do not broadcast, or an unknown word.

    Example:
        >>> import jax.numpy as jnp
        >>> mask, part = jnp.array([1, 1, 1, 0]), jnp.array([0, 0, 1, 1])
        >>> float(iou(mask, part, axis=-1))
        0.25

    Source: Jaccard index; the reference is the public code of You et al., Sum-of-Parts.
    """
    check_choice("protocol", protocol, PROTOCOLS)
    if protocol == "reference":
        return object_coverage(masks, objects, axis)
    mask, part = _memberships(masks, objects)
    return _ratio((mask & part).sum(axis), (mask | part).sum(axis))


def entropy_purity(
    masks: Shaped[Numbers, "..."],
    objects: Shaped[Numbers, "..."],
    axis: Axes = IMAGE,
    protocol: Protocol = "fair",
) -> Float[Array, "..."]:
    """How far a mask is from a mix of object and background, 1 for the object alone.

    With ``r = |m & o| / |m|`` and ``H(r) = -r log2 r - (1 - r) log2(1 - r)``::

        reference: 1 - H(r)
        fair:      1 - H(max(r, 1/2))

    The reference gives pure background 1 as well. The fair purity never falls as r
    grows: it is 0 for every mask with at least as much background as object.

    Args:
        masks: with the axes of one mask at ``axis``.
        objects: the true parts, of as many axes; those of length 1 broadcast.
        axis: (-2, -1) for images, -1 for sequences.
        protocol: "fair" or "reference".

    Returns:
        One purity per mask, 0 to 1 up to rounding; 0 for an empty mask in both.

    Raises:
        ValueError: shapes that do not broadcast, or an unknown word.

    Example:
        >>> import jax.numpy as jnp
        >>> masks = jnp.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]])
        >>> parts = jnp.array([[1, 1, 0, 0]])
        >>> entropy_purity(masks, parts, axis=-1).tolist()
        [1.0, 0.0, 0.0]
        >>> entropy_purity(masks, parts, axis=-1, protocol="reference").tolist()
        [1.0, 0.0, 1.0]

    Source: the reference is the public code of You et al., Sum-of-Parts, ICML 2025.
    """
    check_choice("protocol", protocol, PROTOCOLS)
    ratio = object_ratio(masks, objects, axis)
    if protocol == "fair":
        ratio = jnp.maximum(ratio, 0.5)
    purity = 1 - (entr(ratio) + entr(1 - ratio)) / np.log(2)
    filled = (jnp.asarray(masks) != 0).any(axis)
    return jnp.where(jnp.broadcast_to(filled, purity.shape), purity, 0.0)


def _memberships(masks: Numbers, objects: Numbers) -> tuple[Array, Array]:
    """Both as booleans, checked to broadcast axis by axis."""
    mask, part = jnp.asarray(masks) != 0, jnp.asarray(objects) != 0
    pairs = zip(mask.shape, part.shape, strict=False)
    if mask.ndim != part.ndim or any(a != b and 1 not in (a, b) for a, b in pairs):
        raise ValueError(
            f"got masks of shape {mask.shape} and objects of shape {part.shape}, "
            "expected equal shapes; give axes of length 1 to what is to broadcast"
        )
    return mask, part


def _ratio(part: Array, whole: Array) -> Array:
    """``part / whole``, 0 where the whole is 0."""
    return part / jnp.maximum(whole, 1)
