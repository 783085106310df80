"""What the estimators' `explain` returns: numbers, tables and pictures that agree."""

import io
import sys

import numpy as np
import pandas as pd
import pytest
from small_tables import SMALL

from naejax import NAEClassifier, NAERegressor, contribution_range
from naejax.explain import compute_shapes
from naejax.explain.local import cell_texts
from naejax.explanation import Explanation, explain_table
from naejax.tabular import explain_rows, predict_table

ROWS = 96
HOSTILE = "</td><script>alert('x')</script>&amp;"
SETTINGS = SMALL | {"gate": "context"}


def table(rows=ROWS, names=("size", "city", "garden")):
    """Numbers, levels and booleans, with missing cells."""
    rng = np.random.default_rng(rows)
    size = rng.normal(size=rows).round(2)
    size[::7] = np.nan
    city = rng.choice(["A", "B", "C"], rows).astype(object)
    city[::11] = None
    garden = rng.uniform(size=rows) < 0.5
    return pd.DataFrame(dict(zip(names, (size, city, garden), strict=True)))


def score(frame):
    size, city, garden = (frame.iloc[:, i] for i in range(3))
    return np.nan_to_num(size) * np.where(garden, 2, -1) + np.asarray(city == "A")


FRAME = table()
KINDS = ("regression", "binary", "multiclass", "counts")


@pytest.fixture(scope="module", params=KINDS)
def explained(request):
    """An estimator and its explanation of new rows."""
    truth = score(FRAME)
    if request.param == "regression":
        model = NAERegressor(**SETTINGS, n_members=2).fit(FRAME, 100 + 10 * truth)
    elif request.param == "binary":
        model = NAEClassifier(**SETTINGS).fit(FRAME, np.where(truth > 0, "up", "down"))
    elif request.param == "counts":
        model = NAERegressor(**SETTINGS, loss="poisson").fit(FRAME, np.exp(truth))
    else:
        labels = np.digitize(truth, [-0.5, 0.5])
        model = NAEClassifier(**SETTINGS, n_members=2).fit(FRAME, labels)
    return model, model.explain(table(40))


def render(figure):
    figure.savefig(io.BytesIO())
    return figure


def test_it_holds_the_parts_of_the_output(explained):
    model, found = explained
    assert isinstance(found, Explanation)
    again = explain_table(model.fitted_, found.columns)
    wanted = explain_rows(model.fitted_, found.columns)
    for name in wanted._fields:
        for value in (found, again, found.output):
            np.testing.assert_array_equal(getattr(value, name), getattr(wanted, name))
    total = found.bias + found.contributions.sum(axis=1)
    np.testing.assert_allclose(found.prediction, total, rtol=1e-5, atol=1e-4)
    assert found.names == ("size", "city", "garden")
    assert found.members == getattr(model, "n_members", 1)


def test_shapes_and_importance(explained):
    model, found = explained
    schema = model.fitted_.encoder.schema
    wanted = compute_shapes(found.output, found.columns, schema, found.members)
    assert found.shapes is found.shapes
    for shape, other in zip(found.shapes, wanted, strict=True):
        np.testing.assert_array_equal(shape.mean, other.mean)
        np.testing.assert_array_equal(shape.members, other.members)
    importance = [shape.importance for shape in wanted]
    np.testing.assert_allclose(found.importance, importance, rtol=1e-12)


def test_frame_is_the_predicted_table(explained):
    model, found = explained
    frame = found.to_frame()
    wanted = predict_table(model.fitted_, found.columns)
    assert list(frame.columns) == list(wanted)
    for name, column in wanted.items():
        np.testing.assert_array_equal(frame[name].to_numpy(), column)
    assert set(frame.select_dtypes("number").dtypes) == {np.dtype(np.float64)}
    predicted = model.predict(table(40)).astype(frame["prediction"].to_numpy().dtype)
    if found.classes:
        assert (frame["prediction"] == predicted.astype(str)).all()
    else:
        np.testing.assert_allclose(frame["prediction"], predicted, rtol=1e-5)


def test_frame_without_pandas(explained, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas, or use"):
        explained[1].to_frame()


def test_one_row_is_a_sum(explained):
    _, found = explained
    lower, upper = contribution_range(found.output, found.members)
    c = int(found.prediction[3].argmax())
    plain = found.rows(3, centred=False)
    assert plain.label == c
    assert plain.prediction == found.prediction[3, c]
    assert plain.bias == found.bias[c]
    np.testing.assert_array_equal(plain.contributions, found.contributions[3, :, c])
    np.testing.assert_allclose(plain.lower, lower[3, :, c])
    np.testing.assert_allclose(plain.upper, upper[3, :, c])
    size, city, garden = (found.columns[name][3] for name in found.names)
    texts = cell_texts(np.array([size]))[0], city or "missing", str(garden).lower()
    assert plain.cells == texts

    row = found.rows(3)
    shift = np.array([shape.shift[c] for shape in found.shapes])
    np.testing.assert_allclose(row.contributions, plain.contributions - shift)
    np.testing.assert_allclose(row.upper - row.lower, plain.upper - plain.lower)
    for one in (row, plain):
        total = one.bias + one.contributions.sum()
        assert total == pytest.approx(one.prediction, rel=1e-5, abs=1e-4)
    mean = found.prediction[:, c].mean()
    assert row.bias == pytest.approx(mean, rel=1e-5, abs=1e-4)


def test_pictures_name_the_link_scale(explained):
    model, found = explained
    name = {
        ("down", "up"): "log-odds of up",
        ("0", "1", "2"): "score of each target",
        (): "log of target" if model.loss == "poisson" else "target",
    }[found.classes]
    figure = render(found.plot(title="All"))
    assert figure.get_supylabel() == f"contribution to {name}"
    assert len(figure.axes) == 3
    figure = render(found.plot("city", label=0, experts=True, members=True))
    (ax,) = figure.axes
    assert ax.get_title("left") == "city"
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), found.shapes[1].mean[:, 0])
    assert found.plot(1).axes[0].get_title("left") == "city"
    (ax,) = render(found.plot_importance()).axes
    assert ax.get_xlabel() == f"mean |contribution to {name}|"
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(
        sorted(found.importance.mean(axis=1), reverse=True)
    )
    c = int(found.prediction[3].argmax())
    one = f"score of {found.classes[c]}" if len(found.classes) > 2 else name
    (ax,) = render(found.plot_row(3)).axes
    assert ax.get_xlabel().split("\n")[0] == one
    predicted = f": predicted {found.to_frame()['prediction'][3]}"
    assert ax.get_title("left") == f"row 3{predicted if found.classes else ''}"
    assert ax.get_yticklabels()[0].get_text() == "mean score"
    assert ax.lines[0].get_xdata()[1] == found.prediction[3, c]
    (ax,) = found.plot_row(3, centred=False, title="", label=0).axes
    assert ax.get_yticklabels()[0].get_text() == "bias"


