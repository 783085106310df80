"""Texts in the features that TFDS itself prepares, read by folder and by name."""

import re

import numpy as np
import pytest
import tensorflow_datasets as tfds

from naejax.data import TFDS_TEXTS, load_text, read_text
from naejax.data.text_layouts import locate
from naejax.data.tfds_records import check_place, write_folder

TEXT = tfds.features.Text()
REASONS = tfds.features.Sequence(TEXT)


def write(folder, name, classes, cells, split="train", version="1.0.0"):
    """A folder of TFDS with these columns of its known data sets."""
    features = {key: TEXT for key in cells}
    features["label"] = tfds.features.ClassLabel(names=classes)
    if "evidences" in cells:
        features["evidences"] = REASONS
    if "idx" in cells:
        features["idx"] = tfds.features.Scalar(np.int32)
    place = check_place(folder, name, version)
    rows = np.arange(len(cells["label"]))
    write_folder(place, features, cells, {split: rows}, metadata={})
    return place


def marked(texts):
    rows = zip(texts.text, texts.rationales, strict=True)
    return [[text[start:stop] for start, stop in spans] for text, spans in rows]


def test_movie_rationales(tmp_path):
    cells = {
        "review": ["not bad ,\nreally good .\na good one", "dull", "so so"],
        "label": np.array([1, 0, 0]),
        "evidences": [["really good . a", "bad ,"], ["lost", ""], []],
    }
    place = write(tmp_path, "movie_rationales", ["NEG", "POS"], cells)
    texts = read_text(place)
    assert texts.text == cells["review"] and texts.query == ["", "", ""]
    assert texts.label.tolist() == [1, 0, 0] and texts.classes == ("NEG", "POS")
    assert marked(texts) == [["bad ,", "really good .\na"], [], []]
    assert all(spans.shape[1] == 2 for spans in texts.rationales)
    # TFDS itself reads the same.
    row = tfds.builder_from_directory(place).as_data_source("train")[0]
    assert [words.decode() for words in row["evidences"]] == cells["evidences"][0]


def test_multi_rc(tmp_path):
    cells = {
        "passage": ["It rains .\nWe   stay .", "Déjà vu"],
        "query_and_answer": ["Who stays ? || We", "?"],
        "label": np.array([1, 0]),
        "evidences": [["We stay ."], ["vu"]],
    }
    place = write(tmp_path, "eraser_multi_rc", ["False", "True"], cells, "validation")
    texts = read_text(place, "validation")
    assert texts.text == cells["passage"] and texts.query == cells["query_and_answer"]
    assert marked(texts) == [["We   stay ."], ["vu"]]
    assert texts.classes == ("False", "True") and texts.label.tolist() == [1, 0]


def test_sst2_and_news(tmp_path):
    cells = {
        "sentence": ["a gem", "no"],
        "label": np.array([1, 0]),
        "idx": np.arange(2),
    }
    place = write(tmp_path, "sst2", ["negative", "positive"], cells)
    texts = read_text(place)
    assert texts.text == ["a gem", "no"] and texts.label.tolist() == [1, 0]
    assert texts.query == ["", ""] and marked(texts) == [[], []]
    hidden = cells | {"label": np.array([-1, -1])}
    place = write(tmp_path, "hidden", ["negative", "positive"], hidden, "test")
    with pytest.raises(ValueError, match=r"the split test in .* has no labels, exp"):
        read_text(place, "test")
    names = ["World", "Sports", "Business", "Sci/Tech"]
    cells = {"title": ["Won"], "description": ["A game."], "label": np.array([1])}
    texts = read_text(write(tmp_path, "news", names, cells))
    assert texts.text == ["Won\nA game."] and texts.classes == tuple(names)


def test_locate():
    rng = np.random.default_rng(0)
    for _ in range(100):
        words = rng.choice(["a", "ab", "b", "(", "ba."], 12).tolist()
        spaces = rng.choice([" ", "\n", "  "], 12)
        text = "".join(w + s for w, s in zip(words, spaces, strict=True))
        start, stop = np.sort(rng.choice(13, 2, replace=False)).tolist()
        picked = words[start:stop]
        ((first, last),) = locate(text, [" ".join(picked)])
        assert text[first:last].split() == picked
        # No earlier place has these words.
        at = len(text[:first].split())
        size = stop - start
        places = [i for i in range(13 - size) if words[i : i + size] == picked]
        assert at == places[0]
    assert locate("heart", ["art"]).tolist() == [[2, 5]]
    assert locate("a b c", ["b c", "a b", "a.b"]).tolist() == [[0, 5]]
    assert locate("a", ["", " "]).shape == (0, 2)


@pytest.mark.parametrize("name", TFDS_TEXTS)
def test_by_name(tmp_path, monkeypatch, name):
    with pytest.raises(ValueError, match="is not prepared as array_record") as caught:
        load_text(name, data_dir=str(tmp_path))
    assert "\n" not in str(caught.value) and repr(name) in str(caught.value)
    place = re.search(r"array_record in (.*?): prepare", str(caught.value))[1]
    cells = {"sentence": ["a", "b"], "label": np.array([1, 0])}
    # A configuration has a folder of its own, but its files are called by the data set.
    dataset, version = name.partition("/")[0], place.rpartition("/")[2]
    kept = write(tmp_path / "kept", dataset, ["n", "p"], cells, version=version)
    (tmp_path / place).parent.mkdir(parents=True)
    kept.rename(place)
    assert load_text(name, data_dir=str(tmp_path)).text == ["a", "b"]
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert load_text(name).label.tolist() == [1, 0]
    assert load_text(place).classes == ("n", "p")
    with pytest.raises(ValueError, match="no split 'test' in"):
        load_text(name, "test")
