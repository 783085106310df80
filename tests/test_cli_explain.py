"""`naejax explain` and `naejax.report` as a user walks them."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_contract import check_images, check_table
from small_tables import LABELS, MORE, SMALL, X, Y

import naejax
from naejax import NAEClassifier, NAERegressor
from naejax.cli import main
from naejax.data import infer_schema, load_dataset, read_columns, split_rows

pytestmark = pytest.mark.slow


def data_of(path):
    """The data that a page holds."""
    page = path.read_text(encoding="utf-8")
    (text,) = re.findall(
        r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL
    )
    return json.loads(text)


def explain(run, out, *words):
    main([str(word) for word in ("explain", run, "--out", out, *words)])
    return data_of(out)


def error_of(capsys, *words):
    """The one line that a command ends with."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    assert stop.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("naejax: error: ")
    return lines[0]


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    """The report of the homes, and its data."""
    out = tmp_path_factory.mktemp("pages") / "homes.html"
    return out, explain(run, out)


def test_a_run_is_explained_by_its_own_split(page, run, homes):
    out, data = page
    check_table(data)
    assert out.stat().st_size < 2_000_000
    assert data["rows"] == {
        "training": 84,
        "validation": 12,
        "test": 24,
        "shown_from": "training rows of homes.csv",
        "scored_on": "test rows of homes.csv",
    }
    metrics = json.loads((run / "metrics.json").read_text())
    found = {(s["name"], s["split"]): s["values"] for s in data["scores"]}
    assert found["NAE", "test"]["rmse"] == pytest.approx(
        metrics["test"]["rmse"], rel=1e-3
    )
    assert ("linear model", "test") in found and ("NAE", "validation") in found
    columns = read_columns(homes)
    _, _, test = split_rows(columns, infer_schema(columns, "price"), 0)
    assert len(data["table"]["rows"]) == 24
    truths = {float(row["truth"]) for row in data["table"]["rows"]}
    for price in test["price"]:
        assert any(t == pytest.approx(price, rel=1e-4) for t in truths)
    assert "training rows of homes.csv" in data["notes"][0]


def test_it_says_what_it_does(run, tmp_path, capsys):
    explain(run, tmp_path / "page.html")
    printed = capsys.readouterr().out
    assert "explaining 84 rows" in printed and "page.html: 0." in printed


def test_an_existing_page_is_kept_unless_asked(run, tmp_path, capsys):
    out = tmp_path / "page.html"
    out.write_text("mine")
    line = error_of(capsys, "explain", run, "--out", out)
    assert "--overwrite" in line and out.read_text() == "mine"
    explain(run, out, "--overwrite")
    assert out.read_text() != "mine"


def test_other_rows_are_explained_as_such(run, homes, tmp_path):
    lines = homes.read_text().splitlines()
    rows = tmp_path / "some.csv"
    rows.write_text("\n".join(lines[:60]) + "\n")
    data = explain(run, tmp_path / "page.html", "--data", rows)
    check_table(data)
    assert data["rows"]["shown_from"] == data["rows"]["scored_on"] == "rows of some.csv"
    assert [s["split"] for s in data["scores"]] == ["rows of some.csv"]
    assert data["title"] == "homes.csv: what tells price"


def test_rows_without_a_target_and_with_unknown_levels(run, tmp_path):
    rows = tmp_path / "new.csv"
    cells = [f"{20 + i},{'Atlantis' if i % 2 else 'Oslo'},true" for i in range(30)]
    rows.write_text("\n".join(["size,city,garden", *cells]) + "\n")
    data = explain(run, tmp_path / "page.html", "--data", rows)
    check_table(data)
    assert data["scores"] == [] and data["residuals"] is None
    (warning,) = [w for w in data["warnings"] if w["title"] == "Unknown categories"]
    assert "city (50.0 %)" in warning["text"] and warning["features"] == [1]


def test_the_runs_own_table_is_known_at_another_place(run, homes, tmp_path):
    moved = tmp_path / "moved.csv"
    shutil.copy(homes, moved)
    data = explain(run, tmp_path / "page.html", "--data", moved)
    assert data["rows"]["scored_on"] == "test rows of moved.csv"


@pytest.fixture
def moved_run(run, tmp_path):
    """A copy of the run whose data lie beside it."""
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    config = json.loads((folder / "config.json").read_text())
    source = config["data"]
    config["data"] = str(tmp_path / "homes.csv")
    (folder / "config.json").write_text(json.dumps(config))
    return folder, source, tmp_path / "homes.csv"


def test_data_that_are_gone_are_asked_for(moved_run, tmp_path, capsys):
    folder, _, place = moved_run
    line = error_of(capsys, "explain", folder, "--out", tmp_path / "a.html")
    assert str(place) in line and "--data FILE.csv" in line
    assert not (tmp_path / "a.html").exists()


@pytest.mark.parametrize("change", ["a row less", "other cells", "other order"])
def test_data_that_have_changed_are_refused(moved_run, tmp_path, capsys, change):
    folder, source, place = moved_run
    lines = Path(source).read_text().splitlines()
    if change == "a row less":
        lines = lines[:-1]
    elif change == "other cells":
        lines[5] = "1000,Oslo,true,7"
    else:
        lines[1:] = lines[:0:-1]
    place.write_text("\n".join(lines) + "\n")
    line = error_of(capsys, "explain", folder, "--out", tmp_path / "a.html")
    assert "changed since" in line and "--data FILE.csv" in line


