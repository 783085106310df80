"""Penalties against NumPy, closed forms, finite differences and row-weight laws."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from naejax import NAEOutput
from naejax.objectives import penalties

PENALTIES = {name: jax.jit(penalty) for name, penalty in penalties.PENALTIES.items()}
GRADIENTS = {name: jax.jit(jax.grad(penalty)) for name, penalty in PENALTIES.items()}
B, F, K, C = 12, 3, 4, 2


def make_output(rows: int = B, outputs: int = C, features: int = F) -> NAEOutput:
    """A model's output with random gates and experts."""
    rng = np.random.default_rng(0)
    gates = rng.dirichlet(np.ones(K), (rows, features)).astype(np.float32)
    experts = rng.normal(1.0, 1.0, (rows, features, K, outputs)).astype(np.float32)
    return from_parts(gates, experts)


def from_parts(gates, experts) -> NAEOutput:
    contributions = (gates[..., None] * experts).sum(axis=2)
    bias = np.zeros(experts.shape[-1], np.float32)
    return NAEOutput(contributions.sum(1), bias, contributions, gates, experts)


def from_contributions(contributions) -> NAEOutput:
    return from_parts(
        np.ones((*contributions.shape[:2], 1), np.float32), contributions[:, :, None]
    )


def take(output: NAEOutput, rows) -> NAEOutput:
    bias = output.bias
    return jax.tree.map(lambda a: a[rows], output._replace(bias=None))._replace(
        bias=bias
    )


def gradient(name: str, output: NAEOutput, weights=None) -> NAEOutput:
    return jax.tree.map(np.asarray, GRADIENTS[name](output, weights))


@pytest.mark.parametrize("outputs", [1, C])
def test_expert_variance_is_numpy_variance(outputs):
    output = make_output(outputs=outputs)
    expected = np.var(output.experts, axis=2, ddof=1).mean()
    np.testing.assert_allclose(
        PENALTIES["expert_variance"](output), expected, rtol=1e-5
    )


def test_expert_variance_ignores_the_gates_and_a_common_shift():
    output = make_output()
    value = PENALTIES["expert_variance"](output)
    other = from_parts(np.roll(output.gates, 1, axis=2), output.experts + 3.0)
    np.testing.assert_allclose(PENALTIES["expert_variance"](other), value, rtol=1e-5)


def test_expert_variance_keeps_its_digits_far_from_zero():
    experts = np.array([1e4, 1e4 + 1], np.float32).reshape(1, 1, 2, 1)
    output = from_parts(np.ones((1, 1, 2), np.float32) / 2, experts)
    assert PENALTIES["expert_variance"](output) == 0.5


def test_one_expert_has_no_variance_and_a_zero_gradient():
    output = from_contributions(make_output().contributions)
    assert PENALTIES["expert_variance"](output) == 0.0
    assert (gradient("expert_variance", output).experts == 0).all()


@pytest.mark.parametrize("outputs", [1, C])
def test_output_energy_is_the_mean_square(outputs):
    output = make_output(outputs=outputs)
    expected = np.mean(output.contributions**2)
    np.testing.assert_allclose(PENALTIES["output_energy"](output), expected, rtol=1e-5)


def test_utilisation_is_the_squared_coefficient_of_variation():
    output = make_output()
    used = output.gates.mean(0)
    expected = (used.var(1) / used.mean(1) ** 2).mean()
    np.testing.assert_allclose(PENALTIES["utilisation"](output), expected, rtol=1e-4)
    closed = (K * (used**2).sum(1) - 1).mean()
    np.testing.assert_allclose(PENALTIES["utilisation"](output), closed, rtol=1e-4)


def test_utilisation_from_even_to_one_expert():
    experts = np.zeros((B, F, K, C), np.float32)
    rows = np.arange(B)
    even = np.eye(K, dtype=np.float32)[rows % K][:, None].repeat(F, 1)
    assert PENALTIES["utilisation"](from_parts(even, experts)) == 0.0
    one = np.eye(K, dtype=np.float32)[0 * rows][:, None].repeat(F, 1)
    assert PENALTIES["utilisation"](from_parts(one, experts)) == K - 1
    half = np.eye(K, dtype=np.float32)[rows % 2][:, None].repeat(F, 1)
    assert PENALTIES["utilisation"](from_parts(half, experts)) == K / 2 - 1


