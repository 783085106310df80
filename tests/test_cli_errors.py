"""The mistakes users make on the command line: one line each, exit status 2."""

import subprocess
import sys

import pytest

from naejax.cli import main
from naejax.usage import one_line

QUICK = ["--epochs", "2", "--num-experts", "4", "--hidden", "8"]


def fails(arguments, capsys):
    """Runs a command that must fail; returns its one line."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert error.count("\n") == 1 and error.startswith("naejax: error: "), error
    return error


@pytest.mark.parametrize(
    "box", ["╭─ Bad ─╮\n│ no a │\n╰──────╯\n", "- Bad -\nno a\n---"]
)
def test_boxes_becomeone_line(box):
    assert one_line(box).replace("- ", "").replace(" -", "") == "Bad no a"


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
        "expected a whole number": [*ok, "--out", tmp_path / "r", "--epochs", "many"],
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


def test_the_program_itself_ends_with_status_2_and_no_traceback():
    command = [sys.executable, "-m", "naejax", "train", "--data", "whine", "--out", "x"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "wine" in done.stderr
