"""Pictures of groups of texts, by the words, colours and lines that they hold."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_hex

from naejax.explain.figure import png
from naejax.explain.style import GREY, LOWERS, PALE, RAISES
from naejax.explain.text_layout import (
    as_written,
    bare_text,
    gaps,
    place_tokens,
    surroundings,
    text_width,
    visible,
)
from naejax.explain.text_panel import take_excerpt
from naejax.explain.text_plots import plot_text_groups
from naejax.types import SOPOutput

CLASSES = ["no", "yes", "$maybe"]


def make_output(masks, contributions, outputs=3):
    """Groups that add the numbers (B, G) to output 0; 0 is not used."""
    masks, first = np.array(masks, float), np.array(contributions, float)[..., None]
    contributions = np.concatenate([first] + [first - 9] * (outputs - 1), axis=2)
    selection = (contributions != 0) / 4
    ones = np.ones(first.shape[:2])
    sums = contributions.sum(axis=1)
    zero = np.zeros(outputs)
    return SOPOutput(
        sums, zero, contributions, masks, selection, ones, 4 * contributions, masks
    )


def panels(figure):
    """The panels of texts of every row."""
    starts = [i for i, ax in enumerate(figure.axes) if not ax.axison]
    ends = [*starts[1:], len(figure.axes)]
    return [figure.axes[i + 1 : j - 1] for i, j in zip(starts, ends, strict=True)]


def runs(ax):
    """Texts with their colour and whether they are bold."""
    return [
        (text.get_text(), to_hex(text.get_color()).upper(), text.get_weight() == "bold")
        for text in ax.texts
    ]


def numbers(row):
    return [ax.get_title() for ax in row]


PIECES = ["[CLS]", "so", "very", "good", "[SEP]", "is", "it", "[SEP]"]
REMOVABLE = np.array([[0, 1, 1, 1, 0, 0, 0, 0, 0]])


def test_a_row_by_hand():
    masks = [[[0, 1, 0, 1, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 0, 0, 0]] + [[0] * 9] * 2]
    output = make_output(masks, [[0.5, -2.0, 0.0, 0.25]])
    rationale = np.array([[0, 0, 1, 1, 0, 0, 0, 0, 0]])
    figure = plot_text_groups(
        [PIECES], output, classes=CLASSES, y=[1], rationale=rationale,
        removable=REMOVABLE, title="$x",
    )  # fmt: skip
    (row,) = panels(figure)
    assert numbers(row) == ["−2.00", "+0.50", "+0.25"]
    assert [ax.get_title(loc="left") for ax in row] == ["1", "2", "3"]
    still = ("[SEP] is it", GREY.upper(), False)
    pale = PALE.upper()
    assert runs(row[0]) == [
        ("so", pale, False), ("very", LOWERS, True), ("good", pale, False), still
    ]  # fmt: skip
    assert runs(row[1]) == [
        ("so", RAISES, True), ("very", pale, False), ("good", RAISES, True), still
    ]  # fmt: skip
    assert runs(row[2]) == [("so very good", pale, False), still]
    notes = [ax.get_xlabel() for ax in row]
    assert notes == ["", "", "keeps nothing that could go"]
    for ax in row:
        (line,) = ax.lines
        assert list(line.get_xdata()) == [3, 12]
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words == ["true", "yes", "predicted, wrong", "no"]
    assert figure.axes[-1].get_title() == "sum = −1.25"
    note = figure.get_supxlabel()
    assert note.endswith("grey: never removed; underlined: the rationale")
    assert png(figure)[1:4] == b"PNG"


def test_equal_groups_and_the_rest():
    masks = np.eye(8)[None, [0, 0, 1, 2, 3, 4, 5, 6]]
    shares = [[3.0, 1.0, 2.0, -1.5, 1.0, 0.5, 0.25, 0.125]]
    pieces = [list("abcdefgh")]
    figure = plot_text_groups(pieces, make_output(masks, shares), classes=CLASSES)
    (row,) = panels(figure)
    assert numbers(row) == ["+4.00", "+2.00", "−1.50", "+1.00", "+0.88"]
    assert row[0].get_xlabel() == "2 equal groups"
    assert row[-1].get_xlabel() == "sum of 3 more groups"
    assert runs(row[-1])[1] == ("e f g", RAISES, True)
    assert "grey" not in figure.get_supxlabel()
    figure = plot_text_groups(
        pieces * 2,
        make_output(np.repeat(masks, 2, 0), shares * 2),
        classes=CLASSES,
        examples=[1],
        label=1,
        max_groups=1,
    )
    (row,) = panels(figure)
    assert [ax.get_title(loc="left") for ax in row] == ["1", "rest"]


def test_letters_stay_inside_their_panels_and_apart():
    rng = np.random.default_rng(0)
    tokens = ["".join(rng.choice(list("abc"), rng.integers(1, 12))) for _ in range(300)]
    masks = rng.random((2, 5, 300)) < [[[0.02], [0.1], [0.3], [1], [0]]]
    output = make_output(masks, [[5, 4, -3, 2, 1]] * 2)
    figure = plot_text_groups([tokens, tokens[:30]], output, classes=CLASSES)
    png(figure)
    rows = panels(figure)
    for ax in itertools.chain(*rows):
        frame = ax.get_window_extent()
        boxes = [text.get_window_extent() for text in ax.texts]
        assert min(box.x0 for box in boxes) > frame.x0
        assert max(box.x1 for box in boxes) < frame.x1
        assert min(box.y0 for box in boxes) > frame.y0 - 1
        assert max(box.y1 for box in boxes) < frame.y1 + 1
        for a, b in itertools.pairwise(boxes):
            assert a.x1 < b.x0 + 1 or b.y1 < a.y0 + 3
    everything = rows[0][3]
    shown = sum(text.get_text().count(" ") + 1 for text in everything.texts)
    left = int(everything.get_xlabel().split()[0])
    assert shown - 1 + left == 300 and 50 < shown
    assert everything.get_xlabel() == f"{left} left out ({left} kept)"
    assert all(ax.get_xlabel() == "" for ax in rows[1][:4])


@pytest.mark.parametrize("share", [0.0, 0.02, 0.2, 0.7, 1.0])
def test_excerpts_fit_and_show_what_is_kept(share):
    rng = np.random.default_rng(int(100 * share))
    for length in (1, 5, 400):
        kept = rng.random(length) < share
        tokens = [f"token{i}" for i in range(length)]
        found = take_excerpt(tokens, kept, columns=30, lines=9)
        assert found.lines <= 9
        shown = [i for i in found.items if i >= 0]
        assert shown == sorted(set(shown)) and shown
        assert found.left_out == length - len(shown)
        assert found.hidden == kept.sum() - kept[shown].sum()
        for before, after in itertools.pairwise([-1, *shown, length]):
            # A gap says that something is missing, and more than it takes to say.
            assert after - before != 2 or found.hidden
        if kept.sum() < 15:
            assert found.hidden == 0
        texts = found.texts
        assert texts.count("…") == found.items.count(-1)


def test_more_room_shows_more_around():
    wanted = np.zeros(200, bool)
    wanted[[50, 120]] = True
    sizes = []
    for room in (1, 2, 3, 20, 60, 199, 200):
        shown = surroundings(wanted, lambda shown, room=room: shown.sum() <= room)
        assert shown.sum() <= room and shown[50] and (room == 1 or shown[120])
        sizes.append(shown.sum())
    assert sizes == sorted(sizes) and sizes[-1] == 200 and sizes[3] >= 14
    start = surroundings(wanted & False, lambda shown: shown.sum() <= 7)
    assert start.tolist() == [True] * 7 + [False] * 193


def test_odd_tokens():
    assert visible("a\u202eb\u2066\n c") == "ab c" and visible("\u200f") == "·"
    assert visible("e\u0301") == "e\u0301" and text_width("日e\u0301") == 3
    assert as_written(["x" * 50, ""], 8)[1] == "·"
    assert len(as_written(["x" * 50], 8)[0]) == 8
    assert place_tokens(["日本", "b"], 5) == [(0, 0), (0, 1)]
    assert gaps(np.zeros(3, bool)) == [-1]
    special = ["<s>", "[CLS]", "a", "[SEP]", "b", "</s>"]
    removable = np.array([0, 0, 1, 0, 1, 0]) > 0
    assert bare_text(special, removable).tolist() == [2, 3, 4]
    assert bare_text(special, removable | True).tolist() == list(range(6))
    assert bare_text(["[CLS]", "[SEP]"], np.zeros(2, bool)).tolist() == [1]
    pieces = [["مرحبا", "e\u0301", "\u202e", "$x$", "日本語", "\u0301"]]
    output = make_output(np.eye(6)[None, [0, 4]], [[1.0, -1.0]])
    (row,) = panels(figure := plot_text_groups(pieces, output, classes=CLASSES))
    assert png(figure)[1:4] == b"PNG" and len(row) == 2
    assert "$x$" in " ".join(text for text, _, _ in runs(row[0]))


def test_what_does_not_fit_is_refused():
    output = make_output(np.eye(4)[None], [[1.0, 2.0, 0.0, 0.0]])
    for options, message in (
        ({"pieces": [["a"]] * 2}, "got 2 texts and masks of shape"),
        ({"pieces": [list("abcde")]}, "expected 1 to 4, the length of the masks"),
        ({"pieces": [[]]}, "got texts of 0 to 0 tokens"),
        ({"classes": ["a"]}, "got 1 names for 3 outputs"),
        ({"y": [3]}, "indices of the 3 classes"),
        ({"rationale": np.ones((1, 3))}, r"rationale has shape \(1, 3\)"),
        ({"removable": np.ones(4)}, r"removable has shape \(4,\)"),
        ({"examples": []}, "at least 1 of each"),
        ({"max_groups": 0}, "at least 1 of each"),
    ):
        options = {"pieces": [list("abcd")], "classes": CLASSES} | options
        with pytest.raises(ValueError, match=message):
            plot_text_groups(options.pop("pieces"), output, **options)
    broken = output._replace(prediction=output.prediction * np.nan)
    with pytest.raises(ValueError, match="not finite"):
        plot_text_groups([list("abcd")], broken, classes=CLASSES)


def test_a_gap_of_one_token_is_closed():
    wanted = np.zeros(40, bool)
    wanted[[10, 14]] = True
    shown = surroundings(wanted, lambda shown: shown.sum() <= 8)
    assert shown.nonzero()[0].tolist() == list(range(9, 16))


def test_a_short_query_is_always_shown():
    tokens, kept = ["token"] * 400, np.arange(400) < 2
    for query, shown in ((4, True), (100, False)):
        removable = np.arange(400) < 400 - query
        found = take_excerpt(tokens, kept, 30, 9, removable=removable)
        assert found.lines <= 9 and (399 in found.items) == shown
