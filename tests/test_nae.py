"""What must hold for every Neural Additive Experts model (all gates, C in {1, 3})."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from flax import nnx
from tiers import first_quick

from naejax import NAE, contribution_range, predict
from naejax.models.gates import GATES

SEEDS = range(2)
BATTERY = [
    pytest.param(
        gate,
        rank,
        outputs,
        seed,
        id=f"{gate}-rank{rank}-C{outputs}-{seed}",
        marks=[pytest.mark.slow] * (outputs == 1),
    )
    for gate in GATES
    for rank in ((None, 3) if gate in ("context", "equal") else (None,))
    for outputs in (1, 3)
    for seed in SEEDS
]
ROWS = 17
battery = pytest.mark.parametrize(("gate", "rank", "outputs", "seed"), BATTERY)


def apply(model, variables, x):
    """The output as numpy arrays; one program for all tests of the same model."""
    return predict(model, variables, x, chunk_rows=ROWS)


def random_case(gate, rank, outputs, seed):
    """A model of random shape with every parameter moved, and rows some of it NaN.

    Its rates of dropout must change nothing outside training.
    """
    rng = np.random.default_rng([seed, outputs])
    features, experts = int(rng.integers(2, 6)), int(rng.integers(2, 7))
    model = NAE(
        num_outputs=outputs,
        num_experts=experts,
        top_k=int(rng.integers(1, experts + 1)),
        hidden=tuple(int(w) for w in rng.integers(3, 9, size=rng.integers(1, 4))),
        gate=gate,
        gate_rank=rank,
        dropout=0.2,
        expert_dropout=0.5,
    )
    x = rng.normal(size=(ROWS, features)).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    return model, random_variables(model, x, rng), x, rng


def random_variables(model, x, rng):
    """Variables drawn at random: zero biases at the start must not hide a mistake."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), x)
    return jax.tree.map(lambda a: rng.normal(0, 0.5, a.shape).astype(a.dtype), shapes)


def other_contexts(x, rng):
    """For every feature: rows that agree with ``x`` in that feature alone."""
    others = rng.normal(size=x.shape).astype(np.float32)
    for i in range(x.shape[1]):
        moved = others.copy()
        moved[:, i] = x[:, i]
        yield i, moved


@battery
def test_parts_sum_to_the_prediction(gate, rank, outputs, seed):
    model, variables, x, _ = random_case(gate, rank, outputs, seed)
    out = apply(model, variables, x)
    parts = (out.gates[..., None] * out.experts).sum(2)
    np.testing.assert_allclose(out.contributions, parts, atol=1e-5)
    total = out.bias[None] + out.contributions.sum(1)
    np.testing.assert_allclose(out.prediction, total, atol=1e-5)
    num_rows, features = x.shape
    assert out.prediction.shape == (num_rows, outputs)
    assert out.experts.shape == (num_rows, features, model.num_experts, outputs)


@battery
@pytest.mark.parametrize("train", [False, True])
def test_gates_are_on_the_simplex_and_bound_contributions(
    gate, rank, outputs, seed, train
):
    model, variables, x, _ = random_case(gate, rank, outputs, seed)
    if train:
        rngs = {"dropout": jax.random.key(seed), "gumbel": jax.random.key(seed)}
        run = jax.jit(model.apply, static_argnames="train")
        out = jax.tree.map(np.asarray, run(variables, x, train=True, rngs=rngs))
    else:
        out = apply(model, variables, x)
    np.testing.assert_allclose(out.gates.sum(-1), 1.0, atol=1e-5)
    assert (out.gates >= 0).all()
    if gate in ("context", "equal"):
        assert ((out.gates > 0).sum(-1) <= model.top_k).all()
    lower, upper = contribution_range(out)
    slack = 1e-5 * (1 + np.abs(out.contributions))
    assert (out.contributions >= lower - slack).all()
    assert (out.contributions <= upper + slack).all()


@battery
def test_equal_experts_make_a_gam(gate, rank, outputs, seed):
    """With no expert variance a contribution is a function of its own feature."""
    model, variables, x, rng = random_case(gate, rank, outputs, seed)
    dense = variables["params"]["features"]["experts"]["dense"]
    for name, array in dense.items():
        dense[name] = np.broadcast_to(array[:, :1], array.shape)
    before = apply(model, variables, x).contributions
    for i, moved in other_contexts(x, rng):
        after = apply(model, variables, moved).contributions
        np.testing.assert_allclose(before[:, i], after[:, i], atol=2e-6)


