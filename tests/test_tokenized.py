"""Texts as arrays: by hand, and against a slow reference in plain Python."""

import sys

import numpy as np
import pytest
from tokenizers import Tokenizer

from naejax.data import Texts, prepare_text, read_text, tokenize_texts, word_tokenizer
from naejax.data.text_parts import number_parts
from naejax.data.tokenizer import SPECIAL_TOKENS
from naejax.ops.tokens import PART, PRESENT, TOKEN, TYPE

PIECES = "not bad ##ly so good cafe 漢 😀 a b ##a ##b , . ? ! e ##e ' t".split()
NAMES = [*SPECIAL_TOKENS, *PIECES]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A folder with the word pieces of a very small BERT."""
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join([*NAMES, ""]))
    return folder


def make(*rows):
    """Texts from (text, query, spans); the label is the row's number mod 2."""
    text, query, spans = map(list, zip(*rows, strict=True))
    spans = [np.array(found, dtype=np.int64).reshape(-1, 2) for found in spans]
    label = np.arange(len(rows), dtype=np.int32) % 2
    return Texts(text, query, label, spans, ("neg", "pos"))


def names(found, i):
    return [NAMES[int(token)] for token in found.x[i, :, TOKEN]]


def parts(found, i):
    return found.x[i, :, PART].astype(int).tolist()


def test_a_pair_by_hand(bert):
    texts = make(("Not  badly, 😀café! 漢x", "so bad?", [[5, 10], [20, 22]]))
    found = tokenize_texts(texts, bert)
    assert found.x.shape == (1, 16, 4) and found.x.dtype == np.float32
    assert names(found, 0)[:9] == "[CLS] not bad ##ly , [UNK] ! 漢 [UNK]".split()
    assert names(found, 0)[9:] == "[SEP] so bad ? [SEP] [PAD] [PAD]".split()
    assert parts(found, 0) == [-1, 0, 1, 1, 2, 3, 4, 5, 6] + [-1] * 7
    assert found.x[0, :, TYPE].tolist() == [0] * 10 + [1] * 4 + [0] * 2
    assert found.x[0, :, PRESENT].tolist() == [1] * 14 + [0] * 2
    assert found.pieces[0][:5] == ["[CLS]", "Not", "bad", "ly", ","]
    assert found.pieces[0][5:9] == ["😀café", "!", "漢", "x"]
    assert found.pieces[0][9:] == ["[SEP]", "so", "bad", "?", "[SEP]"]
    # The second mark starts at the last character.
    assert found.rationale[0].nonzero()[0].tolist() == [2, 3, 8]
    assert (found.num_parts, found.shortened, found.classes) == (7, 0, texts.classes)
    assert found.label.tolist() == [0]


def test_sentences_by_hand(bert):
    texts = make(("so, not bad.\n\ngood? . a\nb", "a. b.", []), (",", "", []))
    found = tokenize_texts(texts, bert, parts="sentences")
    assert names(found, 0)[1:11] == "so , not bad . good ? . a b".split()
    assert parts(found, 0)[:12] == [-1, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, -1]
    assert set(parts(found, 0)[11:]) == {-1} and found.num_parts == 6
    assert parts(found, 1)[:3] == [-1, 0, -1]
    found = tokenize_texts(texts, bert, parts="sentences", max_parts=4)
    assert parts(found, 0)[1:11] == [0, 0, 0, 0, 0, 1, 1, 2, 2, 3]
    assert found.num_parts == 4


def test_queries_and_cuts(bert):
    texts = make(
        ("so good", "", [[0, 2]]),
        ("so good so good", " ", [[3, 7], [11, 15]]),
        ("a b", "bad a b", [[0, 3]]),
        ("badly good", "so", [[4, 9]]),
    )
    found = tokenize_texts(texts, bert, length=6)
    assert found.x.shape == (4, 6, 4)
    assert names(found, 0) == "[CLS] so good [SEP] [PAD] [PAD]".split()
    assert names(found, 1) == "[CLS] so good so good [SEP]".split()
    # The query leaves no room for the text.
    assert names(found, 2) == "[CLS] [SEP] bad a b [SEP]".split()
    assert parts(found, 2) == [-1] * 6
    # The cut goes through what people marked.
    assert names(found, 3) == "[CLS] bad ##ly [SEP] so [SEP]".split()
    marked = [row.nonzero()[0].tolist() for row in found.rationale]
    assert marked == [[1], [2, 4], [], [2]]
    assert found.shortened == 2


