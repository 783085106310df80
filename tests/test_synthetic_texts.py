"""Made-up texts: both phrases decide, each alone tells nothing, both are marked."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from naejax.data import make_synthetic_texts, tokenize_texts, word_tokenizer
from naejax.data.synthetic_texts import AGREEMENT, _word


def phrases(texts):
    """Words of the first and of the last marked phrase, of every text, (N, 2)."""
    return [
        [texts.text[i][start:stop] for start, stop in texts.rationales[i].tolist()]
        for i in range(len(texts.text))
    ]


@pytest.fixture(scope="module")
def drawn():
    return make_synthetic_texts(2002)


def test_what_is_drawn(drawn):
    assert drawn.classes == AGREEMENT and set(drawn.query) == {""}
    assert drawn.label.dtype == np.int32 and drawn.label.shape == (2002,)
    found = {word for text in drawn.text for word in text.split(" ")}
    assert len(found) == 60 + 12 and {len(word) for word in found} == {4}
    for text, spans in zip(drawn.text, drawn.rationales, strict=True):
        words = text.split(" ")
        assert len(words) == 48 and spans.shape == (2, 2)
        # Words of four letters and a space: five characters each.
        assert (spans[:, 0] % 5 == 0).all() and (np.diff(spans) == 14).all()
        assert spans[0, 1] <= 5 * 16 and spans[1, 0] >= 5 * 32
    starts = np.array([spans[:, 0] // 5 for spans in drawn.rationales])
    assert set(starts[:, 0]) == set(range(14))
    assert set(starts[:, 1]) == set(range(32, 46))


def test_the_label_is_a_function_of_both_phrases(drawn):
    pairs = phrases(drawn)
    first, last = (sorted(set(column)) for column in zip(*pairs, strict=True))
    assert len(first) == len(last) == 2 and len({*first, *last}) == 4
    words = " ".join([*first, *last]).split()
    assert len(words) == len(set(words)) == 12
    by_pair = {}
    for pair, label in zip(pairs, drawn.label.tolist(), strict=True):
        by_pair.setdefault(tuple(pair), []).append(label)
    counts = {pair: len(labels) for pair, labels in by_pair.items()}
    assert sorted(counts.values()) == [500, 500, 501, 501]
    label = {pair: labels[0] for pair, labels in by_pair.items()}
    assert all(len(set(labels)) == 1 for labels in by_pair.values())
    # Neither phrase alone: the other one turns each label round.
    assert all(label[first[0], b] != label[first[1], b] for b in last)
    assert all(label[a, last[0]] != label[a, last[1]] for a in first)


def test_each_phrase_is_there_once_and_the_rest_tells_nothing(drawn):
    known = {phrase for pair in phrases(drawn) for phrase in pair}
    rest = []
    for text, pair in zip(drawn.text, phrases(drawn), strict=True):
        assert [text.count(phrase) for phrase in pair] == [1, 1]
        assert sum(phrase in text for phrase in known) == 2
        for phrase in pair:
            text = text.replace(phrase, "|")
        rest.append(text)
    cues = set(" ".join(known).split())
    singles = [[word in cues for word in text.split()] for text in rest]
    assert {sum(row) for row in singles} == {4}
    assert not any(a and b for row in singles for a, b in pairwise(row))
    # They are drawn alike whatever the kinds, from all four phrases.
    which = [pair[0] + pair[1] for pair in phrases(drawn) for _ in range(4)]
    single = [word for text in rest for word in text.split() if word in cues]
    table = stats.contingency.crosstab(which, single).count
    assert table.shape == (4, 12)
    assert stats.chi2_contingency(table).pvalue > 0.01
    sigma = 0.5 / np.sqrt(len(rest))
    for texts in (rest, drawn.text):
        # Nor do the words of the whole text, each for itself.
        counts = CountVectorizer(token_pattern=r"\S+").fit_transform(texts)
        model = LogisticRegression(C=0.01, max_iter=500)
        accuracy = cross_val_score(model, counts, drawn.label, cv=2).mean()
        assert abs(accuracy - 0.5) < 4 * sigma


def test_seeds():
    one, again, other = (make_synthetic_texts(40, seed=seed) for seed in (3, 3, 4))
    assert one.text == again.text and one.label.tolist() == again.label.tolist()
    assert one.text != other.text
    np.testing.assert_array_equal(one.rationales, again.rationales)
    known = [{p for pair in phrases(t) for p in pair} for t in (one, other)]
    assert known[0] == known[1]


def test_lengths():
    texts = make_synthetic_texts(
        300, words=(12, 30), phrase=4, vocabulary=200, singles=1, seed=1
    )
    counts = [len(text.split()) for text in texts.text]
    assert set(counts) == set(range(12, 31))
    for pair, text in zip(phrases(texts), texts.text, strict=True):
        assert [len(phrase.split()) for phrase in pair] == [4, 4]
        assert all(f" {phrase} " in f" {text} " for phrase in pair)


def test_words_differ():
    words = [_word(number) for number in range(4900)]
    assert len(set(words)) == 4900


def test_as_arrays():
    texts = make_synthetic_texts(20)
    found = tokenize_texts(texts, word_tokenizer(texts))
    assert found.x.shape == (20, 56, 4) and found.num_parts == 48
    assert found.rationale.sum(axis=1).tolist() == [6] * 20
    for i, pair in enumerate(phrases(texts)):
        marked = found.rationale[i].nonzero()[0]
        assert " ".join(found.pieces[i][j] for j in marked) == " ".join(pair)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 0}, "got rows=0, expected at least 1"),
        ({"phrase": 1}, "got phrase=1, expected at least 2"),
        ({"vocabulary": 0}, "got vocabulary=0, expected 1 to 4888"),
        ({"words": 8}, "got words=8, expected at least 9, 3 phrases"),
        ({"words": (30, 20)}, r"got words=\(30, 20\), expected the fewest first"),
        ({"singles": 15}, "got singles=15, expected 0 to 14 in 48 words"),
        ({"singles": -1}, "got singles=-1, expected 0 to 14"),
    ],
)
def test_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        make_synthetic_texts(**{"rows": 5} | options)
    assert "\n" not in str(caught.value)