def test_what_cannot_be_explained_is_one_line(run, sop_run, tmp_path, capsys):
    out = tmp_path / "a.html"
    assert "not a folder" in error_of(capsys, "explain", tmp_path / "no", "--out", out)
    assert "images" in error_of(capsys, "explain", run, "--out", out, "--data", "x.npz")
    assert "table" in error_of(
        capsys, "explain", sop_run, "--out", out, "--data", "rows.csv"
    )
    deep = tmp_path / "no" / "a.html"
    assert "folder" in error_of(capsys, "explain", run, "--out", deep)
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    (broken / "config.json").write_text("{")
    assert "config.json" in error_of(capsys, "explain", broken, "--out", out)


def test_a_run_on_images_is_a_gallery(sop_run, tmp_path):
    data = explain(sop_run, tmp_path / "page.html")
    check_images(data)
    assert len(data["gallery"]) == 12  # of 12 test images
    assert data["gallery"][0]["outline"] is not None
    names = {(score["name"], score["split"]) for score in data["scores"]}
    assert {("Sum-of-Parts", "test"), ("backbone", "test")} <= names
    assert re.fullmatch(r"test image \d+", data["gallery"][0]["id"])
    assert "12 of the 12 test images of drawn.npz" in " ".join(data["notes"])


def test_other_images_are_explained_as_such(sop_run, drawn, tmp_path):
    x = np.load(drawn)["x"][:5]
    np.savez(tmp_path / "bare.npz", x=x)
    out = tmp_path / "page.html"
    data = explain(sop_run, out, "--data", tmp_path / "bare.npz")
    check_images(data)
    assert len(data["gallery"]) == 5
    assert all(entry["truth"] is None for entry in data["gallery"])
    assert {entry["id"] for entry in data["gallery"]} == {
        f"image {i}" for i in range(1, 6)
    }
    np.savez(tmp_path / "other.npz", x=x, y=np.array([0.5] * 5))
    data = explain(sop_run, out, "--data", tmp_path / "other.npz", "--overwrite")
    assert all(entry["truth"] is None for entry in data["gallery"])


def test_wine_by_name(tmp_path):
    words = ["--epochs", "1", "--num-experts", "4", "--hidden", "8"]
    main(["train", "--data", "wine", "--out", str(tmp_path / "wine"), *words])
    data = explain(tmp_path / "wine", tmp_path / "wine.html")
    check_table(data)
    assert data["outputs"] == ["class_0", "class_1", "class_2"]
    assert data["rows"]["scored_on"] == "test rows of wine"


@pytest.mark.parametrize("frame", [False, True])
def test_estimators_are_reported(tmp_path, frame):
    x = pd.DataFrame(X, columns=["a", "b", "c"]) if frame else X
    model = NAERegressor(**SMALL).fit(x, Y)
    path = naejax.report(model, x, Y, tmp_path / "page.html", title="mine")
    assert path == tmp_path / "page.html"
    data = data_of(path)
    check_table(data)
    assert data["title"] == "mine" and data["scores"][0]["values"]["rmse"] > 0
    names = [feature["name"] for feature in data["features"]]
    assert names == (["a", "b", "c"] if frame else ["x0", "x1", "x2"])
    score = model.score(x, Y)
    assert data["scores"][0]["values"]["r2"] == pytest.approx(score, abs=1e-3)


@pytest.mark.parametrize(
    "labels", [LABELS, (LABELS == "up"), (LABELS == "up") * 2.0, pd.Series(LABELS)]
)
def test_classes_of_any_type_are_reported(tmp_path, labels):
    model = NAEClassifier(**SMALL).fit(X, labels)
    data = data_of(naejax.report(model, X, labels, tmp_path / "page.html"))
    check_table(data)
    accuracy = data["scores"][0]["values"]["accuracy"]
    assert accuracy == pytest.approx(model.score(X, labels), abs=1e-3)
    assert np.sum(data["confusion"]["counts"]) == len(X)


def test_models_of_tables_take_their_target_from_either_side(tmp_path):
    wine = load_dataset("wine").columns
    fitted = NAEClassifier(**SMALL).fit(X, LABELS).fitted_
    frame = {f"x{i}": X[:, i] for i in range(3)}
    one = data_of(naejax.report(fitted, frame, LABELS, tmp_path / "a.html"))
    both = frame | {"target": LABELS}
    other = data_of(naejax.report(fitted, both, path=tmp_path / "b.html"))
    assert one == other and one["scores"]
    bare = data_of(naejax.report(fitted, frame, path=tmp_path / "c.html"))
    assert bare["scores"] == []
    with pytest.raises(ValueError, match="lacks the column"):
        naejax.report(fitted, wine, path=tmp_path / "d.html")


def test_what_cannot_be_reported_is_refused(tmp_path):
    model, path = NAERegressor(**SMALL), tmp_path / "page.html"
    with pytest.raises(ValueError, match="not fitted"):
        naejax.report(model, X, Y, path)
    model.fit(X, Y)
    with pytest.raises(ValueError, match="96 rows and y 40"):
        naejax.report(model, X, Y[:40], path)
    with pytest.raises(ValueError, match="got a dict"):
        naejax.report({}, X, Y, path)
    with pytest.raises(ValueError, match="cannot write"):
        naejax.report(model, MORE, path=tmp_path / "no" / "page.html")
    assert not path.exists()


def test_the_function_is_where_users_look_for_it():
    assert naejax.report is naejax.reports.report and "report" in dir(naejax)
