"""Figures, by the data and texts that they hold rather than their pixels."""

import io
import sys
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from random_shapes import shape_of

from naejax.data.schema import Feature
from naejax.explain.axis import MAX_LEVELS
from naejax.explain.plots import plot_shape, plot_shapes
from naejax.explain.style import COLORS


def draw(shape, **options):
    return plot_shape(shape, Figure().subplots(), **options)


def render(figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file)
    return file.getvalue()


def y_data(ax):
    return [line.get_ydata() for line in ax.lines]


def segments(collection):
    return np.array(collection.get_segments())


def texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_numeric_shape():
    shape = shape_of([1.0, 2.0, 4.0, 9.0], bars=40)
    ax = draw(shape, unit="price in $", classes=["cheap", "dear"])
    mean, lower, upper, zero = ax.lines
    np.testing.assert_array_equal(mean.get_xdata(), shape.positions)
    np.testing.assert_array_equal(mean.get_ydata(), shape.mean[:, 0])
    np.testing.assert_array_equal(lower.get_ydata(), shape.lower[:, 0])
    np.testing.assert_array_equal(upper.get_ydata(), shape.upper[:, 0])
    assert list(zero.get_ydata()) == [0, 0]
    assert mean.get_marker() == "None"
    assert mean.get_label() == "mean contribution"
    vertices = ax.collections[0].get_paths()[0].vertices
    for x, low, high in zip(shape.positions, shape.low, shape.high, strict=True):
        assert set(vertices[vertices[:, 0] == x, 1]) >= {low[0], high[0]}
    assert ax.get_ylabel() == "contribution to price in $"
    assert ax.get_title("left") == "x"
    assert "importance 1, additivity 75 %" in [t.get_text() for t in ax.texts]


def test_few_numbers_have_markers():
    assert draw(shape_of([0.0, 1.0, 5.0])).lines[0].get_marker() == "o"


def test_rows_of_a_histogram():
    ax = draw(shape_of([0.0, 4.0], bars=4))
    left = [bar.get_x() for bar in ax.patches]
    heights = np.array([bar.get_height() for bar in ax.patches])
    np.testing.assert_allclose(left, range(4))
    np.testing.assert_allclose(heights / heights[-1], np.arange(4) / 3)
    assert heights.max() < 0.16


def test_bar_of_missing_rows_has_their_area():
    shape = replace(
        shape_of([0.0, 40.0, np.nan], bars=40), counts=np.array([400, 400, 120])
    )
    *known, missing = draw(replace(shape, histogram=np.full(40, 20))).patches
    areas = [bar.get_width() * bar.get_height() for bar in (known[0], missing)]
    assert areas[1] / areas[0] == pytest.approx(120 / 20)


def test_levels():
    shape = shape_of(["a", "b", None], kind="categorical")
    ax = draw(shape)
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [0, 1, 2])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), shape.mean[:, 0])
    rows, whole, spread = map(segments, ax.collections)
    np.testing.assert_array_equal(whole[:, :, 1], np.c_[shape.lower, shape.upper])
    np.testing.assert_array_equal(spread[:, :, 1], np.c_[shape.low, shape.high])
    heights = rows[:, 1, 1]
    np.testing.assert_allclose(
        heights / heights.max(), shape.counts / shape.counts.max()
    )
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b", "missing"]


def test_only_the_frequent_levels_and_missing_are_shown():
    levels = [f"level {i:02d}" for i in range(20)]
    shape = shape_of([*levels, None], kind="categorical")
    shape = replace(shape, counts=np.array([*range(20, 0, -1), 1]))
    ax = draw(shape)
    labels = [t.get_text() for t in ax.get_xticklabels()]
    assert labels == [*levels[: MAX_LEVELS - 1], "missing"]
    np.testing.assert_array_equal(y_data(ax)[0], shape.mean[[*range(11), 20], 0])
    share = 100 * (sum(range(10, 21)) + 1) / 211
    assert ax.get_xlabel() == f"12 of 21 levels, {share:.0f} % of rows"
    assert ax.get_xticklabels()[0].get_rotation() == 90


@pytest.mark.parametrize("bars", [0, 40])
def test_missing_is_a_point_of_its_own_right_of_the_numbers(bars):
    shape = shape_of([0.0, 10.0, np.nan], bars=bars)
    ax = draw(shape)
    (point,) = [line for line in ax.lines if line.get_marker() == "D"]
    assert point.get_ydata() == shape.mean[2, 0]
    (x,) = point.get_xdata()
    assert 10 < x < ax.get_xlim()[1]
    labels = {t.get_text(): t.get_position()[0] for t in ax.get_xticklabels()}
    assert labels["missing"] == x
    assert {"0", "5"} <= set(labels)
    (line,) = [line for line in ax.lines if line.get_label() == "mean contribution"]
    np.testing.assert_array_equal(line.get_ydata(), shape.mean[:2, 0])