def test_descending_utilisation_evens_the_use_of_experts():
    logits = np.tile(np.array([3.0, 1.0, 0.0, -2.0], np.float32), (5, 1, 1))
    experts = np.zeros((5, 1, K, 1), np.float32)

    @jax.jit
    @jax.value_and_grad
    def loss(logits):
        return PENALTIES["utilisation"](from_parts(jax.nn.softmax(logits), experts))

    start, _ = loss(logits)
    for _ in range(20):
        logits = logits - 5.0 * np.asarray(loss(logits)[1])
    assert loss(logits)[0] < 0.2 * start


def absolute_correlation(contributions: np.ndarray) -> float:
    """Mean over outputs and pairs of NumPy's correlation."""
    first, second = np.triu_indices(contributions.shape[1], k=1)
    outputs = np.moveaxis(contributions.astype(float), -1, 0)
    return np.mean([abs(np.corrcoef(f, rowvar=False)[first, second]) for f in outputs])


@pytest.mark.parametrize(("features", "outputs"), [(2, 1), (3, 2), (7, 3)])
def test_concurvity_is_numpy_correlation(features, outputs):
    output = make_output(features=features, outputs=outputs)
    expected = absolute_correlation(output.contributions)
    np.testing.assert_allclose(PENALTIES["concurvity"](output), expected, rtol=1e-5)


def test_concurvity_ignores_scale_shift_and_sign():
    contributions = make_output().contributions
    value = PENALTIES["concurvity"](from_contributions(contributions))
    factors = np.array([-100.0, 1e-6, 7.0], np.float32)[:, None]
    other = from_contributions(factors * (contributions + 1000.0))
    np.testing.assert_allclose(PENALTIES["concurvity"](other), value, rtol=5e-3)


def test_concurvity_of_copies_is_one_and_of_one_feature_zero():
    one = make_output().contributions[:, :1]
    copies = from_contributions(np.concatenate([one, -2.0 * one, one + 5.0], axis=1))
    np.testing.assert_allclose(PENALTIES["concurvity"](copies), 1.0, rtol=1e-5)
    single = from_contributions(one)
    assert PENALTIES["concurvity"](single) == 0.0
    assert (gradient("concurvity", single).contributions == 0).all()


@pytest.mark.parametrize("rows", [1, 2, 1000, 50_001])
@pytest.mark.parametrize("weighted", [False, True])
def test_concurvity_of_constants_is_zero_with_a_zero_gradient(rows, weighted):
    """The rounding of a constant's mean must not be taken for a deviation."""
    constants = np.array([0.0, 0.1, 1 / 3, 123.456, -1e-20], np.float32)[None, :, None]
    output = from_contributions(constants.repeat(rows, 0))
    weights = np.full(rows, 1.7, np.float32) if weighted else None
    assert PENALTIES["concurvity"](output, weights) == 0.0
    assert (gradient("concurvity", output, weights).contributions == 0).all()


def test_a_constant_feature_counts_as_uncorrelated():
    contributions = make_output().contributions
    contributions[:, 1] = 0.1
    output = from_contributions(contributions)
    pair = from_contributions(contributions[:, [0, 2]])
    np.testing.assert_allclose(
        PENALTIES["concurvity"](output), PENALTIES["concurvity"](pair) / 3, rtol=1e-5
    )
    grad = gradient("concurvity", output).contributions
    assert np.isfinite(grad).all() and (grad[:, 1] == 0).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", PENALTIES)
