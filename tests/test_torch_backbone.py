"""A torch module as a backbone; needs torch, which naejax does not depend on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from naejax.models.backbones import from_torch
from naejax.models.sop import SumOfParts
from naejax.train.loop import fit

torch = pytest.importorskip("torch")


class Block(torch.nn.Module):
    """Two convolutions around a skip connection."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = torch.nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = torch.nn.BatchNorm2d(outputs)
        self.second = torch.nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = torch.nn.BatchNorm2d(outputs)
        self.skip = torch.nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        h = torch.relu(self.norm1(self.first(x)))
        return torch.relu(self.norm2(self.second(h)) + self.skip(x))


class ResNet(torch.nn.Module):
    """Returns scores, pooled features and the last map."""

    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.Sequential(Block(2, 6, 1), Block(6, 8, 2))
        self.head = torch.nn.Linear(8, 3)

    def forward(self, x):
        features = self.blocks(x)
        pooled = features.mean((2, 3))
        return self.head(pooled), pooled, features


@pytest.fixture(scope="module")
def module(data):
    """A network that has learnt the classes."""
    torch.manual_seed(0)
    net = ResNet()
    x, y = torch.tensor(data[0].transpose(0, 3, 1, 2)), torch.tensor(data[1]).long()
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x)[0], y).backward()
        optimizer.step()
    return net.eval()


@pytest.fixture(scope="module")
def backbone(module):
    return from_torch(module, module.head.weight)


@pytest.fixture(scope="module")
def data():
    """Images whose bright half is the class."""
    rng = np.random.default_rng(0)
    x = 0.3 * rng.normal(size=(48, 8, 8, 2)).astype(np.float32)
    y = rng.integers(3, size=48).astype(np.int32)
    for i, third in enumerate(y):
        x[i, :, 3 * third : 3 * third + 2] += 2
    return x, y


def test_scores_features_and_gradients_are_torchs(module, backbone, data):
    x = data[0][:5]
    tensor = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    scores, pooled, features = module(tensor)
    output = jax.jit(backbone.apply)(backbone.params, x)
    np.testing.assert_allclose(output.scores, scores.detach(), atol=1e-6)
    np.testing.assert_allclose(output.pooled, pooled.detach(), atol=1e-6)
    expected = features.detach().numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(output.features, expected, atol=1e-6)
    (scores.square().sum() + pooled.sum()).backward()

    def loss(x):
        out = backbone.apply({}, x)
        return jnp.square(out.scores).sum() + out.pooled.sum()

    gradient = jax.jit(jax.grad(loss))(jnp.asarray(x))
    expected = tensor.grad.numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mask", ["hard", "sparse"])
@pytest.mark.parametrize("encoder", ["patches", "shared"])
def test_sum_of_parts_learns_on_a_torch_module(module, backbone, data, mask, encoder):
    x, y = data
    before = {k: v.clone() for k, v in module.state_dict().items()}
    model = SumOfParts(
        backbone, 3, num_groups=4, keep=0.3, patch=2, mask=mask, encoder=encoder
    )
    variables = jax.jit(model.init)(jax.random.key(0), x)
    result = fit(
        model,
        variables,
        (x, y),
        loss="softmax_cross_entropy",
        epochs=8,
        batch_size=16,
        optimizer=1e-2,
        progress=False,
    )
    assert result.history[-1]["loss"] < 0.9 * result.history[0]["loss"]
    assert all((before[k] == v).all() for k, v in module.state_dict().items())


def test_a_module_that_returns_scores_alone(data):
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(128, 3))
    output = from_torch(net).apply({}, jnp.asarray(data[0]))
    assert output.scores.shape == (48, 3)
    assert output.pooled is None and output.features is None


def test_an_object_with_logits(data):
    class Result:
        def __init__(self, logits, pooler_output):
            self.logits, self.pooler_output = logits, pooler_output

    class Net(torch.nn.Module):
        def forward(self, x):
            pooled = x.mean((2, 3))
            return Result(pooled.sum(1, keepdim=True), pooled)

    output = from_torch(Net()).apply({}, jnp.asarray(data[0]))
    assert output.scores.shape == (48, 1) and output.pooled.shape == (48, 2)
