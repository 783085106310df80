"""Groups over an input, flat masks and texts with marked tokens, by their data."""

import io
import itertools

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from naejax.explain.mask_plots import plot_flat_mask, plot_group_overlay
from naejax.explain.style import COLORS, LOWERS, RAISES
from naejax.explain.token_plot import plot_tokens
from naejax.types import SOPOutput


def output_of(masks, contributions):
    """An output of B examples for which groups add (B, G) to the only output."""
    masks = np.array(masks, float)
    contributions = np.array(contributions, float)[..., None]
    selection = (contributions != 0) / 2
    return SOPOutput(
        prediction=contributions.sum(axis=1),
        bias=np.zeros(1),
        contributions=contributions,
        masks=masks,
        selection=selection,
        scale=np.ones(masks.shape[:2]),
        group_scores=2 * contributions,
        attention=masks,
    )


def axes():
    return Figure().subplots()


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def tints(ax):
    """Colour and opacity of what lies over the input."""
    return [
        (to_hex(np.asarray(image.get_array())[0, 0]), np.asarray(image.get_alpha()))
        for image in ax.images[1:]
    ]


MASKS = [
    [
        [[1, 1, 0, 0], [1, 1, 0, 0]],
        [[0, 1, 1, 0], [0, 0, 1, 0]],
        [[0, 0, 0, 1], [0, 0, 0, 0]],
        [[0, 0, 0, 0], [0, 0, 0, 1]],
    ]
]
OUTPUT = output_of(MASKS, [[0.5, -2.0, 1.0, 0.0]])
INPUT = np.arange(8.0).reshape(1, 2, 4)


def test_overlay_has_the_groups_in_order():
    ax = plot_group_overlay(INPUT, OUTPUT, axes())
    assert legend(ax) == ["1: −2.00", "2: +1.00", "3: +0.50"]
    # The strongest is drawn last, over the others.
    found = tints(ax)
    assert [color.upper() for color, _ in found] == [*reversed(COLORS[:3])]
    for (_, alpha), group in zip(found, (0, 2, 1), strict=True):
        np.testing.assert_array_equal(alpha > 0, OUTPUT.masks[0, group] > 0)
    ax.get_figure().savefig(io.BytesIO())


def test_overlay_counts_the_groups_it_leaves_out():
    ax = plot_group_overlay(INPUT, OUTPUT, axes(), max_groups=1)
    assert legend(ax) == ["1: −2.00", "2 others: +1.50"]
    ax = plot_group_overlay(INPUT, OUTPUT, axes(), max_groups=2)
    assert legend(ax)[-1] == "1 other: +0.50"


def test_equal_groups_are_one():
    output = output_of([[[1, 0], [1, 0], [0, 1]]], [[1.0, 1.0, 1.5]])
    ax = plot_group_overlay(np.ones((1, 2)), output, axes())
    assert legend(ax) == ["1: +2.00", "2: +1.50"]
    assert legend(plot_flat_mask(np.ones((1, 2)), output, axes())) == legend(ax)


def test_flat_mask_shows_the_strongest_group_of_every_pixel():
    ax = plot_flat_mask(INPUT, OUTPUT, axes())
    assert legend(ax) == ["1: −2.00", "2: +1.00", "3: +0.50"]
    expected = [
        (LOWERS, [[0, 1, 1, 0], [0, 0, 1, 0]], 1.0),
        (RAISES, [[0, 0, 0, 1], [0, 0, 0, 0]], 0.5),
        (RAISES, [[1, 0, 0, 0], [1, 1, 0, 0]], 0.25),
    ]
    for (color, alpha), (wanted, inside, share) in zip(
        tints(ax), expected, strict=True
    ):
        assert to_rgb(color) == pytest.approx(to_rgb(wanted), abs=1 / 255)
        strength = 0.75 * (0.2 + 0.8 * share)
        np.testing.assert_allclose(alpha, strength * np.array(inside))
    for text, (_, inside, _) in zip(ax.texts, expected, strict=True):
        x, y = text.get_position()
        assert inside[y][x] == 1
    assert [text.get_text() for text in ax.texts] == ["1", "2", "3"]


def test_flat_mask_names_hidden_groups():
    output = output_of([[[1, 1], [0, 1]]], [[2.0, 0.5]])
    ax = plot_flat_mask(np.ones((1, 2)), output, axes())
    assert legend(ax) == ["1: +2.00", "1 other: +0.50"]


