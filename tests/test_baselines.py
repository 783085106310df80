"""Related methods: their equations, and the trainer that all share."""

import importlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from naejax import NAE

pytestmark = pytest.mark.slow

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


@pytest.fixture
def baseline(monkeypatch):
    """Imports a file of the folder of baselines."""
    monkeypatch.syspath_prepend(EXPERIMENTS)
    return lambda name: importlib.import_module(f"baselines.{name}")


X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
Y = X[:, 0] * np.where(X[:, 1] > 0, 1, -1).astype(np.float32)


def test_training_is_least_squares_where_that_is_known(baseline):
    training = baseline("training")

    def init(key, x):
        return {"w": jax.random.normal(key, (x.shape[1],))}

    def predict(params, x):
        return x @ params["w"]

    def loss(params, x, y, key):
        return training.squared(predict(params, x), y)

    truth = np.array([1.0, -2.0, 0.5, 0.0], np.float32)
    data = X, X @ truth
    method = training.Method(init, (loss,), predict)
    params, errors = training.train(method, data, data, (1e-4, 0.1), 3, 60, 16)
    assert params["w"].shape == (2, 3, 4) and errors.shape == (2, 3)
    assert np.allclose(params["w"][1], truth, atol=1e-3)
    # The error is that of the parameters which are returned, and the lowest.
    again = jax.vmap(jax.vmap(lambda p: training.squared(predict(p, X), data[1])))
    assert np.allclose(again(params), errors, atol=1e-6)
    assert (errors[0] > errors[1]).all()


def test_the_best_epoch_is_kept(baseline):
    """Parameters that only get worse stay what they were after the first step."""
    training = baseline("training")

    def away(params, x, y, key):
        return -params["w"]

    method = training.Method(
        lambda key, x: {"w": jnp.zeros(())}, (away,), lambda p, x: p["w"] * x[:, 0]
    )
    check = np.ones((4, 1), np.float32), np.zeros(4, np.float32)
    params, errors = training.train(method, (X, Y), check, (0.1,), 2, 5, 64)
    assert np.allclose(params["w"], 0.1, atol=1e-6)
    assert np.allclose(errors, 0.01, atol=1e-6)


def test_a_later_loss_does_not_lose_what_was_best_before(baseline):
    """The first loss leads to the truth, w = 0, and the second away from it."""
    training = baseline("training")

    def towards(params, x, y, key):
        return jnp.square(params["w"])

    def away(params, x, y, key):
        return -params["w"]

    method = training.Method(
        lambda key, x: {"w": jnp.ones(())},
        (towards, away),
        lambda p, x: p["w"] * x[:, 0],
    )
    check = np.ones((4, 1), np.float32), np.zeros(4, np.float32)
    params, errors = training.train(method, (X, Y), check, (0.1,), 1, 40, 16)
    assert np.allclose(params["w"], 0, atol=0.05)
    assert np.allclose(errors, params["w"] ** 2, atol=1e-6)


def test_mixture_likelihood_by_hand(baseline):
    ime = baseline("ime")
    forecasts, y = np.array([[0.0, 2.0]]), np.array([1.0])
    logits = np.log([[0.25, 0.75]])
    expected = -np.log(0.5 * 0.25 * np.exp(-0.5) + 0.5 * 0.75 * np.exp(-0.5))
    assert ime.likelihood(forecasts, logits, y) == pytest.approx(expected, rel=1e-6)


def test_utilisation_is_least_where_all_experts_work(baseline):
    utilisation = baseline("ime").utilisation
    even, one = np.full((5, 4), 0.25), np.eye(4)[[0] * 5]
    by_hand = (3 * (1 - np.exp(-10)) + 0) / 4
    assert utilisation(one) == pytest.approx(by_hand, rel=1e-5)
    assert utilisation(even) == pytest.approx(np.exp(-2.5) - np.exp(-10), rel=1e-5)


def test_diversity_by_hand(baseline):
    diversity = baseline("ime").diversity
    same = np.ones((8, 3))
    # All cosines are 1: log(exp(5) / (2 exp(5))) for each of three experts.
    assert diversity(same, same) == pytest.approx(3 * np.log(2), rel=1e-5)
    apart = np.eye(8)[:, :3]
    assert diversity(apart, apart) == 0
    assert diversity(apart, np.roll(apart, 3, axis=0)) == pytest.approx(
        3 * np.log(2), rel=1e-5
    )


def test_one_linear_expert_predicts_a_row_of_ime(baseline):
    method = baseline("ime").ime(num_experts=3, hidden=(8,))
    params = jax.jit(method.init)(jax.random.key(0), X[:1])
    experts = params["params"]["experts"]
    each = X @ np.asarray(experts["kernel"]) + np.asarray(experts["bias"])
    gate = {"params": {"gate": {**params["params"]["gate"]}, "experts": experts}}
    # The gate's last layer says: expert 1, whatever the row.
    bias = np.array([0.0, 9.0, 0.0, 0.0], np.float32)
    last = params["params"]["gate"]["Dense_1"]
    gate["params"]["gate"]["Dense_1"] = {"kernel": 0 * last["kernel"], "bias": bias}
    assert np.allclose(method.predict(gate, X), each[:, 1], atol=1e-5)
    assert method.note(gate, X) == pytest.approx(1)
    found = np.asarray(method.predict(params, X))
    assert (np.abs(found[:, None] - each).min(axis=1) < 1e-5).all()
    assert 1 <= method.note(params, X) <= 3
    # Once the experts are fixed, only the gate moves.
    gradient = jax.jit(jax.grad(method.losses[1]))(params, X, Y, jax.random.key(1))[
        "params"
    ]
    assert all((g == 0).all() for g in jax.tree.leaves(gradient["experts"]))
    assert any((g != 0).any() for g in jax.tree.leaves(gradient["gate"]))


