"""Exported programs: the numbers of the model, from a file, for any number of rows."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from test_serving import make_model
from tiers import first_quick

import naejax
from naejax import stablehlo
from naejax.data import encode
from naejax.tabular import explain_rows

pytestmark = pytest.mark.slow

CASES = {
    "context": ("regression", {}),
    "rank": ("multiclass", {"gate_rank": 2, "gate": "equal"}),
    "own": ("binary", {"gate": "own"}),
    "none": ("binary", {"gate": "none"}),
    "poisson": ("regression", {"loss": "poisson"}),
    "monotone": ("regression", {"num_knots": 4, "monotone": (1, 0, -1, 0)}),
    "all monotone": ("binary", {"num_knots": 3, "monotone": (1, 1, -1, 1)}),
    "ensemble": ("multiclass", {"members": 2, "num_knots": 3}),
}


def load(path):
    return jax.export.deserialize(bytearray(path.read_bytes()))


@pytest.mark.parametrize("name", first_quick(CASES, 1, 3))
def test_programs_give_the_numbers_of_the_model(name, tmp_path):
    kind, fields = CASES[name]
    fitted, columns = make_model(kind, **fields)
    path = tmp_path / "model.stablehlo"
    naejax.export(fitted, path, columns)
    program = load(path)
    assert program.platforms == ("cpu", "cuda", "tpu")
    assert [path.name for path in tmp_path.iterdir()] == ["model.stablehlo"]
    output = explain_rows(fitted, columns)
    size = np.abs(output.prediction).max()
    x = encode(fitted.encoder, columns)
    for rows in (1, len(x)):
        prediction, contributions = program.call(x[:rows])
        for found, expected in (
            (prediction, output.prediction),
            (contributions, output.contributions),
        ):
            np.testing.assert_allclose(found, expected[:rows], atol=1e-5 * size)


def test_a_program_that_differs_is_not_written(tmp_path, monkeypatch):
    fitted, columns = make_model("regression")
    other, _ = make_model("regression", top_k=1)
    path = tmp_path / "model"
    path.write_text("old")
    program = stablehlo._program(other)
    monkeypatch.setattr(stablehlo, "_program", lambda fitted: program)
    for rows in (columns, None):
        with pytest.raises(ValueError, match="prediction differs from the model's by"):
            naejax.export(fitted, path, rows)
    assert path.read_text() == "old"


def shifted(fitted, by):
    """The model with the second logit of the first feature moved."""
    variables = jax.tree.map(np.copy, fitted.variables)
    variables["params"]["gates"]["router"]["dense"]["bias"][0, 1] += by
    return replace(fitted, variables=variables)


def test_tied_experts_may_swap(tmp_path, monkeypatch):
    """Rounding chooses among experts that are as good; all other rows must agree."""
    fitted, columns = make_model("regression", top_k=1, num_experts=2)
    x = encode(fitted.encoder, columns)
    logits = fitted.model.apply(fitted.variables, x, method="router_logits")
    gap = float(logits[0, 0, 7] - logits[0, 1, 7])
    below, above = (shifted(fitted, gap + step) for step in (-1e-5, 1e-5))
    scores = [explain_rows(model, columns).prediction for model in (below, above)]
    apart = np.abs(scores[0] - scores[1])[:, 0] > 1e-3 * np.abs(scores[0]).max()
    assert np.flatnonzero(apart).tolist() == [7]
    program = stablehlo._program(above)
    monkeypatch.setattr(stablehlo, "_program", lambda fitted: program)
    naejax.export(below, tmp_path / "model", columns)
    with pytest.raises(ValueError, match="in all 1 rows two experts are tied"):
        one = {name: column[7:8] for name, column in columns.items()}
        naejax.export(below, tmp_path / "model", one)


def test_what_cannot_be_exported_is_refused(tmp_path):
    with pytest.raises(ValueError, match="got a dict, expected a fitted model"):
        naejax.export({}, tmp_path / "model")
    fitted, _ = make_model("regression")
    with pytest.raises(ValueError, match="lacks the column"):
        naejax.export(fitted, tmp_path / "model", {"size": np.zeros(3)})
    with pytest.raises(ValueError, match="is a folder"):
        naejax.export(fitted, tmp_path)
