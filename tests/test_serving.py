"""Prediction with numpy alone: the numbers of the model, without its libraries."""

import itertools
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from flax import traverse_util
from tiers import first_quick

import naejax
from naejax import NAERegressor, table_file
from naejax.data import fit_encoder, infer_schema, read_columns
from naejax.data.encoding import _normal_quantiles
from naejax.layout import DTYPES, GATES, model_config, parameter_shapes
from naejax.models import gates
from naejax.models.ensemble import NAEEnsemble
from naejax.models.nae import NAE
from naejax.objectives import losses
from naejax.serving import to_numpy_predictor
from naejax.stablehlo import export
from naejax.tabular import TabularNAE, explain_rows, predict_table
from naejax.tabular.fitted import LOG_LINK
from naejax.vision import ImageBackbone

ROWS = 40
CLASSES = {"regression": 0, "binary": 2, "multiclass": 3}


def make_table(kind: str) -> dict[str, np.ndarray]:
    """Numbers with gaps, a category, truth values and a target."""
    rng = np.random.default_rng(0)
    words = np.array(["low", "mid", "high"])
    target = 100 + 10 * rng.normal(size=ROWS)
    if CLASSES[kind]:
        target = words[np.arange(ROWS) % CLASSES[kind]]
    return read_columns(
        {
            "size": rng.normal(size=ROWS),
            "gap": np.where(rng.random(ROWS) < 0.2, np.nan, rng.exponential(size=ROWS)),
            "city": rng.choice(["Oslo", "Bergen", "Tromsø", ""], ROWS),
            "flag": rng.random(ROWS) < 0.5,
            "y": target,
        }
    )


def make_model(kind: str, loss: str | None = None, members: int = 0, **fields):
    """A model with random variables, and rows that training has not seen."""
    columns = make_table(kind)
    schema = infer_schema(columns, "y")
    encoder = fit_encoder(columns, schema, numeric=fields.pop("numeric", "quantile"))
    outputs = schema.target.num_outputs
    model = NAE(outputs, **{"num_experts": 4, "hidden": (8, 6), **fields})
    if members:
        model = NAEEnsemble(model, members)
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 4), np.float32))
    rng = np.random.default_rng(1)
    variables = jax.tree.map(lambda a: 0.5 * rng.normal(size=a.shape), dict(shapes))
    if "knots" in variables:
        variables["knots"] = jax.tree.map(np.sort, variables["knots"])
    variables = jax.tree.map(np.float32, variables)
    usual = {
        "regression": "squared",
        "binary": "logistic",
        "multiclass": "softmax_cross_entropy",
    }
    del columns["y"]
    columns["city"][:3] = "Bodø"
    columns["size"][4], columns["flag"] = np.nan, columns["flag"].astype(object)
    columns["flag"] = np.where(columns["flag"], "true", "false").astype(object)
    columns["flag"][5] = None
    return TabularNAE(model, variables, encoder, loss or usual[kind]), columns


CASES = {
    f"{gate}-{rank}-{kind}": (kind, {"gate": gate, "gate_rank": rank})
    for gate, rank, kind in itertools.product(GATES, (None, 3), CLASSES)
    if rank is None or gate in ("context", "equal")
}
CASES |= {
    "one expert": ("multiclass", {"num_experts": 1}),
    "all experts": ("binary", {"top_k": 9}),
    "one block": ("regression", {"hidden": (5,), "numeric": "standard"}),
    "knots": ("multiclass", {"num_knots": 5}),
    "monotone": ("regression", {"num_knots": 5, "monotone": (1, -1, 0, 0)}),
    "monotone rank": (
        "multiclass",
        {"num_knots": 4, "monotone": (0, -1, 1, 0), "gate_rank": 2},
    ),
    "all monotone": ("binary", {"num_knots": 2, "monotone": (1, -1, 1, 1)}),
    "ensemble": ("multiclass", {"members": 3}),
    "own ensemble": ("regression", {"members": 2, "gate": "own"}),
    "monotone ensemble": (
        "binary",
        {"members": 2, "num_knots": 4, "monotone": (0, 1, 0, -1)},
    ),
}