def with_mask(params, mask):
    """Parameters whose gate always says the same."""
    gate = jax.tree.map(jnp.zeros_like, params["params"]["MLP_0"])
    *_, last = sorted(gate)
    gate[last]["bias"] = jnp.where(jnp.array(mask), 9.0, -9.0)
    return {"params": {**params["params"], "MLP_0": gate}}


def test_feature_gating_is_the_mean_of_the_columns_it_uses(baseline):
    method = baseline("feature_gating").feature_gating((8,))
    params = jax.jit(method.init)(jax.random.key(0), X)
    none, first, third, both = (
        method.predict(with_mask(params, mask), X)
        for mask in ([0] * 4, [1, 0, 0, 0], [0, 0, 1, 0], [1, 0, 1, 0])
    )
    assert np.ptp(none) == 0 and np.ptp(first) > 0.01
    assert np.allclose(both, (first + third) / 2, atol=1e-6)
    assert method.note(with_mask(params, [1, 0, 1, 0]), X) == 0.5


def test_its_noise_is_for_training_alone(baseline):
    model = baseline("feature_gating").FeatureGating((8,))
    params = jax.jit(model.init)(jax.random.key(0), X)
    prediction, mask = model.apply(params, X)
    assert set(np.unique(mask)) == {0.0, 1.0}
    assert np.array_equal(prediction, model.apply(params, X)[0])
    noisy, other = model.apply(params, X, jax.random.key(1))
    assert not np.array_equal(mask, other) and not np.array_equal(noisy, prediction)


def test_its_mask_learns_though_it_is_cut(baseline):
    method = baseline("feature_gating").feature_gating((8,))
    params = jax.jit(method.init)(jax.random.key(0), X)
    gradient = jax.jit(jax.grad(method.losses[0]))(params, X, Y, jax.random.key(1))[
        "params"
    ]
    assert np.abs(gradient["MLP_0"]["Dense_0"]["kernel"]).max() > 0


def test_networks_of_groups_see_their_columns_only(baseline):
    routing = baseline("group_routing")
    masks = ((1.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    model = routing.GroupRouting(masks, 2, (8,))
    params = jax.jit(model.init)(jax.random.key(0), X)
    _, weights = model.apply(params, X)
    assert ((np.asarray(weights) > 0).sum(axis=1) == 2).all()
    assert (weights.sum(axis=1) <= 1 + 1e-6).all()
    # A router that sees nothing and takes groups 0 and 1: what others see is no matter.
    router = jax.tree.map(jnp.zeros_like, params["params"]["MLP_0"])
    router["Dense_1"]["bias"] = jnp.array([2.0, 1.0, 0.0])
    blind = {"params": {**params["params"], "MLP_0": router}}
    before = model.apply(blind, X)[0]
    for column, is_seen in enumerate([True, True, True, False]):
        after = model.apply(blind, X + np.eye(4, dtype=np.float32)[[column]])[0]
        assert (np.abs(after - before).max() > 1e-4) == is_seen


def test_what_one_reads_off_nae_is_the_width_of_its_ranges(baseline):
    method = baseline("nam").nae(0.0, num_experts=2, hidden=(8,))
    params = jax.jit(method.init)(jax.random.key(0), X)
    experts = jax.jit(NAE(num_experts=2, hidden=(8,)).apply)(params, X).experts
    by_hand = np.abs(experts[:, :, 0] - experts[:, :, 1]).mean()
    assert method.note(params, X) == pytest.approx(by_hand, rel=1e-5)


def test_nam_is_additive_and_nae_is_not(baseline):
    nam = baseline("nam")
    for method, is_additive in ((nam.nam(hidden=(8,)), True), (nam.nae(0.0), False)):
        params = jax.jit(method.init)(jax.random.key(0), X)
        a, b = X[:32], X[32:]
        mixed = np.concatenate([a[:, :2], b[:, 2:]], axis=1)
        crossed = np.concatenate([b[:, :2], a[:, 2:]], axis=1)
        ours, theirs = (
            method.predict(params, one) + method.predict(params, two)
            for one, two in ((a, b), (mixed, crossed))
        )
        assert np.allclose(ours, theirs, atol=1e-5) == is_additive


@pytest.mark.parametrize("name", ["expert_variance", "concurvity"])
def test_penalties_are_part_of_the_loss(baseline, name):
    nam = baseline("nam")
    with_it, without = (
        (nam.nae(1.0), nam.nae(0.0))
        if name == "expert_variance"
        else (nam.nam(1.0), nam.nam(0.0))
    )
    params, key = without.init(jax.random.key(0), X), jax.random.key(1)
    more = with_it.losses[0](params, X, Y, key) - without.losses[0](params, X, Y, key)
    assert more > 1e-4
