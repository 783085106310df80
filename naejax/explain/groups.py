"""What the groups of a Sum-of-Parts model add to one output, and what they keep.

Everything here is computed from a model's output for B examples; no model runs. The
same ``label`` everywhere chooses the output that is explained: an int, one int per
example (B,), or None for the predicted class, the output with the largest prediction.
Of several regression targets none is predicted: give the label.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from naejax.ops.grouping import flatten_masks
from naejax.types import Numbers, SOPOutput

Label = int | Int[Numbers, "B"] | None


class UsedGroups(NamedTuple):
    """Which groups an output is made of, strongest first.

    Attributes:
        order: indices of the groups, the used ones first and in the order of falling
            ``|contribution|``; equal ones keep their order, (B, G).
        used: whether group g is used, that is ``selection > 0``, (B, G).
    """

    order: Int[Array, "B G"]
    used: Bool[Array, "B G"]


class MergedGroups(NamedTuple):
    """The used groups of an output, those with the same mask taken as one.

    Attributes:
        contributions: of all groups with this group's mask at the first of them, 0 at
            the others, (B, G).
        counts: how many groups were merged into this one; 0: unused or merged into an
            earlier one, (B, G).
    """

    contributions: Float[Array, "B G"]
    counts: Int[Array, "B G"]


def group_attributions(output: SOPOutput, label: Label = None) -> Float[Array, "B G"]:
    """What every group adds to one output.

    ``a_g = selection_gc * scale_g * group_scores_gc`` for the output c = label, so that
    ``prediction_c = bias_c + sum_g a_g``.

    Args:
        output: what the model returned for B examples.
        label: the output c: an int, one per example (B,), or None: the predicted one.

    Returns:
        Contributions in the unit of the prediction, (B, G).

    Raises:
        ValueError: there is no such output.

    Example:
        >>> weights = np.array([[[0.75, 0.5], [0.25, 0.5]]])
        >>> scores = np.array([[[4.0, 1.0], [-4.0, 2.0]]])
        >>> masks, scale = np.ones((1, 2, 3)), np.ones((1, 2))
        >>> output = SOPOutput((weights * scores).sum(1), np.zeros(2), weights * scores,
        ...                    masks, weights, scale, scores, masks / 3)
        >>> output.prediction, group_attributions(output).tolist()
        (array([[2. , 1.5]]), [[3.0, -1.0]])
    """
    return _of_label(output.contributions, _labels(output, label))


def used_groups(output: SOPOutput, label: Label = None) -> UsedGroups:
    """Which groups one output is made of, by falling ``|contribution|``.

    Pictures show the groups in this order. (Selection weights do not order them by what
    they do: a large weight of a group with score 0 adds nothing.)

    Args:
        output: what the model returned for B examples.
        label: the output: an int, one per example (B,), or None: the predicted one.

    Returns:
        The order, and which groups have a positive selection weight.

    Raises:
        ValueError: there is no such output.

    Example:
        >>> weights = np.array([[[0.25], [0.0], [0.75]]])
        >>> masks, one = np.ones((1, 3, 5)), np.ones((1, 3))
        >>> output = SOPOutput(np.ones((1, 1)), np.zeros(1), weights, masks, weights,
        ...                    one, one[..., None], masks / 5)
        >>> order, used = used_groups(output)
        >>> order.tolist(), used.tolist()
        ([[2, 0, 1]], [[True, False, True]])
    """
    label = _labels(output, label)
    used = _of_label(output.selection, label) > 0
    size = jnp.abs(_of_label(output.contributions, label))
    return UsedGroups(jnp.lexsort((-size, ~used), axis=1), used)


def merge_duplicates(output: SOPOutput, label: Label = None) -> MergedGroups:
    """Takes used groups with exactly the same mask as one group, for reading.

    The sum of the contributions stays the same. Attention rows that keep the same parts
    are common, and a picture that repeats them hides how much their pixels add.

    Args:
        output: what the model returned for B examples.
        label: the output: an int, one per example (B,), or None: the predicted one.

    Returns:
        Summed contributions and how many groups each sum is of.

    Raises:
        ValueError: there is no such output.

    Example:
        >>> masks = np.array([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]])
        >>> weights, one = np.array([[[0.5], [0.25], [0.25]]]), np.ones((1, 3))
        >>> output = SOPOutput(np.ones((1, 1)), np.zeros(1), weights, masks, weights,
        ...                    one, one[..., None], masks)
        >>> contributions, counts = merge_duplicates(output)
        >>> contributions.tolist(), counts.tolist()
        ([[0.75, 0.25, 0.0]], [[2, 1, 0]])
    """
    label = _labels(output, label)
    used = _of_label(output.selection, label) > 0
    same = _same_masks(jnp.asarray(output.masks)) & used[:, None] & used[..., None]
    # Every used group goes to the first one like it.
    index = jnp.arange(used.shape[1])[None, None]
    into = same & (same.argmax(axis=2)[..., None] == index)
    contributions = _of_label(output.contributions, label)
    return MergedGroups(
        jnp.where(into, contributions[..., None], 0).sum(axis=1),
        into.sum(axis=1, dtype=jnp.int32),
    )


def flat_masks(
    output: SOPOutput, label: Label = None, *, threshold: float = 0.0
) -> Int[Array, "B *spatial"]:
    """The strongest used group at every pixel, as one map of ranks.

    A group's rank is its place in the order of `used_groups`: 0 has the largest
    ``|contribution|``. A pixel has the lowest rank of the used groups that cover it,
    and G, the number of groups, where none does.

    Args:
        output: what the model returned for B examples.
        label: the output: an int, one per example (B,), or None: the predicted one.
        threshold: a group covers the pixels where its mask is larger than this.

    Returns:
        Ranks, 0 to G, (B, \\*spatial), int32.

    Raises:
        ValueError: there is no such output.

    Example:
        >>> masks = np.array([[[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]]])
        >>> weights, one = np.array([[[0.25], [0.75]]]), np.ones((1, 2))
        >>> output = SOPOutput(np.ones((1, 1)), np.zeros(1), weights, masks, weights,
        ...                    one, one[..., None], masks / 2)
        >>> flat_masks(output).tolist()
        [[1, 0, 0, 2]]
    """
    order, used = used_groups(output, label)
    num_groups = used.shape[1]
    ranks = jnp.where(used, jnp.argsort(order, axis=1), num_groups)
    return flatten_masks(output.masks, ranks, threshold)


def union_mask(
    output: SOPOutput, label: Label = None, *, threshold: float = 0.0
) -> Bool[Array, "B *spatial"]:
    """The pixels that any used group keeps.

    Args:
        output: what the model returned for B examples.
        label: the output: an int, one per example (B,), or None: the predicted one.
        threshold: a group covers the pixels where its mask is larger than this.

    Returns:
        Whether a used group covers the pixel, (B, \\*spatial).

    Raises:
        ValueError: there is no such output.

    Example:
        >>> masks = np.array([[[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]]])
        >>> weights, one = np.array([[[1.0], [0.0]]]), np.ones((1, 2))
        >>> output = SOPOutput(np.ones((1, 1)), np.zeros(1), weights, masks, weights,
        ...                    one, one[..., None], masks / 2)
        >>> union_mask(output).tolist()
        [[True, True, False, False]]
    """
    used = _of_label(output.selection, _labels(output, label)) > 0
    masks = jnp.asarray(output.masks)
    return ((masks > threshold) & _per_pixel(used, masks)).any(axis=1)


def pixel_map(output: SOPOutput, label: Label = None) -> Float[Array, "B *spatial"]:
    """How much the groups that cover a pixel add: ``sum_g mask_g * a_g``.

    Warning: **the map does not add up to the score.** A group's contribution stands at
    each of its pixels, so the sum over pixels counts it as often as the group has
    pixels, and larger groups weigh more. The map is a picture; what adds up to the
    prediction is `group_attributions`.

    Args:
        output: what the model returned for B examples.
        label: the output: an int, one per example (B,), or None: the predicted one.

    Returns:
        Signed sums in the unit of the prediction, (B, \\*spatial).

    Raises:
        ValueError: there is no such output.

    Example:
        >>> masks = np.array([[[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]]])
        >>> weights, one = np.array([[[0.25], [0.75]]]), np.ones((1, 2))
        >>> output = SOPOutput(np.ones((1, 1)), np.zeros(1), weights, masks, weights,
        ...                    one, one[..., None], masks / 2)
        >>> pixel_map(output).tolist()
        [[0.25, 1.0, 0.75, 0.0]]

    Source: You et al., "Sum-of-Parts: Self-Attributing Neural Networks with End-to-End
    Learning of Feature Groups", ICML 2025, arXiv 2310.16316.
    """
    contributions = group_attributions(output, label)
    return jnp.einsum("bg...,bg->b...", jnp.asarray(output.masks), contributions)


def _labels(output: SOPOutput, label: Label) -> Int[Array, "B"]:
    """The output to explain of every example, checked as far as it is known."""
    num_examples, num_outputs = output.prediction.shape
    if label is None:
        return jnp.asarray(output.prediction).argmax(axis=1)
    if not isinstance(label, jax.core.Tracer):
        values = np.asarray(label)
        if (
            values.dtype.kind not in "iu"
            or not ((values >= 0) & (values < num_outputs)).all()
        ):
            raise ValueError(
                f"label is {label}, expected integers from 0 to {num_outputs - 1}, "
                "the indices of the outputs"
            )
    labels = jnp.asarray(label)
    if labels.shape not in ((), (num_examples,)):
        raise ValueError(
            f"label has shape {labels.shape}, expected one integer, or one for each "
            f"of the {num_examples} examples"
        )
    return jnp.broadcast_to(labels, (num_examples,))


def _of_label(values: Float[Numbers, "B G C"], labels: Array) -> Float[Array, "B G"]:
    """The values of one output per example."""
    index = labels[:, None, None]
    return jnp.take_along_axis(jnp.asarray(values), index, axis=2)[..., 0]


def _per_pixel(values: Array, masks: Array) -> Array:
    """Values (B, G) with an axis of length 1 for each spatial axis of the masks."""
    return jnp.expand_dims(values, range(2, masks.ndim))


# Compiled, the comparison and its reduction are one loop without (B, G, G, pixels).
@jax.jit
def _same_masks(masks: Float[Array, "B G *spatial"]) -> Bool[Array, "B G G"]:
    """Which groups of an example have equal masks."""
    return (masks[:, :, None] == masks[:, None]).all(axis=range(3, masks.ndim + 1))
