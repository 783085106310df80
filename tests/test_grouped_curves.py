"""Groups that come and go whole, against a plain oracle and the curves of parts."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from naejax.explain.curves import deletion, insertion
from naejax.explain.grouped_curves import grouped_deletion, grouped_insertion
from naejax.ops.grouping import upsample_nearest

SCORE = dict(target=0, value="score")


def bent(x):
    """One output that is not a sum over pixels."""
    total = (x * jnp.arange(1.0, 1 + x[0].size).reshape(1, *x.shape[1:])).sum((1, 2, 3))
    return jnp.stack([jnp.tanh(0.1 * total) + 0.05 * total, -total], axis=1)


def linear(x):
    return x.reshape(len(x), -1).sum(1, keepdims=True)


def random_groups(seed, groups=5, spatial=(4, 5), share=0.3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, *spatial, 1)).astype(np.float32)
    masks = rng.random((3, groups, *spatial)) < share
    # Whole numbers, so that there are ties.
    return x, masks, rng.integers(0, 4, (3, groups)).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("protocol", ["fair", "reference"])
def test_against_a_plain_oracle(seed, protocol):
    x, masks, order = random_groups(seed)
    inserted = grouped_insertion(bent, x, masks, order, **SCORE, protocol=protocol)
    deleted = grouped_deletion(bent, x, masks, order, **SCORE, protocol=protocol)
    pixels = set(np.ndindex(4, 5))
    for b in range(3):
        shown, steps = set(), [set()]
        for g in sorted(range(5), key=lambda g: -order[b, g]):
            shown |= {tuple(i) for i in np.argwhere(masks[b, g]).tolist()}
            steps.append(set(shown))
        if protocol == "fair":
            steps.append(pixels)
        fractions = [len(step) / len(steps[-1]) for step in steps]
        for curve, sets in ((inserted, steps), (deleted, [pixels - s for s in steps])):
            inputs = np.zeros((len(sets), 4, 5, 1), np.float32)
            for i, step in enumerate(sets):
                for pixel in step:
                    inputs[i][pixel] = x[b][pixel]
            expected = np.asarray(bent(inputs))[:, 0]
            assert_allclose(curve.values[b], expected, atol=1e-5)
            assert_allclose(curve.fractions[b], fractions, atol=1e-6)
            area = sum(
                (after - before) * (v + w) / 2
                for before, after, v, w in zip(
                    fractions, fractions[1:], expected, expected[1:], strict=False
                )
            )
            assert_allclose(curve.area[b], area, atol=1e-5)


@pytest.mark.parametrize(
    ("grouped", "by_parts"),
    [(grouped_insertion, insertion), (grouped_deletion, deletion)],
)
def test_disjoint_groups_are_parts(grouped, by_parts):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 6, 4, 1)).astype(np.float32)
    importance = rng.normal(size=(3, 3, 2))
    masks = upsample_nearest(np.eye(6).reshape(6, 3, 2), (6, 4))
    masks = jnp.broadcast_to(masks[None], (3, 6, 6, 4))
    options = dict(target=0, baseline=0.2)
    curve = grouped(bent, x, masks, importance.reshape(3, 6), **options)
    parts = by_parts(bent, x, importance, **options)
    assert_allclose(curve.values[:, :-1], parts.values, rtol=1e-5)
    assert_allclose(curve.fractions[:, :-1], parts.fractions, rtol=1e-5)
    # No pixel is left for the last step.
    assert_array_equal(curve.fractions[:, -1], 1)
    assert_array_equal(curve.values[:, -1], curve.values[:, -2])
    assert_allclose(curve.area, parts.area, rtol=1e-5)


@pytest.mark.parametrize("protocol", ["fair", "reference"])
def test_one_group_of_everything(protocol):
    x, _, _ = random_groups(0)
    options = dict(**SCORE, protocol=protocol)
    masks, order = np.ones((3, 1, 4, 5)), np.zeros((3, 1))
    for function in (grouped_insertion, grouped_deletion):
        curve = function(linear, x, masks, order, **options)
        assert_allclose(curve.area, x.sum((1, 2, 3)) / 2, rtol=1e-5)


def test_groups_that_cover_nothing():
    x, masks, order = random_groups(0)
    masks = np.zeros_like(masks)
    fair = grouped_insertion(linear, x, masks, order, **SCORE)
    assert_array_equal(fair.fractions, [[0, 0, 0, 0, 0, 0, 1]] * 3)
    assert_allclose(fair.area, x.sum((1, 2, 3)) / 2, rtol=1e-5)
    reference = dict(**SCORE, protocol="reference")
    for function in (grouped_insertion, grouped_deletion):
        curve = function(linear, x, masks, order, **reference)
        assert_array_equal(curve.fractions, np.zeros((3, 6)))
        assert_array_equal(curve.area, [0, 0, 0])


def test_overlapping_pixels_count_once():
    x = np.ones((1, 4, 1), np.float32)
    masks = np.array([[[1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 1, 0]]])
    curve = grouped_insertion(linear, x, masks, np.array([[3.0, 2.0, 1.0]]), **SCORE)
    assert_array_equal(curve.fractions, [[0, 0.5, 0.75, 0.75, 1]])
    assert_array_equal(curve.values, [[0, 2, 3, 3, 4]])
    assert_allclose(curve.area, [2])


@pytest.mark.parametrize("seed", range(3))
def test_invariants(seed):
    x, masks, _ = random_groups(seed)
    rng = np.random.default_rng(seed)
    order = rng.normal(size=(3, 5)).astype(np.float32)
    for function in (grouped_insertion, grouped_deletion):
        for protocol in ("fair", "reference"):
            options = dict(protocol=protocol, target=1)
            curve = function(bent, x, masks, order, **options)
            assert (np.diff(curve.fractions, axis=1) >= 0).all()
            shuffle = rng.permutation(5)
            moved = function(bent, x, masks[:, shuffle], order[:, shuffle], **options)
            for one, two in zip(curve, moved, strict=True):
                assert_allclose(one, two, rtol=1e-5)
            # Shades of grey, repeats and empty groups change no area.
            masks_twice = np.concatenate([0.1 * masks] * 2 + [0 * masks], axis=1)
            order_twice = np.concatenate([order, order - 1, order + 1], axis=1)
            twice = function(bent, x, masks_twice, order_twice, **options)
            assert_allclose(twice.area, curve.area, rtol=1e-5)
    inserted = grouped_insertion(linear, x, masks, order, **SCORE)
    deleted = grouped_deletion(linear, x, masks, order, **SCORE)
    total = x.sum((1, 2, 3))[:, None]
    assert_allclose(deleted.values, total - inserted.values, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(masks=np.ones((3, 2, 5, 4))), r"masks of shape \(3, 2, 5, 4\)"),
        (dict(masks=np.ones((3, 3, 4, 5))), r"order of shape \(3, 2\)"),
        (dict(order=np.ones(3)), r"order of shape \(3,\)"),
        (dict(masks=np.ones((3, 0, 4, 5)), order=np.ones((3, 0))), "G >= 1"),
        (dict(order=np.full((3, 2), np.inf)), "order has NaN or infinite"),
        (dict(protocol="v1"), "protocol='v1'"),
        (dict(x=np.ones((3, 4))), r"x of shape \(3, 4\)"),
    ],
)
def test_bad_input(change, message):
    good = dict(x=np.ones((3, 4, 5, 1)), masks=np.ones((3, 2, 4, 5)))
    arguments = good | dict(score_fn=linear, order=np.ones((3, 2))) | change
    for function in (grouped_insertion, grouped_deletion):
        with pytest.raises(ValueError, match=message) as error:
            function(**arguments)
        assert "\n" not in str(error.value)