def test_threshold_of_a_flat_mask():
    output = output_of([[[1.0, 0.25], [0.0, 1.0]]], [[2.0, 0.5]])
    ax = plot_flat_mask(np.ones((1, 2)), output, axes(), threshold=0.5)
    assert [alpha.tolist() for _, alpha in tints(ax)][1][0][1] > 0


@pytest.mark.parametrize("plot", [plot_group_overlay, plot_flat_mask])
def test_examples_and_outputs_are_checked(plot):
    for x, example in ((INPUT, 1), (INPUT, -1), (np.ones((1, 3, 3)), 0)):
        with pytest.raises(ValueError, match="expected one of 1 examples of shape"):
            plot(x, OUTPUT, axes(), example=example)
    with pytest.raises(ValueError, match="label is 1"):
        plot(INPUT, OUTPUT, axes(), label=1)


@pytest.mark.parametrize("count", [0, 8])
def test_more_groups_than_colours(count):
    with pytest.raises(ValueError, match="expected 1 to 7"):
        plot_group_overlay(INPUT, OUTPUT, axes(), max_groups=count)


def test_second_example_of_a_sequence():
    output = output_of([[[1, 0, 0]], [[0, 1, 1]]], [[1.0], [-1.0]])
    ax = plot_flat_mask(np.ones((2, 3, 2)), output, axes(), example=1)
    assert legend(ax) == ["1: −1.00"]
    ((_, alpha),) = tints(ax)
    assert (alpha[0] > 0).tolist() == [False, True, True]


def tokens_of(tokens, values, size=(6, 3), **options):
    return plot_tokens(tokens, np.array(values), Figure(size).subplots(), **options)


def test_tokens_are_coloured_by_sign_and_size():
    ax = tokens_of(["not", "$bad$", "at"], [-2.0, 1.0, 0.0], marked=[0, 1, 0])
    *words, note = [text.get_text() for text in ax.texts]
    assert words == ["not", "$bad$", "at"]
    assert note == "blue raises, orange lowers the score; underlined: kept"
    colors = [to_hex(patch.get_facecolor()).upper() for patch in ax.patches[:2]]
    assert colors == [LOWERS, RAISES]
    assert [patch.get_alpha() for patch in ax.patches] == [0.6, 0.3, 0.0]
    (line,) = ax.lines
    assert list(line.get_xdata()) == [4, 9]
    assert not any(text.get_parse_math() for text in ax.texts[:3])
    ax.get_figure().savefig(io.BytesIO())


def test_lines_of_tokens_do_not_overlap_and_fit():
    tokens = [f"word{i}" for i in range(60)]
    ax = tokens_of(tokens, np.linspace(-1, 1, 60))
    figure = ax.get_figure()
    figure.savefig(io.BytesIO())
    boxes = [text.get_window_extent() for text in ax.texts[:-1]]
    assert len(boxes) == 60
    frame = ax.get_window_extent()
    for a, b in itertools.pairwise(boxes):
        assert a.x1 < b.x0 or b.y1 < a.y0
    assert max(box.x1 for box in boxes) < frame.x1 + 3
    assert min(box.y0 for box in boxes) > frame.y0 - 3


def test_long_texts_get_smaller_and_are_cut():
    few = tokens_of(["word"] * 20, np.ones(20)).texts[0].get_fontsize()
    some = tokens_of(["word"] * 200, np.ones(200))
    many = tokens_of(["word"] * 4000, np.ones(4000))
    assert few > some.texts[0].get_fontsize() > many.texts[0].get_fontsize()
    assert len(some.texts) == 201
    shown = len(many.texts) - 1
    assert many.texts[-1].get_text().endswith(f"; {4000 - shown} more tokens not shown")


def test_odd_tokens():
    ax = tokens_of(["", " \n", "a b", "x" * 900], np.ones(4))
    words = [text.get_text() for text in ax.texts[:-1]]
    assert words[:3] == ["·", "·", "a b"]
    assert 8 < len(words[3]) < 100
    wide = tokens_of(["日本", "b"], np.ones(2))
    assert wide.texts[1].get_position()[0] == 5


def test_tokens_that_do_not_fit_the_values():
    for tokens, values in ((["a"], [1.0, 2.0]), ([], [])):
        with pytest.raises(ValueError, match="expected as many of each"):
            tokens_of(tokens, values)
    with pytest.raises(ValueError, match="not finite"):
        tokens_of(["a"], [np.nan])
