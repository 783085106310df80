"""What the columns of a table are, and which tables are refused."""

import numpy as np
import pytest

from naejax.data.columns import read_columns
from naejax.data.schema import Feature, Schema, Target, describe, infer_schema

N = 24


def table(**columns):
    return read_columns({"x": np.arange(float(N)), **columns})


def target_of(values, **options) -> Target:
    return infer_schema(table(y=values), "y", **options).target


def cycle(*values):
    return [values[i % len(values)] for i in range(N)]


def test_features_of_every_kind():
    columns = table(
        flag=cycle(True, False),
        gap=cycle(True, None),
        city=cycle("Oslo", "Bergen", None),
        one=[5.0] * N,
        y=np.linspace(0, 1, N),
    )
    columns["x"][3] = np.nan
    schema = infer_schema(columns, "y")
    assert schema == Schema(
        features=(
            Feature("x", "numeric", (), 1, N - 1, (0.0, N - 1.0)),
            Feature("flag", "boolean", ("false", "true"), 0, 2),
            Feature("gap", "boolean", ("true",), N // 2, 1),
            Feature("city", "categorical", ("Bergen", "Oslo"), N // 3, 2),
            Feature("one", "numeric", (), 0, 1, (5.0, 5.0)),
        ),
        target=Target("y", "regression"),
        rows=N,
    )


@pytest.mark.parametrize(
    ("values", "task", "kind", "classes"),
    [
        (cycle("b", "a"), "auto", "binary", ("a", "b")),
        (cycle("b", "a", "c"), "auto", "multiclass", ("a", "b", "c")),
        (cycle(True, False), "auto", "binary", ("false", "true")),
        (cycle(1, 0), "auto", "binary", ("0", "1")),
        (cycle(2.0, -1.0), "auto", "binary", ("-1", "2")),
        (cycle(0.5, 1.0), "auto", "regression", ()),
        (cycle(1, 2, 3), "auto", "regression", ()),
        (cycle(1, 0), "regression", "regression", ()),
        (cycle(10, 9, 1), "classification", "multiclass", ("1", "9", "10")),
        (cycle(0.5, 1.0), "classification", "binary", ("0.5", "1")),
    ],
)
def test_kind_of_the_target(values, task, kind, classes):
    target = target_of(values, task=task)
    assert target == Target("y", kind, classes)
    assert target.num_outputs == (len(classes) if kind == "multiclass" else 1)


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        ([f"id{i}" for i in range(N)], "auto", "24 classes in 24 rows.*identifier"),
        ([f"id{i // 2}" for i in range(N)], "auto", "12 classes in 24 rows"),
        (np.arange(N), "classification", "24 classes in 24 rows"),
        (["same"] * N, "auto", "same value in all 24 rows"),
        ([2.5] * N, "auto", "same value in all 24 rows"),
        ([True] * N, "auto", "same value in all 24 rows"),
        (cycle(1.0, None, 2.0), "auto", r"missing in 8 of 24 rows \(first: row 2\)"),
        (cycle("a", "b", None), "auto", r"missing in 8 of 24 rows \(first: row 3\)"),
        (cycle(True, None), "auto", "missing in 12 of 24 rows"),
        ([None] * N, "auto", "missing in 24 of 24 rows"),
        (cycle("b", "a"), "regression", "holds 'a', which is not a number"),
        (cycle(True, False), "regression", "use task='classification'"),
        (cycle(1, 2), "ranking", "got task 'ranking', expected"),
    ],
)
def test_bad_targets_are_refused_in_one_line(values, task, message):
    with pytest.raises(ValueError, match=message) as caught:
        target_of(values, task=task)
    assert "\n" not in str(caught.value)


def test_a_hundred_classes_are_enough():
    codes = [f"c{i % 101}" for i in range(1000)]
    columns = read_columns({"x": np.arange(1000.0), "y": codes})
    with pytest.raises(ValueError, match="101 classes"):
        infer_schema(columns, "y")
    columns["y"][columns["y"] == "c100"] = "c0"
    assert len(infer_schema(columns, "y").target.classes) == 100


@pytest.mark.parametrize(
    ("columns", "target", "message"),
    [
        (table(y=cycle(0, 1)), "Y", "no target column 'Y'; did you mean 'y'.*: x, y$"),
        (table(y=cycle(0, 1)), "price", r"no target column 'price'\. There are: x, y$"),
        (table(y=cycle(0, 1)), "", "no target column given; name one of: x, y"),
        (read_columns({"y": cycle(0, 1)}), "y", "no column besides the target 'y'"),
        (table(y=cycle(0, 1), void=[None] * N), "y", "'void' has no values.*drop"),
        (read_columns({"x": np.arange(9.0), "y": np.arange(9.0)}), "y", "has 9 rows"),
    ],
)
def test_bad_tables_are_refused_in_one_line(columns, target, message):
    with pytest.raises(ValueError, match=message) as caught:
        infer_schema(columns, target)
    assert "\n" not in str(caught.value)


def test_description_is_aligned_and_tells_what_is_odd():
    columns = table(
        **{"a name\nin two lines": [1.0] * N},
        city=[f"a city with a rather long name {i}" for i in range(N)],
        gap=cycle(0.5, None, 0.25),
        y=cycle("yes", "no"),
    )
    title, header, *lines = describe(infer_schema(columns, "y")).splitlines()
    assert title == "24 rows, 4 features; target 'y': binary (no, yes)"
    kind, missing = header.index("kind"), header.index("missing")
    assert [line[kind:].split()[0] for line in lines] == [
        "numeric",
        "numeric",
        "categorical",
        "numeric",
    ]
    assert lines[1].startswith("a name in two lines  numeric      1 .. 1 (1), constant")
    assert lines[2][kind:].startswith("categorical  24: a city with a rather long")
    assert [line[missing:] for line in lines] == ["", "", "", "8"]
    assert max(map(len, lines)) <= 100
