"""Coverage and diversity: closed forms, bounds, gradients, and what they do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from naejax import NAE, SumOfParts, fit, penalties, predict
from naejax.models.backbones import from_function
from naejax.ops.grouping import coverage as covered
from naejax.types import SOPOutput


def output_of(attention):
    """An output with that attention (B, G, *grid); nothing else is looked at."""
    if isinstance(attention, np.ndarray):
        attention = attention.astype(np.float32)
    batch, groups = attention.shape[:2]
    parts = np.zeros((batch, groups, 1), np.float32)
    return SOPOutput(
        parts[:, 0],
        parts[0, 0],
        parts,
        attention,
        parts,
        parts[..., 0],
        parts,
        attention,
    )


def random_attention(seed, shape=(4, 5, 3, 4)):
    rng = np.random.default_rng(seed)
    flat = rng.dirichlet(np.full(np.prod(shape[2:]), 0.3), size=shape[:2])
    return flat.reshape(shape)


@pytest.mark.parametrize("seed", range(3))
def test_the_equations(seed):
    attention = random_attention(seed)
    rows = attention.reshape(4, 5, 12)
    mean = rows.mean(1)
    expected = np.mean([np.log(12) + np.sum(q * np.log(q)) for q in mean])
    assert penalties.coverage(output_of(attention)) == pytest.approx(expected, rel=1e-4)
    unit = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    alike = np.einsum("bgp,bhp->bgh", unit, unit)
    expected = np.mean([(a.sum() - 5) / 20 for a in alike])
    value = penalties.diversity(output_of(attention))
    assert value == pytest.approx(expected, rel=1e-4)


def test_the_bounds_are_reached():
    apart = output_of(np.eye(6)[None])
    same = output_of(np.tile(np.eye(6)[:1], (1, 6, 1)))
    assert penalties.coverage(apart) == pytest.approx(0, abs=1e-6)
    assert penalties.diversity(apart) == pytest.approx(0, abs=1e-6)
    assert penalties.coverage(same) == pytest.approx(np.log(6), rel=1e-6)
    assert penalties.diversity(same) == pytest.approx(1, rel=1e-6)
    assert penalties.diversity(output_of(np.ones((2, 1, 3)) / 3)) == 0


@pytest.mark.parametrize("name", ["coverage", "diversity"])
def test_weights_gradients_and_invariance(name):
    penalty = getattr(penalties, name)
    attention = random_attention(7)
    weights = np.array([1.0, 0.0, 2.0, 0.0], np.float32)
    doubled = float(penalty(output_of(attention[[0, 2, 2]])))
    assert penalty(output_of(attention), weights) == pytest.approx(doubled, rel=1e-5)
    assert penalty(output_of(attention), np.zeros(4, np.float32)) == 0
    permuted = float(penalty(output_of(attention[:, ::-1, :, ::-1])))
    assert penalty(output_of(attention)) == pytest.approx(permuted, rel=1e-5)

    @jax.jit
    @jax.value_and_grad
    def of_logits(logits):
        return penalty(output_of(jax.nn.softmax(logits)))

    logits, direction = np.random.default_rng(0).normal(size=(2, 2, 3, 5))
    step = 1e-5
    with jax.enable_x64(True):
        gradient = np.asarray(of_logits(logits)[1])
        above = of_logits(logits + step * direction)[0]
        below = of_logits(logits - step * direction)[0]
        numeric = float(above - below) / (2 * step)
    assert (gradient * direction).sum() == pytest.approx(numeric, rel=1e-6)
    with pytest.raises(ValueError, match="one weight per row"):
        penalty(output_of(attention), jnp.ones(3))


@pytest.mark.parametrize("name", ["coverage", "diversity"])
def test_saturated_attention_has_a_finite_gradient(name):
    def of_logits(logits):
        return getattr(penalties, name)(output_of(jax.nn.softmax(logits)))

    logits = np.array([[[1e4, 0.0, -1e4], [0.0, 1e4, 0.0]]], np.float32)
    gradient = jax.jit(jax.grad(of_logits))(logits)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("strengths", "message"),
    [({"expert_variance": 1.0}, "coverage"), ({"coverag": 1.0}, "mean 'coverage'")],
)
def test_each_family_has_penalties_of_its_own(strengths, message):
    with pytest.raises(ValueError, match=message):
        penalties.total(output_of(random_attention(0)), strengths)


def test_the_other_family_is_refused_too():
    model = NAE(num_experts=2, hidden=(4,))
    x = np.ones((8, 2), np.float32)
    variables = jax.jit(model.init)(jax.random.key(0), x)
    with pytest.raises(ValueError, match=r"expected one of.*expert_variance"):
        fit(model, variables, (x, np.ones(8)), penalties={"diversity": 1.0})


@pytest.mark.slow
def test_training_with_them_leaves_no_part_out_and_no_group_twice():
    """A task that one part decides: alone, all groups flock to it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 8, 3)).astype(np.float32)
    x[:, 2] += 3  # the part that can be told apart
    weight = np.zeros((24, 1), np.float32)
    weight[6:9] = 2
    backbone = from_function(
        lambda w, x: x.reshape(len(x), -1) @ w, jnp.asarray(weight)
    )
    model = SumOfParts(
        backbone, 1, num_groups=4, keep=0.25, patch=1, generator_scale=0.2
    )
    start = jax.jit(model.init)(jax.random.key(0), x)
    found = {}
    for strength in (0.0, 10.0):
        result = fit(
            model,
            start,
            (x, (x[:, 2].sum(1) * 2)[:, None]),
            epochs=20,
            batch_size=32,
            optimizer=1e-2,
            penalties={"coverage": strength, "diversity": strength},
            progress=False,
        )
        output = predict(model, result.variables, x[:64], chunk_rows=64)
        masks = np.asarray(output.masks)
        same = (masks[:, :, None] == masks[:, None]).all(-1).sum((1, 2)) - 4
        found[strength] = float(covered(masks).mean()), float(same.mean() / 12)
    assert found[10.0][0] > found[0.0][0] + 0.05
    assert found[10.0][1] < 0.6 * found[0.0][1]
