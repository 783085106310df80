"""Tables prepared for TFDS: read back bit by bit, split as asked, refused in a line."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from naejax.data import (
    infer_schema,
    load_dataset,
    prepare_table,
    read_columns,
)
from naejax.data import tfds_records as records
from naejax.data.tfds_tables import read_table

ROOT = Path(__file__).parents[1]
ROWS = 40
RNG = np.random.default_rng(0)
ODD = {
    "real": np.where(np.arange(ROWS) % 7, RNG.normal(size=ROWS), np.nan),
    "whole": RNG.integers(-5, 5, ROWS).astype(float),
    "huge": np.linspace(1e299, 1e300, ROWS),
    "beyond int64": 2.0**60 + np.arange(ROWS) * 2.0**20,
    "signed zero": np.where(np.arange(ROWS) % 2, 0.0, -0.0),
    "größe / %": np.array([["a b", "漢字", "x\ny", None][i % 4] for i in range(ROWS)]),
    "flag": np.arange(ROWS) % 3 == 0,
    "maybe": np.array([["true", "false", None][i % 3] for i in range(ROWS)]),
    "y": np.array([["no", "ja, sehr", "1"][i % 3] for i in range(ROWS)], dtype=object),
}


def assert_same(found, expected):
    """Same names in the same order, same types, same bits."""
    assert list(found) == list(expected)
    for name, column in expected.items():
        assert found[name].dtype == column.dtype, name
        if column.dtype == object:
            assert found[name].tolist() == column.tolist(), name
        else:
            assert found[name].tobytes() == column.tobytes(), name


def files(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def rows_of(columns, rows):
    return {name: column[rows] for name, column in columns.items()}


def test_every_cell_comes_back_bit_by_bit(tmp_path, capsys):
    path = prepare_table(ODD, "y", name="odd", folder=tmp_path)
    assert path == tmp_path / "odd" / "1.0.0"
    data = load_dataset(str(path))
    columns = read_columns(ODD)
    assert_same(data.columns, columns)
    assert_same(read_columns(path), columns)
    assert (data.target, data.task, data.parts) == ("y", "auto", ())
    assert infer_schema(data.columns, "y") == infer_schema(columns, "y")
    assert "tensorflow" not in sys.modules and capsys.readouterr().out == ""


def test_tfds_reads_it_without_naejax(tmp_path):
    path = prepare_table(ODD, "y", name="odd", folder=tmp_path)
    builder = tfds.builder_from_directory(path)
    source = builder.as_data_source("train")
    label = builder.info.features["y"]
    assert len(source) == ROWS and label.names == ["1", "ja, sehr", "no"]
    assert builder.info.supervised_keys[1] == "y"
    for i in (0, 1, 3, 39):
        row = source[i]
        np.testing.assert_array_equal(row["real"], ODD["real"][i])
        assert row["whole"] == ODD["whole"][i] and row["flag"] == ODD["flag"][i]
        assert builder.info.features["whole"].np_dtype == np.int64
        assert row["größe / %"].decode() == (ODD["größe / %"][i] or "")
        assert label.int2str(row["y"]) == ODD["y"][i]


def test_numbers_that_are_names(tmp_path):
    table = {"zip": [10115, 80331] * 6, "y": np.arange(12.0)}
    path = prepare_table(table, "y", name="a", folder=tmp_path, categories=["zip"])
    assert load_dataset(str(path)).columns["zip"].tolist() == ["10115", "80331"] * 6
    path = prepare_table(table, "y", name="b", folder=tmp_path)
    again = load_dataset(str(path), categories=["zip"])
    assert again.columns["zip"].tolist() == ["10115", "80331"] * 6
    assert_same(read_columns(path, text=["zip"]), again.columns)
    assert load_dataset(str(path), "zip", "classification").task == "classification"


@pytest.mark.parametrize("name", ["wine", "digits", "diabetes"])
def test_tables_that_have_a_name(tmp_path, name):
    path = prepare_table(name, name=name, folder=tmp_path)
    found, known = load_dataset(str(path)), load_dataset(name)
    assert_same(found.columns, known.columns)
    assert (found.target, found.task) == (known.target, known.task)
    assert found.description == known.description


def test_several_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "SHARD_ROWS", 15)
    monkeypatch.setattr(records, "_CHUNK_ROWS", 4)
    path = prepare_table(ODD, "y", name="odd", folder=tmp_path)
    assert len(list(path.glob("*array_record*"))) == 3
    assert_same(load_dataset(str(path)).columns, read_columns(ODD))


def test_same_bytes_in_another_process_and_no_tensorflow(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,y\n0.1,u,1\n0.2,,3\n" * 10)
    here = prepare_table(tmp_path / "t.csv", "y", name="t", folder=tmp_path / "here")
    code = (
        "import sys; from naejax.data import prepare_table, load_dataset; "
        "load_dataset(str(prepare_table('t.csv', 'y', name='t', folder='there'))); "
        "assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.fspath(ROOT)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert files(here) == files(tmp_path / "there" / "t" / "1.0.0")


def good():
    return {"x": np.arange(12.0), "k": ["a", "b"] * 6, "y": np.arange(12.0)}


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (good(), {"target": "z"}, "no target column 'z'; did you mean|There are"),
        (good(), {"target": None}, "no target column given; name one of: x, k, y"),
        (good(), {"name": "My Table"}, "got the name 'My Table'.* name='my_table'"),
        (good(), {"version": "1.0"}, "got the version '1.0', expected three numbers"),
        (good(), {"categories": ["z"]}, "no column 'z'"),
        (good(), {"splits": {"train": 0.5, "dev": 0.5}}, "got a split 'dev', expected"),
        (good(), {"splits": {"train": 0.5, "test": 0.4}}, "sum to 0.9, expected 1"),
        (good(), {"splits": {"train": 5, "test": 6}}, "are 11 rows, but there are 12"),
        (good(), {"splits": {"test": 12}}, "no row is in the split train"),
        (good(), {"splits": {"train": 13, "test": -1}}, "expected each above 0"),
        (good(), {"split_column": "k"}, "row 1 is of the split 'a', expected train"),
        (good(), {"split_column": "z"}, "no column 'z'"),
        (
            good(),
            {"split_column": "k", "splits": {"train": 12}},
            "expected one of them",
        ),
        (
            {**good(), "y": ["u"] * 6 + ["v"] * 6},
            {"splits": {"train": 6, "test": 6}},
            "test holds the class 'v' of 'y', which no row of train has",
        ),
        ({**good(), "y": [None, *range(11)]}, {}, "target 'y' is missing in 1 of 12"),
        ({"x": [], "y": []}, {}, "the table has no rows"),
        ({"x": [1.0], "y": [1.0, 2.0]}, {}, "column 'y' has 2 rows, but 'x' has 1"),
        ("lost.csv", {}, "cannot read lost.csv"),
    ],
)
def test_refused_in_one_line_and_nothing_is_left(tmp_path, table, options, message):
    given = {"target": "y", "name": "t", **options}
    with pytest.raises(ValueError, match=message) as caught:
        prepare_table(table, **given, folder=tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.*"))


def test_never_overwritten_and_never_half_there(tmp_path, monkeypatch):
    path = prepare_table(good(), "y", name="t", folder=tmp_path)
    before = files(path)
    with pytest.raises(ValueError, match=r"t/1.0.0 exists and is never overwritten"):
        prepare_table(good(), "x", name="t", folder=tmp_path)
    assert files(path) == before
    prepare_table(good(), "x", name="t", folder=tmp_path, version="1.0.1")

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(tfds.folder_dataset, "write_metadata", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare_table(good(), "y", name="other", folder=tmp_path)
    assert list((tmp_path / "other").iterdir()) == []


def test_damaged_folders(tmp_path):
    path = prepare_table(good(), "y", name="t", folder=tmp_path)
    (shard,) = path.glob("*array_record*")
    whole = shard.read_bytes()
    for content in (b"", whole[: len(whole) // 2], bytes(len(whole))):
        shard.write_bytes(content)
        with pytest.raises(ValueError, match=r"cannot be read .* damaged") as caught:
            read_table(path)
        assert "\n" not in str(caught.value)
    shard.unlink()
    with pytest.raises(ValueError, match="cannot be read"):
        read_table(path)
    (path / "dataset_info.json").write_text("{")
    with pytest.raises(ValueError, match=r"cannot read .*expected a folder that TFDS"):
        read_table(path)


class Foreign(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A table that TFDS itself writes, with its own types."""

    VERSION = tfds.core.Version("2.0.0")

    def __init__(self, splits, shape=(), **options):
        self.shape, self.splits = shape, splits
        super().__init__(file_format="array_record", **options)

    def _info(self):
        features = {
            "mass": tfds.features.Tensor(shape=self.shape, dtype=np.float32),
            "count": np.uint8,
            "word": tfds.features.Text(),
            "grade": tfds.features.ClassLabel(names=["low", "high"]),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("mass", "grade"),
            disable_shuffling=True,
        )

    def _split_generators(self, manager):
        return {name: self._generate_examples() for name in self.splits}

    def _generate_examples(self):
        for i in range(12):
            mass, word = np.full(self.shape, i / 4, np.float32), " w?"[: i % 4]
            yield i, {"mass": mass, "count": i, "word": word, "grade": i % 2}


def test_tables_of_tfds_itself(tmp_path, capsys):
    builder = Foreign(["whole"], data_dir=tmp_path)
    builder.download_and_prepare()
    data = load_dataset(str(builder.data_dir))
    assert data.target == "grade" and data.parts == ()
    assert data.columns["mass"].tolist() == [i / 4 for i in range(12)]
    assert data.columns["count"].tolist() == list(range(12))
    assert data.columns["word"][:4].tolist() == [None, None, "w", "w?"]
    assert data.columns["grade"][:3].tolist() == ["low", "high", "low"]


@pytest.mark.parametrize(
    ("splits", "shape", "message"),
    [
        (["a", "b"], (), "got the splits a, b in .*, expected train"),
        (["train"], (2,), r"'mass' in .* is Tensor of shape \(2,\), expected numbers"),
    ],
)
def test_what_is_no_table(tmp_path, capsys, splits, shape, message):
    builder = Foreign(splits, shape, data_dir=tmp_path)
    builder.download_and_prepare()
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset(str(builder.data_dir))
    assert "\n" not in str(caught.value)
