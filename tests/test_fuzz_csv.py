"""500 random tables with random faults: a model that predicts, or one clear line.

Tables are drawn with 64 rows and 3 columns, so that those without a fault share one
compiled program.
"""

import csv
import io
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from naejax.data import infer_schema, read_columns
from naejax.data.schema import describe
from naejax.data.split import split_rows
from naejax.data.table import encode, encode_training, fit_encoder
from naejax.evaluation import baseline_scores
from naejax.runs.folder import csv_text
from naejax.settings import Settings
from naejax.tabular import fit_table, predict_table, raw_target

pytestmark = pytest.mark.slow
ROWS = 64
TINY = Settings(
    num_experts=2, top_k=2, hidden=(4,), epochs=1, num_knots=2, batch_size=8
)

WORDS = st.sampled_from(
    [
        "a",
        "b b",
        "größe",
        "漢字",
        "<b>&amp;</b>",
        "'",
        "-",
        "_",
        "x" * 300,
        "NaN",
        "NA",
        "",
        "?",
        " ",
        "true",
        "FALSE",
        "None",
        "=1+1",
        "1_0",
        "\u202e",
        "\ufeff",
        "é" * 3,
    ]
)
NUMBERS = st.sampled_from(
    [
        "0",
        "1",
        "-1.5",
        "1e3",
        "1e300",
        "1e301",
        "-1e999",
        "1e-320",
        "9" * 400,
        "inf",
        "nan",
        "1,5",
        "1.000,5",
        "0x1F",
        "١٢",
        "+3",
        ".5",
        "5.",
        "1 000",
        "-0",
        "1e",
        "²",
    ]
)
ANY = st.one_of(
    WORDS, NUMBERS, st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)


@st.composite
def columns_of_cells(draw, rows):
    """Cells of one column: clean numbers, classes, flags, one value, or anything."""
    kind = draw(
        st.sampled_from(
            [
                "number",
                "number",
                "number",
                "level",
                "flag",
                "constant",
                "empty",
                "code",
                "odd number",
                "any",
            ]
        )
    )
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    if kind == "number":
        return [f"{v:.3g}" for v in rng.normal(size=rows)]
    if kind == "level":
        return [f"level {i}" for i in rng.integers(0, 3, rows)]
    if kind == "flag":
        return [str(bool(i)) for i in rng.integers(0, 2, rows)]
    if kind == "code":
        return [f"id{i}" for i in range(rows)]
    if kind in ("constant", "empty"):
        return [draw(ANY) if kind == "constant" else ""] * rows
    choices = draw(
        st.lists(NUMBERS if kind == "odd number" else ANY, min_size=1, max_size=4)
    )
    return [choices[i] for i in rng.integers(0, len(choices), rows)]


def spoil_cell(draw, table):
    row = draw(st.integers(0, len(table) - 1))
    table[row][draw(st.integers(0, len(table[row]) - 1))] = draw(ANY)


def spoil_names(draw, table):
    table[0] = [draw(ANY) for _ in table[0]]


def repeat_a_name(draw, table):
    table[0][0] = table[0][-1]


def shorten_a_line(draw, table):
    table[draw(st.integers(0, len(table) - 1))].pop()


def lengthen_a_line(draw, table):
    table[draw(st.integers(0, len(table) - 1))].append(draw(ANY))


def empty_a_line(draw, table):
    table[draw(st.integers(1, len(table) - 1))] = []


def cut_rows(draw, table):
    del table[draw(st.sampled_from([1, 2, 3, 11])) :]


def empty_some_cells(draw, table):
    column = draw(st.integers(0, 2))
    for row in table[1 :: draw(st.integers(1, 9))]:
        if column < len(row):
            row[column] = ""