@battery
def test_own_and_none_and_one_expert_are_exactly_additive(gate, rank, outputs, seed):
    model, variables, x, rng = random_case(gate, rank, outputs, seed)
    if gate in ("context", "equal"):
        model = model.clone(num_experts=1)
        variables = random_variables(model, x, rng)
        assert "gates" not in variables["params"]
    before = apply(model, variables, x).contributions
    for i, moved in other_contexts(x, rng):
        after = apply(model, variables, moved).contributions
        assert (before[:, i] == after[:, i]).all()


@pytest.mark.parametrize("gate", ["context", "equal"])
def test_context_gates_do_see_the_other_features(gate):
    model, variables, x, rng = random_case(gate, None, 1, 0)
    model = model.clone(top_k=1)
    _, moved = next(other_contexts(x, rng))
    before = apply(model, variables, x).contributions[:, 0]
    after = apply(model, variables, moved).contributions[:, 0]
    assert np.abs(before - after).max() > 1e-3


@battery
def test_predictions_do_not_depend_on_the_batch(gate, rank, outputs, seed):
    model, variables, _, rng = random_case(gate, rank, outputs, seed)
    features = variables["params"]["features"]["experts"]["dense"]["kernel"].shape[0]
    x = rng.normal(size=(2 * ROWS + 3, features)).astype(np.float32)
    whole = apply(model, variables, x)
    again = apply(model, variables, x)
    order = rng.permutation(len(x))
    permuted = apply(model, variables, x[order])
    for name in ("prediction", "contributions", "gates", "experts"):
        all_rows = getattr(whole, name)
        assert (all_rows == getattr(again, name)).all()
        assert (all_rows[order] == getattr(permuted, name)).all()
    for row in (0, ROWS - 1, ROWS, len(x) - 1):
        alone = apply(model, variables, x[row : row + 1])
        assert (alone.prediction == whole.prediction[row]).all()


@battery
def test_permuting_features_permutes_contributions(gate, rank, outputs, seed):
    model, variables, x, rng = random_case(gate, rank, outputs, seed)
    order = rng.permutation(x.shape[1])
    params = jax.tree.map(lambda a: a, variables["params"])
    params["features"] = jax.tree.map(lambda a: a[order], params["features"])
    if "gates" in params:
        router = params["gates"]["router"]
        if gate == "own":
            router["dense"] = jax.tree.map(lambda a: a[order], router["dense"])
        elif rank is None:
            router["dense"]["kernel"] = router["dense"]["kernel"][order][:, :, order]
            router["dense"]["bias"] = router["dense"]["bias"][order]
        else:
            router["summary"]["kernel"] = router["summary"]["kernel"][order]
            router["dense"]["kernel"] = router["dense"]["kernel"][:, order]
            router["dense"]["bias"] = router["dense"]["bias"][order]
    before = apply(model, variables, x)
    after = apply(model, {"params": params}, x[:, order])
    np.testing.assert_allclose(
        before.contributions[:, order], after.contributions, atol=2e-5
    )
    np.testing.assert_allclose(before.prediction, after.prediction, atol=2e-5)


