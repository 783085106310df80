"""Gradient baselines against closed forms; random masks and pooling against counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from numpy.testing import assert_allclose, assert_array_equal

from naejax.explain.curves import insertion
from naejax.explain.saliency import (
    gradient_saliency,
    integrated_gradients,
    pool_parts,
    random_masks,
)
from naejax.ops.grouping import upsample_nearest


def examples(seed=0, shape=(5, 4, 3, 2)):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def weights(outputs=3, size=24):
    return np.random.default_rng(1).normal(size=(size, outputs)).astype(np.float32)


def linear(w, x):
    return x.reshape(len(x), -1) @ w


def network(w, x):
    """A smooth, deep function with several outputs."""
    hidden = jnp.tanh(0.5 * linear(w, x))
    return jnp.sin(hidden @ w[:3]) + hidden**2


def test_gradient_of_a_linear_model():
    x, w = examples(), weights()
    score_fn = Partial(linear, w)
    target = np.array([0, 1, 2, 1, 0])
    expected = np.abs(w.T[target].reshape(x.shape)).sum(-1)
    assert_allclose(gradient_saliency(score_fn, x, target), expected, rtol=1e-6)
    expected = np.abs(w[:, 2].reshape(1, 4, 3, 2)).sum(-1)
    saliency = gradient_saliency(score_fn, x, 2)
    assert_allclose(saliency, np.broadcast_to(expected, (5, 4, 3)), rtol=1e-6)
    largest = (x.reshape(5, -1) @ w).argmax(1)
    assert_array_equal(
        gradient_saliency(score_fn, x), gradient_saliency(score_fn, x, largest)
    )


def test_gradient_against_finite_differences():
    x, w = examples(shape=(2, 4, 3, 2)), weights()
    saliency = gradient_saliency(Partial(network, w), x, 1)
    step = 1e-2
    for i in np.ndindex(4, 3):
        expected = 0
        for channel in range(2):
            ends = []
            for sign in (1, -1):
                moved = x.copy()
                moved[:, i[0], i[1], channel] += sign * step
                ends.append(np.asarray(network(w, moved))[:, 1])
            expected += np.abs(ends[0] - ends[1]) / (2 * step)
        assert_allclose(saliency[:, i[0], i[1]], expected, atol=2e-3)


@pytest.mark.parametrize("baseline", [0.0, 0.7, "each"])
def test_integrated_gradients_are_complete(baseline):
    x, w = examples(), weights()
    start = examples(7, (5, 1, 1, 2)) if baseline == "each" else baseline
    score_fn = Partial(network, w)
    whole = np.asarray(network(w, x)) - network(w, np.broadcast_to(start, x.shape))
    errors = []
    for steps in (8, 32, 128):
        attribution = integrated_gradients(score_fn, x, 2, baseline=start, steps=steps)
        assert attribution.shape == (5, 4, 3)
        errors.append(np.abs(attribution.sum((1, 2)) - whole[:, 2]).max())
    assert errors[2] < 2e-4
    assert errors[1] < errors[0] / 8
    default = integrated_gradients(score_fn, x, 2, baseline=start)
    again = integrated_gradients(score_fn, x, 2, baseline=start, steps=32)
    assert_array_equal(default, again)


def test_integrated_gradients_of_linear_and_quadratic_models():
    x, w = examples(), weights()
    target = (x.reshape(5, -1) @ w).argmax(1)
    expected = (w.T[target].reshape(x.shape) * (x - 0.5)).sum(-1)
    for steps in (1, 7):
        attribution = integrated_gradients(
            Partial(linear, w), x, baseline=0.5, steps=steps
        )
        assert_allclose(attribution, expected, rtol=1e-5, atol=1e-6)
        square = integrated_gradients(
            lambda x: (x**2).sum((1, 2, 3))[:, None], x, baseline=0.5, steps=steps
        )
        assert_allclose(square, (x**2 - 0.25).sum(-1), rtol=1e-4, atol=1e-5)


def test_the_best_order_of_a_linear_model_is_that_of_integrated_gradients():
    x, w = examples(), weights()
    score_fn, options = Partial(linear, w), dict(target=1, value="score")
    best = insertion(score_fn, x, integrated_gradients(score_fn, x, 1), **options)
    for other in (gradient_saliency(score_fn, x, 1), examples(3, (5, 4, 3))):
        assert (best.area > insertion(score_fn, x, other, **options).area).all()


@pytest.mark.parametrize("function", [gradient_saliency, integrated_gradients])
def test_bad_input(function):
    x, score_fn = examples(), Partial(linear, weights())
    bad = [
        ((x[:, 0, 0], None), r"x of shape \(5, 2\)"),
        ((x, 3), "expected indices of the 3 outputs"),
        ((x, np.zeros(4, int)), r"target of shape \(4,\)"),
    ]
    for arguments, message in bad:
        with pytest.raises(ValueError, match=message):
            function(score_fn, *arguments)
    with pytest.raises(ValueError, match="steps=0"):
        integrated_gradients(score_fn, x, steps=0)
    with pytest.raises(ValueError, match="broadcasts to that of x"):
        integrated_gradients(score_fn, x, baseline=np.zeros(3))


@pytest.mark.parametrize("count", [0, 1, 5, 12])
def test_random_masks_have_exactly_so_many_parts(key, count):
    masks = random_masks(key, (7, 3), (4, 3), count)
    assert masks.shape == (7, 3, 4, 3)
    assert masks.dtype == bool
    assert_array_equal(masks.sum((-2, -1)), np.full((7, 3), count))
    assert_array_equal(masks, random_masks(key, (7, 3), (4, 3), count))


def test_random_masks_are_independent_and_uniform(key):
    masks = np.asarray(random_masks(key, (40, 50), (8,), 3)).reshape(2000, 8)
    # 2000 draws of a share 3/8: five standard errors are 0.054.
    assert_allclose(masks.mean(0), 3 / 8, atol=0.054)
    sets, counts = np.unique(masks, axis=0, return_counts=True)
    assert len(sets) == 56
    assert counts.max() < 2000 / 56 + 5 * np.sqrt(2000 / 56)
    other = random_masks(jax.random.split(key)[0], (40, 50), (8,), 3)
    assert (np.asarray(other).reshape(2000, 8) != masks).any()
    for bad in (-1, 9):
        with pytest.raises(ValueError, match=f"count={bad} for 8 parts"):
            random_masks(key, (2,), (8,), bad)


SIZES = [((7,), (3,)), ((14, 9), (4, 9)), ((6, 6), (3, 2)), ((5, 8), (1, 1))]


@pytest.mark.parametrize(("spatial", "grid"), SIZES)
def test_pooling_against_a_loop(spatial, grid):
    pixels = examples(0, (2, 3, *spatial))
    total, count = np.zeros((2, 3, *grid)), np.zeros(grid)
    for pixel in np.ndindex(*spatial):
        part = tuple(i * p // s for i, p, s in zip(pixel, grid, spatial, strict=True))
        total[(..., *part)] += pixels[(..., *pixel)]
        count[part] += 1
    assert_allclose(pool_parts(pixels, grid), total, atol=1e-5)
    assert_allclose(pool_parts(pixels, grid, "mean"), total / count, atol=1e-5)
    whole = np.arange(np.prod(spatial)).reshape(spatial)
    assert_allclose(pool_parts(whole, grid).sum(), whole.sum())


@pytest.mark.parametrize(("spatial", "grid"), SIZES)
def test_pooling_is_the_adjoint_of_upsampling(spatial, grid):
    pixels, parts = examples(0, (4, *spatial)), examples(1, (4, *grid))
    upsampled = upsample_nearest(parts, spatial)
    assert_allclose(
        (pool_parts(pixels, grid) * parts).sum(), (pixels * upsampled).sum(), rtol=1e-4
    )
    assert_allclose(pool_parts(upsampled, grid, "mean"), parts, rtol=1e-5)
    program = jax.jit(lambda a: pool_parts(a, grid))
    assert_allclose(program(pixels), pool_parts(pixels, grid), rtol=1e-5)


def test_bad_grids():
    for pixels, grid in (
        (np.ones((2, 3)), (4,)),
        (np.ones(3), (3, 1)),
        (np.ones(3), ()),
    ):
        with pytest.raises(ValueError, match="1 part to all pixels"):
            pool_parts(pixels, grid)
    with pytest.raises(ValueError, match="reduce='max'; choose one of sum, mean"):
        pool_parts(np.ones(3), (1,), "max")
