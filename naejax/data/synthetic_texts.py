"""Made-up texts whose label takes two phrases far apart, with the places of both."""

import numpy as np

from naejax.data.tfds_text import Texts

AGREEMENT = ("different", "same")
"""Classes: whether the two phrases are of the same kind."""

_SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]


def make_synthetic_texts(
    rows: int,
    *,
    words: int | tuple[int, int] = 48,
    phrase: int = 3,
    vocabulary: int = 60,
    singles: int = 4,
    seed: int = 0,
) -> Texts:
    """Draws texts of made-up words; two phrases together decide the label.

    One phrase lies anywhere in the first third of a text, another anywhere in its last
    third, and filler words at random elsewhere. Each phrase is of one of two kinds, a
    and b in {0, 1}, and the label is ``1[a = b]``, an index into `AGREEMENT`: neither
    phrase alone tells anything about it. All four pairs (a, b) are equally frequent, up
    to one text.

    The four phrases (two kinds of the first, two of the last) share no word. Some of
    their words, drawn from all four whatever the kinds, also stand singly among the
    filler, never two side by side: a word only hints at a kind, the whole phrase tells
    it. Words and phrases are the same for every seed.

    Args:
        rows: number of texts N >= 1.
        words: of a text, or the fewest and the most, drawn evenly.
        phrase: words of a phrase, at least 2.
        vocabulary: number of different filler words.
        singles: how many words of phrases stand singly in a text.
        seed: of the draws.

    Returns:
        Texts without queries; the rationales are the characters of both phrases.

    Raises:
        ValueError: if a number is out of range or the words do not fit.

    Example:
        >>> texts = make_synthetic_texts(100)
        >>> text, ((a, b), (c, d)) = texts.text[0], texts.rationales[0]
        >>> text[a:b], text[c:d], texts.classes[texts.label[0]]
        ('bomo bupu data', 'deze didi dogo', 'different')
    """
    fewest, most = (words, words) if isinstance(words, int) else words
    _check(rows, fewest, most, phrase, vocabulary, singles)
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(np.arange(rows) % 4)
    first, last = kinds // 2, kinds % 2
    label = (first == last).astype(np.int32)
    text, rationales = [], []
    for a, b in zip(first, last, strict=True):
        count = int(rng.integers(fewest, most + 1))
        third = count // 3
        starts = (
            rng.integers(third - phrase + 1),
            count - third + rng.integers(third - phrase + 1),
        )
        chosen = 4 * phrase + rng.integers(vocabulary, size=count)
        places = np.delete(
            np.arange(count), [np.arange(start, start + phrase) for start in starts]
        )
        for place in _apart(rng.permutation(places), singles):
            chosen[place] = rng.integers(4 * phrase)
        for start, kind in zip(starts, (a, 2 + b), strict=True):
            chosen[start : start + phrase] = kind * phrase + np.arange(phrase)
        names = [_word(number) for number in chosen.tolist()]
        begins = np.cumsum([0, *[len(name) + 1 for name in names]])
        text.append(" ".join(names))
        rationales.append(
            np.array([[begins[s], begins[s + phrase] - 1] for s in starts])
        )
    return Texts(text, [""] * rows, label, rationales, AGREEMENT)


def _check(
    rows: int, fewest: int, most: int, phrase: int, vocabulary: int, singles: int
) -> None:
    """Refuses numbers out of range."""
    limit = len(_SYLLABLES) ** 2 - 4 * phrase
    for name, value, valid, expected in (
        ("rows", rows, rows >= 1, "at least 1"),
        ("phrase", phrase, phrase >= 2, "at least 2"),
        ("vocabulary", vocabulary, 1 <= vocabulary <= limit, f"1 to {limit}"),
        ("words", fewest, fewest >= 3 * phrase, f"at least {3 * phrase}, 3 phrases"),
        ("words", (fewest, most), fewest <= most, "the fewest first"),
    ):
        if not valid:
            raise ValueError(f"got {name}={value}, expected {expected}; choose it so")
    # A single word takes its own place and at most two beside it.
    room = (fewest - 2 * phrase) // 3
    if not 0 <= singles <= room:
        raise ValueError(
            f"got singles={singles}, expected 0 to {room} in {fewest} words with two "
            f"phrases of {phrase}; lower it, or raise words"
        )


def _apart(places: np.ndarray, count: int) -> list[int]:
    """The first places of which no two are side by side."""
    taken: list[int] = []
    for place in places.tolist():
        if len(taken) == count:
            break
        if place - 1 not in taken and place + 1 not in taken:
            taken.append(place)
    return taken


def _word(number: int) -> str:
    """A word that can be said: two syllables, other ones for every number."""
    size = len(_SYLLABLES)
    second = (11 * number + number // size) % size
    return _SYLLABLES[number % size] + _SYLLABLES[second]
