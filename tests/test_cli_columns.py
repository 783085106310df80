"""Columns to drop and to keep, files to replace, folders of runs, plans of sweeps."""

import csv
import json

import numpy as np
import pytest

from naejax.cli import main
from naejax.runs import resume_run
from naejax.runs.folder import csv_text
from naejax.runs.unfinished import unfinished

QUICK = ["--epochs", "1", "--num-experts", "2", "--hidden", "4"]


def fails(capsys, *arguments):
    """Runs a command that must fail; returns its one line."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1
    return error


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table with an identifier, a date and a column of slips."""
    path = tmp_path_factory.mktemp("columns") / "table.csv"
    x = np.random.default_rng(0).normal(size=120).round(3)
    columns = {
        "id": [f"{i:04d}" for i in range(120)],
        "the day": [f"2011-01-{1 + i % 28:02d}" for i in range(120)],
        "note": ["?!" if i == 5 else i for i in range(120)],
        "x": x,
        "y": 2 * x,
    }
    path.write_text(csv_text(columns))
    return path


@pytest.fixture(scope="module")
def trained(table, tmp_path_factory):
    """A run without some of the columns."""
    out = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", "--data", table, "--target", "y", "--out", out, *QUICK]
    main([str(w) for w in [*words, "--drop", "id", "note"]])
    return out


def test_dropped_columns_are_stored_and_ignored(trained, table, tmp_path, capsys):
    config = json.loads((trained / "config.json").read_text())
    assert config["drop"] == ["id", "note"]
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    few = tmp_path / "few.csv"
    few.write_text(csv_text({n: [r[n] for r in rows] for n in ("x", "the day")}))
    outs = []
    for data in (table, few):
        outs.append(tmp_path / f"of_{data.name}")
        main(["predict", str(trained), "--data", str(data), "--out", str(outs[-1])])
    assert outs[0].read_text() == outs[1].read_text()
    assert "contribution:id" not in outs[0].read_text()


def test_kept_columns_come_first_as_they_are(trained, table, tmp_path, capsys):
    out = tmp_path / "out.csv"
    words = ["predict", str(trained), "--data", str(table), "--out", str(out)]
    main([*words, "--keep", "note", "id"])
    lines = out.read_text().splitlines()
    assert lines[0].startswith("note,id,prediction,bias,")
    assert lines[1].startswith("0,0000,") and lines[6].startswith("?!,0005,")
    assert "--overwrite" in fails(capsys, *words)
    assert out.read_text().splitlines() == lines
    assert "did you mean 'id'" in fails(capsys, *words, "--overwrite", "--keep", "i")
    main([*words, "--overwrite"])
    assert out.read_text().startswith("prediction,bias,")
    taken = tmp_path / "taken.csv"
    text = table.read_text().replace("note", "bias", 1)
    taken.write_text(text)
    words = ["predict", trained, "--data", taken, "--out", tmp_path / "new.csv"]
    assert "rename it" in fails(capsys, *words, "--keep", "bias")
    assert not (tmp_path / "new.csv").exists()


def test_bad_drops_are_one_line(table, tmp_path, capsys):
    words = ["--data", table, "--target", "y", "--out", tmp_path / "out"]
    for command in (["train"], ["sweep"], ["prepare", "--name", "t"]):
        for name, message in (("idd", "did you mean 'id'"), ("y", "is the target")):
            assert message in fails(capsys, *command, *words, "--drop", name)
    sop = ["train", "--model", "sop", "--data", "digits", "--out", tmp_path / "out"]
    assert "are for tables" in fails(capsys, *sop, "--drop", "x")
    assert not (tmp_path / "out").exists()


def test_training_cautions_against_what_is_no_feature(trained, table, tmp_path, capsys):
    """Without what was dropped; the epochs are refused after the schema is printed."""
    words = ["train", "--data", table, "--target", "y", "--out", tmp_path / "run"]
    words += ["--drop", "note", "--categories", "id", "--epochs", 0]
    with pytest.raises(SystemExit):
        main([str(w) for w in words])
    said = capsys.readouterr().out
    assert "'id' may be an identifier" in said and "--drop id" in said
    assert "'the day' holds dates" in said and "--drop 'the day'" in said


def test_resuming_drops_the_same_columns(table, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "naejax.runs.resume.train_run", lambda data, *_, **how: seen.append(data)
    )
    asked = {"model": "nae", "data": str(table), "target": "y", "task": "auto"}
    asked |= {"categories": [], "drop": ["id", "note"], "seed": 0, "settings": {}}
    asked["how"] = {"overwrite": False, "devices": None, "seconds": 60.0}
    with unfinished(tmp_path / "run", asked):
        resume_run(tmp_path / "run", say=lambda line: None)
    assert list(seen[0].columns) == ["the day", "x", "y"]


def test_explain_knows_a_copy_without_the_dropped_columns(trained, table, tmp_path):
    from naejax import artifact
    from naejax.runs.explain import _own_split

    fitted = artifact.load(trained / "model.safetensors")
    config, metrics = (
        json.loads((trained / name).read_text())
        for name in ("config.json", "metrics.json")
    )
    rows = [line.split(",") for line in table.read_text().splitlines()]
    copy = tmp_path / "copy.csv"
    copy.write_text("".join(f"{','.join([row[1], *row[3:]])}\n" for row in rows))
    for data in (table, copy):
        parts = _own_split(fitted, config, metrics, str(data), required=False)
        assert parts is not None and len(parts["training"]["x"]) == 84


def test_a_folder_of_runs_is_told_from_a_run(trained, table, tmp_path, capsys):
    for command in ("predict", "explain"):
        words = [command, trained.parent, "--data", table, "--out", tmp_path / "x"]
        assert f"name one: {trained}" in fails(capsys, *words)


def test_a_folder_as_data_is_told_from_a_table(tmp_path, capsys):
    words = ["train", "--data", tmp_path, "--target", "y", "--out", tmp_path / "x"]
    error = fails(capsys, *words)
    assert "a folder of .parquet files, or one that TensorFlow Datasets" in error


def test_a_sweep_says_its_plan_before_training(table, tmp_path, monkeypatch, capsys):
    def stop(*args, **kwargs):
        raise ValueError("training begins")

    monkeypatch.setattr("naejax.runs.sweep.sweep", stop)
    words = ["sweep", "--data", table, "--target", "y", "--out", tmp_path / "run"]
    words += ["--drop", "note", "id", "--grid", "expert-variance=0,0.1", "epochs=5,7"]
    with pytest.raises(SystemExit):
        main([str(w) for w in words])
    assert (
        "12 models: 4 settings (expert_variance 0, 0.1; epochs 5, 7) times 3 seeds, in "
        "2 programs; each for at most 5 or 7 epochs on 84 training rows\n"
    ) in capsys.readouterr().out
    words += ["gate=contxt"]
    assert "did you mean 'context'" in fails(capsys, *words)
    assert "seeds is 0" in fails(capsys, *words[:-1], "--seeds", 0)
