"""Models as tables: the numbers of their networks, in numpy and in JAX."""

import jax
import numpy as np
import pytest
from flax import traverse_util
from small_tables import MORE, SMALL, X, Y
from test_serving import CASES, make_model
from tiers import first_quick

import naejax
from naejax import NAE, NAERegressor, contribution_range
from naejax.data import infer_schema, read_columns
from naejax.data.table import encode
from naejax.layout import config_of, flatten, parameter_shapes
from naejax.models.ensemble import NAEEnsemble
from naejax.numpy_nae import apply_numpy, prepare, tabulate
from naejax.settings import Settings
from naejax.tabular import TabularNAE, explain_rows, fit_table

KNOTTED = {name: (k, {"num_knots": 5} | fields) for name, (k, fields) in CASES.items()}
KNOTTED["bound, untold"] = ("binary", {"monotone": (0, 1, 0, -1), "gate": "none"})
KNOTTED["bound, untold"][1]["num_knots"] = 3


def tables_of(fitted: TabularNAE):
    """The module and the nested variables of a model made tables, and its config."""
    config, flat = tabulate(config_of(fitted.model), flatten(fitted.variables))
    is_one = not isinstance(fitted.model, NAEEnsemble)
    member = fitted.model if is_one else fitted.model.member
    model = member.clone(tabulated=True)
    model = model if is_one else NAEEnsemble(model, fitted.model.size)
    return model, traverse_util.unflatten_dict(flat, sep="/"), config, flat


def assert_same(found, expected, tolerance):
    """Parts agree, relative to the largest number of each."""
    for part in ("prediction", "contributions", "gates", "experts"):
        wanted = np.asarray(getattr(expected, part))
        allowed = tolerance * max(1.0, np.abs(wanted).max())
        np.testing.assert_allclose(getattr(found, part), wanted, atol=allowed, rtol=0)


@pytest.mark.parametrize("name", first_quick(reversed(KNOTTED), 9, 30))
def test_tables_give_the_numbers_of_the_networks(name):
    kind, fields = KNOTTED[name]
    fitted, columns = make_model(kind, **fields)
    x = encode(fitted.encoder, columns)
    assert np.isnan(x).any()
    model, variables, config, flat = tables_of(fitted)
    assert config_of(model) == config
    shapes = {path: array.shape for path, array in flat.items()}
    assert shapes == parameter_shapes(config, x.shape[1])
    assert not any("features" in path or "summary" in path for path in flat)
    networks = jax.jit(fitted.model.apply)(fitted.variables, x)
    in_numpy = apply_numpy(prepare(config_of(fitted.model), flat_of(fitted)), x)
    assert_same(in_numpy, networks, 1e-6)
    assert_same(jax.jit(model.apply)(variables, x), networks, 1e-6)
    again = apply_numpy(prepare(config, flat), x)
    for part, values in zip(again, in_numpy, strict=True):
        np.testing.assert_array_equal(part, values)
    twice, same = tabulate(config, flat)
    assert twice == config and all((same[path] == flat[path]).all() for path in flat)


def flat_of(fitted: TabularNAE) -> dict[str, np.ndarray]:
    """The variables of a model by their paths."""
    return flatten(fitted.variables)


@pytest.mark.parametrize("name", ["knots", "context-3-binary", "monotone ensemble"])
def test_a_row_alone_is_bitwise_the_row_among_others(name):
    kind, fields = KNOTTED[name]
    fitted, columns = make_model(kind, **fields)
    members = prepare(config_of(fitted.model), flat_of(fitted))
    # More than one chunk, with an odd rest.
    x = np.tile(encode(fitted.encoder, columns), (120, 1))[:4397]
    order = np.random.default_rng(0).permutation(len(x))
    whole, mixed = apply_numpy(members, x), apply_numpy(members, x[order])
    alone = [apply_numpy(members, x[i : i + 1]) for i in (0, 7, 4, 4200)]
    for part in ("prediction", "contributions", "gates", "experts"):
        values = getattr(whole, part)
        np.testing.assert_array_equal(values[order], getattr(mixed, part))
        few = np.concatenate([getattr(output, part) for output in alone])
        np.testing.assert_array_equal(few, values[[0, 7, 4, 4200]])


@pytest.mark.parametrize("name", ["knots", "context-3-binary", "monotone ensemble"])
def test_ranges_are_certified_and_parts_add_up(name):
    kind, fields = KNOTTED[name]
    fitted, columns = make_model(kind, **fields)
    output = explain_rows(fitted, columns)
    size = np.abs(output.experts).max()
    lower, upper = contribution_range(output, fields.get("members", 1))
    assert (lower <= output.contributions + 1e-6 * size).all()
    assert (output.contributions <= upper + 1e-6 * size).all()
    np.testing.assert_allclose(output.gates.sum(axis=2), 1, atol=1e-6)
    assert (output.gates >= 0).all()
    total = output.bias + output.contributions.sum(axis=1)
    np.testing.assert_allclose(output.prediction, total, atol=1e-6 * size)
    parts = (output.gates[..., None] * output.experts).sum(axis=2)
    np.testing.assert_allclose(output.contributions, parts, atol=1e-6 * size)


