"""Cells of CSV files: what is missing, what is a slip, and on which line."""

import io

import numpy as np
import pandas as pd
import pytest

from naejax.data import fit_encoder, infer_schema, load_dataset, read_columns
from naejax.data.csvcells import CSV_MISSING
from naejax.data.csvfile import read_header, read_texts
from naejax.data.rows import read_rows
from naejax.runs.folder import csv_text

WORDS = ["", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "null", "NULL", "None", "<NA>"]
WORDS += ["#N/A", "?"]


def write(folder, columns):
    path = folder / "table.csv"
    path.write_text(csv_text(columns))
    return path


def test_missing_words_are_those_of_pandas():
    known = "#N/A #NA -1.#IND -1.#QNAN -NaN -nan 1.#IND 1.#QNAN <NA> N/A NA NULL NaN "
    known += "None n/a nan null"
    others = [
        *known.split(),
        "",
        "#N/A N/A",
        "?",
        "none",
        "NAN",
        "Na",
        "-",
        ".",
        "0",
        "#NULL!",
        "missing",
        "inf",
        "nil",
    ]
    cells = sorted(CSV_MISSING | set(others))
    frame = pd.read_csv(io.StringIO(csv_text({"i": range(len(cells)), "c": cells})))
    missing = {c for c, gone in zip(cells, frame["c"].isna(), strict=True) if gone}
    assert missing == CSV_MISSING - {"?"}


@pytest.mark.parametrize("word", WORDS)
def test_missing_words_are_missing_in_columns_of_every_kind(tmp_path, word):
    kinds = {"x": "1.5", "c": "Oslo", "b": "true"}
    cells = {name: [cell, word] * 30 for name, cell in kinds.items()}
    path = write(tmp_path, {**cells, "y": range(60)})
    columns = read_columns(path)
    for name in kinds:
        assert pd.isna(columns[name][1]) and not pd.isna(columns[name][0])
    assert columns["x"].dtype == np.float64
    encoder = fit_encoder(columns, infer_schema(columns, "y"))
    rows = read_rows(encoder, path)
    assert all(pd.isna(rows[name][1]) for name in kinds)


def test_frames_keep_their_own_words():
    frame = pd.DataFrame({"c": ["NULL", "n/a", "#N/A"]})
    assert read_columns(frame)["c"].tolist() == ["NULL", "n/a", "#N/A"]


def slip(folder, name="floor area", words=("big", "small"), **more):
    numbers = [f"{i}.5" for i in range(60)]
    return write(folder, {name: [*numbers, *words], **more})


def test_advice_on_stray_text_can_be_copied(tmp_path):
    with pytest.raises(ValueError) as caught:
        read_columns(slip(tmp_path))
    for words in (
        "'big' (line 62) and 1 more cell of text",
        "--categories 'floor area'",
        "naejax.data.read_columns(PATH, text=['floor area'])",
    ):
        assert words in str(caught.value)
    with pytest.raises(ValueError, match=r"'big' \(line 62\); correct it, or empty it"):
        read_columns(slip(tmp_path, words=["big"]))


def test_rows_to_predict_get_other_advice_and_lines(tmp_path):
    columns = {"floor area": np.arange(12.0), "y": np.arange(12.0)}
    encoder = fit_encoder(columns, infer_schema(columns, "y"))
    for words in (["big", "small"], ["big"] * 99):
        with pytest.raises(ValueError, match=r"\(line 62\).*trained on numbers") as e:
            read_rows(encoder, slip(tmp_path, words=words))
        assert "--categories" not in str(e.value)
    # What the model does not read may hold anything.
    size = write(tmp_path, {"floor area": ["1", "2"], "id": ["7", "x"], "y": ["1", ""]})
    assert read_rows(encoder, size)["id"].tolist() == ["7", "x"]
    path = slip(tmp_path, "y", **{"floor area": ["1"] * 62})
    assert "big" in read_rows(encoder, path, target=False)["y"]
    with pytest.raises(ValueError, match="trained on numbers"):
        read_rows(encoder, path)


def test_names_are_checked_before_cells(tmp_path):
    path = slip(tmp_path, y=range(62))
    for options, message in [
        ({"categories": ["floor"]}, "no column 'floor'; did you mean 'floor area'"),
        ({"drop": ["flor area"]}, "no column 'flor area'; did you mean 'floor area'"),
        ({"drop": ["y"]}, "'y' is the target, which cannot be dropped"),
        ({"categories": ["y"]}, "'y' is the target; for classes"),
        ({"target": "z"}, "no target column 'z'"),
    ]:
        with pytest.raises(ValueError, match=message):
            load_dataset(str(path), **{"target": "y", **options})


def test_dropped_columns_may_hold_anything(tmp_path):
    data = load_dataset(str(slip(tmp_path, y=range(62))), "y", drop=["floor area"])
    assert list(data.columns) == ["y"] and data.drop == ("floor area",)
    assert "alcohol" not in load_dataset("wine", drop=["alcohol"]).columns
    dates = pd.DataFrame({"day": pd.to_datetime(["2011-01-01"]), "x": [1.0]})
    assert list(read_columns(dates, drop=["day"])) == ["x"]
    with pytest.raises(ValueError, match="no columns"):
        read_columns(dates, drop=["day", "x"])


def test_a_missing_target_is_told_by_its_line(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('x,y\n"1\n2",1\n\n3,NA\n4,\n')
    with pytest.raises(ValueError, match=r"missing in 2 of 3 rows \(first: line 5\)"):
        load_dataset(str(path), "y")


def test_texts_are_copied_as_they_are(tmp_path):
    path = write(tmp_path, {"code": ["007", "NA"], "x": [1, 2]})
    assert read_header(path) == ["code", "x"]
    assert read_texts(path, ["x", "code"]) == {"x": ["1", "2"], "code": ["007", "NA"]}
    with pytest.raises(ValueError, match="did you mean 'code'"):
        read_texts(path, ["cod"])


def test_zeros_are_written_without_a_sign():
    columns = {"a": np.array([-0.0, -1.5]), "b": np.array([-0.0, 2], np.float32)}
    assert csv_text(columns) == "a,b\n0.0,0.0\n-1.5,2.0\n"


@pytest.mark.parametrize("slip", ["a word", "1,5"])
def test_a_long_name_makes_no_long_message(tmp_path, slip):
    path = tmp_path / "table.csv"
    cells = ["1"] * 40 if slip == "a word" else ["2,5"] * 40
    path.write_text("x" * 1000 + ";y\n" + "".join(f"{c};1\n" for c in [*cells, slip]))
    with pytest.raises(ValueError, match=r"xxx\.\.\.'") as error:
        read_columns(path)
    assert len(str(error.value)) < 600
