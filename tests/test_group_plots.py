"""Pictures of groups, by the texts, masks and bars that they hold."""

import io
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from naejax.explain.group_panel import draw_group, draw_sum, to_pictures
from naejax.explain.group_plots import plot_groups
from naejax.explain.style import LOWERS, RAISES, signed
from naejax.types import SOPOutput

CLASSES = ["cat", "dog", "$cow"]


def example(contributions, *, spatial=(6, 6), c=3, bias=0.0, seed=0):
    """Examples and an output in which groups add the given numbers to the outputs.

    ``contributions`` (B, G) are those to output 0, the predicted one; 0 is not used.
    """
    rng = np.random.default_rng(seed)
    first = np.array(contributions, float)[..., None]
    contributions = np.concatenate([first] + [first - 9] * (c - 1), axis=2)
    selection = (contributions != 0) / 4
    masks = (rng.uniform(size=(*first.shape[:2], *spatial)) > 0.5).astype(float)
    bias = np.full(c, bias)
    output = SOPOutput(
        prediction=bias + contributions.sum(axis=1),
        bias=bias,
        contributions=contributions,
        masks=masks,
        selection=selection,
        scale=np.ones(first.shape[:2]),
        group_scores=4 * contributions,
        attention=masks / masks[0, 0].size,
    )
    return rng.normal(size=(len(first), *spatial, 3)), output


def render(figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file)
    return file.getvalue()


def words(ax):
    return [text.get_text() for text in ax.texts]


def rows(figure):
    """The Axes of each row, which begins with words."""
    starts = [i for i, ax in enumerate(figure.axes) if not ax.axison]
    ends = [*starts[1:], len(figure.axes)]
    return [figure.axes[i:j] for i, j in zip(starts, ends, strict=True)]


def titles(row):
    return [ax.get_title() for ax in row[2:-1]]


def alpha(ax):
    return ax.images[1].get_alpha()


def bars(ax):
    return [(round(bar.get_y(), 6), round(bar.get_height(), 6)) for bar in ax.patches]


def test_row_is_a_sum():
    x, output = example([[0.25, -1.5, 0.0, 3.0], [0.0, 2.0, 0.0, -0.5]], c=1)
    figure = plot_groups(x, output, classes=["no", "$yes"], title="All of $it")
    first, second = rows(figure)
    assert titles(first) == ["+3.00", "−1.50", "+0.25"]
    assert titles(second) == ["+2.00", "−0.50"]
    assert first[-1].get_title() == "sum = +1.75"
    assert second[-1].get_title() == "sum = +1.50"
    for b, row, order in ((0, first, [3, 1, 0]), (1, second, [1, 3])):
        for ax, g in zip(row[2:-1], order, strict=True):
            np.testing.assert_array_equal(alpha(ax), output.masks[b, g])
        names = [ax.get_title("left") for ax in row[2:-1]]
        assert names == ["1", "2", "3"][: len(order)]
    assert bars(first[-1]) == [(0, 3), (3, -1.5), (1.5, 0.25), (0, 1.75)]
    ticks = [t.get_text() for t in first[-1].get_xticklabels()]
    assert ticks == ["1", "2", "3", "sum"]
    assert words(first[-1]) == ["+", "−", "+"]
    assert first[1].get_title() == "input"
    assert figure.get_suptitle() == "All of $it"
    assert "true parts" not in figure.get_supxlabel()
    assert render(figure).startswith(b"\x89PNG")


def test_bars_share_an_axis_with_room_for_signs():
    # A bar starts at the highest level, another one at the lowest.
    x, output = example([[4.0, 0.5, -0.25], [-3.0, -0.5, 0.25]], c=1)
    first, second = rows(plot_groups(x, output, classes=["a", "b"]))
    assert first[-1].get_ylim() == second[-1].get_ylim()
    bottom, top = first[-1].get_ylim()
    assert bottom < -3.9 and top > 4.9


