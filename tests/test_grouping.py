"""Masks, scales, blur and upsampling against slow definitions and closed forms."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from naejax.ops import grouping

GRIDS = [(7,), (4, 4), (3, 8), (1, 5)]


@pytest.mark.parametrize(
    ("parts", "keep", "count"),
    [(196, 0.2, 39), (100, 0.29, 29), (100, 0.07, 7), (5, 0.2, 1), (9, 1.0, 9)],
)
def test_keep_count_is_the_floor_of_the_decimal_product(parts, keep, count):
    assert grouping.keep_count(parts, keep) == count


@pytest.mark.parametrize("keep", [0.0, -0.1, 1.1])
def test_keep_must_be_a_fraction(keep):
    with pytest.raises(ValueError, match="expected a fraction"):
        grouping.keep_count(10, keep)


def test_keeping_nothing_is_refused():
    with pytest.raises(ValueError, match=r"keeps none; raise keep to at least 0\.25"):
        grouping.keep_count(4, 0.2)


@pytest.mark.parametrize("levels", [1, 3, 1000])
@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_top_parts_are_the_first_of_a_stable_sort(levels, count):
    """With few levels almost all scores are tied."""
    scores = np.random.default_rng(count).integers(levels, size=(20, 12)) / levels
    mask = np.asarray(grouping.keep_top(scores.astype(np.float32), count))
    order = np.argsort(-scores, axis=-1, kind="stable")[:, :count]
    expected = np.zeros_like(mask)
    np.put_along_axis(expected, order, True, axis=-1)
    np.testing.assert_array_equal(mask, expected)
    assert (mask.sum(-1) == count).all()


def test_scale_is_mass_kept_less_mass_dropped():
    rng = np.random.default_rng(0)
    attention = rng.dirichlet(np.ones(10), size=6).astype(np.float32)
    mask = rng.random((6, 10)) < 0.5
    scale = grouping.signed_scale(grouping.kept_mass(attention, jnp.asarray(mask)))
    expected = (attention * mask).sum(-1) - (attention * ~mask).sum(-1)
    np.testing.assert_allclose(scale, expected, atol=1e-6)


def test_groups_are_spread_evenly_over_all_heads():
    """Four heads of 196 parts and 20 groups: five of each head."""
    chosen = grouping.strided_groups(4 * 196, 20)
    assert np.bincount(chosen // 196).tolist() == [5, 5, 5, 5]
    assert len(set(chosen)) == 20
    np.testing.assert_array_equal(
        grouping.head_groups(2, 196, 20) - 2 * 196, grouping.strided_groups(196, 20)
    )


def test_more_groups_than_candidates_are_refused():
    with pytest.raises(ValueError, match="expected 1 to 9"):
        grouping.strided_groups(9, 10)


@pytest.mark.parametrize("grid", [(7,), (6, 9)])
@pytest.mark.parametrize(("size", "sigma"), [(1, 1.0), (3, 1.0), (5, 0.7)])
def test_blur_is_scipys_with_a_mirrored_border(grid, size, sigma):
    scores = np.random.default_rng(0).normal(size=(2, 3, *grid)).astype(np.float32)
    steps = np.arange(size) - size // 2
    kernel = np.exp(-(steps**2) / (2 * sigma**2))
    expected = scores
    for axis in range(2, 2 + len(grid)):
        expected = ndimage.correlate1d(
            expected, kernel / kernel.sum(), axis, mode="mirror"
        )
    blurred = grouping.gaussian_blur(scores, len(grid), size, sigma)
    np.testing.assert_allclose(blurred, expected, atol=1e-6)


@pytest.mark.parametrize(("size", "sigma"), [(2, 1.0), (0, 1.0), (9, 1.0), (3, 0.0)])
def test_a_blur_that_cannot_be_is_refused(size, sigma):
    with pytest.raises(ValueError, match="expected an odd size up to 7"):
        grouping.gaussian_blur(np.zeros((2, 4)), 1, size, sigma)


@pytest.mark.parametrize(
    ("grid", "spatial"),
    [((3,), (3,)), ((2,), (7,)), ((4, 5), (8, 15)), ((14, 14), (66, 66)), ((5,), (3,))],
)
def test_every_position_takes_the_value_of_its_part(grid, spatial):
    parts = np.random.default_rng(0).normal(size=(2, *grid)).astype(np.float32)
    up = np.asarray(grouping.upsample_nearest(parts, spatial))
    assert up.shape == (2, *spatial)
    for position in itertools.product(*[range(0, s, 3) for s in spatial]):
        part = tuple(
            i * p // s for i, p, s in zip(position, grid, spatial, strict=True)
        )
        assert (up[(slice(None), *position)] == parts[(slice(None), *part)]).all()


@pytest.mark.parametrize("grid", GRIDS)
def test_coverage_is_the_area_of_the_union(grid):
    masks = np.random.default_rng(0).random((3, 4, *grid)) < 0.3
    expected = masks.any(axis=1).reshape(3, -1).mean(axis=1)
    np.testing.assert_allclose(grouping.coverage(masks), expected, atol=1e-6)


def test_masks_have_no_gradient_and_the_scale_has():
    def scale(logits):
        attention = jax.nn.softmax(logits)
        mask = grouping.keep_top(jax.lax.stop_gradient(logits), 2)
        return grouping.signed_scale(grouping.kept_mass(attention, mask)).sum()

    logits = jnp.array([1.0, 0.5, -0.2, 0.1])
    a = jax.nn.softmax(logits)
    kept = jnp.array([1.0, 1.0, 0.0, 0.0])
    expected = 2 * a * (kept - (kept * a).sum())
    np.testing.assert_allclose(jax.grad(scale)(logits), expected, atol=1e-6)
