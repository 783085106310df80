"""Importances, one row's waterfall, interactions and sweeps, by their data."""

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from random_shapes import shape_of

from naejax.explain.heatmap import plot_interactions
from naejax.explain.importance_plot import plot_importance
from naejax.explain.local import LocalExplanation
from naejax.explain.style import COLORS, LOWERS, RAISES
from naejax.explain.tradeoff import plot_tradeoff
from naejax.explain.waterfall import plot_waterfall

HOSTILE = "$\\frac{ <b>" + "long " * 30


def axes():
    return Figure(layout="constrained").subplots()


def y_labels(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def widths(ax):
    return [bar.get_width() for bar in ax.patches]


def segments(collection):
    return np.array(collection.get_segments())


def texts(ax):
    return [text.get_text() for text in ax.texts]


def render(ax):
    ax.get_figure().savefig(io.BytesIO())


def shapes_of(importances, **options):
    return [
        replace(
            shape_of([0.0, 1.0], name=f"f{i}", outputs=len(row), seed=i, **options),
            importance=np.array(row, float),
        )
        for i, row in enumerate(importances)
    ]


def test_importance_bars_in_order():
    ax = plot_importance(shapes_of([[1.0], [3.0], [2.0]]), axes(), unit="price in $")
    assert y_labels(ax) == ["f1", "f2", "f0"]
    assert widths(ax) == [3.0, 2.0, 1.0]
    assert texts(ax) == ["3", "2", "1"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert ax.get_xlabel() == "mean |contribution to price in $|"
    assert ax.get_legend() is None
    assert ax.get_xlim()[0] == 0
    render(ax)


def test_importance_with_the_range_of_members():
    shapes = shapes_of([[2.0], [1.0]], members=3)
    ax = plot_importance(shapes, axes())
    lines = segments(ax.collections[0])
    for line, shape in zip(lines, shapes, strict=True):
        given = shape.member_importance
        np.testing.assert_allclose(line[:, 0], [given.min(), given.max()])
    np.testing.assert_allclose(lines[:, :, 1], [[0, 0], [1, 1]])
    (label,) = ax.get_legend().get_texts()
    assert label.get_text() == "members' range"
    largest = max(shape.member_importance.max() for shape in shapes)
    assert ax.get_xlim()[1] > max(2.0, largest)


def test_importance_of_several_outputs():
    shapes = shapes_of([[4.0, 0.0], [1.0, 2.0]])
    ax = plot_importance(shapes, axes())
    assert (y_labels(ax), widths(ax)) == (["f0", "f1"], [2.0, 1.5])
    ax = plot_importance(shapes, axes(), label="b", classes=["a", "b"])
    assert (y_labels(ax), widths(ax)) == (["f1", "f0"], [2.0, 0.0])


def test_importance_of_many_features():
    ax = plot_importance(shapes_of([[i] for i in range(30)]), axes())
    assert len(ax.patches) == 20
    assert ax.get_xlabel().endswith("\n10 less important features not shown")
    with pytest.raises(ValueError, match="got 0 shapes"):
        plot_importance([], axes())


def row_of(contributions, *, bias=0.0, spread=0.5, cells=None, names=None):
    f = np.array(contributions, float)
    names = names or [f"f{i}" for i in range(len(f))]
    cells = cells or ["1"] * len(f)
    total = bias + float(f.sum())
    return LocalExplanation(
        tuple(names), tuple(cells), f, f - spread, f + 2 * spread, bias, total, 0
    )


def test_waterfall():
    row = row_of([0.5, -2.0, 1.0], bias=10.0, cells=["38", "male", "missing"])
    ax = plot_waterfall(row, axes(), unit="log-odds of $yes", title="row 3")
    labels = ["bias", "f1 = male", "f2 = missing", "f0 = 38", "prediction"]
    assert y_labels(ax) == labels
    assert ax.get_yticks().tolist() == [0, 1, 2, 3, 4]
    assert [bar.get_x() for bar in ax.patches] == [10.0, 8.0, 9.0]
    assert widths(ax) == [-2.0, 1.0, 0.5]
    colors = [to_hex(bar.get_facecolor()).upper() for bar in ax.patches]
    assert colors == [LOWERS, RAISES, RAISES]
    assert texts(ax) == ["10.0", "−2.0", "+1.0", "+0.5", "9.5"]
    (ends,) = ax.lines
    np.testing.assert_allclose(ends.get_xydata(), [[10.0, 0], [9.5, 4]])
    assert ax.get_ylim() == (4.6, -0.6)
    assert ax.get_title("left") == "row 3"
    unit, note = ax.get_xlabel().split("\n")
    assert unit == "log-odds of $yes"
    assert "context range" in note
    render(ax)


def test_whiskers_go_to_where_a_bar_could_end():
    row = row_of([0.5, -2.0], bias=1.0, spread=0.25)
    ax = plot_waterfall(row, axes())
    (whiskers,) = [c for c in ax.collections if c.get_label() == "context range"]
    # The first bar starts at 1, the second at -1.
    expected = [[1 - 2.25, 1 - 1.5], [-1 + 0.25, -1 + 1.0]]
    np.testing.assert_allclose(segments(whiskers)[:, :, 0], expected)
    np.testing.assert_allclose(segments(whiskers)[:, :, 1], [[1, 1], [2, 2]])


@pytest.mark.parametrize(("count", "bars"), [(12, 12), (13, 13), (14, 13), (40, 13)])
def test_many_features_are_one_bar(count, bars):
    f = np.linspace(-1, 0.5, count)
    ax = plot_waterfall(row_of(f, spread=0.125), axes())
    assert len(ax.patches) == bars
    assert sum(widths(ax)) == pytest.approx(f.sum())
    assert y_labels(ax)[-2].endswith("others") == (count > 13)
    if count > 13:
        rest = np.sort(np.abs(f))[: count - 12]
        assert y_labels(ax)[-2] == f"{count - 12} others"
        assert abs(f[np.argsort(np.abs(f))[: count - 12]].sum()) == pytest.approx(
            abs(ax.patches[-1].get_width())
        )
        (whiskers,) = [c for c in ax.collections if c.get_label() == "context range"]
        assert np.ptp(segments(whiskers)[-1, :, 0]) == pytest.approx(0.375 * len(rest))


def test_wide_ranges_leave_the_bars_readable():
    ax = plot_waterfall(row_of([1.0, 0.5], spread=1000.0), axes())
    assert ax.get_xlim() == pytest.approx((-1.5 - 0.18, 3.0 + 0.18))
    bottom, top = plot_waterfall(row_of([0.0], spread=0.0), axes()).get_xlim()
    assert bottom < 0 < top


def test_waterfall_with_hostile_names():
    row = row_of([1.0], names=[HOSTILE], cells=[HOSTILE])
    ax = plot_waterfall(row, axes(), unit=HOSTILE, title=HOSTILE)
    assert all(len(label) < 60 for label in y_labels(ax))
    render(ax)
    with pytest.raises(ValueError, match="max_bars is 0"):
        plot_waterfall(row, axes(), max_bars=0)


def test_interactions():
    matrix = np.array([[9.0, 2.0, 0.0], [1.0, 9.0, 4.0], [3.0, 0.5, 9.0]])
    ax = plot_interactions(matrix, ["a", "$b", "c"], axes(), unit="log-odds")
    shown = ax.images[0].get_array()
    assert shown.mask.tolist() == np.eye(3, dtype=bool).tolist()
    np.testing.assert_array_equal(shown.filled(9.0), matrix)
    assert ax.images[0].get_clim() == (0.0, 4.0)
    assert y_labels(ax) == ["a", "$b", "c"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "$b", "c"]
    found = {text.get_position(): text.get_text() for text in ax.texts}
    assert found[(1, 0)] == "2" and found[(2, 1)] == "4" and len(found) == 6
    assert ax.get_ylabel() == "contribution of …"
    assert ax.get_xlabel() == "… is moved by"
    bar = ax.get_figure().axes[1]
    assert bar.get_ylabel() == "root mean square change, log-odds"
    render(ax)


def test_the_strongest_interactions_of_many_features():
    matrix = np.zeros((30, 30))
    matrix[7, 21] = matrix[3, 21] = 1.0
    matrix[12, 2] = 2.0
    names = [f"f{i}" for i in range(30)]
    ax = plot_interactions(matrix, names, axes(), max_features=5)
    assert y_labels(ax) == ["f2", "f3", "f7", "f12", "f21"]
    assert ax.images[0].get_array()[2, 4] == 1.0
    assert ax.images[0].get_array()[3, 0] == 2.0
    assert "25 features with weaker interactions not shown" in ax.get_xlabel()
    assert not plot_interactions(matrix, names, axes()).texts


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3,)])
def test_interactions_that_do_not_fit(shape):
    with pytest.raises(ValueError, match="expected a square"):
        plot_interactions(np.zeros(shape), ["a"] * shape[0], axes())


