"""What holds for every Sum-of-Parts model, whatever its settings and parameters."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import first_quick

from naejax.models.backbones import from_function
from naejax.models.cnn import CNN, cnn_backbone
from naejax.models.groups import standardise
from naejax.models.sop import SumOfParts

SETTINGS = [
    dict(mask=mask, encoder=encoder, scale="signed", frozen=frozen)
    for mask, encoder, frozen in itertools.product(
        ("hard", "sparse"), ("patches", "shared", "copy"), (True, False)
    )
]
SETTINGS += [
    dict(mask="hard", encoder="patches", scale=scale, frozen=True)
    for scale in ("straight_through", "none")
]
SETTINGS = SETTINGS[::3] + SETTINGS[1::3] + SETTINGS[2::3]
WHOLE = [s for s in SETTINGS if s["mask"] == "hard" and s["frozen"]]


def label(settings):
    return "-".join(map(str, settings.values()))


def moved(variables, seed=1):
    """The variables with every parameter moved off its initial value."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda a: np.asarray(a) + rng.normal(0, 0.1, a.shape).astype(a.dtype), variables
    )


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(7).normal(size=(3, 17, 12, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def backbone(images):
    cnn = CNN(4, channels=(5, 6), hidden=(7,))
    variables = moved(jax.jit(cnn.init)(jax.random.key(0), images))
    return cnn_backbone(cnn, variables)


def build(backbone, x, seed=1, **settings):
    """A model and variables off their initial values; the backbone stays."""
    settings = {"num_groups": 5, "keep": 0.3, "patch": 3, "chunk": 4, **settings}
    model = SumOfParts(backbone, 4, **settings)
    variables = jax.jit(model.init)(jax.random.key(0), x)
    return model, {**variables, "params": moved(variables["params"], seed)}


def run(model, variables, x, **options):
    """The output as numpy arrays."""
    apply = jax.jit(functools.partial(model.apply, **options))
    return jax.tree.map(np.asarray, apply(variables, x))


@pytest.mark.parametrize("settings", first_quick(SETTINGS, 5), ids=label)
def test_what_every_model_promises(backbone, images, settings):
    model, variables = build(backbone, images, heads=2, **settings)
    output = run(model, variables, images)
    batch, groups = images.shape[0], model.num_groups
    grid = output.attention.shape[2:]
    parts = math.prod(grid)
    # Parts add up to the prediction, and there is no bias.
    np.testing.assert_allclose(
        output.prediction, output.contributions.sum(1) + output.bias[None], atol=1e-6
    )
    np.testing.assert_allclose(
        output.contributions,
        output.selection * output.scale[..., None] * output.group_scores,
        atol=1e-6,
    )
    assert (output.bias == 0).all()
    # Selection and attention are on the simplex.
    assert (output.selection >= 0).all() and (output.attention >= 0).all()
    np.testing.assert_allclose(output.selection.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(output.attention.sum((2, 3)), 1, atol=1e-5)
    assert output.masks.shape == (batch, groups, *images.shape[1:3])
    # Masks and scales are what their kind says.
    flat = output.attention.reshape(batch, groups, parts)
    corners = [
        np.searchsorted(np.arange(s) * p // s, np.arange(p))
        for s, p in zip(images.shape[1:3], grid, strict=True)
    ]
    on_grid = np.asarray(output.masks)[:, :, corners[0]][:, :, :, corners[1]]
    on_grid = on_grid.reshape(batch, groups, parts)
    if settings["mask"] == "hard":
        assert set(np.unique(on_grid)) == {0, 1}
        assert (on_grid.sum(2) == math.floor(parts * 0.3)).all()
        signed = 2 * (flat * on_grid).sum(2) - 1
        assert (signed >= 2 * math.floor(parts * 0.3) / parts - 1 - 1e-5).all()
        expected = signed if settings["scale"] == "signed" else np.ones_like(signed)
        np.testing.assert_allclose(output.scale, expected, atol=1e-5)
    else:
        np.testing.assert_allclose(
            on_grid, flat / flat.max(2, keepdims=True), atol=1e-5
        )
        assert (output.scale == 1).all()
    # Every group's score is the backbone's on the masked example.
    params = variables["params"]["backbone"] if not model.frozen else backbone.params
    masked = (images[:, None] * output.masks[..., None]).reshape(-1, *images.shape[1:])
    scores = jax.jit(backbone.apply)(params, masked).scores
    np.testing.assert_allclose(
        output.group_scores, scores.reshape(batch, groups, -1), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("settings", first_quick(WHOLE, 2), ids=label)
def test_keeping_everything_gives_the_backbones_prediction(backbone, images, settings):
    model, variables = build(backbone, images, keep=1.0, **settings)
    output = run(model, variables, images)
    expected = jax.jit(backbone.apply)(backbone.params, images).scores
    np.testing.assert_allclose(output.prediction, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(output.scale, 1, atol=1e-6)
    assert (output.masks == 1).all()


@pytest.mark.parametrize("mask", first_quick(["hard", "sparse"]))
def test_the_order_of_groups_does_not_matter(backbone, images, mask):
    model, variables = build(backbone, images, mask=mask, heads=2)
    groups = np.array([3, 0, 21, 33, 16])
    first = run(model, variables, images, groups=groups)
    second = run(model, variables, images, groups=groups[::-1])
    np.testing.assert_allclose(first.prediction, second.prediction, atol=1e-6)
    for name in ("contributions", "masks", "selection", "scale", "attention"):
        np.testing.assert_allclose(
            getattr(first, name), getattr(second, name)[:, ::-1], atol=1e-6
        )


def test_the_default_groups_stride_over_all_heads(backbone, images):
    model, variables = build(backbone, images, heads=3)
    parts = 5 * 4
    default = run(model, variables, images)
    chosen = run(model, variables, images, groups=np.arange(5) * 3 * parts // 5)
    np.testing.assert_array_equal(default.masks, chosen.masks)


def test_a_head_is_another_set_of_groups(backbone, images):
    """Candidate h * P + t is part t asking through head h, by the equation."""
    model, variables = build(
        backbone, images, heads=2, encoder="shared", standardise=False
    )
    generator = variables["params"]["generator"]
    features = jax.jit(backbone.apply)(backbone.params, images).features
    features = np.asarray(features).reshape(len(images), -1, features.shape[-1])
    parts = features.shape[1]
    output = run(model, variables, images, groups=np.array([2, parts + 3]))
    for slot, (head, part) in enumerate([(0, 2), (1, 3)]):
        query = features[:, part] @ generator["query"][head]
        key = features @ generator["key"][head]
        logits = np.einsum("be,bpe->bp", query, key)
        attention = jax.nn.softmax(logits).reshape(output.attention[:, slot].shape)
        np.testing.assert_allclose(output.attention[:, slot], attention, atol=1e-5)


def test_standardised_features_forget_level_and_scale_of_the_backbones():
    """Per example, over all parts: whatever the backbone's units, the same groups."""
    features = np.random.default_rng(0).normal(size=(3, 4, 5, 6)).astype(np.float32)
    once = np.asarray(standardise(jnp.asarray(features)))
    np.testing.assert_allclose(once.mean((1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(np.square(once).mean((1, 2, 3)), 1, atol=1e-5)
    level = np.arange(6, dtype=np.float32)
    other = standardise(jnp.asarray(7 * features + level))
    np.testing.assert_allclose(other, once, atol=1e-5)
    assert (standardise(jnp.ones((2, 3, 4))) == 0).all()


def test_parts_finer_than_the_features(backbone, images):
    """Features spread to a grid: equal features ask alike and are asked alike."""
    model, variables = build(backbone, images, encoder="shared", grid=(8, 6), keep=0.3)
    output = run(model, variables, images)
    assert output.attention.shape == (3, 5, 8, 6)
    assert (output.masks[:, :, ::2, ::2].sum((2, 3)) > 0).all()
    with pytest.raises(ValueError, match="expected 1 to 48"):
        build(backbone, images, encoder="shared", grid=(8, 6), num_groups=49)


def primitives(function, *args):
    return str(jax.make_jaxpr(function)(*args))


def test_no_gradient_is_computed_for_a_frozen_backbone(backbone, images):
    """The gradient's program has the forward pass's convolutions and no more."""
    model, variables = build(backbone, images, encoder="patches")

    def loss(params):
        return model.apply({**variables, "params": params}, images).prediction.sum()

    forward = primitives(loss, variables["params"]).count("conv_general_dilated[")
    backward = primitives(jax.grad(loss), variables["params"])
    assert forward > 0
    assert backward.count("conv_general_dilated[") == forward
    soft = model.clone(mask="sparse")

    def soft_loss(everything):
        return soft.apply(everything, images).prediction.sum()

    grads = jax.tree.map(np.asarray, jax.jit(jax.grad(soft_loss))(variables))
    assert all((g == 0).all() for g in jax.tree.leaves(grads["backbone"]))
    assert all((g != 0).any() for g in jax.tree.leaves(grads["params"]))


@pytest.mark.parametrize(
    ("settings", "taught"),
    first_quick(
        [({"scale": name}, name != "none") for name in ("none", "signed")]
        + [({"scale": "straight_through"}, True), ({"mask": "sparse"}, True)],
        2,
    ),
)
def test_what_teaches_the_generator(backbone, images, settings, taught):
    model, variables = build(backbone, images, encoder="copy", **settings)

    def loss(params):
        output = model.apply({**variables, "params": params}, images)
        return (output.prediction @ jnp.arange(4.0)).sum()

    grads = jax.tree.map(np.asarray, jax.jit(jax.grad(loss))(variables["params"]))
    for part in ("generator", "encoder"):
        leaves = jax.tree.leaves(grads[part])
        assert any((g != 0).any() for g in leaves) == taught
    assert all((g != 0).any() for g in jax.tree.leaves(grads["selector"]))


def test_the_gradient_of_the_straight_through_scale_is_that_of_the_signed_one(
    backbone, images
):
    """With the selection held, d prediction / d c is the group's own score."""
    model, variables = build(backbone, images, encoder="patches")
    straight = model.clone(scale="straight_through")

    def scale(model):
        def total(generator):
            params = {**variables["params"], "generator": generator}
            return model.apply({**variables, "params": params}, images).scale.sum()

        return jax.jit(jax.grad(total))(variables["params"]["generator"])

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
        scale(model),
        scale(straight),
    )


@pytest.mark.parametrize("axes", first_quick([2, 3, 5]))
def test_sequences(axes):
    """Groups of positions of a sequence, whatever a position holds."""
    shape = (4, 11, 3, 2, 2)[:axes]
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(np.float32)
    weight = rng.normal(size=(math.prod(shape[1:]), 4)).astype(np.float32)
    backbone = from_function(lambda w, x: x.reshape(len(x), -1) @ w, weight)
    model, variables = build(backbone, x, patch=2, keep=0.4)
    output = run(model, variables, x)
    assert output.masks.shape == (4, 5, 11) and output.attention.shape == (4, 5, 5)
    # A linear backbone: contributions of disjoint parts add up by hand.
    kept = x.reshape(4, 1, 11, -1) * output.masks[..., None]
    expected = kept.reshape(4, 5, -1) @ weight
    np.testing.assert_allclose(output.group_scores, expected, rtol=1e-4, atol=1e-4)


def test_masks_never_exist_per_channel_outside_a_chunk(backbone, images):
    model, variables = build(backbone, images, num_groups=20, chunk=6)
    text = primitives(lambda v: model.apply(v, images), variables)
    assert "f32[6,17,12,2]" in text
    assert "f32[60,17,12,2]" not in text and "f32[3,20,17,12,2]" not in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(mask="soft"), "mask is 'soft', expected one of"),
        (dict(scale="c"), "scale is 'c'"),
        (dict(encoder="vit"), "encoder is 'vit'"),
        (dict(num_groups=0), "num_groups is 0, expected at least 1"),
        (dict(chunk=0), "chunk is 0"),
        (dict(keep=0.0), "keep is 0.0, expected a fraction"),
    ],
)
def test_settings_that_cannot_be_are_refused(backbone, settings, message):
    with pytest.raises(ValueError, match=message):
        SumOfParts(backbone, 4, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(keep=0.01), "keeps none; raise keep"),
        (dict(num_groups=21), "num_groups is 21, expected 1 to 20"),
        (dict(num_outputs=3), "the backbone has 4 outputs, num_outputs is 3"),
        (dict(patch=18), "larger than the example"),
    ],
)
def test_settings_that_do_not_fit_the_example_are_refused(
    backbone, images, settings, message
):
    settings = {"num_outputs": 4, "num_groups": 5, "patch": 3, **settings}
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(SumOfParts(backbone, **settings).init, jax.random.key(0), images)


def test_a_backbone_without_features_needs_patches(images):
    plain = from_function(lambda p, x: x.sum((1, 2)) @ jnp.ones((2, 4)), {})
    with pytest.raises(ValueError, match="use encoder='patches'"):
        model = SumOfParts(plain, 4, encoder="shared")
        jax.eval_shape(model.init, jax.random.key(0), images)


def test_class_weights_of_another_shape_are_refused(images):
    def scores(params, x):
        return x.sum((1, 2)) @ jnp.ones((2, 4)), x.mean((1, 2))

    backbone = from_function(scores, {}, class_weights=np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"\(4, 3\), expected \(4, 2\)"):
        jax.eval_shape(SumOfParts(backbone, 4).init, jax.random.key(0), images)


def test_last_layers_can_train_on_frozen_ones(backbone, images):
    """Gradients reach the named layers and stop below: no convolution goes back."""
    model, variables = build(backbone, images, finetune=["classifier", "dense_0"])
    assert set(variables["params"]["backbone"]) == {"classifier", "dense_0"}
    assert set(variables["backbone"]["params"]) == {"conv_0_0", "conv_1_0"}

    def loss(params):
        return model.apply({**variables, "params": params}, images).prediction.sum()

    forward = primitives(loss, variables["params"]).count("conv_general_dilated[")
    backward = primitives(jax.grad(loss), variables["params"])
    assert backward.count("conv_general_dilated[") == forward
    grads = jax.jit(jax.grad(loss))(variables["params"])["backbone"]
    grads = jax.tree.map(np.asarray, grads)
    assert all((g != 0).any() for g in jax.tree.leaves(grads))
    with pytest.raises(ValueError, match=r"names \['head'\], expected parameters"):
        build(backbone, images, finetune=("head",))
