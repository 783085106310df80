"""Expert curves, the members' range and the choice of an output, by their data."""

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from random_shapes import shape_of

from naejax.explain.outputs import output_index, score_name
from naejax.explain.overlays import EXPERT_COLOR, MAX_EXPERTS, MEMBER_COLOR
from naejax.explain.plots import plot_shape, plot_shapes

THINNEST, THICKEST = 0.3, 2.2


def draw(shape, **options):
    return plot_shape(shape, Figure().subplots(), **options)


def labelled(ax, label):
    (found,) = [c for c in ax.collections if c.get_label() == label]
    return found


def experts_of(ax):
    lines = labelled(ax, "experts")
    assert isinstance(lines, LineCollection)
    np.testing.assert_allclose(
        lines.get_edgecolor()[0], to_rgba(EXPERT_COLOR, lines.get_alpha())
    )
    return np.array(lines.get_segments()), np.array(lines.get_linewidths())


def test_experts_of_numbers_are_curves_as_wide_as_their_gates():
    shape = shape_of([0.0, 1.0, 3.0])
    segments, widths = experts_of(draw(shape, experts=True))
    assert segments.shape == (2 * 3, 2, 2)
    order = np.argsort(-(shape.counts @ shape.usage))
    curves, usage = shape.experts[:, order, 0], shape.usage[:, order]
    ends = segments.reshape(2, 3, 2, 2)
    np.testing.assert_allclose(ends[:, :, 0, 0], [[0.0] * 3, [1.0] * 3])
    np.testing.assert_allclose(ends[:, :, 1, 0], [[1.0] * 3, [3.0] * 3])
    np.testing.assert_allclose(ends[:, :, 0, 1], curves[:2])
    np.testing.assert_allclose(ends[:, :, 1, 1], curves[1:])
    between = (usage[:2] + usage[1:]).ravel() / 2 / usage.max()
    np.testing.assert_allclose(widths, THINNEST + (THICKEST - THINNEST) * between)


def test_experts_of_levels_and_missing_values_are_dashes():
    shape = shape_of(["a", "b", None], kind="categorical", num_experts=2)
    segments, widths = experts_of(draw(shape, experts=True))
    np.testing.assert_allclose(segments[:, 0, 1], segments[:, 1, 1])
    middle = segments[:, :, 0].mean(axis=1).reshape(3, 2)
    np.testing.assert_allclose(middle, [[0, 0], [1, 1], [2, 2]], atol=1e-12)
    np.testing.assert_allclose(np.ptp(segments[:, :, 0], axis=1), 0.6)
    heights = np.sort(segments[:, 0, 1].reshape(3, 2), axis=1)
    np.testing.assert_allclose(heights, np.sort(shape.experts[..., 0], axis=1))
    widest = np.unravel_index(shape.usage.argmax(), shape.usage.shape)
    assert segments[widths.argmax(), 0, 1] == shape.experts[(*widest, 0)]

    numbers = shape_of([0.0, 1.0, np.nan], num_experts=2)
    segments, _ = experts_of(draw(numbers, experts=True))
    assert len(segments) == 2 + 2
    assert (segments[2:, :, 0].mean(axis=1) > 1).all()


def test_only_the_most_used_experts_are_drawn():
    shape = shape_of([0.0, 1.0], num_experts=20)
    figure = plot_shapes([shape], target="y", experts=True)
    segments, _ = experts_of(figure.axes[0])
    assert len(segments) == MAX_EXPERTS
    most = np.argsort(-(shape.counts @ shape.usage))[:MAX_EXPERTS]
    np.testing.assert_allclose(segments[:, 0, 1], shape.experts[0, most, 0])
    assert figure.get_supxlabel() == "the 8 most used of 20 experts shown"


def test_experts_that_no_row_uses_are_not_drawn():
    shape = shape_of([0.0, 1.0])
    usage = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    segments, _ = experts_of(draw(replace(shape, usage=usage), experts=True))
    np.testing.assert_allclose(segments[:, 0, 1], shape.experts[0, :2, 0])


def test_members_range():
    shape = shape_of([0.0, 1.0, 3.0, np.nan], members=4)
    ax = draw(shape, members=True)
    low = shape.members[:, :, 0].min(axis=0)
    high = shape.members[:, :, 0].max(axis=0)
    band = labelled(ax, "members' range")
    np.testing.assert_allclose(
        band.get_facecolor()[0], to_rgba(MEMBER_COLOR, band.get_alpha())
    )
    vertices = band.get_paths()[0].vertices
    for x, bottom, top in zip(shape.positions[:3], low, high, strict=False):
        assert set(vertices[vertices[:, 0] == x, 1]) >= {bottom, top}
    missing = [c for c in ax.collections if isinstance(c, LineCollection)]
    ends = np.concatenate([c.get_segments() for c in missing])[..., 1].tolist()
    assert [low[3], high[3]] in ends
    bottom, top = ax.get_ylim()
    assert bottom < low.min() and high.max() < top


