"""Splits of prepared tables, known tables, and the command that prepares them."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

import naejax
from naejax.cli import main
from naejax.data import (
    TABLE_FILES,
    infer_schema,
    load_dataset,
    prepare_named,
    prepare_table,
    split_rows,
)
from naejax.data.tfds_splits import split_by_size
from naejax.runs import explain_run, predict_run, train_run
from naejax.runs import tables as table_runs
from naejax.settings import Settings


def test_sizes_cover_all_rows():
    assert list(split_by_size(5, {"test": 2, "train": 3})) == ["train", "test"]
    for seed in range(50):
        rng = np.random.default_rng(seed)
        rows, share = int(rng.integers(3, 400)), rng.dirichlet([3, 2, 2])
        sizes = dict(zip(("train", "validation", "test"), share, strict=True))
        parts = split_by_size(rows, sizes, seed) if share[0] * rows > 1 else {}
        found = np.sort(np.concatenate(list(parts.values()) or [np.arange(rows)]))
        np.testing.assert_array_equal(found, np.arange(rows))


def test_shares_are_drawn(tmp_path):
    columns = {"x": np.arange(200.0), "y": np.arange(200.0) ** 2}
    shares = {"test": 0.2, "train": 0.7, "validation": 0.1}
    paths = [
        prepare_table(
            columns, "y", name=f"t{i}", folder=tmp_path, splits=shares, seed=i
        )
        for i in range(2)
    ]
    tables = [load_dataset(str(path)) for path in paths]
    for data in tables:
        assert data.parts == (140, 20, 40)
        assert sorted(data.columns["x"]) == list(range(200))
        for part in np.split(data.columns["x"], [140, 160]):
            assert (np.diff(part) > 0).all()
    assert (tables[0].columns["x"] != tables[1].columns["x"]).any()


def test_a_column_says_the_split(tmp_path):
    names = np.array(["test", "train", "train", "validation"] * 10)
    columns = {"x": np.arange(40.0), "y": np.arange(40.0), "part": names}
    path = prepare_table(columns, "y", name="t", folder=tmp_path, split_column="part")
    data = load_dataset(str(path))
    assert list(data.columns) == ["x", "y"] and data.parts == (20, 10, 10)
    training, validation, test = split_rows(
        data.columns, infer_schema(data.columns, "y"), 0, data.parts
    )
    for part, name in ((training, "train"), (validation, "validation"), (test, "test")):
        np.testing.assert_array_equal(part["x"], np.flatnonzero(names == name))


@pytest.mark.parametrize(
    ("parts", "sizes"),
    [((80, 0, 20), (70, 10, 20)), ((80, 20, 0), (64, 20, 16)), ((), (70, 10, 20))],
)
def test_what_the_source_did_not_fix_is_drawn(parts, sizes):
    columns = {"x": np.arange(100.0), "y": np.array([0.0, 1.0] * 50)}
    schema = infer_schema(columns, "y")
    split = split_rows(columns, schema, 3, parts)
    assert tuple(len(part["x"]) for part in split) == sizes
    assert sorted(np.concatenate([part["x"] for part in split])) == list(range(100))
    for part, start, count in zip(split[1:], (parts[:1] * 2), parts[1:], strict=False):
        if count:
            np.testing.assert_array_equal(part["x"], start + np.arange(count))


def write_known(folder, name, rows=40):
    """A file like that of a known table, and its numbers."""
    table = TABLE_FILES[name]
    header = {
        "california": ["MedInc", "MedHouseVal"],
        "bike": [*TABLE_FILES["bike"].drop, "season", "hr", "weathersit", "cnt"],
        "credit": ["V1", "Class"],
        "mimic2": ["age", "mortality"],
        "mimic3": ["age", "mortality"],
    }.get(name, list(table.names))
    cells = {column: [str(i % 9 + 0.5) for i in range(rows)] for column in header}
    cells["dteday"] = ["2011-01-01"] * rows
    cells["season"] = cells["weathersit"] = [str(i % 4 + 1) for i in range(rows)]
    if table.task == "classification":
        words = ["<=50K", ">50K"] if name == "adult" else ["0", "1"]
        cells[table.target] = [words[i % 2] for i in range(rows)]
    if name == "adult":
        cells["workclass"] = [" ?", " Private"] * (rows // 2)
    lines = [",".join(cells[c][i] for c in header) for i in range(rows)]
    first = [] if table.names else [",".join(header)]
    (folder / table.file).write_text("\n".join([*first, *lines]) + "\n\n")
    return header


@pytest.mark.parametrize("name", TABLE_FILES)
def test_known_tables(tmp_path, monkeypatch, name):
    header = write_known(tmp_path, name)
    table = TABLE_FILES[name]
    if table.splits:
        with pytest.raises(ValueError, match="are 515345 rows, but there are 40; make"):
            prepare_named(name, tmp_path, folder=tmp_path)
        few = table._replace(splits={"train": 30, "test": 10})
        monkeypatch.setitem(TABLE_FILES, name, few)
    data = load_dataset(str(prepare_named(name, tmp_path, folder=tmp_path / "kept")))
    assert list(data.columns) == [c for c in header if c not in table.drop]
    assert (data.target, data.task) == (table.target, table.task)
    assert data.parts == ((30, 0, 10) if table.splits else ())
    schema = infer_schema(data.columns, data.target, task=data.task)
    kinds = {feature.name: feature.kind for feature in schema.features}
    assert all(kinds[column] == "categorical" for column in table.categories)
    if name == "adult":
        assert data.columns["workclass"][:2].tolist() == [None, "Private"]
        assert data.columns["age"][0] == 0.5


def test_ragged_and_empty_files(tmp_path):
    for text, message in (
        ("", "is empty"),
        ("39, Private\n", "line 1 of .* has 2 cells, but its table has 15 columns"),
    ):
        (tmp_path / "adult.data").write_text(text)
        with pytest.raises(ValueError, match=message) as caught:
            prepare_named("adult", tmp_path, folder=tmp_path)
        assert "\n" not in str(caught.value)
    (tmp_path / "hour.csv").write_text("season,cnt\n1,2\n" * 2)
    with pytest.raises(ValueError, match="no column 'weathersit'"):
        prepare_named("bike", tmp_path, folder=tmp_path)


def prepared(folder, splits):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    columns = {"a": x[:, 0], "b": x[:, 1], "y": x[:, 0] - x[:, 1]}
    return prepare_table(columns, "y", name="made", folder=folder, splits=splits)


def test_the_command_prepares_what_train_takes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("\n".join(["a,y", *(f"{i},{i % 7}" for i in range(60))]))
    words = ["prepare", "--data", "t.csv", "--target", "y", "--name", "t"]
    main([*words, "--out", "kept", "--splits", "train", "0.7", "test", "0.3"])
    assert capsys.readouterr().out == "kept/t/1.0.0\n"

    def fit(training, validation, *rest, **options):
        raise ValueError(f"{len(training['y'])} and {len(validation['y'])} rows")

    monkeypatch.setattr(table_runs, "fit_table", fit)
    train = ["train", "--data", "kept/t/1.0.0", "--out", "run"]
    for wrong, message in (
        (train, "36 and 6 rows"),
        ([*train, "--target", "z"], "no target column 'z'"),
        ([*words, "--out", "kept", "--known"], "--known says the target and the rest"),
        ([*words, "--out", "kept", "--version", "1"], "got the version '1'"),
        ([*words[:-1], "cars", "--out", "kept", "--known"], "leave them out"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(wrong)
        error = capsys.readouterr().err
        assert stop.value.code == 2 and message in error and error.count("\n") == 1
    write_known(tmp_path, "bike")
    main(["prepare", "--known", "--name", "bike", "--data", ".", "--out", "kept"])
    assert capsys.readouterr().out == "kept/bike/1.0.0\n"
    assert load_dataset("kept/bike/1.0.0").target == "cnt"


def test_a_sweep_keeps_the_splits(tmp_path, monkeypatch):
    data = load_dataset(str(prepared(tmp_path, {"train": 40, "test": 20})))

    def stop(columns, schema, test, seed, fixed):
        raise InterruptedError(fixed)

    monkeypatch.setattr(
        importlib.import_module("naejax.sweeps.sweep"), "split_table", stop
    )
    with pytest.raises(InterruptedError, match=r"40, 0, 20"):
        naejax.sweep(data, grid={"expert_variance": [0.0]})


@pytest.mark.slow
def test_a_run_from_a_folder_of_tfds(tmp_path):
    path = prepared(tmp_path, {"train": 40, "test": 20})
    settings = Settings(epochs=1, num_experts=2, hidden=(4,))
    run = tmp_path / "run"
    quiet = {"progress": False, "say": lambda line: None}
    train_run(load_dataset(str(path)), settings, run, **quiet)
    rows = json.loads((run / "metrics.json").read_text())["rows"]
    assert rows == {"training": 35, "validation": 5, "test": 20}
    # The run's own test rows are found again, else this is refused.
    explain_run(run, tmp_path / "page.html")
    assert predict_run(run, path, tmp_path / "out.csv") == 60
