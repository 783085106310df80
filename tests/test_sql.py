"""Statements for databases: the numbers of the model, from sqlite and from DuckDB."""

import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from test_serving import make_model
from tiers import first_quick

import naejax
from naejax.data import read_columns
from naejax.data.rows import read_rows
from naejax.tabular import predict_table

duckdb = pytest.importorskip("duckdb")

CASES = {
    "ensemble": ("multiclass", {"members": 2, "top_k": 3}),
    "monotone": ("regression", {"monotone": (1, 0, -1, 0)}),
    "context": ("binary", {"top_k": 1}),
    "equal": ("multiclass", {"gate": "equal"}),
    "none": ("binary", {"gate": "none", "gate_rank": None}),
    "one expert": ("regression", {"num_experts": 1, "gate_rank": None}),
    "more than all": ("regression", {"top_k": 9}),
    "all monotone": ("binary", {"monotone": (1, 1, -1, 1)}),
    "poisson": ("regression", {"loss": "poisson", "numeric": "standard"}),
    "monotone ensemble": ("binary", {"members": 3, "monotone": (0, 1, 0, 0)}),
}


def make_case(name):
    kind, fields = CASES[name]
    return make_model(kind, **{"num_knots": 8, "gate_rank": 2, **fields})


def as_frame(columns):
    """Booleans as such; sqlite then keeps them as 0 and 1."""
    frame = pd.DataFrame(columns)
    if "flag" in frame:
        frame["flag"] = frame["flag"].map({"true": True, "false": False}).astype(object)
    return frame


def answers(model, frame, path):
    """The tables that both engines return."""
    naejax.export(model, path)
    statement = path.read_text()
    with closing(sqlite3.connect(":memory:")) as base:
        frame.to_sql("rows", base, index=False)
        cursor = base.execute(statement)
        names = [column[0] for column in cursor.description]
        yield pd.DataFrame(cursor.fetchall(), columns=names)
    with closing(duckdb.connect()) as base:
        base.register("frame", frame)
        base.execute('CREATE TABLE "rows" AS SELECT * FROM frame')
        yield base.execute(statement).df()


def check(model, wanted, frame, path):
    for found in answers(model, frame, path):
        assert list(found) == ["row", *wanted]
        assert found["row"].tolist() == list(range(1, len(frame) + 1))
        for name, values in wanted.items():
            if values.dtype == object:
                assert found[name].tolist() == values.tolist()
            else:
                size = np.abs(values).max()
                np.testing.assert_allclose(found[name], values, atol=1e-5 * size)


@pytest.mark.parametrize("name", first_quick(CASES, 3))
def test_both_engines_give_the_numbers_of_the_model(name, tmp_path):
    """Rows with missing cells, a level that training has not seen, and booleans."""
    fitted, columns = make_case(name)
    columns["size"][:2] = -1e9, 1e9
    wanted = predict_table(fitted, columns)
    check(fitted, wanted, as_frame(columns), tmp_path / "model.sql")


@pytest.mark.slow
def test_a_trained_estimator_with_names_to_quote(tmp_path):
    rng = np.random.default_rng(0)
    levels = np.array([f"it's {i}" for i in range(30)])
    frame = pd.DataFrame(
        {
            'a "b"': rng.normal(size=200) + 1e6,
            "{0}; --": rng.choice(levels, 200),
            "code": rng.choice(["1", "2", "0.5"], 200),
            "order": rng.integers(0, 3, 200),
        }
    )
    target = np.where(frame['a "b"'] > 1e6, "y'es", "no")
    model = naejax.NAEClassifier(epochs=2, num_knots=8, n_members=2, top_k=3)
    fitted = model.fit(frame, target).fitted_
    new = frame.iloc[:50].copy()
    wanted = predict_table(fitted, read_rows(fitted.encoder, new, target=False))
    # Whole numbers are the words that naejax makes of them.
    new["code"] = new["code"].astype(float)
    naejax.save(tmp_path / "model.safetensors", model)
    for kept in (model, naejax.load(tmp_path / "model.safetensors")):
        check(kept, wanted, new, tmp_path / "model.sql")


def test_cells_that_are_missing_in_many_ways(tmp_path):
    """Of CSV files sqlite's import makes texts; DuckDB has NaN beside NULL."""
    fitted, columns = make_case("context")
    columns = {name: column[:3] for name, column in columns.items()}
    columns["gap"] = np.array([np.nan, 0.5, np.nan])
    columns["city"] = np.array([None, "Oslo", None], dtype=object)
    wanted = predict_table(fitted, columns)
    frame = as_frame(columns).assign(city=["NA", "Oslo", ""])
    check(fitted, wanted, frame, tmp_path / "model.sql")
    frame["gap"] = [" ", "0.50", "NA"]
    check(fitted, wanted, frame, tmp_path / "model.sql")
    statement = (tmp_path / "model.sql").read_text()
    with closing(duckdb.connect()) as base:
        base.register("frame", frame.assign(gap=["nan", "0.5", None]))
        base.execute(
            'CREATE TABLE "rows" AS SELECT * REPLACE (gap::DOUBLE AS gap) FROM frame'
        )
        assert base.execute('SELECT isnan(gap) FROM "rows"').fetchone() == (True,)
        found = base.execute(statement).df()["contribution:gap"]
        np.testing.assert_allclose(found, wanted["contribution:gap"], rtol=1e-4)


def test_what_no_statement_can_hold_is_refused(tmp_path):
    path = tmp_path / "model.sql"
    for fields, got in {
        (("num_knots", 0),): "got num_knots=0, gate 'context' of rank 2 and 4 numbers",
        (("gate", "own"),): "gate 'own'",
        (("gate_rank", None),): "of rank None",
        (("gate_rank", 501),): "501 numbers a row, expected knots",
    }.items():
        fitted, _ = make_model(
            "regression", **{"num_knots": 4, "gate_rank": 2, **dict(fields)}
        )
        with pytest.raises(ValueError, match=got):
            naejax.export(fitted, path)
    with pytest.raises(ValueError, match="got a dict, expected a fitted model"):
        naejax.export({}, path)
    assert not list(tmp_path.iterdir())


def test_a_table_without_a_column_is_an_error(tmp_path):
    """Sqlite would read the name of the column as a text."""
    fitted, columns = make_case("monotone")
    frame = as_frame(read_columns({k: v for k, v in columns.items() if k != "size"}))
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        next(answers(fitted, frame, tmp_path / "model.sql"))