@battery
def test_gradients_are_finite_and_match_finite_differences(gate, rank, outputs, seed):
    """In float64, where a difference shows more digits than in float32."""
    model, variables, x, rng = random_case(gate, rank, outputs, seed)

    @jax.jit
    @jax.value_and_grad
    def score(variables):
        return (model.apply(variables, x).prediction ** 2).mean()

    step = 1e-6
    direction = jax.tree.map(lambda a: rng.normal(size=a.shape), variables)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: a.astype(np.float64), variables)
        gradient = jax.tree.map(np.asarray, score(wide)[1])
        above = jax.tree.map(lambda a, d: a + step * d, wide, direction)
        below = jax.tree.map(lambda a, d: a - step * d, wide, direction)
        difference = float(score(above)[0] - score(below)[0]) / (2 * step)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))
    if gate == "equal":
        return  # straight through: the gradient is not that of the value
    parts = jax.tree.map(lambda g, d: (g * d).sum(), gradient, direction)
    along = sum(jax.tree.leaves(parts))
    np.testing.assert_allclose(along, difference, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("gate", first_quick(GATES))
def test_one_row_one_feature_works(gate):
    model = NAE(num_experts=4, hidden=(8,), gate=gate)
    out, _ = jax.jit(model.init_with_output)(jax.random.key(0), jnp.ones((1, 1)))
    assert out.prediction.shape == (1, 1)


def test_a_missing_value_is_not_the_value_zero():
    model = NAE(num_experts=4, hidden=(8,))
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 2)))
    zero = apply(model, variables, np.zeros((1, 2)))
    missing = apply(model, variables, np.array([[np.nan, 0.0]]))
    assert np.isfinite(missing.prediction).all()
    assert np.abs(zero.experts[:, 0] - missing.experts[:, 0]).max() > 1e-3
    assert (zero.experts[:, 1] == missing.experts[:, 1]).all()


def test_bfloat16_computes_close_to_float32_with_float32_parameters():
    x = np.random.default_rng(1).normal(size=(64, 5)).astype(np.float32)
    model = NAE(num_experts=4, hidden=(16, 16), gate="none")
    variables = jax.jit(model.init)(jax.random.key(0), x)
    half = model.clone(dtype=jnp.bfloat16)
    shapes = jax.eval_shape(half.init, jax.random.key(0), x)
    assert {a.dtype for a in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}
    full, rough = apply(model, variables, x), apply(half, variables, x)
    assert rough.prediction.dtype == np.float32
    error = np.abs(full.prediction - rough.prediction).max()
    assert 0 < error < 0.05 * np.abs(full.prediction).max()


def test_features_and_experts_start_differently():
    model = NAE(num_experts=4, hidden=(8, 8))
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 3)))
    features = jax.tree.map(np.asarray, variables["params"]["features"])
    kernel = features["encoder"]["dense_1"]["kernel"]
    assert not (kernel[0] == kernel[1]).any()
    kernel = features["experts"]["dense"]["kernel"]
    assert not (kernel[0, 0] == kernel[0, 1]).any()


def test_low_rank_gate_grows_with_features_times_rank():
    sizes = {}
    for features in (8, 16):
        for rank in (None, 4):
            model = NAE(num_experts=4, hidden=(8,), gate_rank=rank)
            shapes = jax.eval_shape(
                model.init, jax.random.key(0), jnp.zeros((1, features))
            )
            router = shapes["params"]["gates"]["router"]
            sizes[features, rank] = sum(
                leaf.size for name in router for leaf in [router[name]["kernel"]]
            )
    assert sizes[16, None] == 4 * sizes[8, None]
    assert sizes[16, 4] == 2 * sizes[8, 4]


def test_nnx_users_can_bridge(key):
    x = jnp.ones((3, 2))
    model = NAE(num_experts=4, hidden=(8,))
    bridged = nnx.bridge.ToNNX(model, rngs=nnx.Rngs(0)).lazy_init(x)
    output = jax.tree.map(np.asarray, bridged(x))
    total = output.bias[None] + output.contributions.sum(1)
    np.testing.assert_allclose(output.prediction, total, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(gate="contxt"), "did you mean 'context'"),
        (dict(num_experts=0), "num_experts is 0, expected at least 1"),
        (dict(top_k=0), "top_k is 0"),
        (dict(hidden=()), "hidden is 0"),
        (dict(gate_rank=0), "gate_rank is 0"),
        (dict(dropout=1.0), "dropout is 1.0, expected a rate in"),
        (dict(expert_dropout=-0.1), "expert_dropout is -0.1"),
        (dict(num_outputs=0), "num_outputs is 0"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        NAE(**settings)


def test_wrong_input_shape_is_refused(monkeypatch):
    # The checker of annotations, which users do not have, would be first.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=r"expected \(rows, features\)"):
        NAE().init(jax.random.key(0), jnp.zeros(3))
    with pytest.raises(ValueError, match="at least one row"):
        predict(NAE(), {}, np.zeros((0, 3)))
