"""Sum-of-Parts on examples whose parts are not a grid, and backbones that remove parts
in a way of their own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from naejax.models.groups import GroupGenerator, standardise
from naejax.models.sop import SumOfParts
from naejax.ops.grouping import keep_counts, keep_top
from naejax.ops.tokens import PART, PRESENT, TOKEN
from naejax.types import Backbone, BackboneOutput

VOCABULARY, WIDTH, OUTPUTS = 30, 6, 3


def make_texts(lengths, positions, seed=0):
    """Texts (N, L, 4): a token that stays, parts of one to three tokens, padding."""
    rng = np.random.default_rng(seed)
    x = np.zeros((len(lengths), positions, 4), np.float32)
    x[..., PART] = -1
    for row, length in zip(x, lengths, strict=True):
        row[: length + 1, TOKEN] = rng.integers(1, VOCABULARY, length + 1)
        row[: length + 1, PRESENT] = 1
        sizes = rng.integers(1, 4, length)
        row[1 : length + 1, PART] = np.repeat(np.arange(length), sizes)[:length]
    return x


def bag_of_words():
    """A backbone that adds up its tokens' embeddings."""
    rng = np.random.default_rng(1)
    params = {
        "embedding": rng.normal(size=(VOCABULARY, WIDTH)).astype(np.float32),
        "classifier": rng.normal(size=(WIDTH, OUTPUTS)).astype(np.float32),
    }

    def masked(params, x, mask, count):
        kept = jnp.where(x[..., PART] < 0, 1.0, mask) * x[..., PRESENT]
        embedded = params["embedding"][x[..., TOKEN].astype(int)]
        pooled = jnp.tanh((embedded * kept[..., None]).sum(axis=1))
        return BackboneOutput(pooled @ params["classifier"], pooled, embedded)

    def apply(params, x):
        return masked(params, x, jnp.ones(x.shape[:2]), None)

    def parts(x):
        return x[..., PART].astype(jnp.int32)

    return Backbone(apply, params, params["classifier"].T, masked, parts)


def build(x, **settings):
    settings = {"num_groups": 5, "keep": 0.4, "encoder": "shared", **settings}
    model = SumOfParts(bag_of_words(), OUTPUTS, **settings)
    variables = jax.jit(model.init)(jax.random.key(0), x)
    rng = np.random.default_rng(3)
    params = jax.tree.map(
        lambda a: a + rng.normal(0, 0.3, a.shape).astype(np.float32),
        variables["params"],
    )
    return model, {**variables, "params": params}


def run(model, variables, x):
    return jax.tree.map(np.asarray, jax.jit(model.apply)(variables, x))


@pytest.mark.parametrize("mask", ["hard", "sparse"])
@pytest.mark.parametrize("heads", [1, 3])
def test_groups_keep_whole_parts_of_every_text(mask, heads):
    x = make_texts([12, 5, 20], 24)
    output = run(*build(x, mask=mask, heads=heads, blur=3), x)
    assert np.allclose(output.prediction, output.contributions.sum(1), atol=1e-6)
    for text, masks, attention in zip(x, output.masks, output.attention, strict=True):
        parts = text[:, PART].astype(int)
        count = parts.max() + 1
        assert (masks[:, parts < 0] == 0).all()
        assert (attention[:, count:] == 0).all()
        assert np.allclose(attention.sum(axis=1), 1, atol=1e-6)
        by_part = np.stack([masks[:, parts == p].mean(axis=1) for p in range(count)], 1)
        assert np.allclose(by_part[:, parts[parts >= 0]], masks[:, parts >= 0])
        if mask == "hard":
            kept = max(1, int(np.floor(0.4 * count + 1e-9)))
            assert (by_part.sum(axis=1) == kept).all()


def test_a_group_is_the_text_without_the_removed_tokens():
    x = make_texts([12, 5, 20], 24)
    model, variables = build(x)
    output = run(model, variables, x)
    backbone = model.backbone
    for row, masks, scores in zip(x, output.masks, output.group_scores, strict=True):
        for mask, score in zip(masks, scores, strict=True):
            stays = (row[:, PART] < 0) | (mask > 0)
            short = row[stays & (row[:, PRESENT] > 0)]
            alone = backbone.apply(backbone.params, jnp.asarray(short[None]))
            np.testing.assert_allclose(alone.scores[0], score, atol=1e-5)


@pytest.mark.parametrize("blur", [1, 5])
def test_neither_padding_nor_company_changes_a_text(blur):
    x = make_texts([12, 5, 20], 24)
    options = {"blur": blur, "heads": 2}
    model, variables = build(x, num_parts=20, **options)
    output = run(model, variables, x)
    wide = np.zeros((3, 40, 4), np.float32)
    wide[..., PART] = -1
    wide[:, :24] = x
    padded = run(model.clone(num_parts=33), variables, wide)
    for name in ("prediction", "contributions", "selection", "scale", "group_scores"):
        np.testing.assert_allclose(
            getattr(padded, name), getattr(output, name), atol=2e-6, err_msg=name
        )
    assert (padded.masks[..., :24] == output.masks).all()
    alone = run(model, variables, x[1:2])
    np.testing.assert_allclose(alone.prediction[0], output.prediction[1], atol=2e-6)