def test_only_missing_values():
    shape = replace(
        shape_of([None], kind="categorical"), feature=Feature("x", "numeric")
    )
    ax = draw(replace(shape, positions=np.array([np.nan])))
    assert [t.get_text() for t in ax.get_xticklabels()] == ["missing"]


@pytest.mark.parametrize("outputs", [2, 3, 5])
def test_several_outputs(outputs):
    classes = [f"_class {c}" for c in range(outputs)]
    shape = shape_of([0.0, 1.0, 2.0], outputs=outputs, bars=40)
    ax = draw(shape, classes=classes)
    *means, _ = y_data(ax)
    np.testing.assert_array_equal(means, shape.mean.T)
    lines = ax.lines[:outputs]
    assert [line.get_label() for line in lines] == classes
    assert [line.get_color() for line in lines] == list(COLORS[:outputs])
    assert len(ax.collections) == (outputs if outputs <= 3 else 0)
    levels = draw(shape_of(["a", "b"], kind="boolean", outputs=outputs))
    x = np.array([line.get_xdata() for line in levels.lines[:outputs]])
    assert (np.diff(x, axis=0) > 0).all()
    np.testing.assert_allclose(x.mean(axis=0), [0, 1], atol=1e-12)


def test_figure_of_several_outputs_has_one_legend():
    shapes = [shape_of([0.0, 1.0], outputs=3, name=name) for name in "ab"]
    figure = plot_shapes(shapes, target="kind", classes=["_a", "$b$", "c " * 50])
    assert texts(figure)[:2] == ["_a", "$b$"]
    assert texts(figure)[3:] == ["10–90 % over contexts", "rows"]
    assert len(texts(figure)[2]) <= 20
    assert not any(text.get_parse_math() for text in figure.legends[0].get_texts())
    assert figure.get_supylabel() == "contribution to score of each kind"
    assert not any(ax.get_legend() for ax in figure.axes)
    render(figure)


def test_more_classes_than_colours():
    importance = np.arange(20.0)
    shape = replace(shape_of([0.0, 1.0], outputs=20), importance=importance)
    classes = [str(c) for c in range(20)]
    figure = plot_shapes([shape, shape], target="digit", classes=classes)
    np.testing.assert_array_equal(y_data(figure.axes[0])[:8], shape.mean.T[12:])
    assert texts(figure) == [*classes[12:], "rows"]
    assert figure.get_supxlabel() == "12 classes that vary less not shown"
    assert "importance 9.5" in figure.axes[0].texts[0].get_text()


def test_panels_in_order_of_importance():
    scales = [1.0, 3.0, 2.0, 0.5]
    shapes = [
        shape_of([0.0, 1.0], name=f"f{i}", scale=scale)
        for i, scale in enumerate(scales)
    ]
    figure = plot_shapes(shapes, target="y", title="All of $it", max_panels=3)
    assert [ax.get_title("left") for ax in figure.axes] == ["f1", "f2", "f0"]
    for ax, i in zip(figure.axes, (1, 2, 0), strict=True):
        np.testing.assert_array_equal(y_data(ax)[0], shapes[i].mean[:, 0])
    ((bottom, top),) = {ax.get_ylim() for ax in figure.axes}
    assert bottom < min(shape.low.min() for shape in shapes[:3])
    assert max(shape.high.max() for shape in shapes[:3]) < top
    assert figure.get_supxlabel() == "1 less important features not shown"
    assert figure.get_supylabel() == "contribution to y"
    assert figure.legends[0].get_title().get_text() == "All of $it"
    assert texts(figure) == [
        "mean contribution",
        "10–90 % over contexts",
        "context range (certified)",
        "rows",
    ]
    render(figure)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 10, 24, 30])
def test_every_number_of_panels_has_a_layout(count):
    figure = plot_shapes([shape_of([0.0, 1.0])] * count, target="y")
    assert len(figure.axes) == min(count, 24)
    rows, columns = figure.axes[0].get_gridspec().get_geometry()
    assert rows * columns - len(figure.axes) < columns <= 4
    labelled = [ax.yaxis.get_tick_params()["labelleft"] for ax in figure.axes]
    assert labelled == [i % columns == 0 for i in range(len(figure.axes))]
    assert bool(figure.get_supxlabel()) == (count > 24)