def test_colours_repeat_the_sign():
    x, output = example([[2.0, -1.0]], c=1)
    ((*_, plus, minus, total),) = rows(plot_groups(x, output, classes=["a", "b"]))
    assert (plus.title.get_color(), minus.title.get_color()) == (RAISES, LOWERS)
    colors = [to_hex(bar.get_facecolor()).upper() for bar in total.patches]
    assert colors == [RAISES, LOWERS, "#000000"]
    for ax, color in ((plus, RAISES), (minus, LOWERS)):
        (outline,) = ax.collections
        assert to_hex(outline.get_color()[0]).upper() == color


def test_all_beyond_the_strongest_groups_are_one_picture():
    contributions = np.array([[1.0, 2, 3, 4, -5, 6, 7, 8]])
    x, output = example(contributions, c=1)
    figure = plot_groups(x, output, classes=["a", "b"], max_groups=5)
    (row,) = rows(figure)
    assert titles(row) == ["+8.0", "+7.0", "+6.0", "−5.0", "+4.0", "+6.0"]
    rest = row[-2]
    assert rest.get_title("left") == "rest"
    assert rest.get_xlabel() == "sum of 3 more groups"
    np.testing.assert_array_equal(alpha(rest), output.masks[0, :3].max(axis=0))
    assert bars(row[-1])[-2:] == [(20, 6), (0, 26)]
    # One group more than asked for takes the place that the rest would take.
    ((*_, last, _),) = rows(plot_groups(x, output, classes=["a", "b"], max_groups=7))
    assert (last.get_title("left"), last.get_title()) == ("8", "+1.0")


def test_equal_groups_are_one_picture():
    x, output = example([[1.0, 3.0, 0.5, 2.5]], c=1)
    output.masks[0, 3] = output.masks[0, 0]
    (row,) = rows(plot_groups(x, output, classes=["a", "b"]))
    assert titles(row) == ["+3.50", "+3.00", "+0.50"]
    assert [ax.get_xlabel() for ax in row[2:-1]] == ["2 equal groups", "", ""]


def test_bias_is_a_bar():
    x, output = example([[1.0, 2.0]], c=1, bias=-0.5)
    (row,) = rows(plot_groups(x, output, classes=["a", "b"]))
    assert bars(row[-1]) == [(0, -0.5), (-0.5, 2), (1.5, 1), (0, 2.5)]
    assert row[-1].get_xticklabels()[0].get_text() == "bias"
    assert row[-1].get_title() == "sum = +2.50"


def test_numbers_are_names_of_classes_too():
    x, output = example([[1.0, 2.0]])
    figure = plot_groups(x, output, classes=range(3), y=np.array([2]))
    assert {"2", "true"} <= {text.get_text() for text in rows(figure)[0][0].texts}


def test_words_of_classes():
    x, output = example([[1.0], [2.0]])
    figure = plot_groups(x, output, classes=CLASSES, y=np.array([0, 2]))
    assert [words(row[0]) for row in rows(figure)] == [
        ["true", "cat", "predicted", "cat"],
        ["true", "$cow", "predicted, wrong", "cat"],
    ]
    figure = plot_groups(x, output, classes=CLASSES, label=1)
    first, second = rows(figure)
    assert words(first[0]) == ["predicted", "cat", "score of", "dog"]
    assert (titles(first), titles(second)) == (["−8.00"], ["−7.00"])


@pytest.mark.parametrize(("score", "guess"), [(1.0, "ill"), (-1.0, "well")])
def test_words_of_two_classes(score, guess):
    x, output = example([[score]], c=1)
    (row,) = rows(plot_groups(x, output, classes=["well", "ill"]))
    assert words(row[0]) == ["predicted", guess, "log-odds of", "ill"]


