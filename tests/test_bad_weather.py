"""What a table brings in real life: a model of finite numbers, or one clear line."""

import datetime
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tiers import first_quick
from weather import N, X, Y, classify, column, frame, one_line, regress

from naejax.data import infer_schema, read_columns
from naejax.evaluation import baseline_scores

HOLES = np.where(np.arange(N) % 7 == 0, np.nan, X[:, 1])
WORKS = {
    "NaN": (column(HOLES), None),
    "NaN in rows to predict only": (X, column(HOLES)),
    "NaN for all of a row": (X, np.full((N, 3), np.nan)),
    "constant column": (column(5.0), None),
    "constant column, another value to predict": (column(5.0), column(-7.0)),
    "one value beside missing ones": (column(np.where(np.arange(N) < 9, 1, np.nan)), X),
    "unseen category": (frame(c=list("xyz") * 20), frame(c=["new"] * N)),
    "missing category at prediction": (frame(c=list("xyz") * 20), frame(c=[None] * N)),
    "empty strings": (frame(c=["", "a", "b"] * 20), None),
    "huge values": (X * 1e299, X * -1e300 / np.abs(X).max()),
    "one huge value": (column(np.where(np.arange(N) == 3, 1e300, X[:, 1])), None),
    "tiny values": (X * 1e-300, None),
    "read-only": (np.broadcast_to(X, X.shape), None),
    "float32": (X.astype(np.float32), None),
    "float16": (X.astype(np.float16), None),
    "integers": ((10 * X).astype(np.int64), None),
    "small unsigned integers": ((X > 0).astype(np.uint8), None),
    "booleans": (X > 0, None),
    "lists": (X.tolist(), None),
    "decimals": (frame(c=[decimal.Decimal("1.5"), decimal.Decimal("2")] * 30), None),
    "line breaks in cells": (frame(c=["a\nb", "c\td"] * 30), None),
    "a category called like a missing one": (frame(c=["nan", "a", "NA"] * 20), None),
    "nullable types": (
        frame(
            b=pd.array([1, None] * 30, dtype="Int64"),
            c=pd.array([True, None] * 30, dtype="boolean"),
        ),
        None,
    ),
    "polars with nulls": (
        pl.DataFrame({"a": X[:, 0], "c": [None, "x", "y"] * 20}),
        None,
    ),
    "names of two languages, HTML and line breaks": (
        frame().set_axis(["<b>größe</b>", "漢字 & '\"", "a\nb"], axis=1),
        None,
    ),
}


@pytest.mark.parametrize("name", first_quick(reversed(WORKS), 6, 8))
def test_a_model_comes_out(name):
    x, rows = WORKS[name]
    regress(x, rows=rows)


def test_messages_stay_on_one_line_whatever_names_hold():
    names = ["a\nb", "c\td", "long" * 100]
    one_line(lambda: infer_schema(dict.fromkeys(names, X[:, 0]), "z"), r"a\nb, c\td")


def test_a_broken_csv_file_is_refused_in_one_printable_line(tmp_path):
    (tmp_path / "t.csv").write_text('a\tb\n"1"x\t2\n')
    one_line(lambda: read_columns(tmp_path / "t.csv"), r"'\t' expected after")


def test_the_baseline_reads_huge_values():
    columns = {"x": 1e299 * X[:, 0], "y": X[:, 0]}
    schema = infer_schema(columns, "y")
    scores = baseline_scores(schema, columns, X[:, 0], columns, X[:, 0])
    assert scores["linear"]["rmse"] < 1e-6


REFUSED = {
    "infinity": (
        column(np.where(np.arange(N) == 3, np.inf, 0)),
        "'x1'",
        "row 4",
        "NaN",
    ),
    "infinity in a frame": (frame(c=np.full(N, -np.inf)), "'c'", "row 1", "finite"),
    "beyond 1e300": (column(1e301), "'x1'", "1e+300", "unit"),
    "a whole number beyond floats": (frame(c=[10**400] * N), "'c'", "finite"),
    "all missing": (column(np.nan), "'x1'", "no values at all", "drop the column"),
    "all None": (frame(c=[None] * N), "'c'", "drop the column"),
    "empty strings only": (frame(c=[""] * N), "'c'", "drop the column"),
    "duplicated names": (frame().set_axis(list("aac"), axis=1), "'a'", "rename"),
    "mixed types": (frame(c=["a", 1, 2.5] * 20), "'c' mixes text and number", "row 2"),
    "dates": (frame(c=pd.date_range("2020-01-01", periods=N)), "'c'", "dates", "year"),
    "date objects": (frame(c=[datetime.date(2020, 1, 1)] * N), "'c'", "date", "year"),
    "polars dates": (
        pl.DataFrame({"c": [datetime.date(2020, 1, 1)] * N, "a": X[:, 0]}),
        "'c'",
        "year",
    ),
    "bytes": (frame(c=[b"a"] * N), "'c'", "bytes", "to text"),
    "lists in cells": (frame(c=[[1]] * N), "'c'", "list"),
    "1 row": (X[:1], "1 sample", "minimum of 2"),
    "no column": (X[:, :0], "0 feature"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_of_no_use_is_refused_in_one_line(name):
    x, *words = REFUSED[name]
    one_line(lambda: regress(x, Y[: len(x)]), *words)


@pytest.mark.parametrize(
    ("rows", "features"),
    first_quick([(2, 3), (3, 1), (12, 40)]),
    ids=["2", "3", "wide"],
)
def test_few_rows_make_a_model(rows, features):
    x = np.random.default_rng(1).normal(size=(rows, features))
    regress(x, x[:, 0])
    classify(x, np.arange(rows) % 2)


def test_one_feature():
    regress(X[:, :1])


def test_text_in_a_column_of_numbers_at_prediction_is_refused():
    model = regress(frame())
    one_line(lambda: model.predict(frame(c=["x"] * N)), "numeric column 'c'", "row 1")


def test_numbers_far_from_all_seen_are_finite_when_standardised():
    regress(X, rows=X * 1e299, numeric="standard")
    regress(X * 1e299, numeric="standard")