@pytest.mark.parametrize("name", first_quick(reversed(CASES), 8, 5))
def test_numbers_are_those_of_the_model(name):
    kind, fields = CASES[name]
    fitted, columns = make_model(kind, **fields)
    wanted, found = explain_rows(fitted, columns), to_numpy_predictor(fitted)
    scores = found.explain(columns)
    size = np.abs(wanted.prediction).max()
    for part in ("prediction", "bias", "contributions"):
        expected = getattr(wanted, part)
        np.testing.assert_allclose(getattr(scores, part), expected, atol=1e-5 * size)
    total = scores.bias + scores.contributions.sum(axis=1)
    np.testing.assert_allclose(total, scores.prediction, atol=1e-5 * size)
    table = predict_table(fitted, columns)
    if CLASSES[kind]:
        assert (found.predict(columns) == table["prediction"]).all()
        for label, share in zip(
            found.labels, found.predict_proba(columns).T, strict=True
        ):
            expected = table[f"probability:{label}"]
            np.testing.assert_allclose(share, expected, atol=1e-5)
    else:
        expected = table["prediction"]
        np.testing.assert_allclose(found.predict(columns), expected, rtol=1e-5)
        with pytest.raises(ValueError, match="is a number and has no classes"):
            found.predict_proba(columns)
    shape = (ROWS,) if fitted.encoder.schema.target.num_outputs == 1 else (ROWS, 3)
    assert found.decision_function(columns).shape == shape
    assert (found.contributions(columns) == scores.contributions).all()


@pytest.mark.parametrize("loss", ["poisson", "gamma", "tweedie", "absolute", "huber"])
def test_links_are_those_of_the_loss(loss):
    fitted, columns = make_model("regression", loss)
    expected = predict_table(fitted, columns)["prediction"]
    found = to_numpy_predictor(fitted).predict(columns)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_lists_of_names_are_those_of_the_model():
    assert set(table_file.LOG_LINKS) == set(LOG_LINK)
    ones = np.ones((1, 1), np.float32)
    exponents = [n for n in losses.LOSSES if np.max(losses.inverse_link(n)(ones)) > 2]
    assert set(table_file.LOG_LINKS) == set(exponents)
    assert GATES == gates.GATES and all(np.dtype(d) for d in DTYPES if d[0] == "f")


@pytest.mark.parametrize("name", ["regression", "multiclass", "counts", "ensemble"])
def test_golden_files_are_served(name):
    folder = Path(__file__).parent / "golden" / "format2"
    arrays = np.load(folder / f"{name}.npz")
    cells = {k.partition(":")[2]: v for k, v in arrays.items() if ":" in k}
    found = to_numpy_predictor(folder / f"{name}.safetensors").explain(
        read_columns(cells)
    )
    size = np.abs(arrays["prediction"]).max()
    for part in ("prediction", "contributions"):
        expected = arrays[part]
        np.testing.assert_allclose(getattr(found, part), expected, atol=1e-5 * size)


def test_many_rows_are_the_same_as_few():
    fitted, columns = make_model("multiclass")
    predictor = to_numpy_predictor(fitted)
    many = {name: np.tile(column, 60) for name, column in columns.items()}
    few, all_rows = predictor.explain(columns), predictor.explain(many)
    np.testing.assert_allclose(all_rows.prediction[-ROWS:], few.prediction, atol=1e-5)
    with pytest.raises(ValueError, match="no rows"):
        predictor.predict({name: column[:0] for name, column in columns.items()})


def test_of_equal_logits_the_lower_index_is_chosen():
    # Among many, an unstable sort would pick others.
    fitted, columns = make_model("regression", top_k=2, num_experts=40)
    router = fitted.variables["params"]["gates"]["router"]["dense"]
    router["kernel"] = router["kernel"] * 0
    highest = np.random.default_rng(0).integers(2, size=(4, 40))
    router["bias"] = highest.astype(np.float32)
    wanted = explain_rows(fitted, columns)
    for i in range(4):
        first = np.flatnonzero(highest[i])[:2]
        assert (np.asarray(wanted.gates)[:, i, first] == 0.5).all()
    found = to_numpy_predictor(fitted).explain(columns).prediction
    np.testing.assert_allclose(found, wanted.prediction, rtol=1e-5)


SHAPES = [
    {"num_outputs": outputs, "num_experts": experts, "gate": gate, "gate_rank": rank}
    | {"hidden": hidden, "num_knots": knots, "monotone": signs, "members": members}
    for outputs, experts, gate, rank, hidden, knots, signs, members in [
        *itertools.product(
            (1, 3), (1, 4), GATES, (None, 2), ((5, 7),), (0, 3), (None,), (None,)
        ),
        (1, 4, "context", None, (5,), 3, (0, 1, -1), None),
        (2, 4, "equal", 2, (5, 6), 2, (0, 0, 0), 2),
        (2, 4, "none", None, (5, 6), 4, (1, 0, 1), 3),
        (2, 4, "context", 2, (5, 6), 4, (1, 1, 1), None),
        (2, 4, "own", None, (5, 6, 7), 4, None, 1),
    ]
]