def test_candidates_spread_over_the_parts_that_a_text_has():
    x = make_texts([20], 24)
    count = int(x[..., PART].max()) + 1
    model, variables = build(x, num_groups=count, keep=1 / count, heads=1)
    # Every part asks for itself: the key is the inverse of the query.
    eye = np.eye(WIDTH, dtype=np.float32)[None]
    generator = {"query": 50 * eye, "key": eye}
    variables["params"] = {**variables["params"], "generator": generator}
    wide = model.clone(num_parts=24)
    same = [run(m, variables, x).masks for m in (model, wide)]
    assert (same[0] == same[1]).all()
    asked = same[0][0][:, x[0, :, PART] >= 0].argmax(axis=1)
    assert len(np.unique(asked)) > count // 2


def test_a_text_without_parts_is_scored_as_it_is():
    x = make_texts([12, 0], 24)
    model, variables = build(x)
    output = run(model, variables, x)
    assert np.isfinite(output.prediction).all() and (output.masks[1] == 0).all()
    whole = model.backbone.apply(model.backbone.params, jnp.asarray(x[1:])).scores
    np.testing.assert_allclose(
        output.group_scores[1], np.repeat(whole, 5, 0), atol=1e-5
    )


@pytest.mark.parametrize("scale", ["signed", "straight_through"])
def test_everything_kept_is_the_backbone(scale):
    x = make_texts([12, 5, 20], 24)
    model, variables = build(x, keep=1.0, scale=scale)
    output = run(model, variables, x)
    whole = model.backbone.apply(model.backbone.params, jnp.asarray(x)).scores
    np.testing.assert_allclose(output.prediction, whole, atol=1e-5)


def test_the_gradient_is_that_of_finite_differences():
    x = make_texts([12, 5], 16)
    model, variables = build(x, scale="signed", blur=3)

    @jax.jit
    def total(params):
        output = model.apply({**variables, "params": params}, x)
        return jnp.sum(output.prediction * jnp.arange(1.0, 4.0)[None])

    params = variables["params"]
    rng = np.random.default_rng(5)
    way = jax.tree.map(lambda a: rng.normal(size=a.shape).astype(np.float32), params)
    grad = jax.jit(jax.grad(total))(params)
    slope = sum(jax.tree.leaves(jax.tree.map(lambda g, w: (g * w).sum(), grad, way)))
    step = 1e-3
    ahead, behind = (
        total(jax.tree.map(lambda a, w, s=s: a + s * step * w, params, way))
        for s in (1, -1)
    )
    assert float(slope) == pytest.approx(float(ahead - behind) / 2 / step, rel=2e-2)


def test_tokens_have_no_patches():
    x = make_texts([12], 16)
    with pytest.raises(ValueError, match="reads tokens; use encoder='shared'"):
        build(x, encoder="patches")


@pytest.mark.parametrize("mask", ["hard", "sparse"])
def test_a_backbone_of_images_is_told_how_many_parts_are_kept(mask):
    """Its own way to remove parts gets masks on their grid."""
    seen = []

    def masked(params, x, mask, count):
        seen.append((mask.shape[1:], count))
        pixels = jnp.repeat(jnp.repeat(mask, 2, axis=1), 2, axis=2)
        return plain.apply(params, x * pixels[..., None])

    weights = np.random.default_rng(0).normal(size=(8 * 8, 2)).astype(np.float32)

    def function(params, x):
        return BackboneOutput(
            x.reshape(len(x), -1) @ params, None, x[:, ::2, ::2].repeat(3, axis=-1)
        )

    plain = Backbone(function, weights)
    own = Backbone(function, weights, None, masked)
    x = np.random.default_rng(1).normal(size=(2, 8, 8, 1)).astype(np.float32)
    outputs = []
    for backbone in (plain, own):
        model = SumOfParts(
            backbone, 2, num_groups=3, keep=0.3, mask=mask, encoder="shared", chunk=4
        )
        variables = jax.jit(model.init)(jax.random.key(0), x)
        outputs.append(run(model, variables, x))
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-6), *outputs)
    assert set(seen) == {((4, 4), 4 if mask == "hard" else None)}


def test_as_many_parts_as_each_row_asks_for():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, (50, 3, 9)).astype(np.float32)
    counts = rng.integers(1, 10, (50, 1))
    kept = np.asarray(keep_top(scores, jnp.asarray(counts)))
    for row, mask, count in zip(scores, kept, counts[:, 0], strict=True):
        same = np.asarray(keep_top(row, int(count)))
        assert (mask == same).all()


def test_counts_are_those_of_one_length():
    counts = np.arange(1, 400)
    for keep in (0.01, 0.2, 0.29, 1.0):
        wanted = np.maximum(1, np.floor(counts * keep + 1e-9))
        assert (np.asarray(keep_counts(counts, keep)) == wanted).all()


def test_parts_that_are_not_there_do_not_count():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(2, 7, 3)).astype(np.float32)
    present = np.arange(7)[None] < np.array([[7], [4]])
    found = standardise(jnp.asarray(features), jnp.asarray(present))
    short = standardise(jnp.asarray(features[1:, :4]))
    np.testing.assert_allclose(found[1:, :4], short, atol=1e-6)
    np.testing.assert_allclose(
        found[:1], standardise(jnp.asarray(features[:1])), atol=1e-6
    )


def test_the_blur_does_not_see_parts_that_are_not_there():
    """Equal scores stay equal up to the end of a text, and the rest is -inf."""
    present = jnp.arange(9)[None] < jnp.array([[9], [5]])
    model = GroupGenerator(blur=5, blur_sigma=2.0)
    features, groups = jnp.ones((2, 9, 3)), jnp.array([[0, 3], [1, 4]])
    scores, _ = model.init_with_output(jax.random.key(0), features, groups, present)
    assert np.ptp(scores[0]) < 1e-5 and np.ptp(scores[1, :, :5]) < 1e-5
    assert (scores[1, :, 5:] == -jnp.inf).all()
