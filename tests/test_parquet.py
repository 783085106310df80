"""Parquet files read as tables: the same as from CSV, and refused in plain words."""

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from naejax.cli import main
from naejax.data import (
    encode,
    encode_target,
    fit_encoder,
    infer_schema,
    load_dataset,
    read_columns,
)
from naejax.data.arrow_cells import as_table_column
from naejax.data.csvfile import read_csv
from naejax.data.parquet_files import open_parquet, read_parquet
from naejax.data.rows import read_rows


def people(rows: int = 120, seed: int = 0) -> dict[str, list]:
    """A small table with all kinds of columns and missing cells."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, rows).tolist()
    income = rng.lognormal(size=rows).round(3).tolist()
    city = rng.choice(["Oslo", "Bergen", 'Å, "x"'], rows).tolist()
    member = (rng.random(rows) < 0.5).tolist()
    income[3] = city[5] = age[8] = None
    y = [0.1 * (a or 0) + m for a, m in zip(age, member, strict=True)]
    return {"age": age, "income": income, "city": city, "member": member, "y": y}


def write(path, columns, **options):
    pq.write_table(pa.table(columns), path, **options)
    return path


def write_csv(path, columns):
    import csv

    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def assert_same(found, wanted):
    assert list(found) == list(wanted)
    for name, column in wanted.items():
        assert found[name].dtype == column.dtype, name
        np.testing.assert_array_equal(found[name], column, name)


def test_a_file_is_read_as_its_csv(tmp_path):
    columns = people()
    found = read_parquet(write(tmp_path / "a.parquet", columns, row_group_size=50))
    wanted = read_csv(write_csv(tmp_path / "a.csv", columns))
    assert_same(found, wanted)
    schema = infer_schema(found, "y")
    assert schema == infer_schema(wanted, "y")
    encoder = fit_encoder(wanted, schema)
    np.testing.assert_array_equal(encode(encoder, found), encode(encoder, wanted))
    np.testing.assert_array_equal(
        encode_target(encoder, found), encode_target(encoder, wanted)
    )


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (pa.array([1, None], pa.int64()), [1.0, np.nan]),
        (pa.array([1, 200], pa.uint8()), [1.0, 200.0]),
        (pa.array([0.5, None], pa.float32()), [0.5, np.nan]),
        (pa.array([Decimal("1.50"), None]), [1.5, np.nan]),
        (pa.array([None, None], pa.null()), [np.nan, np.nan]),
        (pa.array([True, False]), np.array([True, False])),
        (pa.array([True, None]), ["true", None]),
        (pa.array([" a ", "?"]), ["a", None]),
        (pa.array(["a", None], pa.large_string()), ["a", None]),
        (pa.array(["b", "b"]).dictionary_encode(), ["b", "b"]),
    ],
)
def test_every_type_of_a_table(tmp_path, values, wanted):
    path = write(tmp_path / "a.parquet", {"x": values})
    column = read_parquet(path)["x"]
    assert column.tolist() == pytest.approx(list(wanted), nan_ok=True)


def test_categories_of_numbers_are_text():
    values = pa.chunked_array([pa.array([3, None]).dictionary_encode()])
    assert as_table_column("x", values).tolist() == ["3", None]


def test_numbers_can_be_names_of_groups(tmp_path):
    path = write(tmp_path / "a.parquet", {"code": [7, None], "flag": [True, False]})
    columns = read_columns(path, text=["code", "flag"])
    assert columns["code"].tolist() == ["7", None]
    assert columns["flag"].tolist() == ["true", "false"]


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ([datetime.date(2020, 1, 1)], "dates or times"),
        ([datetime.datetime(2020, 1, 1)], "dates or times"),
        ([datetime.timedelta(1)], "dates or times"),
        ([[1, 2]], "list"),
        ([b"x"], "binary"),
    ],
)
def test_what_no_table_holds_is_refused_and_can_be_left_out(tmp_path, values, what):
    path = write(tmp_path / "a.parquet", {"day": values, "x": [1.0]})
    with pytest.raises(ValueError, match=f"column 'day' holds {what}.*convert it"):
        read_columns(path)
    assert list(read_columns(path, drop=["day"])) == ["x"]


@pytest.mark.parametrize("value", [np.inf, 1e301])
def test_huge_numbers_are_refused_with_their_row(tmp_path, value):
    cells = [0.0] * 200
    cells[150] = value
    path = write(tmp_path / "a.parquet", {"x": cells}, row_group_size=40)
    with pytest.raises(ValueError, match=r"column 'x' holds .* \(row 151\)"):
        read_columns(path)


def test_a_folder_of_files_is_one_table(tmp_path):
    columns = people()
    first = {name: column[:70] for name, column in columns.items()}
    # Numbers may be of different types, and a part may have no type at all.
    other = {name: column[70:] for name, column in columns.items()}
    other["age"] = pa.array(other["age"], pa.float32())
    write(tmp_path / "part-0.parquet", first)
    write(tmp_path / "part-1.parquet", other)
    (tmp_path / "_SUCCESS").touch()
    whole = write(tmp_path / "whole", columns).rename(tmp_path / "whole.csv")
    assert_same(read_columns(tmp_path), open_parquet(whole).read(list(columns)))
    dataset = load_dataset(str(tmp_path), "y")
    assert dataset.description == f"Parquet files in {tmp_path.name}"
    assert len(dataset.columns["y"]) == 120


def test_mixed_folders_are_refused(tmp_path):
    write(tmp_path / "a.parquet", {"x": [1], "y": [1.0]})
    write(tmp_path / "b.parquet", {"x": ["one"], "y": [1.0]})
    with pytest.raises(ValueError, match=r"'x' is text in .*b.parquet.*expected num"):
        read_columns(tmp_path)
    write(tmp_path / "b.parquet", {"y": [1.0]})
    with pytest.raises(ValueError, match=r"'x' is not there in .*b.parquet"):
        read_columns(tmp_path)


def test_damaged_and_missing_files_are_one_line(tmp_path):
    path = write(tmp_path / "a.parquet", people())
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    for name, words in (("a", "is damaged, or no Parquet file"), ("b", "No such file")):
        with pytest.raises(ValueError, match=words) as caught:
            read_columns(tmp_path / f"{name}.parquet")
        assert "\n" not in str(caught.value)
    damaged = bytearray(content)
    damaged[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"a\.parquet is damaged") as caught:
        read_columns(path)
    assert "\n" not in str(caught.value)


def test_empty_files_and_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected a CSV file, a folder of \.parquet"):
        load_dataset(str(tmp_path), "y")
    with pytest.raises(ValueError, match="is a folder without Parquet files"):
        open_parquet(tmp_path)
    write(tmp_path / "a.parquet", {"x": pa.array([], pa.float64())})
    with pytest.raises(ValueError, match="has no rows of data"):
        read_columns(tmp_path)


def test_the_saved_index_of_pandas_is_left_out(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": [1.0, 2.0]}, index=[7, 9])
    frame.to_parquet(tmp_path / "a.parquet")
    assert list(read_columns(tmp_path / "a.parquet")) == ["x"]


def test_rows_of_a_fitted_model_need_only_its_columns(tmp_path):
    columns = read_parquet(write(tmp_path / "a.parquet", people()))
    encoder = fit_encoder(columns, infer_schema(columns, "y"))
    given = people() | {"day": [datetime.date(2020, 1, 1)] * 120}
    rows = read_rows(encoder, write(tmp_path / "b.parquet", given), target=False)
    assert list(rows) == ["age", "income", "city", "member"]
    np.testing.assert_array_equal(encode(encoder, rows), encode(encoder, columns))


def test_the_command_line_from_end_to_end(tmp_path, capsys):
    path, run = write(tmp_path / "people.parquet", people()), tmp_path / "run"
    options = ["--target", "y", "--epochs", "2", "--num-experts", "2"]
    main(["train", "--data", str(path), "--out", str(run), *options])
    out = tmp_path / "out.csv"
    main(["predict", str(run), "--data", str(path), "--out", str(out), "--keep", "age"])
    main(["explain", str(run), "--out", str(tmp_path / "page.html")])
    lines = out.read_text().splitlines()
    assert len(lines) == 121 and lines[0].startswith("age,prediction,bias,")
    assert lines[1].split(",")[0] == str(people()["age"][0])
    printed = capsys.readouterr().out
    assert "Parquet file people.parquet" in printed
    assert "people.parquet: the run's own table" in printed


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    path = write(folder / "people.parquet", people())
    words = ["--target", "y", "--epochs", "1", "--num-experts", "2"]
    main(["train", "--data", str(path), "--out", str(folder / "run"), *words])
    return folder / "run"


@pytest.mark.parametrize(
    ("columns", "keep", "words"),
    [
        ({"age": [1.0]}, [], "the table lacks the column 'income'"),
        (people(), ["aeg"], "no column 'aeg'; did you mean 'age'?"),
        (people() | {"bias": [0] * 120}, ["bias"], "has the name of a column of pred"),
        (people() | {"age": ["old"] * 120}, [], "text in the numeric column 'age'"),
        (people() | {"member": [0.5] * 120}, [], "'member' holds numbers, expected t"),
    ],
)
def test_rows_to_predict_that_do_not_fit(tmp_path, run, capsys, columns, keep, words):
    path, out = write(tmp_path / "a.parquet", columns), tmp_path / "out.csv"
    command = ["predict", str(run), "--data", str(path), "--out", str(out)]
    with pytest.raises(SystemExit) as stop:
        main([*command, *(["--keep", *keep] if keep else [])])
    assert stop.value.code == 2 and not list(tmp_path.glob("*out*"))
    error = capsys.readouterr().err
    assert words in error and error.strip().count("\n") == 0
