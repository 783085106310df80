"""Reading tables: typing of cells, every kind of source, and every refusal."""

import datetime
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from naejax.data.cells import as_text, is_missing, number_text, parse_number
from naejax.data.columns import Columns, read_columns

MARKERS = ["", "NA", "N/A", "NaN", "nan", "null", "None", "?", "  ?  "]


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def assert_equal(got: Columns, expected: Columns) -> None:
    assert list(got) == list(expected)
    for name in expected:
        assert got[name].dtype == expected[name].dtype, name
        if got[name].dtype == object:
            assert got[name].tolist() == expected[name].tolist()
        else:
            np.testing.assert_array_equal(got[name], expected[name])


EXPECTED: Columns = {
    "a": np.array([1.0, np.nan, -2.5e3]),
    "b": np.array(["x y", None, "z"], dtype=object),
    "c": np.array([True, False, True]),
    "d": np.array(["true", None, "false"], dtype=object),
}
LINES = ["a,b,c,d", "1, x y ,true,TRUE", "?,,False,NA", "-2.5e3,z,TRUE,false"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_csv_is_typed_whatever_its_dialect(tmp_path, delimiter, newline, start):
    text = newline.join(LINES).replace(",", delimiter)
    assert_equal(read_columns(write(tmp_path, start + text.encode())), EXPECTED)


def test_every_kind_of_source_gives_the_same_columns(tmp_path):
    values = {
        "a": [1.0, None, -2500.0],
        "b": [" x y ", None, "z"],
        "c": [True, False, True],
        "d": [True, None, False],
    }
    sources = [
        str(write(tmp_path, "\n".join(LINES))),
        values,
        {name: np.array(column, dtype=object) for name, column in values.items()},
        pd.DataFrame(values),
        pd.DataFrame(values).astype({"b": "string", "d": "boolean", "a": "Float64"}),
        pd.DataFrame(values).astype({"b": "category"}),
        pd.DataFrame(values, index=[7, 7, 7]),
        pl.DataFrame(values),
        pl.DataFrame(values).with_columns(pl.col("b").cast(pl.Categorical)),
    ]
    for source in sources:
        assert_equal(read_columns(source), EXPECTED)


def test_pandas_is_not_imported():
    source = Path(read_columns.__code__.co_filename).parent
    for path in source.glob("*.py"):
        assert "import pandas" not in path.read_text()
        assert "import polars" not in path.read_text()
    assert "pandas" in sys.modules


@pytest.mark.parametrize("marker", MARKERS)
def test_missing_markers(tmp_path, marker):
    path = write(tmp_path, f'n,t\n1,a\n"{marker}","{marker}"\n')
    from_file = read_columns(path)
    in_memory = read_columns({"n": [1.0, None], "t": ["a", marker]})
    assert_equal(from_file, in_memory)
    assert is_missing(from_file["n"]).tolist() == [False, True]
    assert is_missing(from_file["t"]).tolist() == [False, True]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2e-3", "-7", " 4 "], "f"),
        (["1", "NaN", "NAN"], "f"),
        (["1_0", "2_0"], "O"),
        (["0x10", "1"], "O"),
        (["1", "yes"], "O"),
        (["true", "yes"], "O"),
        (["true", "1"], "O"),
        (["?", "NA"], "f"),
        (["true", "FALSE"], "b"),
    ],
)
def test_kind_of_a_csv_column(tmp_path, cells, kind):
    path = write(tmp_path, "x,y\n" + "".join(f"{cell},1\n" for cell in cells))
    assert read_columns(path)["x"].dtype.kind == kind


def test_quoted_cells_may_hold_delimiters_and_newlines(tmp_path):
    path = write(tmp_path, '"a;b","c"\n"1,5 m","x\ny"\n"2"" m", "q"\n\n')
    expected = {
        "a;b": np.array(["1,5 m", '2" m'], dtype=object),
        "c": np.array(["x\ny", "q"], dtype=object),
    }
    assert_equal(read_columns(path), expected)