def test_words_of_targets():
    x, output = example([[0.75, 0.25]], c=2)
    y, targets = np.array([[0.5, 2.0]]), ["amplitude in K", "skewness"]
    (row,) = rows(plot_groups(x, output, targets=targets, y=y))
    assert words(row[0]) == ["amplitude in K", "true", "0.5", "predicted", "1"]
    (row,) = rows(plot_groups(x, output, targets=targets, y=y, label=1))
    assert words(row[0]) == ["skewness", "true", "2", "predicted", "−17"]
    assert row[-1].get_title() == "sum = −17.0"


def test_examples_and_arrays_of_a_device():
    x, output = example(np.arange(1.0, 17).reshape(8, 2), c=1)
    output = SOPOutput(*map(jnp.asarray, output))
    figure = plot_groups(jnp.asarray(x), output, classes=["a", "b"])
    assert len(rows(figure)) == 6
    figure = plot_groups(
        jnp.asarray(x),
        output,
        classes=["a", "b"],
        y=jnp.zeros(8, int),
        parts=output.masks[:, 0],
        examples=[7, 2],
    )
    first, second = rows(figure)
    assert (titles(first), titles(second)) == (["+16.0", "+15.0"], ["+6.0", "+5.0"])
    assert words(first[0])[:2] == ["true", "a"]
    expected = to_pictures(x, 2)[[7, 2]]
    for row, picture, b in zip((first, second), expected, (7, 2), strict=True):
        np.testing.assert_allclose(row[1].images[0].get_array(), picture, atol=1e-6)
        np.testing.assert_array_equal(alpha(row[2]), output.masks[b, 1])


@pytest.mark.parametrize("several", [False, True])
def test_true_parts_are_outlined_in_the_input(several):
    x, output = example([[1.0], [1.0]], c=1)
    parts = np.zeros((2, 2, 6, 6))
    parts[:, 0, 1:3, 4:6] = 1
    parts[:, 1, 0, 0] = 7
    parts = parts if several else parts[:, 0]
    figure = plot_groups(x, output, classes=["a", "b"], parts=parts)
    assert "yellow line: true parts" in figure.get_supxlabel()
    for row in rows(figure):
        lines = row[1].collections
        assert len(lines) == (4 if several else 2)
        corners = np.concatenate(lines[0].get_segments())
        np.testing.assert_array_equal(corners.min(axis=0), [3.5, 0.5])
        np.testing.assert_array_equal(corners.max(axis=0), [5.5, 2.5])
        assert len(lines[0].get_segments()) == 8


def test_sequences_are_strips():
    x, output = example([[1.0, -2.0]], spatial=(9,), c=1)
    (row,) = rows(
        plot_groups(x[..., 0], output, classes=["a", "b"], parts=output.masks[:, 0])
    )
    picture = row[1].images[0].get_array()
    assert picture.shape == (1, 9, 3)
    assert row[1].get_aspect() == "auto"
    np.testing.assert_array_equal(alpha(row[2]), output.masks[0, [1]])
    # No line between pixels, only along the border.
    sides = np.array(row[2].collections[0].get_segments())
    assert (sides[:, 0, 1] == sides[:, 1, 1]).all()
    assert len(sides) == 2 * output.masks[0, 1].sum()


def test_group_is_in_colour_inside_and_pale_outside():
    picture = np.random.default_rng(0).uniform(size=(4, 5, 3))
    mask = np.zeros((4, 5))
    mask[1, 2], mask[0, 0] = 0.4, 0.1
    ax = draw_group(Figure().subplots(), picture, mask, 0.0)
    pale, inside = (image.get_array() for image in ax.images)
    np.testing.assert_allclose(inside, picture)
    np.testing.assert_allclose(alpha(ax), mask / 0.4)
    assert pale.min() >= 0.8 and np.ptp(pale, axis=-1).max() < 1e-12
    assert ax.get_title() == "+0.00"
    empty = draw_group(Figure().subplots(), picture, 0 * mask, -2.0)
    assert not alpha(empty).any()