def test_data_has_the_keys_of_interpretml(explained):
    _, found = explained
    overall = found.data()
    assert overall["type"] == "univariate"
    assert overall["names"] == ["size", "city", "garden"]
    np.testing.assert_allclose(overall["scores"], found.importance.mean(axis=1))
    numbers, levels, flags = (found.data(i) for i in range(3))
    for data, shape in zip((numbers, levels, flags), found.shapes, strict=True):
        assert {"type", "names", "scores", "lower_bounds", "upper_bounds"} < set(data)
        n = len(data["scores"])
        curves = {"scores": "mean", "lower_bounds": "lower", "upper_bounds": "upper"}
        for key, curve in curves.items():
            wanted = getattr(shape, curve)[:n]
            if len(found.bias) == 1:
                wanted = wanted[:, 0]
            np.testing.assert_array_equal(data[key], wanted)
        known = len(found.prediction) - data.get("missing", {"rows": 0})["rows"]
        assert sum(data["density"]["scores"]) == known
        if found.classes:
            assert data["meta"] == {"label_names": list(found.classes)}
        else:
            assert "meta" not in data
    assert len(numbers["names"]) == len(numbers["scores"]) + 1
    assert (np.diff(numbers["names"]) > 0).all()
    edges, positions = numbers["names"], found.shapes[0].positions[:-1]
    assert ((edges[:-1] <= positions) & (positions <= edges[1:])).all()
    assert len(numbers["density"]["names"]) == len(numbers["density"]["scores"]) + 1
    assert levels["names"] == ["A", "B", "C"]
    assert levels["density"]["names"] == ["A", "B", "C"]
    assert flags["names"] == ["false", "true"]
    assert numbers["missing"]["rows"] == np.isnan(found.columns["size"]).sum()
    np.testing.assert_array_equal(
        numbers["missing"]["score"], np.squeeze(found.shapes[0].mean[-1])
    )
    assert "missing" not in flags
    assert found.data("city")["names"] == levels["names"]


def test_repr(explained):
    _, found = explained
    text = f"Explanation(rows=40, features=3, outputs={len(found.bias)}, "
    assert repr(found) == f"{text}target='target')"
    html = found._repr_html_()
    assert "<script" not in html and "http" not in html
    assert html.count("<tr>") == 1 + 3 + 1 + 5
    assert len(html) < 10_000


@pytest.mark.parametrize("key", ["City", 3, -1])
def test_features_that_there_are_not(explained, key):
    message = "did you mean 'city'" if key == "City" else "from 0 to 2"
    with pytest.raises(ValueError, match=message):
        explained[1].data(key)
    with pytest.raises(ValueError, match=message):
        explained[1].plot(key)


def test_rows_and_outputs_that_there_are_not(explained):
    _, found = explained
    for row in (-1, 40):
        with pytest.raises(ValueError, match="expected an index from 0 to 39"):
            found.rows(row)
    with pytest.raises(ValueError, match="label is 7"):
        found.plot_row(0, label=7)
    with pytest.raises(ValueError, match="label is 7"):
        found.plot_importance(label=7)


def test_names_are_text_in_html():
    names = (HOSTILE, "שלום", "n" * 200)
    frame = table(40, names)
    frame[names[1]] = np.where(frame[names[2]], HOSTILE, "<b>")
    labels = np.where(frame[names[2]], HOSTILE, "<img onerror=x>")
    found = NAEClassifier(**SETTINGS).fit(frame, labels).explain(frame)
    html = found._repr_html_()
    for text in ("<script", "<img", "<b>)", "n" * 60):
        assert text not in html
    assert "&lt;/td&gt;&lt;script&gt;" in html
    assert "שלום" in html
    assert html.count("<bdi>") == html.count("</bdi>")


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (
            np.array([38.0, -2.0, 0.125, -1 / 3, np.nan]),
            ["38", "−2", "0.125", "−0.33333", "missing"],
        ),
        (np.array([1e300, 123456789.0, 1e-9]), ["1e+300", "123456789", "1e-09"]),
        (np.array([True, False]), ["true", "false"]),
        (np.array(["a b", None], object), ["a b", "missing"]),
    ],
)
def test_texts_of_cells(column, texts):
    assert cell_texts(column) == texts