def test_rows_beyond_the_knots_are_those_at_the_ends_and_gaps_have_their_entry():
    fitted, _ = make_model("regression", num_knots=5)
    model, variables, config, flat = tables_of(fitted)
    knots, experts = flat["knots/at"], flat["params/experts"]
    low, high = knots[:, 0], knots[:, -1]
    x = np.stack([low, low - 9, high, high + 9, np.full(4, np.nan)])
    for output in (
        apply_numpy(prepare(config, flat), x),
        jax.jit(model.apply)(variables, x),
    ):
        found = np.asarray(output.experts)
        expected = experts[..., [0, 0, -2, -2, -1]].transpose(3, 0, 1, 2)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert np.isfinite(output.prediction).all()


@pytest.mark.parametrize("rank", [3, None])
def test_knots_that_fill_up_a_row_are_never_read(rank):
    """A feature of two values beside one of many has them."""
    model = NAE(num_experts=3, hidden=(5,), gate_rank=rank, num_knots=64)
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(size=200), rng.integers(2, size=200)], 1)
    x = x.astype(np.float32)
    x[:9, 1] = np.nan
    variables = jax.jit(model.init)(jax.random.key(0), x)
    variables = naejax.models.nae.place_knots(variables, x)
    config, flat = tabulate(config_of(model), flatten(variables))
    assert flat["knots/at"][1].tolist() == [0.0] + [1.0] * 63
    changed = dict(flat)
    for name in ("params/experts", "params/told"):
        changed[name] = flat[name].copy()
        changed[name][1, ..., 2:-1] = np.nan
    before = apply_numpy(prepare(config, flat), x)
    after = apply_numpy(prepare(config, changed), x)
    for part, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(part, other)
    assert_same(before, jax.jit(model.apply)(variables, x), 1e-6)


def test_a_fitted_table_answers_gaps_new_levels_and_new_numbers():
    rng = np.random.default_rng(0)
    columns = read_columns(
        {
            "wide": rng.normal(size=200),
            "two": rng.integers(2, size=200),
            "gap": np.where(rng.random(200) < 0.2, np.nan, rng.normal(size=200)),
            "city": rng.choice(["a", "b", ""], 200),
            "y": rng.normal(size=200),
        }
    )
    settings = Settings(epochs=2, num_experts=3, hidden=(5,))
    schema = infer_schema(columns, "y")
    fitted, _ = fit_table(columns, None, schema, settings, progress=False)
    knots = fitted.variables["knots"]["at"]
    assert knots.shape == (4, 64) and len(np.unique(knots[1])) == 2
    rows = read_columns(
        {
            "wide": np.array([1e300, -1e300, 0.5, np.nan]),
            "two": np.array([7.0, 0.5, 0.0, 1.0]),
            "gap": np.array([np.nan, 1e9, -5.0, np.nan]),
            "city": ["new", "", "a", "b"],
        }
    )
    output = explain_rows(fitted, rows)
    assert all(np.isfinite(part).all() for part in output)
    np.testing.assert_array_equal(output.experts[0, 3], output.experts[1, 3])
    x = encode(fitted.encoder, rows)
    networks = jax.jit(fitted.model.apply)(fitted.variables, x)
    assert_same(fitted.apply(x), networks, 1e-6)


@pytest.mark.parametrize(
    "changes", first_quick([{}, {"n_members": 2}, {"gate": "own"}])
)
def test_a_loaded_model_goes_on_from_its_tables(changes, tmp_path):
    settings = {**SMALL, "num_knots": 6, "gate": "context", "warm_start": True}
    options = settings | {"validation_fraction": 0.0} | changes
    model = NAERegressor(**options).fit(X, Y)
    naejax.save(tmp_path / "model", model)
    loaded = naejax.load(tmp_path / "model")
    before = loaded.predict(MORE)
    np.testing.assert_array_equal(before, model.predict(MORE))
    first = loaded.score(X, Y)
    # Without a step worth the name it stays where it was.
    loaded.set_params(learning_rate=1e-9, epochs=1).fit(X, Y)
    np.testing.assert_allclose(loaded.predict(MORE), before, rtol=1e-5)
    assert getattr(loaded.fitted_.model, "member", loaded.fitted_.model).tabulated
    loaded.set_params(learning_rate=0.03, epochs=20).fit(X, Y)
    assert loaded.score(X, Y) > first + 0.01
    naejax.save(tmp_path / "again", loaded)
    again = naejax.load(tmp_path / "again").predict(MORE)
    np.testing.assert_array_equal(again, loaded.predict(MORE))
