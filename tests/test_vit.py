"""ViT: against the equations, with patches left out, and trained from nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from transformer_oracle import random_variables, vit

from naejax import SumOfParts, ViT
from naejax.models.transformer import attention_bias
from naejax.models.vit import vit_backbone

MODEL = ViT(3, patch=4, width=12, depth=2, heads=3, mlp=20, epsilon=0.02)
GRID = (2, 3)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).normal(size=(4, 8, 12, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def variables(images):
    return random_variables(MODEL, images)


@pytest.fixture(scope="module")
def masks():
    """Four masks that keep two, two, two and two of six patches."""
    rng = np.random.default_rng(2)
    return rng.permuted(np.tile([1.0, 1, 0, 0, 0, 0], (4, 1)), axis=1).reshape(4, 2, 3)


@pytest.fixture(scope="module")
def output(images, variables):
    return jax.jit(MODEL.apply)(variables, images)


@pytest.fixture(scope="module")
def dropped(images, variables, masks):
    backbone = vit_backbone(MODEL, variables, drop_tokens=True)
    run = jax.jit(backbone.masked, static_argnums=3)
    return run(backbone.params, images, masks, 2)


def test_scores_and_features_follow_the_equations(images, variables, output):
    for i, image in enumerate(images):
        scores, states = vit(MODEL, variables, image)
        assert np.allclose(output.scores[i], scores, atol=1e-5)
        assert np.allclose(
            output.features[i], states[-2][1:].reshape(2, 3, 12), 0, 1e-5
        )


def test_scores_are_those_of_the_pooled_features(variables, output):
    weights = vit_backbone(MODEL, variables).class_weights
    bias = variables["params"]["classifier"]["bias"]
    assert weights.shape == (3, 12)
    assert np.allclose(output.scores, output.pooled @ weights.T + bias[None], atol=1e-5)


def test_dropped_patches_are_unseen(images, variables, masks, dropped):
    for i, image in enumerate(images):
        scores, _ = vit(MODEL, variables, image, masks[i])
        assert np.allclose(dropped.scores[i], scores, atol=1e-5)
    assert dropped.features is None


def test_dropped_pixels_do_not_matter(images, variables, masks, dropped):
    noise = np.random.default_rng(3).normal(size=images.shape).astype(np.float32)
    cells = np.kron(masks, np.ones((1, 4, 4)))[..., None].astype(np.float32)
    backbone = vit_backbone(MODEL, variables, drop_tokens=True)
    other = images * cells + noise * (1 - cells)
    run = jax.jit(backbone.masked, static_argnums=3)
    found = run(backbone.params, other, masks, 2)
    assert np.array_equal(found.scores, dropped.scores)


def test_dropping_is_not_the_same_as_grey_pixels(images, variables, masks, dropped):
    cells = np.kron(masks, np.ones((1, 4, 4)))[..., None].astype(np.float32)
    grey = jax.jit(MODEL.apply)(variables, images * cells).scores
    assert np.abs(grey - dropped.scores).max(axis=1).min() > 1e-2
    assert vit_backbone(MODEL, variables).masked is None


def test_keeping_all_patches_changes_nothing(images, variables, output):
    backbone = vit_backbone(MODEL, variables, drop_tokens=True)
    run = jax.jit(backbone.masked, static_argnums=3)
    found = run(backbone.params, images, np.ones((4, *GRID), np.float32), 6)
    assert np.allclose(found.scores, output.scores, atol=1e-6)
    assert np.allclose(found.pooled, output.pooled, atol=1e-6)


@pytest.mark.parametrize(
    ("grid", "count", "message"),
    [
        (
            (4, 3, 3),
            2,
            r"masks are \(3, 3\), expected .* \(2, 3\)",
        ),
        ((4, 6), 2, r"masks are \(6,\), expected"),
        ((4, 2, 3), None, "expected hard ones"),
    ],
)
def test_masks_that_cannot_drop_are_refused(images, variables, grid, count, message):
    backbone = vit_backbone(MODEL, variables, drop_tokens=True)
    with pytest.raises(ValueError, match=message):
        backbone.masked(backbone.params, images, np.ones(grid), count)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 9, 12, 2), "images are 9 x 12, expected multiples of patch 4"),
        ((1, 12, 8, 2), "images are 12 x 8, expected 8 x 12, for which"),
    ],
)
def test_images_of_other_sizes_are_refused(variables, shape, message):
    with pytest.raises(ValueError, match=message):
        MODEL.apply(variables, np.ones(shape, np.float32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "swish"}, "activation is 'swish', expected one of"),
        ({"heads": 5}, "width 12 is not a multiple of heads 5"),
    ],
)
def test_settings_that_cannot_be_are_refused(images, change, message):
    model = MODEL.clone(**change)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(model.init, jax.random.key(0), images)


def test_sum_of_parts_that_keeps_all_is_the_backbone(images, variables, output):
    model = SumOfParts(
        vit_backbone(MODEL, variables), 3, num_groups=2, keep=1.0, encoder="shared"
    )
    drawn = random_variables(model, images)
    drawn["backbone"]["params"] = variables["params"]
    found = jax.jit(model.apply)(drawn, images)
    assert np.allclose(found.prediction, output.scores, atol=1e-5)


def test_bias_makes_attention_count_by_weights():
    logits = np.random.default_rng(4).normal(size=(2, 1, 1, 5)).astype(np.float32)
    weights = np.array([[1, 0.5, 0, 0.25, 0], [1, 1, 1e-3, 1, 1e-30]], np.float32)
    found = jax.nn.softmax(logits + attention_bias(weights))[:, 0, 0]
    expected = weights * np.exp(logits[:, 0, 0])
    assert np.allclose(found, expected / expected.sum(-1, keepdims=True), atol=1e-6)
    assert (np.asarray(found)[weights == 0] == 0).all()


def test_bias_of_an_empty_example_is_finite():
    def entropy(weights):
        a = jax.nn.softmax(attention_bias(weights))
        return (a * jnp.log(a)).sum()

    value, gradient = jax.jit(jax.value_and_grad(entropy))(jnp.zeros((1, 4)))
    assert np.allclose(value, -np.log(4)) and (gradient == 0).all()


@pytest.mark.optimised
def test_learns_from_nothing():
    """Where the bright patch is: a matter of positions and contents both."""
    rng = np.random.default_rng(5)
    place = rng.integers(4, size=256)
    images = rng.normal(0, 0.3, (256, 2, 2, 4, 4)).astype(np.float32)
    images[np.arange(256), place // 2, place % 2] += 1
    images = images.transpose(0, 1, 3, 2, 4).reshape(256, 8, 8, 1)
    model = ViT(4, patch=4, width=16, depth=1, heads=2, mlp=32)
    variables = model.init(jax.random.key(0), images[:1])

    def loss(variables):
        scores = jax.nn.log_softmax(model.apply(variables, images).scores)
        return -scores[np.arange(256), place].mean()

    optimizer = optax.adam(3e-3)

    @jax.jit
    def step(variables, state):
        value, gradient = jax.value_and_grad(loss)(variables)
        updates, state = optimizer.update(gradient, state)
        return value, optax.apply_updates(variables, updates), state

    first, _, state = step(variables, optimizer.init(variables))
    # So narrow a model starts with scores of variance 0.24, which cost about 0.09.
    assert abs(first - np.log(4)) < 0.15
    for _ in range(150):
        value, variables, state = step(variables, state)
    assert value < 0.1
