"""Members of a population: settings of their own, devices, groups, divergence."""

import jax
import numpy as np
import pytest
from test_population import SEEDS, make_data
from tiers import first_quick, sampled

from naejax import NAE, fit, predict
from naejax.train import member_groups, population
from naejax.train.population import fit_population

MODEL = NAE(num_experts=3, top_k=2, hidden=(8,), num_knots=4, dropout=0.1)
OWN = {
    "learning_rate": np.array([0.02, 0.005, 0.01], np.float32),
    "weight_decay": np.array([0.0, 0.1, 1.0], np.float32),
    "penalties": {
        "expert_variance": np.array([0.0, 0.1, 10.0], np.float32),
        "output_energy": np.array([0.01, 0.0, 0.0], np.float32),
        "concurvity": 0.0,
    },
}
OPTIONS = {"epochs": 4, "batch_size": 16, "progress": False}


def start(count):
    keys = np.stack([jax.random.key_data(jax.random.key(s)) for s in range(count)])
    keys = jax.random.wrap_key_data(keys)
    return jax.jit(jax.vmap(MODEL.init, in_axes=(0, None)))(keys, make_data()[0][:1])


def members_of(settings, index):
    return jax.tree.map(lambda v: np.asarray(v)[..., index], settings)


def train(settings=OWN, seeds=SEEDS, rows=None, **options):
    rows = np.tile(np.arange(100), (len(seeds), 1)) if rows is None else rows
    checks = np.tile(np.arange(100, 120), (len(seeds), 1))
    return fit_population(
        MODEL,
        start(len(seeds)),
        make_data(),
        rows,
        validation_rows=checks,
        seeds=seeds,
        **{**OPTIONS, **settings, **options},
    )


@pytest.fixture(scope="module")
def together():
    return train()


def close(a, b, atol=1e-5):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=atol), a, b)


@pytest.mark.slow
def test_members_have_scalars_of_their_own(together):
    data, variables = make_data(), start(3)
    for m, seed in enumerate(SEEDS):
        alone = fit(
            MODEL,
            jax.tree.map(lambda a, m=m: a[m], variables),
            tuple(part[:100] for part in data),
            validation=tuple(part[100:] for part in data),
            optimizer=float(OWN["learning_rate"][m]),
            weight_decay=float(OWN["weight_decay"][m]),
            penalties={
                name: float(np.broadcast_to(value, 3)[m])
                for name, value in OWN["penalties"].items()
            },
            seed=seed,
            **OPTIONS,
        )
        member = jax.tree.map(lambda a, m=m: a[m], together.variables)
        close(member, dict(alone.variables))
        best = alone.history[alone.best_epoch - 1]["validation"]
        assert together.best_scores[m] == pytest.approx(best, rel=1e-5)
        assert together.best_epochs[m] == alone.best_epoch


@pytest.mark.parametrize("devices", first_quick([2, 3, 8], 0, 2))
def test_devices_share_the_members(together, devices):
    # Of 2 devices one has a member too few, of 8 five have none of their own.
    shared = train(devices=devices)
    close(shared.variables, together.variables)
    close(shared.best_scores, together.best_scores)
    assert shared.best_epochs.tolist() == together.best_epochs.tolist()
    for name in ("loss", "objective", "validation", "learning_rate"):
        a, b = ([row[name] for row in result.history] for result in (shared, together))
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.slow
def test_groups_under_a_budget_are_one_program(together, monkeypatch, caplog):
    monkeypatch.setattr(population, "members_at_once", lambda *_: 2)
    with jax.log_compiles():
        grouped = train(epochs=4)
    compiled = [m for m in caplog.messages if "Finished XLA compilation" in m]
    assert sum("jit(run_chunk)" in m for m in compiled) == 1
    close(grouped.variables, together.variables)
    assert len(grouped.history) == len(together.history)
    np.testing.assert_allclose(
        [row["loss"] for row in grouped.history],
        [row["loss"] for row in together.history],
        rtol=1e-5,
    )
    seconds = [row["seconds"] for row in grouped.history]
    assert (np.diff(seconds) > 0).all()


