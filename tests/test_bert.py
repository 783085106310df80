"""BERT: against the equations, with tokens weighed, absent and removed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from transformer_oracle import bert, random_variables

from naejax import BERT
from naejax.models.text_backbone import bert_backbone
from naejax.ops.tokens import PART, PRESENT, TOKEN, TYPE

MODEL = BERT(
    3, 20, width=12, depth=2, heads=3, mlp=20, positions=9, epsilon=0.02, removed=4
)
LENGTHS = np.array([8, 5])


@pytest.fixture(scope="module")
def texts():
    """[CLS] and a query of two tokens that no mask removes, words, and padding."""
    rng = np.random.default_rng(1)
    x = np.zeros((2, 8, 4), np.float32)
    x[..., TOKEN] = rng.integers(20, size=(2, 8))
    x[:, 1:3, TYPE] = 1
    x[..., PRESENT] = np.arange(8) < LENGTHS[:, None]
    x[..., PART] = [[-1, -1, -1, 0, 0, 1, 2, 3], [-1, -1, -1, 0, 1, -1, -1, -1]]
    return x


@pytest.fixture(scope="module")
def variables(texts):
    return random_variables(MODEL, texts[..., TOKEN].astype(int))


def channels(texts):
    return (texts[..., c].astype(int) for c in (TOKEN, TYPE, PRESENT))


@pytest.fixture(scope="module")
def run(variables):
    """The model, compiled once for each set of arguments."""
    return jax.jit(lambda *arrays: MODEL.apply(variables, *arrays))


@pytest.fixture(scope="module")
def output(run, texts):
    return run(*channels(texts))


def expect(variables, texts, found, present=None, kept=None):
    """Holds scores and features to the equations."""
    tokens, types, there = channels(texts)
    present = there if present is None else present
    kept = np.ones(tokens.shape) if kept is None else kept
    for i in range(len(texts)):
        rows = (a[i] for a in (tokens, types, present, kept))
        scores, states = bert(MODEL, variables, *rows)
        assert np.allclose(found.scores[i], scores, atol=2e-5)
        if found.features is not None:
            assert np.allclose(found.features[i], states[-2], atol=2e-5)


def test_scores_and_features_follow_the_equations(variables, texts, output):
    expect(variables, texts, output)


def test_scores_are_those_of_the_pooled_features(variables, output):
    weights = bert_backbone(MODEL, variables).class_weights
    bias = variables["params"]["classifier"]["bias"]
    assert weights.shape == (3, 12) and np.abs(output.pooled).max() <= 1
    assert np.allclose(output.scores, output.pooled @ weights.T + bias[None], atol=1e-5)


def test_padding_does_not_matter(variables, texts, output):
    tokens, types, _ = channels(texts[1:, :5])
    short = jax.jit(MODEL.apply)(variables, tokens, types)
    assert np.allclose(short.scores[0], output.scores[1], atol=1e-5)


def test_without_types_all_are_the_first_and_present(variables, texts):
    plain = texts.copy()
    plain[..., TYPE], plain[..., PRESENT] = 0, 1
    found = jax.jit(MODEL.apply)(variables, texts[..., TOKEN].astype(int))
    expect(variables, plain, found)


@pytest.fixture(scope="module")
def weights():
    weights = np.random.default_rng(2).uniform(0.1, 1, (2, 8)).astype(np.float32)
    return weights * (np.arange(8) < LENGTHS[:, None])


def test_soft_presence_weighs_attention(run, variables, texts, weights):
    tokens, types, _ = channels(texts)
    expect(variables, texts, run(tokens, types, weights), present=weights)


def test_soft_embeddings_are_mixed_with_the_removed_token(
    run, variables, texts, weights
):
    found = run(*channels(texts), weights)
    expect(variables, texts, found, kept=weights)


@pytest.mark.parametrize("place", [2, 3])
def test_gradients_of_weights_are_true(run, variables, texts, weights, place):
    """Of ``present`` and ``kept``, along a random direction."""
    arrays = [*channels(texts), np.ones((2, 8), np.float32)]
    direction = np.random.default_rng(3).normal(size=(2, 8)) * (weights > 0)

    def score(w):
        return run(*arrays[:place], w, *arrays[place + 1 :]).scores[:, 0].sum()

    gradient = jax.jit(jax.grad(score))(weights)
    arrays = [a.astype(float) if i > 1 else a for i, a in enumerate(arrays)]

    def exact(w):
        rows = [*arrays[:place], w, *arrays[place + 1 :]]
        return sum(
            bert(MODEL, variables, *(a[i] for a in rows))[0][0] for i in range(2)
        )

    step = 1e-5 * direction
    slope = (exact(weights + step) - exact(weights - step)) / 2e-5
    assert np.allclose((np.asarray(gradient) * direction).sum(), slope, rtol=1e-3)


def test_gradients_at_the_ends_are_finite(run, texts):
    tokens, types, present = channels(texts)

    def score(present, kept):
        return run(tokens, types, present, kept).scores.sum()

    ends = present.astype(np.float32), np.zeros((2, 8), np.float32)
    gradients = jax.jit(jax.grad(score, (0, 1)))(*ends)
    assert all(np.isfinite(g).all() for g in gradients)
    assert (np.asarray(gradients[0])[present == 0] == 0).all()
    assert (np.abs(gradients[1]).sum(axis=1) > 0).all()


def test_a_text_without_tokens_has_finite_scores(run, texts):
    tokens, types, present = channels(texts)
    assert np.isfinite(run(tokens, types, 0 * present).scores).all()


@pytest.fixture(scope="module", params=["attention", "embedding"])
def removal(request, variables):
    backbone = bert_backbone(MODEL, variables, request.param)
    return request.param, backbone, jax.jit(backbone.masked, static_argnums=3)


def test_masks_of_ones_change_nothing(removal, texts, output):
    _, backbone, masked = removal
    found = masked(backbone.params, texts, np.ones((2, 8), np.float32), None)
    assert np.allclose(found.scores, output.scores, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_channels_are_whole_numbers_of_any_type(variables, texts, output, dtype):
    backbone = bert_backbone(MODEL, variables)
    found = jax.jit(backbone.apply)(backbone.params, texts.astype(dtype))
    assert np.allclose(found.scores, output.scores, atol=1e-6)


@pytest.mark.parametrize("hard", [True, False])
def test_masks_remove_words_and_nothing_else(removal, variables, texts, hard):
    name, backbone, masked = removal
    mask = np.random.default_rng(4).uniform(size=(2, 8)).astype(np.float32)
    mask = (mask > 0.5).astype(np.float32) if hard else mask
    found = masked(backbone.params, texts, mask, None)
    stays = np.where(texts[..., PART] < 0, 1, mask)
    assert (stays < 1).any(axis=1).all()
    if name == "attention":
        expect(variables, texts, found, present=texts[..., PRESENT] * stays)
    else:
        expect(variables, texts, found, kept=stays)


def test_removed_words_do_not_matter(removal, texts):
    _, backbone, masked = removal
    other = texts.copy()
    other[:, 3, TOKEN] = (other[:, 3, TOKEN] + 7) % 20
    mask = np.ones((2, 8), np.float32)
    mask[:, 3] = 0
    scores = [masked(backbone.params, x, mask, None).scores for x in (texts, other)]
    assert np.allclose(*scores, atol=1e-6)
    mask[:, 3] = 1
    scores = [masked(backbone.params, x, mask, None).scores for x in (texts, other)]
    assert (np.abs(scores[0] - scores[1]).max(axis=1) > 1e-2).all()


def test_parts_are_the_last_channel(removal, texts):
    parts = removal[1].parts(texts)
    assert parts.dtype == jnp.int32
    assert np.array_equal(parts, texts[..., PART].astype(int))


@pytest.mark.parametrize("width", [48, 192])
def test_initial_values_follow_the_width(width):
    """A normal cut at two standard deviations keeps 0.8796 of its own."""
    model = BERT(3, 20, width=width, depth=1, heads=3, mlp=2 * width, positions=9)
    params = jax.jit(model.init)(jax.random.key(0), np.zeros((1, 4), int))["params"]
    expected = 0.8796 * 0.02 * np.sqrt(768 / width)
    for leaf in jax.tree.leaves(params):
        error = leaf.std() / expected - 1
        assert leaf.ndim == 1 or abs(error) < 4 / np.sqrt(2 * leaf.size)


def test_mistakes_are_named(variables):
    with pytest.raises(ValueError, match="removal is 'delete', expected one of"):
        bert_backbone(MODEL, variables, "delete")
    with pytest.raises(ValueError, match="texts have 10 tokens, expected at most 9"):
        MODEL.apply(variables, np.zeros((1, 10), int))