TABLE_FAULTS = [
    spoil_cell, spoil_names, repeat_a_name, shorten_a_line, lengthen_a_line,
    empty_a_line, cut_rows, empty_some_cells,
]  # fmt: skip
BYTE_FAULTS = {
    "BOM": lambda content: b"\xef\xbb\xbf" + content,
    "UTF-16": lambda content: content.decode().encode("utf-16"),
    "Latin 1": lambda content: content.decode().encode("latin-1", "replace") + b"\xff",
    "NUL": lambda content: content.replace(b"1", b"\0", 1),
    "open quote": lambda content: content[:20] + b'"' + content[20:],
    "quotes": lambda content: content.replace(b"1", b'"1', 5),
    "CR": lambda content: content.replace(b"\r\n", b"\r"),
    "LF": lambda content: content.replace(b"\r\n", b"\n"),
    "cut": lambda content: content[: len(content) // 2],
    "tail": lambda content: content + b"\r\n,,\r\n\r\n   \r\n",
    "nothing": lambda content: b"",
    "zip": lambda content: b"PK\x03\x04" + content,
    "control": lambda content: content.replace(b"2", b"\x1a\x07\x1b[31m", 2),
    "separators": lambda content: content.replace(b",", b"\x0b\x1c\xc2\x85", 3),
}


@st.composite
def files(draw):
    """The bytes of a CSV file with up to three faults."""
    cells = [draw(columns_of_cells(ROWS)) for _ in range(3)]
    table = [["f", "g", "y"], *map(list, zip(*cells, strict=True))]
    for fault in draw(st.lists(st.sampled_from(TABLE_FAULTS), max_size=2)):
        if len(table) > 1 and all(table):
            fault(draw, table)
    text = io.StringIO()
    delimiter = draw(st.sampled_from([",", ",", ",", ";", "\t", "|"]))
    csv.writer(text, delimiter=delimiter).writerows(table)
    content = text.getvalue().encode()
    for fault in draw(st.lists(st.sampled_from(sorted(BYTE_FAULTS)), max_size=1)):
        content = BYTE_FAULTS[fault](content)
    return content


def train_and_predict(path, target, task, trains):
    """The way of every table from a file to a file; returns what was written."""
    columns = read_columns(path)
    schema = infer_schema(columns, target, task=task)
    describe(schema)
    training, validation, test = split_rows(columns, schema, 0)
    if trains:
        fitted, _ = fit_table(training, validation, schema, TINY, progress=False)
        encoder = fitted.encoder
    else:
        encoder = fit_encoder(training, schema)
    for x in (encode(encoder, test), encode_training(encoder, training)):
        may_be_missing = np.array([np.isnan(codec.fill) for codec in encoder.codecs])
        assert np.isfinite(x[:, ~may_be_missing]).all() and not np.isinf(x).any()
    truth = [raw_target(encoder, part) for part in (training, test)]
    scores = baseline_scores(schema, training, truth[0], test, truth[1])
    assert np.isfinite(list(scores["linear"].values())).all()
    if trains:
        path.with_name("out.csv").write_text(csv_text(predict_table(fitted, test)))
        written = read_columns(path.with_name("out.csv"), text=["prediction"])
        numbers = [v for n, v in written.items() if n.startswith(("prob", "cont"))]
        assert len(written["prediction"]) == len(truth[1])
        assert all(np.isfinite(values).all() for values in numbers)


def test_a_file_ends_in_a_model_or_in_one_line(tmp_path):
    path, ends = tmp_path / "table.csv", []

    @settings(
        max_examples=500,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
    )
    @given(
        content=files(),
        target=st.sampled_from(["y"] * 8 + ["g", "", "z"]),
        task=st.sampled_from(["auto", "auto", "regression", "classification"]),
    )
    def check(content, target, task):
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            trains = len(content) % 3 > 0
            try:
                train_and_predict(path, target, task, trains)
            except ValueError as error:
                message = str(error).replace(str(tmp_path), "")
                assert type(error) is ValueError, repr(error)
                assert len(message.splitlines()) == 1 and message.isprintable(), message
                assert 20 < len(message) < 600, message
                ends.append(message)
            else:
                ends.append("model" if trains else "encoder")

    check()
    # Otherwise nothing was tested.
    assert ends.count("model") > 40 and ends.count("encoder") > 20
    assert len({message[:12] for message in ends}) > 10
