"""Metrics of masks and scores against sets, scikit-learn and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import entropy
from sklearn.metrics import jaccard_score, precision_score, recall_score

from naejax.explain.metrics import (
    entropy_purity,
    fidelity,
    iou,
    kept_share,
    num_groups_used,
    object_coverage,
    object_ratio,
)
from naejax.explain.rationales import comprehensiveness, sufficiency

RATIOS = [object_ratio, object_coverage, iou, entropy_purity]


def random_masks(seed, shape=(3, 4, 5, 6)):
    """Masks and objects, some of them empty or full."""
    rng = np.random.default_rng(seed)
    shares = rng.choice([0.0, 0.2, 0.6, 1.0], size=(2, *shape[:2], 1, 1))
    return rng.random((2, *shape)) < shares


def each(function, masks, objects):
    """A function of two flat masks, applied to each pair."""
    pairs = zip(masks.reshape(-1, 30), objects.reshape(-1, 30), strict=True)
    return np.reshape([function(m, o) for m, o in pairs], masks.shape[:2])


@pytest.mark.parametrize("seed", range(4))
def test_ratios_against_sets(seed):
    masks, objects = random_masks(seed)

    def by_sets(ratio):
        def of(mask, part):
            m, o = (set(np.flatnonzero(a).tolist()) for a in (mask, part))
            return ratio(m, o)

        return each(of, masks, objects)

    ratio = by_sets(lambda m, o: len(m & o) / len(m) if m else 0)
    coverage = by_sets(lambda m, o: len(m & o) / len(o) if o else 0)
    union = by_sets(lambda m, o: len(m & o) / len(m | o) if m | o else 0)
    assert_allclose(object_ratio(masks, objects), ratio, rtol=1e-6)
    assert_allclose(object_coverage(masks, objects), coverage, rtol=1e-6)
    assert_allclose(iou(masks, objects), union, rtol=1e-6)
    assert_allclose(iou(masks, objects, protocol="reference"), coverage, rtol=1e-6)
    assert_allclose(kept_share(masks), masks.mean((2, 3)), rtol=1e-6)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (object_ratio, precision_score),
        (object_coverage, recall_score),
        (iou, jaccard_score),
    ],
)
def test_ratios_against_scikit_learn(ours, theirs):
    masks, objects = random_masks(9)
    expected = each(lambda m, o: theirs(o, m, zero_division=0), masks, objects)
    assert_allclose(ours(masks, objects), expected, rtol=1e-6)
    # Any numbers but 0 belong; any leading axes; the axes may lie anywhere.
    grey = np.where(masks, 0.1, 0.0)
    assert_allclose(ours(grey, objects), expected, rtol=1e-6)
    assert_allclose(ours(grey[1, 2], objects[1, 2]), expected[1, 2], rtol=1e-6)
    flat = [a.reshape(3, 4, 30) for a in (masks, objects)]
    assert_allclose(ours(*flat, axis=-1), expected, rtol=1e-6)
    first = [np.moveaxis(a, (2, 3), (0, 1)) for a in (masks, objects)]
    assert_allclose(ours(*first, axis=(0, 1)), expected, rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_purity_against_scipy(seed):
    masks, objects = random_masks(seed)

    def reference(mask, part):
        if not mask.any():
            return 0
        return 1 - entropy([(mask & part).sum(), (mask & ~part).sum()], base=2)

    expected = each(reference, masks, objects)
    purity = entropy_purity(masks, objects, protocol="reference")
    assert_allclose(purity, expected, atol=1e-6)
    fair = np.where(object_ratio(masks, objects) > 0.5, expected, 0)
    assert_allclose(entropy_purity(masks, objects), fair, atol=1e-6)


def test_purity_of_every_mix():
    # Masks of 8 pixels with 0 to 8 of them on the object.
    objects = np.arange(16) < 8
    masks = np.stack(
        [(np.arange(16) >= 8 - n) & (np.arange(16) < 16 - n) for n in range(9)]
    )
    fair = entropy_purity(masks, objects[None], axis=-1)
    reference = entropy_purity(masks, objects[None], axis=-1, protocol="reference")
    assert_array_equal(object_ratio(masks, objects[None], axis=-1), np.arange(9) / 8)
    assert_allclose(reference, reference[::-1], atol=1e-6)
    assert_allclose([reference[0], reference[4], reference[8]], [1, 0, 1], atol=1e-6)
    assert_allclose(fair[:5], 0, atol=1e-6)
    assert_allclose(fair[4:], reference[4:], atol=1e-6)
    assert (np.diff(fair[4:]) > 0).all()


@pytest.mark.parametrize("function", RATIOS)
def test_empty_masks_and_objects_give_zero(function):
    empty, full = np.zeros((1, 4)), np.ones((1, 4))
    protocols = [{}, dict(protocol="reference")] if function in RATIOS[2:] else [{}]
    for options in protocols:
        assert_array_equal(function(empty, full, axis=-1, **options), [0])
        assert_array_equal(function(empty, empty, axis=-1, **options), [0])
        assert_array_equal(function(full, full, axis=-1, **options), [1])
    assert_array_equal(function(full, empty, axis=-1), [0])


@pytest.mark.parametrize("function", RATIOS)
def test_objects_broadcast_over_groups_and_masks_over_objects(function):
    masks, objects = random_masks(1)
    whole = np.broadcast_to(objects[:, :1], masks.shape)
    expected = function(masks, whole)
    assert_allclose(function(masks, objects[:, :1]), expected, rtol=1e-6)
    expected = function(np.broadcast_to(masks[:, :1], objects.shape), objects)
    assert_allclose(function(masks[:, :1], objects), expected, rtol=1e-6)
    program = jax.jit(function)
    assert_allclose(program(masks, objects), function(masks, objects), atol=1e-6)
    for bad in (objects[:, 0], objects[:, :2], objects[..., :3]):
        with pytest.raises(ValueError, match="expected equal shapes") as error:
            function(masks, bad)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("function", [iou, entropy_purity])
def test_unknown_protocol(function):
    with pytest.raises(ValueError, match="choose one of fair, reference"):
        function(np.ones((2, 2)), np.ones((2, 2)), protocol="new")


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("outputs", [2, 7])
def test_fidelity_against_scipy(outputs, scale):
    rng = np.random.default_rng(0)
    sums, scores = scale * rng.normal(size=(2, 5, outputs)).astype(np.float32)
    p, q = (np.exp(a.astype(float) - a.max(1, keepdims=True)) for a in (sums, scores))
    expected = entropy(p, q, axis=1)
    assert_allclose(fidelity(sums, scores), expected, rtol=2e-5, atol=1e-6)
    assert_allclose(fidelity(sums, sums), 0, atol=1e-6)
    # A constant added to all scores changes no probability.
    assert_allclose(fidelity(sums + 5, scores), expected, rtol=1e-4, atol=1e-5)


def test_fidelity_of_one_output_is_that_of_its_two_classes():
    sums, scores = np.random.default_rng(0).normal(size=(2, 6, 1)).astype(np.float32)
    p, q = (1 / (1 + np.exp(-a[:, 0])) for a in (sums, scores))
    expected = entropy([p, 1 - p], [q, 1 - q])
    assert_allclose(fidelity(sums, scores), expected, rtol=1e-4, atol=1e-6)


def test_fidelity_of_sure_models_is_finite():
    sums, scores = np.array([[1e4, -1e4]]), np.array([[-1e4, 1e4]])
    assert_allclose(fidelity(sums, scores), [2e4])
    for bad in (np.ones(3), np.ones((3, 3))):
        with pytest.raises(ValueError, match=r"expected \(B, C\) for both"):
            fidelity(bad, np.ones((3, 2)))


def test_groups_used():
    selection = np.random.default_rng(0).random((3, 6, 2)).round() * 0.5
    expected = np.zeros((3, 2), int)
    for b, _, c in np.argwhere(selection):
        expected[b, c] += 1
    assert_array_equal(num_groups_used(selection), expected)


def three_classes(x):
    total = x.sum((1, 2))
    return jnp.stack([total, 1 - total, total**2], axis=1)


@pytest.mark.parametrize("value", ["probability", "score"])
@pytest.mark.parametrize("baseline", [0.0, 0.5])
def test_rationales_against_masked_inputs(value, baseline):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 5, 2)).astype(np.float32)
    rationale = rng.random((6, 5)) < 0.4

    def of(inputs):
        scores = three_classes(inputs)
        return jax.nn.softmax(scores) if value == "probability" else scores

    target = np.asarray(three_classes(x)).argmax(1)
    inside = np.where(rationale[..., None], x, baseline)
    outside = np.where(rationale[..., None], baseline, x)
    full, alone, without = (
        np.asarray(of(a))[range(6), target] for a in (x, inside, outside)
    )
    options = dict(value=value, baseline=baseline, batch_size=5)
    needed = comprehensiveness(three_classes, x, rationale, **options)
    enough = sufficiency(three_classes, x, rationale, **options)
    assert_allclose(needed, full - without, atol=1e-5)
    assert_allclose(enough, full - alone, atol=1e-5)
    swapped = sufficiency(three_classes, x, ~rationale, **options)
    assert_array_equal(swapped, needed)
    of_one = comprehensiveness(three_classes, x, rationale * 0.3, target=1, **options)
    change = np.asarray(of(x))[:, 1] - np.asarray(of(outside))[:, 1]
    assert_allclose(of_one, change, atol=1e-5)


def test_rationales_of_everything_and_nothing():
    x = np.random.default_rng(0).normal(size=(4, 3, 3, 1)).astype(np.float32)
    score_fn = lambda x: x.sum((1, 2))  # noqa: E731
    options = dict(value="score")
    everything, nothing = np.ones((4, 3, 3)), np.zeros((4, 3, 3))
    assert_array_equal(sufficiency(score_fn, x, everything, **options), np.zeros(4))
    assert_array_equal(comprehensiveness(score_fn, x, nothing, **options), np.zeros(4))
    for function in (sufficiency, comprehensiveness):
        with pytest.raises(ValueError, match="that of x without channels"):
            function(score_fn, x, np.ones((4, 3)))