def test_gradients_equal_finite_differences(name, weighted):
    output = jax.tree.map(lambda a: a.astype(float), make_output())
    with jax.enable_x64(True):
        weights = jnp.arange(float(B)) if weighted else None
        penalty = partial(PENALTIES[name], weights=weights)
        assert penalty(output).dtype == jnp.float64
        check_grads(penalty, (output,), order=2, modes="rev", atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", PENALTIES)
def test_rows_of_weight_zero_change_nothing(name):
    kept, padded = make_output(), take(make_output(2 * B), np.arange(B, B + 5))
    padded = jax.tree.map(lambda a: 1e6 * a, padded)
    both = jax.tree.map(lambda a, b: np.concatenate([a, b]), kept, padded)
    both = both._replace(bias=kept.bias)
    weights = np.array([1.0] * B + [0.0] * 5, np.float32)
    np.testing.assert_allclose(
        PENALTIES[name](both, weights), PENALTIES[name](kept), rtol=1e-5
    )
    rows = gradient(name, both, weights)
    expected = gradient(name, kept)
    for got, want in zip(rows, expected, strict=True):
        if got.shape[0] == B + 5:
            np.testing.assert_allclose(got[:B], want, rtol=1e-4, atol=1e-6)
            assert (got[B:] == 0).all()


@pytest.mark.parametrize("name", PENALTIES)
def test_integer_weights_are_repeated_rows(name):
    output, counts = make_output(), np.arange(B) % 4
    repeated = take(output, np.repeat(np.arange(B), counts))
    expected = PENALTIES[name](repeated)
    for scale in (1, 0.01, 1e6):
        value = PENALTIES[name](output, (counts * scale).astype(np.float32))
        np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("name", PENALTIES)
def test_no_weight_at_all_gives_zero_and_a_zero_gradient(name):
    output = make_output()
    weights = np.zeros(B, np.float32)
    assert PENALTIES[name](output, weights) == 0.0
    leaves = jax.tree.leaves(gradient(name, output, weights))
    assert all((leaf == 0).all() for leaf in leaves)


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("shape", [(B, 1), (1, B), (B - 1,), (1,), ()])
def test_weights_of_another_shape_are_refused(name, shape):
    message = r"^got row weights of shape .*, expected \(12,\); pass"
    with pytest.raises(ValueError, match=message):
        penalties.PENALTIES[name](make_output(), np.ones(shape, np.float32))


@pytest.mark.parametrize("name", PENALTIES)
def test_eager_jit_and_vmap_agree(name):
    first, second = make_output(), from_parts(*make_output(2 * B)[3:])
    second = take(second, np.arange(B, 2 * B))
    eager = [penalties.PENALTIES[name](o) for o in (first, second)]
    assert eager[0].shape == ()
    jitted = [PENALTIES[name](o) for o in (first, second)]
    np.testing.assert_allclose(jitted, eager, rtol=1e-5)
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), first, second)
    np.testing.assert_allclose(jax.vmap(PENALTIES[name])(stacked), eager, rtol=1e-5)


@pytest.mark.parametrize("name", PENALTIES)
def test_bfloat16_is_computed_in_float32(name):
    output = jax.tree.map(lambda a: jnp.asarray(a, jnp.bfloat16), make_output())
    value = PENALTIES[name](output)
    assert value.dtype == jnp.float32
    wide = jax.tree.map(lambda a: a.astype(jnp.float32), output)
    np.testing.assert_allclose(value, PENALTIES[name](wide), rtol=1e-6)


@pytest.mark.parametrize("name", PENALTIES)
def test_order_of_rows_and_features_does_not_matter(name):
    output = make_output()
    rows, features = np.arange(B)[::-1], [2, 0, 1]
    other = from_parts(*(a[rows][:, features] for a in output[3:]))
    np.testing.assert_allclose(
        PENALTIES[name](other), PENALTIES[name](output), rtol=1e-5
    )


def test_total_is_the_weighted_sum():
    output, weights = make_output(), jnp.arange(float(B))
    strengths = {"expert_variance": 0.1, "concurvity": 2, "output_energy": 0.5}
    expected = sum(
        strengths[name] * PENALTIES[name](output, weights) for name in strengths
    )
    value = penalties.total(output, strengths, weights)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    nothing = penalties.total(output, {})
    assert nothing == 0 and nothing.shape == () and nothing.dtype == jnp.float32


def test_total_leaves_out_what_is_zero():
    def program(strengths):
        return str(jax.make_jaxpr(lambda o: penalties.total(o, strengths))(output))

    output = make_output()
    empty = program({})
    assert program({"concurvity": 0.0, "expert_variance": 0}) == empty
    assert program({"concurvity": 0.1}) != empty


def test_total_takes_traced_strengths():
    output, sweep = make_output(), jnp.array([0.0, 0.1, 10.0])

    def value(strength):
        return penalties.total(output, {"expert_variance": strength, "concurvity": 1.0})

    expected = [value(float(strength)) for strength in sweep]
    np.testing.assert_allclose(jax.jit(jax.vmap(value))(sweep), expected, rtol=1e-5)


def test_total_refuses_unknown_names():
    for strength in (0.0, 1.0):
        with pytest.raises(ValueError, match="did you mean 'utilisation'"):
            penalties.total(make_output(), {"utilization": strength})