@pytest.mark.parametrize("devices", first_quick([2, None], 0, 1))
def test_a_budget_makes_groups_and_is_kept(monkeypatch, devices):
    plans, real = [], population.plan_groups
    monkeypatch.setattr(
        population, "plan_groups", lambda *a: plans.append(real(*a)) or plans[-1]
    )
    needs, lowered = [], member_groups.temporary_bytes
    monkeypatch.setattr(
        member_groups,
        "temporary_bytes",
        lambda a: needs.append(lowered(a)) or needs[-1],
    )
    options = {"seeds": range(8), "settings": {}, "epochs": 1, "devices": devices}
    whole = train(**options)
    (groups,) = plans
    assert [len(group.own) for group in groups] == [8]
    budget = sum(needs) // 2
    tight = train(**options, memory_budget=budget)
    sizes = [len(group.own) for group in plans[-1]]
    assert sum(sizes) == 8 and len(sizes) > 1
    close(tight.variables, whole.variables)
    with pytest.raises(ValueError, match="memory_budget is 5000 bytes, but one member"):
        train(**options, memory_budget=5000)


@pytest.mark.parametrize("budget", first_quick([None, 10**10], 0, 1))
def test_a_processor_trains_few_at_once(together, monkeypatch, budget):
    plans, real = [], population.plan_groups
    monkeypatch.setattr(
        population, "plan_groups", lambda *a: plans.append(real(*a)) or plans[-1]
    )
    monkeypatch.setattr(member_groups, "_CPU_MEMBERS", 2)
    if budget is None:
        monkeypatch.setattr(member_groups, "available_memory", lambda: None)
    grouped = train(memory_budget=budget)
    assert [len(group.own) for group in plans[0]] == [2, 1]
    close(grouped.variables, together.variables)


@pytest.mark.slow
def test_the_best_epoch_is_the_one_with_the_least_loss_and_ctrl_c_keeps_it(monkeypatch):
    options = {"settings": {"learning_rate": 0.3}, "seeds": (1,), "epochs": 9}
    result = train(**options)
    losses = [row["validation"] for row in result.history]
    assert np.diff(losses).max() > 0 > np.diff(losses).min(), "make it go up and down"
    assert result.best_epochs == np.argmin(losses) + 1
    assert result.best_scores == pytest.approx(min(losses))
    epochs, show = [], population._show

    def interrupt(bar, standing):
        epochs.append(show(bar, standing))
        if len(epochs) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(population, "_show", interrupt)
    stopped = train(**options)
    assert stopped.stopped == "interrupted" and len(stopped.history) == 4
    assert stopped.best_scores == pytest.approx(min(losses[:4]))
    assert stopped.best_epochs == np.argmin(losses[:4]) + 1


