"""Groups read from an output: slow loops, invariants, and the original's numbers."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from naejax.explain.groups import (
    flat_masks,
    group_attributions,
    merge_duplicates,
    pixel_map,
    union_mask,
    used_groups,
)
from naejax.types import SOPOutput

GOLDEN = Path(__file__).parent / "golden"
FUNCTIONS = (
    flat_masks,
    group_attributions,
    merge_duplicates,
    pixel_map,
    union_mask,
    used_groups,
)


def output_of(masks, selection, scale, group_scores) -> SOPOutput:
    """An output from its parts, by the equation of `SOPOutput`, without bias."""
    contributions = selection * scale[..., None] * group_scores
    attention = np.full(masks.shape, 1 / masks[0, 0].size, np.float32)
    prediction, bias = contributions.sum(axis=1), np.zeros(selection.shape[2])
    return SOPOutput(
        prediction,
        bias.astype(np.float32),
        contributions,
        masks,
        selection,
        scale,
        group_scores,
        attention,
    )


def random_output(seed, *, b=3, g=6, c=4, spatial=(5, 7), soft=False) -> SOPOutput:
    """Groups of random pixels of which about half have no weight."""
    rng = np.random.default_rng(seed)
    masks = rng.uniform(size=(b, g, *spatial))
    masks = masks * (masks > 0.6) if soft else masks > 0.6
    selection = rng.uniform(size=(b, g, c)) * (rng.uniform(size=(b, g, c)) > 0.5)
    parts = masks, selection, rng.normal(size=(b, g)), rng.normal(size=(b, g, c))
    return output_of(*(part.astype(np.float32) for part in parts))


def golden(name) -> tuple[SOPOutput, dict]:
    """The output that the original computed, and all that its file holds."""
    arrays = dict(np.load(GOLDEN / f"{name}.npz"))
    scale = arrays["out/loss_scale"]
    scores = arrays["out/logits_all"] / scale[..., None]
    masks, selection = arrays["out/masks"], arrays["out/mask_weights"]
    return output_of(masks, selection, scale, scores), arrays


@pytest.fixture(params=["sop_a", "sop_b"])
def original(request):
    return golden(request.param)


def test_original_attributions(original):
    output, arrays = original
    for label in range(output.prediction.shape[1]):
        np.testing.assert_allclose(
            group_attributions(output, label),
            arrays["out/group_attributions"][:, :, label],
            atol=1e-5,
        )
    predicted = arrays["out/logits"].argmax(axis=1)
    np.testing.assert_array_equal(
        group_attributions(output), group_attributions(output, predicted)
    )


def test_original_pixel_map(original):
    output, arrays = original
    expected = arrays["out/attributions"][:, 0]
    np.testing.assert_allclose(pixel_map(output), expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("label", [None, 2, np.array([3, 0, 1])])
def test_attributions_add_up_to_the_prediction(seed, label):
    output = random_output(seed)
    chosen = output.prediction.argmax(axis=1) if label is None else label
    expected = output.prediction[np.arange(3), chosen]
    got = group_attributions(output, label).sum(axis=1)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def slow_ranks(output, label, threshold):
    """Rank of the strongest used group at every pixel, by loops."""
    num_examples, num_groups = output.scale.shape
    ranks = np.full((num_examples, *output.masks.shape[2:]), num_groups)
    for b in range(num_examples):
        used = [g for g in range(num_groups) if output.selection[b, g, label[b]] > 0]
        used.sort(key=lambda g, b=b: -abs(output.contributions[b, g, label[b]]))
        for pixel in np.ndindex(ranks.shape[1:]):
            for rank, g in enumerate(used):
                if output.masks[(b, g, *pixel)] > threshold:
                    ranks[(b, *pixel)] = rank
                    break
    return ranks


@pytest.mark.parametrize("spatial", [(5, 7), (11,)])
@pytest.mark.parametrize(
    ("soft", "threshold"), [(False, 0.0), (True, 0.0), (True, 0.8)]
)
@pytest.mark.parametrize("seed", range(3))
def test_flat_masks_and_union_by_loops(spatial, soft, threshold, seed):
    output = random_output(seed, spatial=spatial, soft=soft)
    label = np.array([1, 3, 0])
    expected = slow_ranks(output, label, threshold)
    got = flat_masks(output, label, threshold=threshold)
    assert got.dtype == jnp.int32
    np.testing.assert_array_equal(got, expected)
    union = union_mask(output, label, threshold=threshold)
    np.testing.assert_array_equal(union, expected < 6)
    assert 0 < np.mean(union) < 1


def test_flat_masks_of_one_example():
    # Indexing scores by the batch instead of the example would use group 0 alone.
    output = random_output(5, b=1, soft=True)
    expected = slow_ranks(output, output.prediction.argmax(axis=1), 0.0)
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(flat_masks(output), expected)


@pytest.mark.parametrize("seed", range(3))
def test_order_is_of_used_groups_by_size(seed):
    output = random_output(seed)
    order, used = used_groups(output, 1)
    np.testing.assert_array_equal(used, output.selection[..., 1] > 0)
    for b in range(3):
        count = used[b].sum()
        assert used[b, order[b, :count]].all() and not used[b, order[b, count:]].any()
        size = np.abs(output.contributions[b, order[b, :count], 1])
        assert (np.diff(size) <= 0).all()
        assert sorted(order[b].tolist()) == list(range(6))


def test_used_group_without_contribution_comes_before_unused_ones():
    selection = np.array([[[0.0], [0.5], [0.5]]])
    scores = np.array([[[7.0], [0.0], [-2.0]]])
    masks, scale = np.ones((1, 3, 2)), np.ones((1, 3))
    order, used = used_groups(output_of(masks, selection, scale, scores))
    assert order.tolist() == [[2, 1, 0]]
    assert used.tolist() == [[False, True, True]]


def test_permuting_groups_changes_no_map():
    output, order = random_output(0), np.random.default_rng(0).permutation(6)
    fields = "contributions masks selection scale group_scores attention".split()
    permuted = output._replace(**{k: getattr(output, k)[:, order] for k in fields})
    for function in (flat_masks, union_mask, pixel_map):
        np.testing.assert_allclose(function(output), function(permuted), atol=1e-6)


@pytest.mark.parametrize("label", [None, 3])
def test_duplicates_are_merged(label):
    output = random_output(1)
    # Groups 0, 2, 5 are alike and so are 1, 4; group 3 differs in one pixel from 1.
    output.masks[:, [2, 5]] = output.masks[:, [0]]
    output.masks[:, [3, 4]] = output.masks[:, [1]]
    output.masks[:, 3, 0, 0] = 1 - output.masks[:, 1, 0, 0]
    used = np.asarray(used_groups(output, label).used)
    ours = np.asarray(group_attributions(output, label))
    contributions, counts = map(np.asarray, merge_duplicates(output, label))
    for b in range(3):
        for members in ([0, 2, 5], [1, 4], [3]):
            present = [g for g in members if used[b, g]]
            expected = np.zeros((2, len(members)))
            if present:
                first = members.index(present[0])
                expected[:, first] = ours[b, present].sum(), len(present)
            np.testing.assert_allclose(
                contributions[b, members], expected[0], atol=1e-6
            )
            np.testing.assert_array_equal(counts[b, members], expected[1])
    # Not all alike: some first groups are unused, some have several copies.
    assert counts.max() > 1 and (counts[~used] == 0).all()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_jit_takes_labels_and_examples_stay_apart(function):
    output, label = random_output(2), np.array([3, 1, 1])
    expected = jax.tree.leaves(function(output, label))
    compiled = jax.tree.leaves(jax.jit(function)(output, label))
    one_by_one = [
        jax.tree.leaves(
            function(
                SOPOutput(*(a if a is output.bias else a[b : b + 1] for a in output)),
                int(label[b]),
            )
        )
        for b in range(3)
    ]
    for i, values in enumerate(expected):
        assert values.dtype == compiled[i].dtype
        np.testing.assert_allclose(values, compiled[i], atol=1e-6)
        stacked = np.concatenate([leaves[i] for leaves in one_by_one])
        np.testing.assert_allclose(values, stacked, atol=1e-6)
    jax.tree.map(
        np.testing.assert_array_equal, jax.jit(function)(output, 1), function(output, 1)
    )


def test_pixel_map_does_not_add_up():
    output = random_output(0, c=1)
    total = np.asarray(pixel_map(output)).sum(axis=(1, 2))
    sizes = output.masks.sum(axis=(2, 3))
    expected = (sizes * output.contributions[..., 0]).sum(axis=1)
    np.testing.assert_allclose(total, expected, rtol=1e-4)
    assert (np.abs(total - output.prediction[:, 0]) > 1e-2).all()


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (4, "label is 4, expected integers from 0 to 3"),
        (-1, "label is -1"),
        (np.array([0, 1, 4]), "from 0 to 3"),
        (np.array([0.0, 1.0, 2.0]), "expected integers"),
        (np.array([0, 1]), r"shape \(2,\), expected one integer, or one for each of"),
        (jnp.zeros((3, 1), int), r"shape \(3, 1\)"),
    ],
)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_wrong_labels_are_named(function, label, message):
    with pytest.raises(ValueError, match=message):
        function(random_output(0), label)
