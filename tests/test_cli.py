"""The command line as a user walks it, and the mistakes users make."""

import csv
import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from naejax.cli import main

QUICK = ["--epochs", "2", "--num-experts", "4", "--hidden", "8"]


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """A CSV with numbers, categories, booleans and missing cells."""
    path = tmp_path_factory.mktemp("data") / "homes.csv"
    rng = np.random.default_rng(0)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["size", "city", "garden", "price"])
        for i in range(120):
            size, garden = rng.uniform(20, 200), bool(rng.integers(2))
            city = ["Oslo", "Bergen", ""][i % 3]
            price = 3 * size + 50 * garden + 100 * (city == "Oslo")
            writer.writerow(
                ["" if i % 10 == 0 else round(size, 1), city, garden, price]
            )
    return path


@pytest.fixture(scope="module")
def run(homes, tmp_path_factory):
    """A run trained from that CSV."""
    out = tmp_path_factory.mktemp("runs") / "homes"
    main(
        ["train", "--data", str(homes), "--target", "price", "--out", str(out), *QUICK]
    )
    return out


def fails(arguments, capsys):
    """Runs a command that must fail; returns its one line."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert error.count("\n") == 1 and error.startswith("naejax: error: "), error
    return error


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
    assert not [p for p in run.parent.iterdir() if p != run]  # no leftovers beside


def test_train_prints_schema_and_scores(homes, tmp_path, capsys):
    out = tmp_path / "run"
    main(
        ["train", "--data", str(homes), "--target", "price", "--out", str(out), *QUICK]
    )
    text = capsys.readouterr()
    for words in (
        "120 rows, 3 features",
        "categorical",
        "boolean",
        "linear",
        "constant",
    ):
        assert words in text.out
    assert "epoch" in text.err  # the progress bar


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


def test_same_command_gives_bitwise_the_same_model(run, homes, tmp_path):
    again = tmp_path / "again"
    main(
        [
            "train",
            "--data",
            str(homes),
            "--target",
            "price",
            "--out",
            str(again),
            *QUICK,
        ]
    )
    name = "model.safetensors"
    assert (run / name).read_bytes() == (again / name).read_bytes()


@pytest.mark.parametrize("name", ["wine", "breast-cancer"])
def test_classes_get_probabilities(name, tmp_path):
    run, out = tmp_path / "run", tmp_path / "out.csv"
    main(["train", "--data", name, "--out", str(run), *QUICK])
    metrics = json.loads((run / "metrics.json").read_text())
    assert 0 <= metrics["test"]["accuracy"] <= 1
    from naejax.data import load_dataset
    from naejax.runs import _csv_text

    rows = tmp_path / "rows.csv"
    rows.write_text(_csv_text(load_dataset(name).columns))
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


CSV = "a,b,y\n" + "".join(f"{i},{i % 7},{i * 2}\n" for i in range(40))
BAD_TABLES = {
    "empty file": ("", "y", "empty"),
    "header only": ("a,b,y\n", "y", "no rows"),
    "unknown target": (CSV, "yy", "y"),
    "no target": (CSV, None, "target"),
    "one class only": ("a,y\n" + "".join(f"{i},no\n" for i in range(40)), "y", "same"),
    "constant target": (
        "a,y\n" + "".join(f"{i},3.5\n" for i in range(40)),
        "y",
        "same",
    ),
    "all-missing column": (
        "a,b,y\n" + "".join(f"{i},,{i}\n" for i in range(40)),
        "y",
        "'b'",
    ),
    "text in a numeric column": (
        CSV.replace("\n33,", "\nthirty,"),
        "y",
        "'thirty'",
    ),
    "missing target": (CSV.replace("7,0,14", "7,0,"), "y", "missing in 1"),
    "ragged row": (CSV + "1,2\n", "y", "42"),
    "duplicated names": (CSV.replace("a,b,y", "a,a,y"), "y", "'a'"),
    "too few rows": ("a,y\n1,2\n2,3\n", "y", "at least"),
    "target alone": ("y\n" + "".join(f"{i}\n" for i in range(40)), "y", "besides"),
    "infinite cell": (CSV.replace("\n33,", "\ninf,"), "y", "'a'"),
    "identifier as target": (
        "a,y\n" + "".join(f"{i},id{i}\n" for i in range(40)),
        "y",
        "identifier",
    ),
    "rare class": (
        "a,y\n" + "".join(f"{i},{'no' if i else 'yes'}\n" for i in range(40)),
        "y",
        "'yes'",
    ),
    "binary file": ("PK\x03\x04\x00\x00\x00", "y", "text"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_bad_tables_are_one_line(name, tmp_path, capsys):
    content, target, words = BAD_TABLES[name]
    path, out = tmp_path / "table.csv", tmp_path / "run"
    path.write_text(content)
    named = [] if target is None else ["--target", target]
    error = fails(["train", "--data", path, *named, "--out", out, *QUICK], capsys)
    assert words in error
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]  # nothing half-made


def test_bad_commands_are_one_line(homes, run, tmp_path, capsys):
    ok = ["train", "--data", homes, "--target", "price"]
    a_file = tmp_path / "file"
    a_file.write_text("not a run")
    a_folder = tmp_path / "folder"
    a_folder.mkdir()
    (a_folder / "thesis.tex").write_text("precious")
    cases = {
        "did you mean 'wine'": ["train", "--data", "whine", "--out", tmp_path / "r"],
        "nowhere.csv": ["train", "--data", "nowhere.csv", "--out", tmp_path / "r"],
        "price": [
            "train",
            "--data",
            homes,
            "--target",
            "prize",
            "--out",
            tmp_path / "r",
        ],
        "--overwrite": [*ok, "--out", run, *QUICK],
        "not a run": [*ok, "--out", a_folder, "--overwrite", *QUICK],
        "cannot write": [*ok, "--out", a_file / "r", *QUICK],
        "--out": ["train", "--data", homes],
        "--epoks": [*ok, "--out", tmp_path / "r", "--epoks", "3"],
        "invalid literal": [*ok, "--out", tmp_path / "r", "--epochs", "many"],
        "epochs is 0": [*ok, "--out", tmp_path / "r", "--epochs", "0"],
        "did you mean 'context'": [*ok, "--out", tmp_path / "r", "--gate", "contxt"],
        "did you mean 'squared'": [*ok, "--out", tmp_path / "r", "--loss", "squird"],
        "needs a binary target": [*ok, "--out", tmp_path / "r", "--loss", "logistic"],
        "train, predict": ["trian"],
        "is not a folder": ["predict", tmp_path / "no", "--data", homes, "--out", "x"],
        "does not exist": ["predict", a_folder, "--data", homes, "--out", "x"],
        "is a folder": ["predict", run, "--data", homes, "--out", a_folder],
    }
    for words, arguments in cases.items():
        assert words in fails(arguments, capsys), words
    assert {p.name for p in tmp_path.iterdir()} == {"file", "folder"}
    assert (a_folder / "thesis.tex").read_text() == "precious"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("size,city\n80,Oslo\n", "'garden'"),
        ("size,city,garden\nbig,Oslo,true\n", "'big'"),
        ("size,city,garden\n", "no rows"),
        ("size,city,garden\n80,Oslo,3\n", "'garden'"),
    ],
)
def test_bad_rows_to_predict_are_one_line(run, tmp_path, capsys, rows, words):
    path, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    path.write_text(rows)
    assert words in fails(["predict", run, "--data", path, "--out", out], capsys)
    assert not out.exists()


def test_diverging_training_is_one_line_after_the_bar(homes, tmp_path, capsys):
    out = tmp_path / "run"
    command = ["train", "--data", homes, "--target", "price", "--out", out, *QUICK]
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in [*command, "--learning-rate", "1e30"]])
    last = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 2 and last.startswith("naejax: error: the loss is")
    assert "learning rate 7.5e+29" in last and not list(tmp_path.iterdir())


def test_damaged_model_is_one_line(run, homes, tmp_path, capsys):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    whole = (run / "model.safetensors").read_bytes()
    for content in (whole[: len(whole) // 2], b"garbage", b""):
        (damaged / "model.safetensors").write_bytes(content)
        arguments = ["predict", damaged, "--data", homes, "--out", tmp_path / "x.csv"]
        assert "not a model that naejax saved" in fails(arguments, capsys)


def test_overwrite_replaces_the_run(homes, tmp_path):
    out = tmp_path / "run"
    base = [
        "train",
        "--data",
        str(homes),
        "--target",
        "price",
        "--out",
        str(out),
        *QUICK,
    ]
    main(base)
    before = (out / "model.safetensors").read_bytes()
    main([*base, "--overwrite", "--seed", "1"])
    assert (out / "model.safetensors").read_bytes() != before
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_the_program_itself_ends_with_status_2_and_no_traceback():
    command = [sys.executable, "-m", "naejax", "train", "--data", "whine", "--out", "x"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "wine" in done.stderr


def test_ctrl_c_before_training_is_one_line(homes, tmp_path, capsys, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("naejax.cli.load_dataset", interrupted)
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
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    seen = ""
    while "best=epoch" not in seen:
        seen += process.stderr.read(1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and "stopped by Ctrl-C" in output
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["stopped"] == "interrupted" and metrics["best_epoch"] >= 1
    rows = tmp_path / "predictions.csv"
    main(["predict", str(out), "--data", str(homes), "--out", str(rows)])
    assert len(rows.read_text().splitlines()) == 121