def test_axis_of_a_binary_target():
    figure = plot_shapes([shape_of([0.0, 1.0])], target="pay", classes=["<=1", "$>1_0"])
    assert figure.get_supylabel() == "contribution to log-odds of $>1_0"
    assert "mean contribution" in texts(figure)


@pytest.mark.parametrize(
    "name",
    [
        "$",
        "a $b^ cost",
        r"$\frac{$",
        "<b>bold</b> & more",
        "__x_1__",
        "long name\n" * 20,
    ],
)
def test_names_are_plain_text(name, monkeypatch):
    # pyplot would bring its global state and look for a window system.
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    numbers = shape_of([0.0, 1.0], name=name)
    levels = shape_of([name, "b"], kind="categorical", name=name)
    figure = plot_shapes(
        [numbers, levels], target=name, classes=["no", name], title=name
    )
    title = figure.axes[0].get_title("left")
    label = figure.axes[1].get_xticklabels()[0].get_text()
    for text, width in ((title, 34), (label, 16)):
        assert text == name if len(name) <= width else len(text) == width
        assert "\n" not in text
    assert render(figure).startswith(b"\x89PNG")
    render(draw(levels, classes=[name], unit=name).figure)


def test_limits_show_curves_above_the_strip_of_rows():
    shape = shape_of([0.0, 1.0, 2.0])
    ax = draw(shape)
    bottom, top = ax.get_ylim()
    lowest = min(shape.lower.min(), 0)
    assert bottom + 0.16 * (top - bottom) < lowest
    assert shape.upper.max() < top
    assert all(lowest - 0.2 <= tick for tick in ax.get_yticks())


def test_wide_range_is_cut_at_three_times_the_spread():
    shape = shape_of([0.0, 1.0])
    ends = np.array([[-1.0], [1.0]])
    shape = replace(shape, mean=ends, low=ends, high=ends, lower=ends - 99)
    bottom, top = draw(replace(shape, upper=ends + 99)).get_ylim()
    assert top == pytest.approx(3 * 1.1)
    assert bottom + 0.16 * (top - bottom) == pytest.approx(-3 * 1.1)


def test_outliers_do_not_widen_the_axes():
    shape = shape_of([0.0, 1.0, 900.0], bars=40)
    shape.mean[2] = shape.high[2] = 1e6
    ax = draw(replace(shape, window=(0.0, 1.0)))
    assert ax.get_xlim() == pytest.approx((-0.05, 1.05))
    assert ax.get_ylim()[1] < 100


@pytest.mark.parametrize("kind", ["numeric", "categorical"])
def test_a_single_flat_position(kind):
    shape = shape_of([2011.0 if kind == "numeric" else "a"], kind=kind, scale=0.0)
    ax = draw(shape)
    bottom, top = ax.get_ylim()
    assert bottom < -1 < 1 < top
    (label,) = ax.get_xticklabels()
    assert label.get_text() == ("2011" if kind == "numeric" else "a")


@pytest.mark.parametrize(
    ("window", "bars", "labels"),
    [
        ((0.0, 1.0), 0, ["0", "1"]),
        ((2011.0, 2012.0), 0, ["2011", "2012"]),
        ((0.0, 1.0), 40, ["0", "0.5", "1"]),
        ((-0.2, 0.2), 40, ["−0.2", "−0.1", "0", "0.1", "0.2"]),
        ((0.0, 200_000.0), 40, ["0", "50k", "100k", "150k", "200k"]),
    ],
)
def test_tick_labels(window, bars, labels):
    ax = draw(shape_of(window, bars=bars))
    assert [t.get_text() for t in ax.get_xticklabels()] == labels


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        ([], {}, "got 0 shapes"),
        ([shape_of([0.0])], {"max_panels": 0}, "max_panels=0"),
        ([shape_of([0.0], outputs=3)], {"classes": ["a", "b"]}, "2 classes for 3"),
    ],
)
def test_bad_input(shapes, options, message):
    with pytest.raises(ValueError, match=message):
        plot_shapes(shapes, target="y", **options)


def test_a_notebook_shows_a_figure_without_pyplot():
    from naejax.explain.figure import new_figure

    figure = new_figure(figsize=(2, 1), dpi=50)
    picture = figure._repr_png_()
    width, height = (int.from_bytes(picture[at : at + 4]) for at in (16, 20))
    assert (width, height) == (100, 50)