@pytest.mark.parametrize("members", first_quick([2, None, 1, 3]))
def test_shapes_are_those_that_init_gives(members):
    for fields in (f for f in SHAPES if f["members"] == members):
        rest = {name: value for name, value in fields.items() if name != "members"}
        model = NAE(**rest, top_k=2)
        if members:
            model = NAEEnsemble(model, members)
        row = np.zeros((1, 3), np.float32)
        shapes = dict(jax.eval_shape(model.init, jax.random.key(0), row))
        flat = traverse_util.flatten_dict(shapes, sep="/")
        others = {"top_k": 2, "dropout": 0.0, "expert_dropout": 0.0}
        config = model_config({"model": {**fields, **others}})
        expected = {path: array.shape for path, array in flat.items()}
        assert parameter_shapes(config, num_features=3) == expected


SCRIPT = """
import sys
for name in ("jax", "jaxlib", "flax", "optax", "scipy", "sklearn", "pandas"):
    sys.modules[name] = None
import numpy as np
from naejax.serving import to_numpy_predictor
arrays = np.load(sys.argv[2], allow_pickle=False)
columns = {k[2:]: arrays[k] for k in arrays if k[0] == "x"}
for name in ("city", "flag"):
    columns[name] = np.array([t or None for t in columns[name].tolist()], dtype=object)
found = to_numpy_predictor(sys.argv[1]).explain(columns)
np.testing.assert_allclose(found.prediction, arrays["prediction"], atol=1e-5)
np.testing.assert_allclose(found.contributions, arrays["contributions"], atol=1e-5)
"""


def test_nothing_but_numpy_is_imported(tmp_path):
    fitted, columns = make_model("multiclass", num_knots=4, monotone=(1, 0, 0, 0))
    naejax.save(tmp_path / "model", fitted)
    output = explain_rows(fitted, columns)
    cells = {
        f"x:{name}": np.array([cell or "" for cell in column])
        if column.dtype == object
        else column
        for name, column in columns.items()
    }
    np.savez(
        tmp_path / "rows.npz",
        prediction=output.prediction,
        contributions=output.contributions,
        **cells,
    )
    command = [sys.executable, "-c", SCRIPT, tmp_path / "model", tmp_path / "rows.npz"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_normal_quantiles_without_scipy(monkeypatch):
    p = np.concatenate([[1e-7, 0.5, 1 - 1e-7, np.nan], np.linspace(0.001, 0.999, 500)])
    with_scipy = _normal_quantiles(p)
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    np.testing.assert_allclose(_normal_quantiles(p), with_scipy, rtol=1e-12, atol=1e-15)


def test_what_is_no_table_is_refused(tmp_path):
    from naejax.models.cnn import CNN

    cnn = CNN(2, channels=(4, 4))
    variables = cnn.init(jax.random.key(0), np.ones((1, 8, 8, 1)))
    fitted = ImageBackbone(
        cnn, variables, (8, 8, 1), ("a", "b"), (), (0.0, 0.0), (1.0, 1.0)
    )
    naejax.save(tmp_path / "model", fitted)
    with pytest.raises(ValueError, match="of kind 'backbone', expected one of a table"):
        to_numpy_predictor(tmp_path / "model")


@pytest.mark.slow
def test_frames_arrays_and_files_are_read_like_columns(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=40), "b": rng.integers(0, 3, 40)})
    tiny = {"num_experts": 2, "hidden": (4,), "epochs": 1, "num_knots": 2}
    named = NAERegressor(**tiny, categorical_features=["b"]).fit(frame, frame.a)
    array = frame.to_numpy()
    unnamed = NAERegressor(**tiny, categorical_features=[1]).fit(array, frame.a)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    for model, rows in [
        (named, frame),
        (named, frame[["b", "a"]]),
        (named, tmp_path / "rows.csv"),
        (unnamed, array),
    ]:
        prediction = to_numpy_predictor(model).predict(rows)
        expected = model.predict(array if rows is array else frame)
        np.testing.assert_allclose(prediction, expected, atol=1e-5)
        export(model, tmp_path / "model.stablehlo", rows)
