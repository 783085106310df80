"""Labelled texts with rationales prepared for TFDS: read back, or refused in a line."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from naejax.data import prepare_table, prepare_text, read_text
from naejax.data.spans import merge_spans, token_spans

ROWS = [
    {"text": "Nicht schlecht,\tsehr gut!\n", "label": "pos", "rationales": [[16, 24]]},
    {"text": " 漢字 is  bad ", "label": "neg", "query": "Is it good?"},
    {"text": "a\u2028b c", "label": "pos", "rationales": [[3, 5], [0, 2], [1, 3]]},
]


def marked(texts, i):
    return [texts.text[i][start:stop] for start, stop in texts.rationales[i]]


def check_rows(texts, rows=ROWS):
    assert texts.text == [row["text"] for row in rows]
    assert texts.query == [row.get("query", "") for row in rows]
    assert [texts.classes[i] for i in texts.label] == [row["label"] for row in rows]
    assert texts.label.dtype == np.int32
    assert [spans.shape[1] for spans in texts.rationales] == [2] * len(rows)
    assert marked(texts, 0) == ["sehr gut"] and marked(texts, 1) == []
    # What overlaps is joined, what only touches is not.
    assert texts.rationales[2].tolist() == [[0, 3], [3, 5]]


@pytest.mark.parametrize("source", ["rows", "jsonl", "csv"])
def test_texts_come_back(tmp_path, source):
    given = ROWS
    if source == "jsonl":
        given = tmp_path / "few.jsonl"
        given.write_text(
            "\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
        )
    if source == "csv":
        given = tmp_path / "few.csv"
        cells = [
            [row["text"], row["label"], row.get("query", ""), row.get("rationales", "")]
            for row in ROWS
        ]
        quoted = (",".join(f'"{cell}"' for cell in line) for line in cells)
        given.write_text("\n".join(["text,label,query,rationales", *quoted]))
    path = prepare_text(given, name="few", folder=tmp_path)
    texts = read_text(path)
    assert texts.classes == ("neg", "pos")
    check_rows(texts)
    row = tfds.builder_from_directory(path).as_data_source("train")[2]
    assert row["text"].decode() == ROWS[2]["text"] and row["label"] == 1
    np.testing.assert_array_equal(row["rationales"], [[0, 3], [3, 5]])
    assert "tensorflow" not in sys.modules


def test_tokens_are_the_words(tmp_path):
    rng = np.random.default_rng(0)
    words = ["ab", "c,", "déjà", "漢"]
    rows = []
    for i in range(20):
        picked = rng.choice(words, 9)
        text = "".join(w + rng.choice([" ", "  ", "\n", "\t "]) for w in picked)
        start, stop = sorted(rng.choice(10, 2, replace=False).tolist())
        rows.append({"text": text, "label": i % 2, "rationales": [[start, stop]]})
    texts = read_text(prepare_text(rows, name="t", folder=tmp_path, unit="tokens"))
    assert texts.classes == ("0", "1")
    for i, row in enumerate(rows):
        ((start, stop),) = row["rationales"]
        (found,) = marked(texts, i)
        assert found.split() == row["text"].split()[start:stop]
        assert found == found.strip()


def test_spans():
    rng = np.random.default_rng(0)
    for _ in range(50):
        spans = np.sort(rng.choice(40, (6, 2)), axis=1) + np.array([[0, 1]])
        merged = merge_spans(map(tuple, spans.tolist()))
        inside = {place for start, stop in spans for place in range(start, stop)}
        found = [place for start, stop in merged for place in range(start, stop)]
        assert sorted(inside) == found
    assert token_spans(" \n").shape == merge_spans([]).shape == (0, 2)


def test_splits(tmp_path):
    rows = [
        {"text": f"t{i}", "label": "ab"[i % 2], "split": ["test", "train"][i % 4 > 1]}
        for i in range(12)
    ]
    path = prepare_text(rows, name="said", folder=tmp_path)
    assert [int(t[1:]) for t in read_text(path, "test").text] == [0, 1, 4, 5, 8, 9]
    with pytest.raises(ValueError, match=r"no split 'validation' in .*: train, test"):
        read_text(path, "validation")
    plain = [{"text": row["text"], "label": row["label"]} for row in rows]
    shares = {"train": 0.75, "test": 0.25}
    path = prepare_text(plain, name="drawn", folder=tmp_path, splits=shares)
    parts = [read_text(path, split).text for split in ("train", "test")]
    assert list(map(len, parts)) == [9, 3]
    assert sorted([*parts[0], *parts[1]]) == sorted(row["text"] for row in rows)


def test_same_texts_same_bytes(tmp_path):
    (tmp_path / "few.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    here = prepare_text(tmp_path / "few.jsonl", name="few", folder=tmp_path / "here")
    code = (
        "import sys; from naejax.data import prepare_text; "
        "prepare_text('few.jsonl', name='few', folder='there'); "
        "assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    there = tmp_path / "there" / "few" / "1.0.0"
    for file in here.iterdir():
        assert file.read_bytes() == (there / file.name).read_bytes()


@pytest.fixture
def eraser(tmp_path):
    """A folder in the format of ERASER with the lines of its train split."""

    def make(*lines, **others):
        folder = tmp_path / "eraser"
        (folder / "docs").mkdir(parents=True)
        (folder / "docs" / "a.txt").write_text("not bad ,\nreally  good\n")
        (folder / "docs" / "b.txt").write_text("dull")
        last = {"docid": "c", "document": "so so"}
        (folder / "docs.jsonl").write_text(json.dumps(last))
        for split, found in {"train": lines, **others}.items():
            (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, found)))
        return folder

    return make


def line(label="POS", marks=(), **others):
    evidences = [
        [{"docid": d, "start_token": s, "end_token": t, "text": "?"}]
        for d, s, t in marks
    ]
    return {
        "annotation_id": "a.txt",
        "classification": label,
        "evidences": evidences,
    } | (others)


def test_folders_of_eraser(tmp_path, eraser):
    folder = eraser(
        line(marks=[("a.txt", 3, 5), ("a.txt", 1, 2)]),
        line("NEG", [("c", 0, 1), ("b.txt", 0, 1)], docids=["b.txt", "c"], query="q?"),
        line(docids=None, evidences=None),
        val=[line("NEG", [("b.txt", 0, 1)])],
    )
    path = prepare_text(folder, name="movies", folder=tmp_path)
    texts = read_text(path)
    assert texts.classes == ("NEG", "POS") and texts.label.tolist() == [1, 0, 1]
    assert texts.query == ["", "q?", ""]
    assert texts.text == ["not bad ,\nreally  good\n", "dull\n\nso so", texts.text[0]]
    found = [marked(texts, i) for i in range(3)]
    assert found == [["bad", "really  good"], ["dull", "so"], []]
    assert marked(read_text(path, "validation"), 0) == ["dull"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (line(marks=[("a.txt", 3, 6)]), r"evidence \[3, 6\] in 'a.txt', .*stop <= 5"),
        (line(marks=[("a.txt", -1, -1)]), r"line 1 of .* has the evidence \[-1, -1\]"),
        (line(marks=[("d", 0, 1)]), "names the document 'd', which is neither"),
        (line(docids=["../train.jsonl"]), "names the document '../train.jsonl'"),
        (line(evidences=[[{"docid": "a.txt"}]]), "an evidence without docid, start_t"),
        (line(label=None), "line 1 of .* has the label None"),
    ],
)
def test_lines_that_are_not_erasers(tmp_path, eraser, change, message):
    folder = eraser(change, line("NEG"))
    with pytest.raises(ValueError, match=message) as caught:
        prepare_text(folder, name="t", folder=tmp_path)
    assert "\n" not in str(caught.value) and not (tmp_path / "t").exists()


def rows(**change):
    return [{"text": "abc", "label": "x"} | change, {"text": "d", "label": "y"}]


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (rows(text=" "), {}, "row 1 has no text"),
        (rows(text=3), {}, "row 1 has no text"),
        (rows(label=None), {}, "row 1 has the label None, expected text or a whole"),
        (rows(label=0.5), {}, "row 1 has the label 0.5"),
        (rows(label="a\nb"), {}, "row 1 has a label of two lines"),
        (rows(query=3), {}, "row 1 has the query 3"),
        (rows(rationales=[[0, 4]]), {}, r"\[0, 4\], expected 0 <= start < stop <= 3"),
        (rows(rationales=[[1, 1]]), {}, "expected 0 <= start < stop"),
        (rows(rationales=[1, 2]), {}, "row 1 has the rationale 1, expected whole"),
        (rows(rationales=[[0, True]]), {}, "expected whole numbers"),
        (rows(rationales="0-2"), {}, "row 1 has the rationale '0-2'"),
        (rows(rationales=[[0, 2]]), {"unit": "tokens"}, "stop <= 1, the length"),
        (rows(label="y"), {}, "all labels are 'y', expected at least two classes"),
        (rows(split="dev"), {}, "row 1 is of the split 'dev'"),
        (rows(split="train"), {}, "row 2 is of the split None"),
        (rows(), {"splits": {"train": 1, "test": 1}}, "holds the class 'y' of 'label'"),
        ([], {}, "there are no texts"),
        (["abc"], {}, "row 1 is str, expected text and label"),
        (rows(), {"unit": "words"}, "got unit='words'"),
        ("lost.jsonl", {}, "cannot read lost.jsonl: No such file"),
        ("lost.txt", {}, "expected a .jsonl or .csv file or a folder"),
    ],
)
def test_refused_in_one_line(tmp_path, source, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        prepare_text(source, name="t", folder=tmp_path, **options)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", '{"text": "a", "label": "b"}\n[1]', "line 2 of .* no JSON object"),
        ("t.jsonl", "{", "line 1 of .* is no JSON"),
        ("t.csv", "text,label\na,b\nc", "line 3 of .* has 1 cells, but .* names 2"),
        ("t.csv", 'text,label\n"a', "is not a readable CSV file"),
        ("t.csv", 'text,label,rationales\na,b,"0,1"', "has the rationales '0,1'"),
        ("t.csv", "", "there are no texts"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        prepare_text(tmp_path / name, name="t", folder=tmp_path)
    assert "\n" not in str(caught.value)


def test_places_and_other_folders(tmp_path):
    prepare_text(ROWS, name="t", folder=tmp_path)
    with pytest.raises(ValueError, match="exists and is never overwritten"):
        prepare_text(ROWS, name="t", folder=tmp_path)
    with pytest.raises(ValueError, match=r"no train.jsonl in"):
        prepare_text(tmp_path, name="u", folder=tmp_path)
    table = {"x": np.arange(12.0), "y": np.arange(12.0)}
    path = prepare_table(table, "y", name="table", folder=tmp_path)
    with pytest.raises(ValueError, match=r"got the features x, y in .*, expected text"):
        read_text(path)
