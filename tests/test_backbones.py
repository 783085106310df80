"""Backbones of every kind: the same contract, and Sum-of-Parts learns on each."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tiers import first_quick

from naejax.models.backbones import from_function, from_linen, from_nnx
from naejax.models.cnn import CNN, cnn_backbone, cosmogrid_cnn
from naejax.models.masking import PatchMasked, mask_patches
from naejax.models.sop import SumOfParts
from naejax.train.loop import fit


class LinenNet(nn.Module):
    """With running means, to see that they stay constants."""

    @nn.compact
    def __call__(self, x, train=False):
        h = nn.Conv(6, (3, 3), strides=2)(x)
        h = nn.relu(nn.BatchNorm(use_running_average=not train)(h))
        pooled = h.mean((1, 2))
        return nn.Dense(3, name="head")(pooled), pooled, h


class NnxNet(nnx.Module):
    """With dropout, to see that it is off."""

    def __init__(self, rngs):
        self.conv = nnx.Conv(2, 6, (3, 3), strides=2, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.head = nnx.Linear(6, 3, rngs=rngs)

    def __call__(self, x):
        h = nnx.relu(self.conv(x))
        pooled = self.dropout(h.mean((1, 2)))
        return self.head(pooled), pooled, h


def plain_net(params, x):
    return jnp.tanh(x.reshape(len(x), -1) @ params["w"]) @ params["v"]


def make(kind, x):
    if kind == "linen":
        module = LinenNet()
        variables = jax.jit(module.init)(jax.random.key(0), x)
        weights = np.asarray(variables["params"]["head"]["kernel"]).T
        return from_linen(module, variables, weights)
    if kind == "nnx":
        return from_nnx(NnxNet(nnx.Rngs(0)))
    if kind == "cnn":
        cnn = CNN(3, channels=(4, 6), hidden=(8,))
        return cnn_backbone(cnn, jax.jit(cnn.init)(jax.random.key(0), x))
    width = x[0].size
    rng = np.random.default_rng(0)
    params = {
        "w": rng.normal(0, 0.1, (width, 8)).astype(np.float32),
        "v": rng.normal(size=(8, 3)).astype(np.float32),
    }
    return from_function(plain_net, params)


@pytest.fixture(scope="module")
def data():
    """Images whose brightest corner is the class."""
    rng = np.random.default_rng(0)
    x = 0.3 * rng.normal(size=(64, 8, 8, 2)).astype(np.float32)
    y = rng.integers(3, size=64).astype(np.int32)
    for i, corner in enumerate(y):
        row, column = divmod(int(corner), 2)
        x[i, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 1
    return x, y


@pytest.mark.parametrize(
    ("kind", "mask"),
    first_quick(
        [
            ("linen", "hard"),
            ("function", "sparse"),
            *((kind, "hard") for kind in ("function", "nnx", "cnn")),
            *((kind, "sparse") for kind in ("linen", "nnx", "cnn")),
        ],
        2,
    ),
)
def test_sum_of_parts_learns_on_every_backbone(kind, mask, data):
    x, y = data
    backbone = make(kind, x)
    model = SumOfParts(backbone, 3, num_groups=4, keep=0.3, patch=2, width=8, mask=mask)
    variables = jax.jit(model.init)(jax.random.key(0), x)
    before = jax.tree.map(np.array, backbone.params)
    result = fit(
        model,
        variables,
        (x, y),
        loss="softmax_cross_entropy",
        epochs=6,
        batch_size=16,
        optimizer=3e-2,
        progress=False,
    )
    assert result.history[-1]["loss"] < 0.995 * result.history[0]["loss"]
    assert set(result.variables) == {"params", "backbone"}
    for after in (backbone.params, result.variables["backbone"]["params"]):
        jax.tree.map(np.testing.assert_array_equal, before, after)


@pytest.mark.parametrize("kind", ["function", "linen", "nnx", "cnn"])
def test_a_backbone_is_a_pure_function_of_one_example_each(kind, data):
    x, _ = data
    backbone = make(kind, x)
    run = jax.jit(backbone.apply)
    whole, part = run(backbone.params, x), run(backbone.params, x[5:9])
    np.testing.assert_allclose(part.scores, whole.scores[5:9], rtol=1e-4, atol=1e-5)
    assert whole.scores.shape == (64, 3)


def test_running_means_are_no_parameters(data):
    backbone = make("linen", data[0])
    assert set(backbone.params) == {"Conv_0", "BatchNorm_0", "head"}


@pytest.mark.parametrize(
    "result", [jnp.ones(4), {"logits": 1}, (jnp.ones((4, 2, 2)),), (1, 2, 3, 4)]
)
def test_a_result_without_scores_is_refused(result):
    backbone = from_function(lambda params, x: result, {})
    with pytest.raises(ValueError, match=r"expected scores of shape \(examples"):
        backbone.apply({}, jnp.ones((4, 2)))


def test_the_cosmogrid_network_has_the_published_shapes():
    x = jnp.zeros((2, 66, 66, 1))
    net = cosmogrid_cnn()
    params = jax.eval_shape(net.init, jax.random.key(0), x)["params"]
    shapes = {name: layer["kernel"].shape for name, layer in params.items()}
    assert shapes == {
        "conv_0_0": (4, 4, 1, 16),
        "conv_1_0": (4, 4, 16, 32),
        "conv_2_0": (4, 4, 32, 48),
        "dense_0": (1200, 128),
        "dense_1": (128, 64),
        "dense_2": (64, 32),
        "classifier": (32, 2),
    }
    sides = {-1: (5, 5, 48), -2: (14, 14, 32), -3: (31, 31, 16)}
    for block, shape in sides.items():
        other = net.clone(features=block)
        output, _ = jax.eval_shape(other.init_with_output, jax.random.key(0), x)
        assert output.features.shape[1:] == shape


def test_the_rectifier_leaks_a_hundredth():
    """One pixel, identity weights: max pool, then the leak, through every layer."""
    net = CNN(1, channels=(1,), hidden=(), kernel=1, features=-1)
    params = {
        "conv_0_0": {"kernel": jnp.ones((1, 1, 1, 1)), "bias": jnp.zeros(1)},
        "classifier": {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)},
    }
    x = jnp.array([[-3.0, -2.0], [-5.0, -4.0]]).reshape(1, 2, 2, 1)
    assert net.apply({"params": params}, x).scores.item() == pytest.approx(-0.02)


def test_random_patches_are_whole_patches_of_some_examples():
    x = np.ones((400, 6, 9, 2), np.float32)
    mask = jax.jit(lambda key, x: mask_patches(key, x, (3, 3), rate=0.5))
    masked = np.asarray(mask(jax.random.key(0), x))
    patches = masked.reshape(400, 3, 2, 3, 3, 2).transpose(0, 1, 3, 2, 4, 5)
    patches = patches.reshape(400, 9, -1)
    assert ((patches == 0).all(2) | (patches == 1).all(2)).all()
    kept = patches[:, :, 0].mean(1)
    # Half are whole; of the others the share kept is uniform, 1 / 10 of them whole.
    assert np.mean(kept == 1) == pytest.approx(0.55, abs=0.06)
    assert np.mean(kept[kept < 1]) == pytest.approx(0.45, abs=0.06)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_masking_is_for_training_only(rate):
    model = PatchMasked(CNN(2, channels=(3,), hidden=(4,), features=-1), (2, 2), rate)
    x = np.random.default_rng(1).normal(size=(20, 4, 4, 1)).astype(np.float32)
    variables = jax.jit(model.init)(jax.random.key(0), x)
    apply = jax.jit(model.apply, static_argnames="train")
    plain = apply(variables, x).prediction
    rngs = {"dropout": jax.random.key(2)}
    trained = apply(variables, x, train=True, rngs=rngs).prediction
    assert np.array_equal(plain, trained) == (rate == 0.0)


def test_a_network_of_scores_alone_can_be_masked():
    model, x = PatchMasked(nn.Dense(3), (2,)), np.ones((5, 4), np.float32)
    variables = model.init(jax.random.key(0), x)
    wanted = nn.Dense(3).apply({"params": variables["params"]["model"]}, x)
    np.testing.assert_array_equal(model.apply(variables, x).prediction, wanted)


def test_variables_are_collections():
    module, x = nn.Dense(2), jnp.ones((4, 3))
    variables = module.init(jax.random.key(0), x)
    with pytest.raises(ValueError, match=r"hold \['bias', 'kernel'\], expected coll"):
        from_linen(module, variables["params"])


def test_each_kind_of_module_has_its_adapter():
    with pytest.raises(ValueError, match=r"got a Dense, expected an nnx\.Module; use"):
        from_nnx(nn.Dense(2))


def test_every_example_gets_its_scores():
    backbone = from_function(lambda w, x: x[:1, 0] @ w, jnp.ones((5, 2)))
    model = SumOfParts(backbone, num_outputs=2, num_groups=2, keep=0.5)
    with pytest.raises(ValueError, match="returned 1 rows of scores for 2 examples"):
        model.init(jax.random.key(0), jnp.ones((1, 4, 5)))