def test_numbers_survive_exactly(tmp_path):
    values = np.random.default_rng(0).standard_normal(200) * 10.0 ** np.arange(
        -100, 100
    )
    path = write(tmp_path, "x,y\n" + "".join(f"{float(v)!r},1\n" for v in values))
    np.testing.assert_array_equal(read_columns(path)["x"], values)


def test_blank_lines_are_skipped_and_still_counted(tmp_path):
    content = "\n\na,b\n1,2\n\n  \n3,4\n\n"
    assert read_columns(write(tmp_path, content))["a"].tolist() == [1.0, 3.0]
    with pytest.raises(ValueError, match="line 9 of"):
        read_columns(write(tmp_path, content + "5\n"))


def test_years_are_names_but_data_are_not_a_header(tmp_path):
    years = read_columns(write(tmp_path, "y,2019,2020,2021\n1,2,3,4\n"))
    assert list(years) == ["y", "2019", "2020", "2021"]
    for first in ("39,x,13,2174", "5.1,3.5,setosa", "2,2,a", "nan,a"):
        with pytest.raises(ValueError, match="seems to lack a header"):
            read_columns(write(tmp_path, f"{first}\n{first}\n"))


def numbers_with(cell: str, count: int) -> str:
    return "x,y\n" + "".join(f"{i}.5,1\n" for i in range(count)) + f"{cell},1\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("a,b\n", "no rows"),
        ("a,a\n1,2\n", "two columns are called 'a'"),
        ("a,\n1,2\n", "column 2 of 2 has no name"),
        (",a\n0,2\n", "column 1 of 2 has no name"),
        ("a,b\n1,2\n1,2,3\n", "line 3 of .* has 3 cells, but the header names 2"),
        ("a,b\n1,2\n1\n", "line 3 of .* has 1 cells"),
        (b"a,b\n\xff\xfe,2\n", r"not UTF-8 text \(byte 4\)"),
        ("a,b\n1,2\n".encode("utf-16"), "not UTF-8"),
        (b"a,b\n\x00,2\n", "binary file"),
        ('a,b\n1,"2\n', "not a readable CSV file"),
        ("a,b\n" + "x" * 200_000 + ",1\n", "not a readable CSV file: field larger"),
        ("a,b\n1,2\ninf,3\n", r"'a' holds 'inf' \(line 3\)"),
        ("a,b\n1,2\n1e999,3\n", r"'a' holds '1e999' \(line 3\)"),
        ("a;b\n1,5;x\n2,25;y\n", r"'a' writes numbers with a comma: '1,5' \(line 2\)"),
        ('a,b\n5,x\n"1,250",y\n', r"numbers with a comma: '1,250' \(line 3\)"),
        (
            numbers_with("oops", 20),
            r"text in a numeric column: 'x' .*'oops' \(line 22\)",
        ),
        (numbers_with("1_0", 40), r"'x' holds '1_0' \(line 42\)"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, content, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_columns(write(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_stray_text_needs_a_clear_majority_of_numbers(tmp_path):
    few = read_columns(write(tmp_path, numbers_with("oops", 19)))
    assert few["x"].dtype == object
    # 21 numbers of 23 cells are less than 95 %.
    content = numbers_with("oops", 21) + "oops,1\n"
    assert read_columns(write(tmp_path, content))["x"].dtype == object


def test_text_keeps_codes_as_they_are_written(tmp_path):
    path = write(tmp_path, numbers_with("oops", 20).replace("0.5", "00.50", 1))
    column = read_columns(path, text=["x", "absent"])["x"]
    assert column[0] == "00.50"
    assert column[-1] == "oops"
    in_memory = read_columns({"x": [1, 2, None], "y": [0.5, 1, 2]}, text={"x", "y"})
    assert in_memory["x"].tolist() == ["1", "2", None]
    assert in_memory["y"].tolist() == ["0.5", "1", "2"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing.csv", r"cannot read .*expected a CSV file"),
        (".", r"no dataset_info.json in .*, expected a folder that TFDS prepared"),
    ],
)
def test_no_such_file_or_a_folder(tmp_path, path, message):
    with pytest.raises(ValueError, match=message):
        read_columns(tmp_path / path)


def test_array_names_and_copies():
    matrix = np.arange(6.0).reshape(3, 2)
    columns = read_columns(matrix)
    matrix[:] = 0.0
    assert_equal(
        columns, {"x0": np.array([0.0, 2.0, 4.0]), "x1": np.array([1.0, 3.0, 5.0])}
    )


def test_numbers_of_every_python_kind():
    column = read_columns({"x": [1, 2.5, np.float32(3), Decimal("4.5"), None, pd.NA]})
    np.testing.assert_array_equal(column["x"], [1.0, 2.5, 3.0, 4.5, np.nan, np.nan])


def test_pandas_integer_categories_are_text():
    frame = pd.DataFrame({"x": pd.Series([3, 1, None], dtype="category"), 7: [1, 2, 3]})
    columns = read_columns(frame)
    assert columns["x"].tolist() == ["3", "1", None]
    assert columns["7"].dtype == np.float64


DAY = datetime.date(2020, 1, 1)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros(3), r"ndarray of shape \(3,\), expected a path"),
        (3, "got int of shape"),
        ({}, "no columns"),
        (pd.DataFrame(), "no columns"),
        (np.zeros((3, 0)), "no columns"),
        (np.zeros((0, 3)), "no rows"),
        ({"a": []}, "no rows"),
        ({"a": [1], "b": [1, 2]}, "'b' has 2 rows, but 'a' has 1"),
        ({"a": [[1, 2], [3, 4]]}, r"'a' has shape \(2, 2\)"),
        ({"a": 3}, r"'a' has shape \(\)"),
        ({"a": [1, "x"]}, r"'a' mixes number and text \(row 2: 'x'\)"),
        ({"a": [True, None, 2.0]}, r"'a' mixes boolean and number \(row 3"),
        ({"a": [DAY]}, "'a' holds values of type date: convert it to a number"),
        ({"a": [1.0, {}]}, "'a' holds values of type dict"),
        ({"a": np.array([1j])}, "'a' holds values of type complex"),
        ({"a": [1.0, np.inf]}, r"'a' holds an infinite number \(row 2\)"),
        ({"a": [1, float("-inf")]}, r"infinite number \(row 2\)"),
        (
            pd.DataFrame({"d": pd.to_datetime(["2020-01-01"])}),
            "'d' holds dates or times",
        ),
        (pl.DataFrame({"d": [DAY]}), "'d' holds dates or times"),
        (
            pd.DataFrame({"d": pd.to_datetime(["2020-01-01"]).tz_localize("UTC")}),
            "'d' holds values of type Timestamp",
        ),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns are called 'a'"),
        (pd.DataFrame([[1, 2]], columns=["a", " "]), "column 2 of 2 has no name"),
    ],
)
def test_bad_tables_are_refused_in_one_line(source, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_columns(source)
    assert "\n" not in str(caught.value)


def test_reading_columns_again_changes_nothing():
    assert_equal(read_columns(EXPECTED), EXPECTED)


def test_number_text_round_trips():
    rng = np.random.default_rng(1)
    values = np.concatenate(
        [rng.standard_normal(50), rng.integers(-99, 99, 50), [1e20]]
    )
    for value in values:
        assert parse_number(number_text(value)) == value
    assert number_text(-0.0) == "0"


def test_as_text_of_every_type():
    assert as_text(np.array([True, False])).tolist() == ["true", "false"]
    assert as_text(np.array([2.0, np.nan, 2.0])).tolist() == ["2", None, "2"]
    assert as_text(EXPECTED["b"]) is EXPECTED["b"]