def lengths(found):
    return found.x[..., PRESENT].sum(axis=1).astype(int).tolist()


@pytest.mark.parametrize(
    ("tokens", "length", "expected"),
    [(3, 512, 8), (6, 512, 8), (7, 512, 16), (7, 9, 9)],
)
def test_length(bert, tokens, length, expected):
    texts = make((" ".join("a" * tokens), "", []), ("b", "", []))
    found = tokenize_texts(texts, bert, length=length)
    assert found.x.shape[1] == expected and lengths(found) == [tokens + 2, 3]
    assert [len(pieces) for pieces in found.pieces] == lengths(found)


def slow_tokens(text):
    """Name, first character, the one after the last, and word of every token."""
    words, start = [], None
    for i, character in enumerate(text + " "):
        alone = character in ",.?!漢"
        if alone or character.isspace():
            if start is not None:
                words.append((start, i))
            start = None
            if alone:
                words.append((i, i + 1))
        elif start is None:
            start = i
    found = []
    for number, (start, stop) in enumerate(words):
        word = text[start:stop].lower().replace("é", "e")
        pieces, at = [], 0
        while at < len(word):
            ends = range(len(word), at, -1)
            prefix = "##" if at else ""
            end = next((e for e in ends if prefix + word[at:e] in NAMES), None)
            if end is None:
                pieces = [("[UNK]", start, stop, number)]
                break
            pieces.append((prefix + word[at:end], start + at, start + end, number))
            at = end
        found += pieces
    return found