def test_no_interactions():
    ax = plot_interactions(np.zeros((2, 2)), ["a", HOSTILE], axes(), unit=HOSTILE)
    assert ax.images[0].get_clim() == (0.0, 1.0)
    render(ax)


def test_tradeoff_with_bands_over_seeds():
    additivity = np.array([[0.4, 0.9], [0.6, 1.0]])
    score = np.array([[1.0, 3.0], [2.0, 3.0]])
    ax = axes()
    plot_tradeoff(
        additivity, score, ax, settings=["0", "$1"], name="s", score_name="RMSE"
    )
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0.5, 1.5], [0.95, 3.0]])
    across, down = (segments(c) for c in ax.collections)
    np.testing.assert_allclose(across[..., 0], [[0.4, 0.6], [0.9, 1.0]])
    np.testing.assert_allclose(down[..., 1], [[1.0, 2.0], [3.0, 3.0]])
    assert texts(ax) == ["0", "$1"]
    plot_tradeoff(additivity[0], score[0], ax, name="t", color=COLORS[1])
    assert [line.get_label() for line in ax.lines] == ["s", "t"]
    assert len(ax.collections) == 2
    assert not any(isinstance(c, LineCollection) for c in ax.collections[2:])
    assert ax.get_ylabel() == "RMSE"
    assert ax.get_xlabel().startswith("additivity")
    render(ax)


def test_tradeoff_that_does_not_fit():
    with pytest.raises(ValueError, match=r"\(3,\) and score \(2,\)"):
        plot_tradeoff(np.ones(3), np.ones(2), axes())
    with pytest.raises(ValueError, match="1 names for 2 settings"):
        plot_tradeoff(np.ones(2), np.ones(2), axes(), settings=["a"])


def test_names_of_settings_that_coincide_are_left_out():
    additivity, score = np.array([0.1, 0.101, 0.5, 0.9]), np.array([1, 1.001, 2, 3])
    ax = plot_tradeoff(additivity, score, axes(), settings=["a", "b", "c", "d"])
    assert sorted(text.get_text() for text in ax.texts) == ["a", "c", "d"]
