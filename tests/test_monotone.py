"""Monotone features: certified, whatever the parameters and the context."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from naejax import NAE, contribution_range
from naejax.data import infer_schema
from naejax.models.nae import place_knots
from naejax.settings import Settings
from naejax.tabular import explain_rows, fit_table

SIGNS = (1, 0, -1)


def wild_model(gate, rank, seed, scale=2.0):
    """A model with every parameter drawn at random, large ones among them."""
    rng = np.random.default_rng(seed)
    model = NAE(
        num_experts=5,
        top_k=2,
        hidden=(6, 6),
        gate=gate,
        gate_rank=rank,
        num_knots=9,
        monotone=SIGNS,
    )
    x = rng.normal(size=(64, 3)).astype(np.float32)
    variables = place_knots(jax.jit(model.init)(jax.random.key(seed), x), x)
    params = jax.tree.map(
        lambda a: rng.normal(0, scale, a.shape).astype(a.dtype), variables["params"]
    )
    return model, {**variables, "params": params}, rng


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gate", "rank"),
    [("context", None), ("context", 2), ("equal", None), ("none", None)],
)
def test_scores_and_contributions_are_monotone_at_10000_pairs(gate, rank):
    """Finite differences: one feature moves up, its context stays, for random rows."""
    model, variables, rng = wild_model(gate, rank, seed=0)
    low = rng.normal(0, 2, size=(10_000, 3)).astype(np.float32)
    rise = rng.exponential(size=(10_000, 1)).astype(np.float32)
    apply = jax.jit(model.apply)
    before = apply(variables, low)
    for i, sign in enumerate(SIGNS):
        after = apply(variables, low + rise * np.eye(3, dtype=np.float32)[i])
        for quantity in (
            after.contributions[:, i, 0] - before.contributions[:, i, 0],
            after.prediction[:, 0] - before.prediction[:, 0],
        ):
            slack = 1e-5 * np.abs(before.experts).max()
            if sign:
                assert (sign * quantity >= -slack).all()
            elif gate != "none":
                assert (quantity > slack).any() and (quantity < -slack).any()
        if sign:
            others = np.delete(np.arange(3), i)
            np.testing.assert_array_equal(
                after.gates, before.gates, err_msg="a gate sees a monotone feature"
            )
            np.testing.assert_array_equal(
                after.contributions[:, others], before.contributions[:, others]
            )


def test_a_monotone_contribution_still_depends_on_the_context():
    # Large parameters would give one expert nearly all the weight in every context.
    model, variables, rng = wild_model("context", None, seed=1, scale=0.5)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    x[:, 0] = 0.3
    output = jax.jit(model.apply)(variables, x)
    assert np.ptp(output.contributions[:, 0, 0]) > 0.1
    lower, upper = contribution_range(output)
    assert (lower <= output.contributions + 1e-4).all()
    assert (output.contributions <= upper + 1e-4).all()


def test_all_features_monotone_and_missing_values():
    x = np.array([[0.0, np.nan], [1.0, 2.0], [np.nan, np.nan]], np.float32)
    model = NAE(num_experts=3, num_knots=4, monotone=(1, 1))
    variables = model.init(jax.random.key(0), x)
    output = model.apply(variables, x)
    assert np.isfinite(output.prediction).all()
    missing = variables["params"]["monotone_features"]["missing"]
    np.testing.assert_allclose(output.experts[0, 1], missing[1], rtol=1e-6)
    np.testing.assert_allclose(output.gates, 1 / 3, rtol=1e-6)


@pytest.mark.slow
def test_a_fitted_table_is_monotone_in_the_unit_of_its_columns():
    rng = np.random.default_rng(0)
    income, age, city = (
        rng.lognormal(size=600),
        rng.uniform(20, 70, 600),
        rng.random(600),
    )
    y = np.log(income) - 0.02 * age + np.sin(9 * city) * income + rng.normal(size=600)
    columns = {"income": income, "age": age, "city": city, "y": y}
    settings = Settings(
        epochs=8, num_experts=4, hidden=(8,), monotone=(("income", 1), ("age", -1))
    )
    schema = infer_schema(columns, "y")
    fitted, _ = fit_table(columns, None, schema, settings, progress=False)
    grid = np.sort(rng.lognormal(size=500))
    for name, sign, values in [("income", 1, grid), ("age", -1, 20 + 5 * grid)]:
        rows = {n: np.full(500, c[7]) for n, c in columns.items()} | {name: values}
        score = explain_rows(fitted, rows).prediction[:, 0]
        assert (sign * np.diff(score) >= -1e-5).all()
        assert sign * (score[-1] - score[0]) > 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"monotone": (1,), "num_knots": 0}, "monotone experts need knots"),
        ({"monotone": (1,), "num_knots": 4, "gate": "own"}, "gate is 'own'"),
        ({"num_knots": 1}, "num_knots is 1, expected 0 or at least 2"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        NAE(**settings)


@pytest.mark.parametrize("monotone", [(1, 0), (2, 0, 0)])
def test_signs_must_fit_the_features(monotone):
    model = NAE(num_knots=4, monotone=monotone)
    with pytest.raises(ValueError, match="expected -1, 0 or 1 for each of the 3"):
        model.init(jax.random.key(0), jnp.ones((2, 3)))


def test_columns_that_cannot_be_monotone_are_named():
    city = np.array(["a", "b", "c"] * 20, object)
    columns = {"city": city, "x": np.arange(60.0), "y": np.arange(60.0)}
    for target, name, message in [
        ("y", "city", "'city': a score can rise or fall with numbers"),
        ("y", "X", "the column 'X'; did you mean 'x'"),
        ("city", "x", "categorical|multiclass target"),
    ]:
        settings = Settings(epochs=1, monotone=((name, 1),))
        with pytest.raises(ValueError, match=message):
            fit_table(
                columns, None, infer_schema(columns, target), settings, progress=False
            )
