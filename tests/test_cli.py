"""The command line as a user walks it."""

import contextlib
import csv
import io
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios

import pytest
from tiers import first_quick

from naejax.cli import main

QUICK = ["--epochs", "2", "--num-experts", "4", "--hidden", "8"]


def train(homes, out):
    """The words of a command that trains on the homes."""
    return ["train", "--data", str(homes), "--target", "price", "--out", str(out)]


def test_train_leaves_a_whole_run(run):
    names = {path.name for path in run.iterdir()}
    assert names == {
        "model.safetensors",
        "metrics.json",
        "history.csv",
        "config.json",
        "shapes.png",
    }
    metrics = json.loads((run / "metrics.json").read_text())
    assert (
        set(metrics["test"])
        == set(metrics["baselines"]["linear"])
        == {
            "rmse",
            "mae",
            "r2",
        }
    )
    assert metrics["rows"] == {"training": 84, "validation": 12, "test": 24}
    config = json.loads((run / "config.json").read_text())
    assert config["settings"]["epochs"] == 2 and config["target"] == "price"
    with open(run / "history.csv", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    assert (run / "shapes.png").read_bytes().startswith(b"\x89PNG")
    beside = {p.name for p in run.parent.iterdir() if p.name.startswith("homes")}
    assert beside == {"homes", "homes.lock"}  # no leftovers


@pytest.fixture(scope="module")
def again(homes, tmp_path_factory):
    """The same run once more, and what it printed."""
    out = tmp_path_factory.mktemp("runs") / "again"
    printed, bars = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(bars):
        main([*train(homes, out), *QUICK])
    return out, printed.getvalue(), bars.getvalue()


def test_train_prints_schema_and_scores(again):
    _, printed, bars = again
    for words in (
        "120 rows, 3 features",
        "categorical",
        "boolean",
        "linear",
        "constant",
    ):
        assert words in printed
    # Into a file, the progress bar is a few lines, not one that changes.
    assert bars.count("2/2") == 1 and bars.count("\n") <= 2 and "\r" not in bars


def test_predict_writes_parts_that_add_up(run, homes, tmp_path):
    out = tmp_path / "predictions.csv"
    main(["predict", str(run), "--data", str(homes), "--out", str(out)])
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "prediction",
        "bias",
        "contribution:size",
        "contribution:city",
        "contribution:garden",
    ]
    assert len(rows) == 120
    for row in rows:
        numbers = [float(cell) for cell in row.values()]
        assert numbers[0] == pytest.approx(sum(numbers[1:]), rel=1e-4)


def test_predict_takes_reordered_columns_and_unseen_categories(run, tmp_path):
    rows, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    rows.write_text("garden,note,city,size\ntrue,x,Atlantis,80\nfalse,y,Oslo,\n")
    main(["predict", str(run), "--data", str(rows), "--out", str(out)])
    assert len(out.read_text().splitlines()) == 3


def test_same_command_gives_bitwise_the_same_model(run, again):
    name = "model.safetensors"
    assert (run / name).read_bytes() == (again[0] / name).read_bytes()


@pytest.mark.parametrize("name", first_quick(["wine", "breast-cancer"], 0, 1))
def test_classes_get_probabilities(name, tmp_path):
    run, out = tmp_path / "run", tmp_path / "out.csv"
    main(["train", "--data", name, "--out", str(run), *QUICK])
    metrics = json.loads((run / "metrics.json").read_text())
    assert 0 <= metrics["test"]["accuracy"] <= 1
    from naejax.data import load_dataset
    from naejax.runs.folder import csv_text

    rows = tmp_path / "rows.csv"
    rows.write_text(csv_text(load_dataset(name).columns))
    main(["predict", str(run), "--data", str(rows), "--out", str(out)])
    with open(out, newline="") as file:
        for row in csv.DictReader(file):
            shares = {
                k: float(v) for k, v in row.items() if k.startswith("probability:")
            }
            assert sum(shares.values()) == pytest.approx(1, abs=1e-6)
            assert f"probability:{row['prediction']}" == max(shares, key=shares.get)


def test_datasets_are_listed(capsys):
    main(["datasets"])
    text = capsys.readouterr().out
    assert "diabetes" in text and "needs the network" in text


def test_help_needs_no_data(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "--help"])
    assert stop.value.code == 0
    assert "--learning-rate" in capsys.readouterr().out


def test_overwrite_replaces_the_run(run, homes, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(run, out)
    before = (out / "model.safetensors").read_bytes()
    main([*train(homes, out), *QUICK, "--overwrite", "--seed", "1"])
    assert (out / "model.safetensors").read_bytes() != before
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_ctrl_c_before_training_is_one_line(homes, tmp_path, capsys, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("naejax.runs.tables.open_data", interrupted)
    with pytest.raises(SystemExit) as stop:
        main(["train", "--data", str(homes), "--out", str(tmp_path / "run")])
    assert stop.value.code == 130
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_ctrl_c_in_training_keeps_the_best_so_far(homes, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "naejax", "train", "--data", str(homes)]
    command += ["--target", "price", "--out", str(out), "--epochs", "100000"]
    command += ["--patience", "100000"]
    # Only a terminal shows the bar while it moves.
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 200))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=end, text=True)
    seen = b""
    while b"best=epoch" not in seen:
        seen += os.read(terminal, 1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and "stopped by Ctrl-C" in output
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["stopped"] == "interrupted" and metrics["best_epoch"] >= 1
    rows = tmp_path / "predictions.csv"
    main(["predict", str(out), "--data", str(homes), "--out", str(rows)])
    assert len(rows.read_text().splitlines()) == 121


@pytest.mark.slow
def test_codes_are_categories_when_they_are_named(tmp_path, capsys):
    """Else the group 90 would lie between 80 and 100."""
    table, out = tmp_path / "codes.csv", tmp_path / "run"
    cells = [(code, code * i % 7) for i in range(30) for code in (80, 90, 100)]
    lines = [f"{code},{i},{(code == 90) + i}" for code, i in cells]
    table.write_text("\n".join(["code,i,y", *lines]))
    words = ["--data", str(table), "--target", "y", "--out", str(out), *QUICK]
    main(["train", *words, "--categories", "code"])
    assert "categorical" in capsys.readouterr().out
    assert json.loads((out / "config.json").read_text())["categories"] == ["code"]
    main(["explain", str(out), "--out", str(tmp_path / "report.html")])
    rows = tmp_path / "rows.csv"
    main(["predict", str(out), "--data", str(table), "--out", str(rows)])
    with open(rows, newline="") as file:
        found = [row["contribution:code"] for row in csv.DictReader(file)]
    assert len(found) == len(lines)
    for name, message in (("cod", "did you mean 'code'"), ("y", "is the target")):
        with pytest.raises(SystemExit) as stop:
            main(["train", *words, "--overwrite", "--categories", name])
        assert stop.value.code == 2 and message in capsys.readouterr().err
