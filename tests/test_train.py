"""The training step against hand-made updates, and the loop's promises."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiers import first_quick

from naejax import NAE, TrainingDivergedError, fit, losses, penalties
from naejax.train import programs
from naejax.train.batch import Batch, make_batch
from naejax.train.evaluate import Evaluate, make_evaluate
from naejax.train.step import init_state, make_train_step

MODEL = NAE(num_experts=3, hidden=(8, 8))
STRENGTHS = {"expert_variance": 0.1, "output_energy": 0.01, "utilisation": 0.01}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(96, 2)).astype(np.float32)
    return x, np.sin(2 * x[:, 0]).astype(np.float32) + x[:, 1]


@pytest.fixture(scope="module")
def variables(data):
    return jax.jit(MODEL.init)(jax.random.key(0), data[0])


@pytest.fixture(autouse=True)
def no_programs_of_other_tests():
    programs.kept_programs.cache_clear()


quick = partial(fit, MODEL, progress=False, batch_size=32, epochs=3)


def count_compilations(caplog, name):
    return sum(f"Finished XLA compilation of jit({name})" in m for m in caplog.messages)


def all_equal(a, b):
    return all(
        (x == y).all()
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def test_step_follows_the_gradient_of_the_written_objective(data, variables):
    x, y = map(jnp.asarray, data)
    weight = jnp.linspace(0.0, 2.0, len(x))

    def objective(params):
        output = MODEL.apply({"params": params}, x)
        task = (weight * (output.prediction[:, 0] - y) ** 2).sum() / weight.sum()
        extra = penalties.total(output, STRENGTHS, weight)
        return task + extra

    optimizer = optax.sgd(0.1)
    step = jax.jit(make_train_step(MODEL, losses.squared, optimizer, STRENGTHS))
    state = init_state(variables, optimizer, seed=0)
    after, metrics = step(state, Batch(x, y, weight))
    expected = jax.tree.map(
        lambda p, g: p - 0.1 * g,
        variables["params"],
        jax.jit(jax.grad(objective))(variables["params"]),
    )
    for ours, theirs in zip(
        *map(jax.tree.leaves, (after.params, expected)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)
    value = float(metrics.objective / metrics.weight)
    np.testing.assert_allclose(value, objective(variables["params"]), rtol=1e-5)
    assert int(after.step) == 1


def test_rows_of_weight_zero_change_nothing(data, variables):
    x, y = map(jnp.asarray, data)
    optimizer = optax.adam(0.1)
    step = jax.jit(make_train_step(MODEL, losses.squared, optimizer, STRENGTHS))
    state = init_state(variables, optimizer, seed=0)
    weight = jnp.ones(96).at[64:].set(0.0)
    known = x[:, 1:].at[64:].set(-1e6)
    padded, sums = step(state, Batch(x, y.at[64:].set(1e6), weight, known))
    short, _ = step(state, Batch(x[:64], y[:64], jnp.ones(64), x[:64, 1:]))
    for ours, theirs in zip(
        *map(jax.tree.leaves, (padded.params, short.params)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert float(sums.weight) == 64
    empty, _ = step(state, Batch(x, y, jnp.zeros(96)))
    assert all(jnp.isfinite(p).all() for p in jax.tree.leaves(empty.params))


@pytest.mark.parametrize("devices", [4])
def test_devices_together_make_the_step_of_one(data, variables, devices):
    x, y = map(jnp.asarray, data)
    weight = jnp.ones(96).at[70:].set(0.0)  # the last device has few rows
    batch = Batch(x, y, weight)
    optimizer = optax.sgd(0.1)
    strengths = {**STRENGTHS, "concurvity": 0.1}
    step = make_train_step(MODEL, losses.squared, optimizer, strengths)
    state = init_state(variables, optimizer, seed=0)
    single, sums = jax.jit(step)(state, batch)
    split = jax.tree.map(lambda a: a.reshape(devices, -1, *a.shape[1:]), batch)
    pstep = jax.pmap(
        partial(step, axis_name="data"),
        axis_name="data",
        in_axes=(None, 0),
        out_axes=(None, None),
        devices=jax.devices()[:devices],
    )
    together, psums = pstep(state, split)
    for a, b in zip(
        *map(jax.tree.leaves, (single.params, together.params)), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-6)
    np.testing.assert_allclose(psums, sums, rtol=1e-5)


def test_an_offset_leaves_the_rest_to_the_model(data, variables):
    """With the squared loss, an offset is the same as a smaller target."""
    x, y = data
    known = np.cos(3 * x[:, 1]).astype(np.float32)
    rows = x, y, np.linspace(0.5, 1.5, 96), known
    offset = quick(variables, rows, validation=rows, optimizer=1e-2)
    rest = x, y - known, rows[2]
    plain = quick(variables, rest, validation=rest, optimizer=1e-2)
    for a, b in zip(
        *map(jax.tree.leaves, (offset.variables, plain.variables)), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-4)
    for name in ("loss", "objective", "validation"):
        assert offset.history[-1][name] == pytest.approx(
            plain.history[-1][name], rel=1e-4
        )


def test_gradient_under_an_offset_by_finite_differences(data, variables):
    x, y = map(jnp.asarray, data)
    label, known = (y > 0).astype(jnp.int32), 3 * x[:, :1]
    optimizer = optax.sgd(1.0)
    step = jax.jit(make_train_step(MODEL, losses.logistic, optimizer, {}))
    # At the start all gates are equal, and which experts are active jumps.
    rng = np.random.default_rng(0)
    start = jax.tree.map(lambda p: p + 0.3 * rng.normal(size=p.shape), variables)
    state = init_state(jax.tree.map(jnp.float32, start), optimizer, seed=0)
    after, _ = step(state, Batch(x, label, jnp.ones(96), known))
    gradient = jax.tree.map(jnp.subtract, state.params, after.params)

    @jax.jit
    def objective(t):
        params = jax.tree.map(lambda p, g: p + t * g, state.params, gradient)
        score = MODEL.apply({"params": params}, x).prediction + known
        return losses.logistic(score, label).mean()

    slope = (objective(0.002) - objective(-0.002)) / 0.004
    squares = sum((g**2).sum() for g in jax.tree.leaves(gradient))
    assert float(slope) == pytest.approx(float(squares), rel=1e-2)


def test_dropout_differs_between_steps_and_is_off_without_a_rate(data, variables):
    batch = make_batch(*data)
    model, optimizer = MODEL.clone(dropout=0.5), optax.sgd(0.0)
    step = jax.jit(make_train_step(model, losses.squared, optimizer, {}))
    state = init_state(variables, optimizer, seed=0)
    state, first = step(state, batch)
    _, second = step(state, batch)
    assert float(first.loss) != float(second.loss)


def test_same_seed_is_bitwise_the_same_and_another_is_not(data, variables):
    first = quick(variables, data, seed=3)
    again = quick(variables, data, seed=3)
    other = quick(variables, data, seed=4)
    assert all_equal(first.variables, again.variables)
    assert not all_equal(first.variables, other.variables)


def test_fit_leaves_the_callers_variables_alone(data, variables):
    before = jax.tree.map(np.array, variables)
    quick(variables, data)
    assert all_equal(before, variables)


def test_training_lowers_the_loss_and_tells_its_history(data, variables):
    result = quick(variables, data, epochs=40, optimizer=1e-2, validation=data)
    assert result.history[-1]["loss"] < 0.2 * result.history[0]["loss"]
    assert [row["epoch"] for row in result.history] == list(range(1, 41))
    rates = [row["learning_rate"] for row in result.history]
    assert max(rates) == pytest.approx(1e-2, rel=0.05) and rates[-1] == pytest.approx(0)
    assert result.stopped == "finished"


def test_best_epoch_is_the_one_with_the_lowest_validation_loss(data, variables):
    x, y = data
    # Validation rows with the opposite target: training only makes them worse.
    result = quick(
        variables, data, epochs=30, optimizer=1e-2, validation=(x, -y), patience=4
    )
    scores = [row["validation"] for row in result.history]
    assert result.best_epoch == 1 + int(np.argmin(scores))
    assert result.stopped == "early" and len(scores) == result.best_epoch + 4
    check = make_evaluate(MODEL, losses.squared)
    score = check(result.variables, make_batch(x, -y))
    assert float(score) == pytest.approx(min(scores), rel=1e-6)


def test_nan_names_step_and_rate_and_keeps_the_last_good_parameters(data, variables):
    def explodes_late(score, target):
        error = jnp.square(score[:, 0] - target)
        return jnp.where(error.mean() < 0.3, jnp.nan, error)

    with pytest.raises(
        TrainingDivergedError, match=r"nan at step \d+ \(learning rate 0\.0\d+\)"
    ) as caught:
        quick(
            variables,
            data,
            loss=explodes_late,
            epochs=200,
            optimizer=2e-2,
            validation=data,
        )
    result = caught.value.result
    assert result.history and result.best_epoch == len(result.history)
    assert all(jnp.isfinite(p).all() for p in jax.tree.leaves(result.variables))
    assert not all_equal(result.variables, variables)


def test_infinite_step_is_named_exactly(data, variables):
    x, y = data
    weight = np.ones(96, np.float32)

    def never(score, target):
        return jnp.full(len(score), jnp.inf)

    with pytest.raises(TrainingDivergedError, match=r"inf at step 1 .*optimiser's own"):
        quick(variables, (x, y, weight), loss=never, optimizer=optax.sgd(0.1))


def test_a_last_update_that_explodes_is_noticed(data, variables):
    """The loss of the last step is finite; only the parameters tell."""
    explode = optax.stateless(
        lambda updates, params: jax.tree.map(
            lambda u: jnp.full_like(u, jnp.nan), updates
        )
    )
    with pytest.raises(
        TrainingDivergedError, match="not finite after the update at step"
    ):
        quick(variables, data, optimizer=explode, batch_size=96, epochs=1)


def test_ctrl_c_keeps_the_best_so_far(data, variables, monkeypatch):
    calls = []

    class Interrupted(Evaluate):
        def __call__(self, variables, batch):
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return super().__call__(variables, batch)

    monkeypatch.setattr(programs, "make_evaluate", lambda *a: Interrupted(*a[:2]))
    result = quick(variables, data, epochs=50, validation=data)
    assert result.stopped == "interrupted"
    assert len(result.history) == 2 and result.best_epoch in (1, 2)
    assert all(jnp.isfinite(p).all() for p in jax.tree.leaves(result.variables))


def test_own_optimizer_and_own_loss(data, variables):
    def cubic(score, target):
        return jnp.abs(score[:, 0] - target) ** 3

    chain = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1e-2))
    result = quick(variables, data, loss=cubic, optimizer=chain, epochs=10)
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert result.history[0]["learning_rate"] is None


@pytest.mark.parametrize("on_host", [False, True])
def test_validation_loss_is_the_weighted_mean_over_padded_chunks(variables, on_host):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1500, 2)).astype(np.float32)
    y, weight, known = rng.normal(size=1500), rng.uniform(size=1500), x[:, 0] ** 2
    batch = make_batch(x, y, weight, known, on_host=on_host)
    score = MODEL.apply(variables, x).prediction[:, 0] + known
    expected = np.average((np.asarray(score) - y) ** 2, weights=weight)
    evaluate = make_evaluate(MODEL, losses.squared)
    got = evaluate(variables, batch)
    assert float(got) == pytest.approx(expected, rel=1e-5)


def test_fewer_rows_than_a_batch_still_train(variables):
    x = np.ones((3, 2), np.float32)
    result = fit(MODEL, variables, (x, np.ones(3)), epochs=2, progress=False)
    assert len(result.history) == 2


@pytest.mark.parametrize(
    ("gate", "outputs"),
    first_quick([(g, n) for n in (3, 1) for g in ("own", "equal", "none")], 1, 2),
)
def test_every_gate_and_output_count_learns(data, gate, outputs):
    x, y = data
    model = MODEL.clone(
        gate=gate, num_outputs=outputs, dropout=0.05, expert_dropout=0.1
    )
    target = np.stack([y * (j + 1) for j in range(outputs)], axis=1)
    start = jax.jit(model.init)(jax.random.key(0), x)
    result = fit(
        model,
        start,
        (x, target),
        batch_size=32,
        epochs=30,
        optimizer=1e-2,
        penalties={"expert_variance": 0.01, "concurvity": 0.01},
        progress=False,
    )
    assert result.history[-1]["loss"] < 0.6 * result.history[0]["loss"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(epochs=0), "epochs is 0"),
        (dict(batch_size=0), "batch_size 0"),
        (dict(patience=3), "patience needs validation"),
        (dict(patience=0), "patience is 0, expected at least 1"),
        (dict(loss="squird"), "did you mean 'squared'"),
        (dict(penalties={"variance": 1.0}), "expert_variance"),
        (dict(device_budget=0), "device_budget is 0 bytes"),
        (dict(device_budget=600), "pass at least"),
    ],
)
def test_wrong_arguments_are_refused(data, variables, arguments, message):
    with pytest.raises(ValueError, match=message):
        quick(variables, data, **arguments)