def slow_row(text, query, spans, length, kind, max_parts):
    """Name, type, part, mark and piece of every token of one row."""
    asked = slow_tokens(query)
    room = length - 2 - (len(asked) + 1 if asked else 0)
    tokens = slow_tokens(text)[:room]
    seen = []
    for i, (_, start, _, word) in enumerate(tokens):
        sentence = sum(character in ";,.?!\n" for character in text[:start])
        seen.append({"words": word, "sentences": sentence, "tokens": i}[kind])
    order = sorted(set(seen))
    count = len(order)
    numbers = [order.index(part) for part in seen]
    if max_parts is not None and count > max_parts:
        numbers = [number * max_parts // count for number in numbers]
    row = [("[CLS]", 0, -1, False, "[CLS]")]
    for (name, start, stop, _), number in zip(tokens, numbers, strict=True):
        mark = any(a <= at < b for a, b in spans for at in range(start, stop))
        row.append((name, 0, number, mark, text[start:stop]))
    row.append(("[SEP]", 0, -1, False, "[SEP]"))
    for name, start, stop, _ in asked:
        row.append((name, 1, -1, False, query[start:stop]))
    return row + [("[SEP]", 1, -1, False, "[SEP]")] * bool(asked)


def draw(rng, most):
    letters = [
        "a",
        "b",
        "e",
        "É",
        "é",
        "not",
        "bad",
        "ly",
        "😀",
        "漢",
        *",.?! \t\n",
        "z",
    ]
    return "".join(rng.choice([*letters, " ", " "], rng.integers(1, most)))


@pytest.mark.parametrize("kind", ["words", "sentences", "tokens"])
@pytest.mark.parametrize("seed", range(4))
def test_against_a_slow_reference(bert, kind, seed):
    rng = np.random.default_rng(seed)
    length = int(rng.integers(13, 40))
    max_parts = [None, 1, 3, 5][seed]
    rows = []
    for _ in range(60):
        text, query = draw(rng, 60), draw(rng, 10) if rng.integers(2) else ""
        cuts = np.sort(rng.integers(0, len(text) + 1, (2, 2)), axis=1)
        rows.append((text, query, [cut for cut in cuts.tolist() if cut[0] < cut[1]]))
    rows.append(("a b", "", []))
    found = tokenize_texts(
        make(*rows), bert, length=length, parts=kind, max_parts=max_parts
    )
    cut = 0
    for i, (text, query, spans) in enumerate(rows):
        row = slow_row(text, query, spans, length, kind, max_parts)
        name, types, part, mark, pieces = map(list, zip(*row, strict=True))
        padding = found.x.shape[1] - len(row)
        assert names(found, i) == name + ["[PAD]"] * padding
        assert found.x[i, :, TYPE].tolist() == types + [0] * padding
        assert found.x[i, :, PRESENT].tolist() == [1] * len(row) + [0] * padding
        assert parts(found, i) == part + [-1] * padding
        assert found.rationale[i].tolist() == mark + [False] * padding
        assert found.pieces[i] == pieces
        there = set(part) - {-1}
        assert there == set(range(len(there)))
        cut += len(slow_row(text, query, spans, 10**6, kind, None)) > len(row)
    assert found.shortened == cut and 0 < cut < len(rows)
    assert found.num_parts == 1 + found.x[..., PART].max()
    assert np.mean(found.rationale) > 0.05


def test_numbers_of_parts():
    starts, words = np.arange(20), np.arange(20) // 2 * 3 + 1
    for count in range(1, 21):
        merged = number_parts("tokens", "x" * 20, starts, words, count)
        sizes = np.bincount(merged)
        assert len(sizes) == count and sizes.max() - sizes.min() <= 1
    found = number_parts("words", "x" * 20, starts, words)
    np.testing.assert_array_equal(found, np.arange(20) // 2)
    nothing = np.zeros(0, np.int64)
    for kind in ("words", "sentences", "tokens"):
        assert number_parts(kind, "", nothing, nothing, 3).shape == (0,)


def test_from_rows_to_arrays(tmp_path):
    rows = [
        {"text": "déjà vu,  very good", "label": "pos", "rationales": [[10, 19]]},
        {"text": "very bad", "label": "neg", "query": "Is it\u2028good?"},
    ]
    texts = read_text(prepare_text(rows, name="few", folder=tmp_path))
    tokenizer = word_tokenizer(texts)
    before = tokenizer.to_str()
    found = tokenize_texts(texts, tokenizer)
    assert found.pieces[0] == ["[CLS]", "déjà", "vu,", "very", "good", "[SEP]"]
    assert found.pieces[1][4:] == ["Is", "it", "good?", "[SEP]"]
    assert found.rationale.sum(axis=1).tolist() == [2, 0]
    assert found.label.tolist() == [1, 0] and found.classes == ("neg", "pos")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    for source in (tmp_path, tmp_path / "tokenizer.json", str(tmp_path)):
        again = tokenize_texts(texts, source)
        np.testing.assert_array_equal(again.x, found.x)
        assert again.pieces == found.pieces
    # A tokenizer that shortens and fills up is used without, and stays as it is.
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=30)
    np.testing.assert_array_equal(tokenize_texts(texts, tokenizer).x, found.x)
    assert tokenizer.truncation["max_length"] == 2
    assert Tokenizer.from_str(before).get_vocab() == tokenizer.get_vocab()


def test_text_in_many_chunks(bert, monkeypatch):
    texts = make(*[("a " * (i + 1), "b" * (i % 3), [[0, 1]]) for i in range(11)])
    at_once = tokenize_texts(texts, bert)
    monkeypatch.setattr("naejax.data.tokenized._CHUNK_ROWS", 3)
    np.testing.assert_array_equal(tokenize_texts(texts, bert).x, at_once.x)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([("a", "", [])], {"parts": "letters"}, "got parts='letters', expected one of"),
        ([("a", "", [])], {"length": 2}, "got length=2, expected at least 3"),
        ([("a", "", [])], {"max_parts": 0}, "got max_parts=0, expected at least 1"),
        (
            [("a", "", []), ("a", "a b a b", [])],
            {"length": 6},
            "text 2 has a query of 4 tokens, expected at most 3 with length=6",
        ),
        ([(" \t", "a", [])], {}, "no text has a token, expected at least one"),
    ],
)
def test_refused_in_one_line(bert, rows, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        tokenize_texts(make(*rows), bert, **options)
    assert "\n" not in str(caught.value)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ValueError, match=r"pip install 'naejax\[text\]'"):
        word_tokenizer(["a"])