def test_members_range_of_levels():
    shape = shape_of(["a", "b"], kind="categorical", members=2)
    bars = labelled(draw(shape, members=True), "members' range").get_segments()
    ends = np.array(bars)[..., 1]
    np.testing.assert_allclose(ends, np.sort(shape.members[..., 0].T, axis=1))


def test_nothing_lies_over_a_shape_unless_asked():
    ax = draw(shape_of([0.0, 1.0], members=3))
    labels = [c.get_label() for c in ax.collections]
    assert "experts" not in labels and "members' range" not in labels
    *_, spread, wide = sorted(ax.get_legend_handles_labels()[1], key=len)
    assert (spread, wide) == ("10–90 % over contexts", "context range (certified)")


def test_legend_says_what_lies_over_the_shapes():
    shape = shape_of([0.0, 1.0], members=3)
    figure = plot_shapes([shape], target="y", experts=True, members=True)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "mean contribution",
        "10–90 % over contexts",
        "context range (certified)",
        "experts, as wide as used",
        "members' range",
        "rows",
    ]
    figure.savefig(io.BytesIO())


@pytest.mark.parametrize("label", [1, "$b_"])
def test_one_of_several_outputs(label):
    classes = ["a", "$b_", "c"]
    shape = shape_of([0.0, 1.0], outputs=3, members=2)
    shape = replace(shape, importance=np.array([1.0, 2.0, 4.0]))
    ax = draw(shape, classes=classes, label=label, experts=True, members=True)
    mean, lower, upper, _ = ax.lines
    for line, curve in ((mean, "mean"), (lower, "lower"), (upper, "upper")):
        np.testing.assert_array_equal(line.get_ydata(), getattr(shape, curve)[:, 1])
    segments, _ = experts_of(ax)
    assert set(segments[:, 0, 1]) == set(shape.experts[0, :, 1])
    assert ax.get_ylabel() == "contribution to score of $b_"
    assert ax.texts[0].get_text().startswith("importance 2,")
    figure = plot_shapes([shape], target="kind", classes=classes, label=label)
    assert figure.get_supylabel() == "contribution to score of $b_"
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), shape.mean[:, 1])
    assert figure.legends[0].get_texts()[0].get_text() == "mean contribution"


def test_panels_are_in_the_order_of_the_chosen_output():
    shapes = [
        replace(shape_of([0.0], outputs=2, name=name), importance=np.array(importance))
        for name, importance in (("x", [5.0, 0.0]), ("y", [1.0, 1.0]))
    ]
    figure = plot_shapes(shapes, target="t", classes=["a", "b"], label="b")
    assert [ax.get_title("left") for ax in figure.axes] == ["y", "x"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"experts": True}, "3 outputs.*label="),
        ({"members": True}, "3 outputs.*label="),
        ({"label": 3}, "label is 3, expected an output from 0 to 2"),
        ({"label": -1}, "label is -1"),
        ({"label": "B", "classes": ["a", "b", "c"]}, "did you mean 'b'"),
    ],
)
def test_bad_choices(options, message):
    with pytest.raises(ValueError, match=message):
        draw(shape_of([0.0, 1.0], outputs=3), **options)


def test_shapes_without_experts_or_members():
    empty = np.zeros((0, 0, 0))
    shape = replace(shape_of([0.0, 1.0]), experts=empty, members=empty)
    for option in ("experts", "members"):
        with pytest.raises(ValueError, match="holds no experts or members"):
            draw(shape, **{option: True})


@pytest.mark.parametrize(
    ("classes", "label", "name"),
    [
        ((), None, "y"),
        (("no", "yes"), None, "log-odds of yes"),
        (("no", "yes"), 0, "log-odds of yes"),
        (("a", "b", "c"), None, "score of each y"),
        (("a", "b", "c"), 2, "score of c"),
    ],
)
def test_names_of_scores(classes, label, name):
    assert score_name("y", classes, label) == name


def test_index_of_an_output():
    assert output_index("c", ["a", "b", "c"], 3) == 2
    assert output_index(np.int64(1), [], 2) == 1
    assert output_index("yes", ["no", "yes"], 1) == 0