@pytest.mark.parametrize("channels", [None, 1, 2, 3])
def test_pictures_share_the_scale_of_the_set(channels):
    rng = np.random.default_rng(0)
    shape = (4, 20, 30) if channels is None else (4, 20, 30, channels)
    x = 50 * rng.normal(size=shape) - 7
    x[0, 0, 0] = 1e9  # an outlier must not turn all else dark
    pictures = to_pictures(x, 2)
    assert pictures.shape == (4, 20, 30, 3)
    assert pictures.min() >= 0 and pictures.max() <= 1
    values = x if channels in (None, 3) else x.mean(axis=-1)
    low, high = np.percentile(values, [0.5, 99.5])
    expected = np.clip((values - low) / (high - low), 0, 1)
    if channels != 3:
        expected = colormaps["viridis"](expected)[..., :3]
    np.testing.assert_allclose(pictures, expected, atol=0.02)


def test_pictures_of_nearly_constant_sets():
    x = np.zeros((1, 50, 50, 3))
    assert not to_pictures(x, 2).any()
    x[0, 3, 4] = 2.0
    pictures = to_pictures(x, 2)
    assert pictures[0, 3, 4].tolist() == [1, 1, 1] and pictures.sum() == 3


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1.316, -0.254], ["+1.32", "−0.25"]),
        ([0.0131, -0.002], ["+0.0131", "−0.0020"]),
        ([-12345.6, 1.0], ["−12,346", "+1"]),
        ([2.5e-7, -1e-9], ["+2.50e−07", "−1.00e−09"]),
        ([3.2e8], ["+3.20e+08"]),
        ([0.0], ["+0.00"]),
        ([], []),
    ],
)
def test_signed_numbers(values, texts):
    assert signed(values) == texts


def test_sum_of_nothing():
    ax = draw_sum(Figure().subplots(), {})
    assert bars(ax) == [(0, 0)]


@pytest.mark.parametrize(
    "name", ["$", r"$\frac{$", "a $b^ cost", "__x_1__", "much too long a name\n" * 9]
)
def test_names_are_plain_text(name, monkeypatch):
    # pyplot would bring its global state and look for a window system.
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    x, output = example([[1.0]])
    classes = [name, "b", "c"]
    figure = plot_groups(x, output, classes=classes, y=np.zeros(1, int), title=name)
    (row,) = rows(figure)
    assert all(len(text) <= 20 and "\n" not in text for text in words(row[0]))
    assert len(words(row[0])) <= 8
    assert render(figure).startswith(b"\x89PNG")
    render(plot_groups(x, output, targets=classes))


X, OUTPUT = example([[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": X[:1]}, r"x has shape \(1, 6, 6, 3\) and the masks \(2, 2, 6, 6\)"),
        ({"x": X[..., None]}, r"expected \(2, 6, 6\) with or without channels"),
        ({"classes": CLASSES[:2]}, "got 2 names for 3 outputs, expected 3"),
        ({"classes": ()}, "neither classes nor targets, expected .* each of 3 outputs"),
        ({"targets": CLASSES}, "both classes and targets, expected either"),
        ({"y": np.zeros(3, int)}, r"y has shape \(3,\), expected \(2,\)"),
        ({"y": np.array([0, 3])}, "y goes from 0 to 3, expected .* 3 classes"),
        (
            {"classes": (), "targets": CLASSES, "y": np.zeros(2)},
            r"y has shape \(2,\), expected \(2, 3\)",
        ),
        ({"parts": np.ones((2, 6, 5))}, r"parts has shape \(2, 6, 5\)"),
        ({"parts": np.ones((1, 6, 6))}, "expected 2 examples"),
        ({"label": 3}, "label is .*, expected integers from 0 to 2"),
        ({"examples": []}, "got 0 examples"),
        ({"max_groups": 0}, "max_groups=0"),
        ({"x": X * np.nan}, "not finite"),
        ({"output": OUTPUT._replace(prediction=OUTPUT.prediction * np.inf)}, "finite"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message) as error:
        plot_groups(**{"x": X, "output": OUTPUT, "classes": CLASSES} | change)
    assert "\n" not in str(error.value)