@pytest.mark.parametrize("count", [1, 5, 16, 17])
@pytest.mark.parametrize("devices", [1, 3, 8])
@pytest.mark.parametrize("most", [1, 2, 100])
def test_groups_cover_all_members_once(count, devices, most):
    groups = member_groups.plan_groups(count, devices, most)
    own = np.concatenate([group.own for group in groups])
    assert own.tolist() == list(range(count))
    (size,) = {len(group.members) for group in groups}
    assert size % devices == 0 and size <= devices * most
    least = -(-count // (devices * most))
    assert len(groups) == least


@pytest.mark.slow
def test_a_member_that_diverges_leaves_the_others_alone(together):
    rates = np.array([0.02, 1e30, 0.01], np.float32)
    result = train({**OWN, "learning_rate": rates}, skip_diverged=True)
    assert result.diverged.tolist() == [False, True, False]
    assert np.isnan(result.best_scores[1]) and result.best_epochs[1] == 0
    for m in (0, 2):
        close(
            *(
                jax.tree.map(lambda a, m=m: a[m], r.variables)
                for r in (result, together)
            )
        )
    assert all(np.isfinite(row["loss"]) for row in result.history)
    everyone = train({"learning_rate": 1e30}, skip_diverged=True, epochs=2)
    assert everyone.diverged.all() and len(everyone.history) <= 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"settings": {"learning_rate": [1.0, 2.0]}},
            r"learning_rate has shape \(2,\)",
        ),
        (
            {"settings": {"weight_decay": np.nan}},
            "weight_decay is nan, expected finite",
        ),
        ({"settings": {"penalties": {"variance": 1.0}}}, "did you mean 'expert_varian"),
        ({"seeds": (1, -1, 2)}, r"seeds are \[1, -1, 2\], expected some from 0"),
        ({"devices": 99}, "devices is 99, expected 1 to 8"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as error:
        train(**options)
    assert "\n" not in str(error.value)


CASES = [(np.float64, 2, 1e-5), (np.float32, 8, 1e-2)]


@pytest.fixture
def precision():
    """Sets float32 or float64, for threads too."""
    yield lambda dtype: jax.config.update("jax_enable_x64", dtype is np.float64)
    jax.config.update("jax_enable_x64", False)


# With few of the experts active rounding can swap two that are as good, and Adam takes
# full steps along gradients that are nothing but rounding: on some processors single
# parameters differ by 5e-3 in float32.
@pytest.mark.parametrize(
    ("step", "dtype", "top_k", "tolerance"),
    sampled(
        [(n, *case) for n in (9, 1) for case in CASES],
        [(9, *case) for case in CASES],
        tier="optimised",
    ),
)
def test_64_members_are_64_trainings_in_one_compilation(
    precision, caplog, step, dtype, top_k, tolerance
):
    """8 penalties x 8 seeds on 2,000 rows x 8 features; some hold every one of both."""
    precision(dtype)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 8)).astype(dtype)
    y = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) + rng.normal(0, 0.3, 2000)
    strengths = np.array([0, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000], dtype)
    seeds = np.tile(np.arange(8), 8)
    model = NAE(num_experts=8, top_k=top_k, hidden=(16, 16), dropout=0.1)
    init = jax.jit(model.init)
    own = [init(jax.random.key(seed), x[:1]) for seed in range(8)]
    own = jax.tree.map(lambda a: a.astype(dtype), own)
    stacked = jax.tree.map(lambda *a: np.stack([a[s] for s in seeds]), *own)
    options = {"epochs": 3, "batch_size": 64, "patience": 3, "progress": False}
    with jax.log_compiles():
        together = fit_population(
            model,
            stacked,
            (x, y),
            np.broadcast_to(np.arange(1600), (64, 1600)),
            validation_rows=np.broadcast_to(np.arange(1600, 2000), (64, 400)),
            penalties={"expert_variance": np.repeat(strengths, 8)},
            learning_rate=3e-3,
            seeds=seeds.tolist(),
            **options,
        )
    compiled = [m for m in caplog.messages if "Finished XLA compilation" in m]
    assert sum("jit(run_chunk)" in m for m in compiled) == 1
    for m in range(0, 64, step):
        strength, seed = np.repeat(strengths, 8).tolist()[m], int(seeds[m])
        alone = fit(
            model,
            own[seed],
            (x[:1600], y[:1600]),
            validation=(x[1600:], y[1600:]),
            optimizer=3e-3,
            seed=seed,
            penalties={"expert_variance": strength},
            **options,
        )
        member = jax.tree.map(lambda a, m=m: a[m], together.variables)
        jax.tree.map(
            lambda a, b: np.testing.assert_array_less(
                np.linalg.norm(a - b), tolerance * (np.linalg.norm(b) + 1)
            ),
            member,
            dict(alone.variables),
        )
        scores = (predict(model, v, x[1600:]).prediction for v in (member, alone[0]))
        np.testing.assert_allclose(*scores, atol=tolerance)
        assert together.best_epochs[m] == alone.best_epoch
        best = alone.history[alone.best_epoch - 1]["validation"]
        assert together.best_scores[m] == pytest.approx(best, rel=tolerance)
