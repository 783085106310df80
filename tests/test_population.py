"""Several models trained side by side, and their mean as one model."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import first_quick

from naejax import NAE, TrainingDivergedError, contribution_range, fit, predict
from naejax.data import infer_schema
from naejax.models.ensemble import NAEEnsemble
from naejax.settings import Settings
from naejax.tabular import explain_rows, fit_table, score_rows
from naejax.train import members as programs
from naejax.train import population
from naejax.train.population import fit_population

pytestmark = pytest.mark.slow

MODEL = NAE(num_experts=4, top_k=2, hidden=(8, 8), num_knots=4, dropout=0.1)
SEEDS = (3, 1_000_003, 5)
OPTIONS = {
    "epochs": 8,
    "batch_size": 16,
    "penalties": {"expert_variance": 0.1},
    "patience": 1,
    "progress": False,
}


def make_data(rows=120):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3)).astype(np.float32)
    y = x[:, 0] * x[:, 1] + rng.normal(0, 0.3, rows)
    return x, y, rng.uniform(0.5, 2, rows), rng.normal(size=rows)


@pytest.fixture(scope="module")
def trained():
    """Three members on rows of their own, and the same three trained alone."""
    data = make_data()
    orders = [np.random.default_rng(s).permutation(120) for s in SEEDS]
    rows = np.stack([order[:96] for order in orders])
    checks = np.stack([order[96:] for order in orders])
    keys = jnp.stack([jax.random.key(seed) for seed in SEEDS])
    variables = jax.vmap(MODEL.init, in_axes=(0, None))(keys, data[0][:1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(population, "_LEAST_CHECK_ROWS", 10)
        patch.setattr(population, "_CHECK_ROWS", 10)  # 24 rows: the last are padded
        together = fit_population(
            MODEL,
            variables,
            data,
            rows,
            validation_rows=checks,
            learning_rate=0.01,
            seeds=SEEDS,
            **OPTIONS,
        )
    alone = [
        fit(
            MODEL,
            jax.tree.map(lambda a, m=m: a[m], variables),
            tuple(part[rows[m]] for part in data),
            validation=tuple(part[checks[m]] for part in data),
            optimizer=0.01,
            seed=seed,
            **OPTIONS,
        )
        for m, seed in enumerate(SEEDS)
    ]
    return together, alone


def test_a_member_is_what_training_it_alone_gives(trained):
    together, alone = trained
    assert together.best_epochs.tolist() == [result.best_epoch for result in alone]
    for m, result in enumerate(alone):
        member = jax.tree.map(lambda a, m=m: a[m], together.variables)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-4),
            member,
            dict(result.variables),
        )


def test_history_is_the_mean_of_the_members(trained):
    together, alone = trained
    for name in ("loss", "objective", "validation"):
        first = np.mean([result.history[0][name] for result in alone])
        np.testing.assert_allclose(together.history[0][name], first, rtol=1e-4)
    assert together.stopped in ("early", "finished")
    lengths = [len(result.history) for result in alone]
    assert len(together.history) == max(lengths) > min(lengths)


def test_one_trace_for_all_members_and_epochs(monkeypatch):
    traces = []
    real = programs.make_train_step

    def counted(*args):
        step = real(*args)
        return lambda *a: (traces.append(1), step(*a))[1]

    monkeypatch.setattr(programs, "make_train_step", counted)
    data = make_data()
    keys = jax.random.split(jax.random.key(0), 4)
    variables = jax.vmap(MODEL.init, in_axes=(0, None))(keys, data[0][:1])
    rows = np.tile(np.arange(120), (4, 1))
    options = OPTIONS | {"patience": None, "epochs": 3}
    fit_population(MODEL, variables, data, rows, seeds=range(4), **options)
    assert len(traces) == 1


def test_divergence_is_loud():
    x, y, *_ = make_data()
    keys = jax.random.split(jax.random.key(0), 2)
    variables = jax.vmap(MODEL.init, in_axes=(0, None))(keys, x[:1])
    rows = np.tile(np.arange(120), (2, 1))
    options = OPTIONS | {"patience": None}
    with pytest.raises(TrainingDivergedError, match="2 of 2 members is not finite"):
        fit_population(
            MODEL, variables, (x, y), rows, learning_rate=1e30, seeds=(0, 1), **options
        )
    with pytest.raises(ValueError, match=r"rows has shape \(1, 120\), expected \(2, n"):
        fit_population(MODEL, variables, (x, y), rows[:1], seeds=(0, 1), **options)


@pytest.mark.parametrize("gate", first_quick(["context", "equal", "own", "none"]))
def test_an_ensemble_is_the_mean_and_keeps_the_invariants(gate):
    member = NAE(num_outputs=2, num_experts=3, top_k=2, hidden=(5,), gate=gate)
    model, x = NAEEnsemble(member, size=4), make_data()[0]
    variables = jax.jit(model.init)(jax.random.key(0), x)
    output = predict(model, variables, x)
    apply = jax.jit(member.apply)
    alone = [
        apply({"params": jax.tree.map(lambda a, m=m: a[m], own)}, x)
        for m in range(4)
        for own in [variables["params"]["member"]]
    ]
    for name in ("prediction", "bias", "contributions"):
        mean = np.mean([getattr(part, name) for part in alone], axis=0)
        np.testing.assert_allclose(getattr(output, name), mean, atol=1e-5)
    np.testing.assert_allclose(output.gates.sum(axis=2), 1, atol=1e-5)
    parts = (output.gates[..., None] * output.experts).sum(axis=2)
    np.testing.assert_allclose(output.contributions, parts, atol=1e-5)
    ranges = np.mean([contribution_range(part) for part in alone], axis=0)
    for members, (lower, upper) in [
        (1, contribution_range(output)),
        (4, contribution_range(output, members=4)),
    ]:
        assert (lower <= output.contributions + 1e-5).all()
        assert (output.contributions <= upper + 1e-5).all()
        if members == 4:
            np.testing.assert_allclose((lower, upper), ranges, atol=1e-5)
    np.testing.assert_allclose(output.experts[:, :, 3:6], alone[1].experts, atol=1e-5)


@pytest.mark.parametrize("bootstrap", [False, True])
def test_a_table_trains_members_on_rows_of_their_own(bootstrap):
    x, y, *_ = make_data()
    columns = {"a": x[:, 0], "b": x[:, 1], "y": y}
    columns = {name: column.astype(np.float64) for name, column in columns.items()}
    settings = Settings(
        members=3, bootstrap=bootstrap, epochs=2, num_experts=4, hidden=(8,)
    )
    schema = infer_schema(columns, "y")
    fitted, result = fit_table(columns, None, schema, settings, progress=False)
    again, _ = fit_table(columns, None, schema, settings, progress=False)
    output = explain_rows(fitted, columns)
    assert output.experts.shape == (120, 2, 12, 1)
    np.testing.assert_array_equal(output.prediction, score_rows(again, columns))
    members = output.experts.reshape(120, 2, 3, 4)
    assert np.ptp(members, axis=2).max() > 0.01, "members must differ"
    total = output.bias + output.contributions.sum(axis=1)
    np.testing.assert_allclose(output.prediction, total, atol=1e-5)
    assert 1 <= result.best_epoch <= 2


def test_no_members_and_budgets_of_ensembles_are_refused():
    columns = {"x": np.arange(60.0), "y": np.arange(60.0)}
    fit_quickly = partial(
        fit_table, columns, None, infer_schema(columns, "y"), progress=False
    )
    with pytest.raises(ValueError, match="members is 0, expected at least 1"):
        fit_quickly(Settings(members=0))
    with pytest.raises(ValueError, match="device_budget is 9 and members 2"):
        fit_quickly(Settings(members=2), device_budget=9)
