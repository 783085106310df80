"""The data of a table's report: complete, consistent with the model, and small."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from report_contract import check_table
from tiers import first_quick

from naejax.data import infer_schema
from naejax.models.nae import contribution_range
from naejax.reports import find, table
from naejax.reports.features import Limits
from naejax.reports.findings import TableRows
from naejax.reports.table import table_report
from naejax.reports.write import about_table
from naejax.settings import Settings
from naejax.tabular import explain_rows, fit_table

pytestmark = pytest.mark.slow

SMALL = Settings(epochs=2, num_experts=4, top_k=2, hidden=(8,), num_knots=0)
HOSTILE = "</script><img src=x onerror=alert(1)>"


def make_columns(kind, rows=160, seed=0):
    """Columns of three kinds with missing cells, and a target."""
    rng = np.random.default_rng(seed)
    size, garden = rng.uniform(20, 200, rows), rng.random(rows) > 0.5
    city = np.array(["Oslo", "Bergen", None], object)[rng.integers(3, size=rows)]
    score = size * (1 + garden) + rng.normal(size=rows)
    size[::10] = np.nan
    columns = {HOSTILE: size, "city": city, "garden": garden}
    if kind == "regression":
        return columns | {"price": score}
    cuts = [200] if kind == "binary" else [100, 250]
    names = np.array(["low", "high", "very </script> high"], object)
    return columns | {"class": names[np.digitize(score, cuts)]}


def fit(columns, target, settings=SMALL):
    """A model, and the rows of a split."""
    schema = infer_schema(columns, target)
    training = {name: column[:120] for name, column in columns.items()}
    test = {name: column[120:] for name, column in columns.items()}
    fitted, _ = fit_table(training, test, schema, settings, progress=False)
    counts = {"training": 120, "test": 40}
    return fitted, TableRows(
        training, "training rows", test, "test rows", counts, "test row"
    )


@pytest.fixture(
    scope="module", params=first_quick(["multiclass", "regression", "binary"], 2)
)
def case(request):
    """A model of each kind, its rows and its report; the first is an ensemble."""
    kind = request.param
    target = "price" if kind == "regression" else "class"
    members = 2 if kind == "regression" else 1
    settings = dataclasses.replace(SMALL, members=members)
    fitted, rows = fit(make_columns(kind), target, settings)
    values = {"rmse": 1 / 3}
    data = table_report(
        fitted,
        rows,
        title="homes",
        about=about_table(fitted),
        scores=[{"name": "NAE", "split": "test", "values": values}],
        notes=["A note."],
    )
    return kind, fitted, rows, data


def test_reports_keep_the_contract(case):
    kind, _, _, data = case
    check_table(data)
    assert data["target"]["kind"] == kind
    assert data["scores"][0]["values"] == {"rmse": 0.3333}
    assert data["notes"][0] == "A note."
    assert data["rows"]["training"] == 120 and data["rows"]["validation"] is None
    assert data["rows"]["shown_from"] == "training rows"


def test_names_of_outputs_say_the_link_scale(case):
    kind, _, _, data = case
    names = {
        "regression": (["price"], "contribution to price"),
        "binary": (
            ["log-odds of low"],
            "contribution to log-odds of low",
        ),
        "multiclass": (
            ["high", "low", "very </script> high"],
            "contribution to the score of each class",
        ),
    }
    assert (data["outputs"], data["score_name"]) == names[kind]


def test_shapes_are_those_of_all_shown_rows(case):
    _, fitted, rows, data = case
    output = explain_rows(fitted, rows.shown)
    importance = np.abs(output.contributions - output.contributions.mean(axis=0))
    for i, feature in enumerate(data["features"]):
        np.testing.assert_allclose(
            feature["importance"], importance[:, i].mean(axis=0), rtol=1e-3
        )
        np.testing.assert_allclose(
            feature["shift"], output.contributions[:, i].mean(axis=0), rtol=1e-3
        )
        assert sum(feature["counts"]) == 120
        centre = np.array(feature["mean"]) @ np.array(feature["counts"]) / 120
        assert np.abs(centre).max() < 2e-3 * np.abs(feature["mean"]).max()
    means = [np.mean(feature["importance"]) for feature in data["features"]]
    assert data["order"] == np.argsort(-np.array(means), kind="stable").tolist()


def test_rows_add_up_and_are_the_models(case):
    _, fitted, rows, data = case
    listed = data["table"]["rows"]
    assert len(listed) == 40 == len({row["id"] for row in listed})
    output = explain_rows(fitted, rows.scored)
    lower, upper = contribution_range(output, data["members"])
    for row in listed:
        b = int(row["id"].split()[-1]) - 1
        assert row["id"] == f"test row {b + 1}"
        parts = np.array(row["contributions"])
        np.testing.assert_allclose(
            parts.sum(axis=1) + data["bias"],
            row["score"],
            atol=2e-3 * np.abs(parts).max(),
        )
        tolerance = {"atol": 1e-4 * np.abs(parts).max(), "rtol": 0}
        np.testing.assert_allclose(parts, output.contributions[b].T, **tolerance)
        np.testing.assert_allclose(row["lower"], np.asarray(lower[b]).T, **tolerance)
        np.testing.assert_allclose(row["upper"], np.asarray(upper[b]).T, **tolerance)
        size = rows.scored[HOSTILE][b]
        assert row["cells"][0] == ("missing" if np.isnan(size) else f"{size:.5g}")
        effects = [effect for _, _, effect in row["movers"]]
        assert effects == sorted(effects, reverse=True) and len(effects) <= 5
        assert all(j != i for j, i, _ in row["movers"])


def test_worst_rows_are_among_those_listed(case):
    kind, fitted, rows, data = case
    if kind != "regression":
        return
    truth = rows.scored["price"]
    error = np.abs(truth - explain_rows(fitted, rows.scored).prediction[:, 0])
    assert data["table"]["rows"][-10]["id"] == f"test row {error.argmax() + 1}"


def test_pairs_are_means_in_groups(case):
    _, fitted, rows, data = case
    output = explain_rows(fitted, rows.shown)
    pairs = {(pair["i"], pair["j"]): pair for pair in data["pairs"]}
    assert (0, 2) in pairs
    strengths = [np.mean(pair["strength"]) for pair in data["pairs"]]
    assert (np.diff(strengths) <= 1e-3 * strengths[0]).all()
    groups = {group["label"]: group for group in pairs[0, 2]["groups"]}
    assert set(groups) == {"garden is true", "garden is false"}
    feature = data["features"][0]
    assert feature["positions"][-1] is None
    garden, gone = rows.shown["garden"], np.isnan(rows.shown[HOSTILE])
    for value in (True, False):
        group = groups[f"garden is {str(value).lower()}"]
        inside = garden == value
        assert group["rows"] == inside.sum()
        own = output.contributions[inside & gone, 0].mean(axis=0) - feature["shift"]
        np.testing.assert_allclose(
            [curve[-1] for curve in group["curve"]], own, rtol=2e-3, atol=1e-3
        )


def test_interactions_name_both_features(case):
    _, _, _, data = case
    matrix = np.array(data["interactions"]["matrix"])
    assert sorted(data["interactions"]["features"]) == [0, 1, 2]
    assert (np.diagonal(matrix, axis1=1, axis2=2) == 0).all() and (matrix >= 0).all()


def test_errors_are_shown_by_kind(case):
    kind, _, _, data = case
    if kind == "regression":
        assert (
            sum(data["residuals"]["counts"]) == len(data["residuals"]["points"]) == 40
        )
        assert data["calibration"] is data["confusion"] is None
    else:
        assert data["residuals"] is None
        assert np.sum(data["confusion"]["counts"]) == 40
        assert len(data["calibration"]["classes"]) == (1 if kind == "binary" else 3)


def test_without_a_target_nothing_is_scored(case):
    _, fitted, rows, _ = case
    target = fitted.encoder.schema.target.name
    bare = {name: column for name, column in rows.scored.items() if name != target}
    data = table_report(fitted, TableRows(bare, "rows", bare, "rows"), title="t")
    check_table(data)
    assert data["residuals"] is data["calibration"] is data["confusion"] is None
    assert all(row["truth"] is None for row in data["table"]["rows"])


def test_a_smaller_size_is_kept_step_by_step(case):
    _, fitted, rows, data = case
    full = table.json_bytes(data)
    sizes = []
    for share in (0.9, 0.7, 0.5, 0.3):
        small = table_report(fitted, rows, title="t", most_bytes=int(share * full))
        check_table(small)
        sizes.append(table.json_bytes(small))
        assert any("To stay below 2 MB" in note for note in small["notes"])
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] <= 0.9 * full and sizes[-1] < 0.5 * full
    assert len(small["table"]["rows"]) < 40 and small["features"][0]["experts"] is None


def test_every_step_of_the_ladder_holds_no_more_than_the_one_before():
    steps = [dataclasses.astuple(step) for step in table.LADDER]
    for before, after in itertools.pairwise(steps):
        assert all(a <= b for a, b in zip(after, before, strict=True)), (before, after)
        assert after != before


def test_many_rows_are_sampled_and_it_says_so(monkeypatch):
    fitted, rows = fit(make_columns("regression"), "price")
    row_bytes = 4 * 3 * 4
    monkeypatch.setattr(find, "_EXPERT_BYTES", 110 * row_bytes)
    data = table_report(fitted, rows, title="t", seed=3)
    check_table(data)
    assert sum(data["features"][0]["counts"]) == 110
    assert "110 of the 120 training rows, drawn evenly with seed 3" in data["notes"][0]
    assert data == table_report(fitted, rows, title="t", seed=3)
    assert data != table_report(fitted, rows, title="t", seed=4)


def test_many_features_and_classes_leave_the_least_out(monkeypatch):
    rng = np.random.default_rng(0)
    columns = {f"x{i}": rng.normal(size=160) for i in range(6)}
    columns["kind"] = np.array([f"k{i % 5}" for i in range(160)], object)
    fitted, rows = fit(columns, "kind")
    monkeypatch.setattr(table, "LADDER", (Limits(features=4, outputs=3, pairs=3),))
    data = table_report(fitted, rows, title="t")
    check_table(data)
    assert len(data["features"]) == 4 and len(data["outputs"]) == 3
    assert any("4 of 6 columns are shown" in note for note in data["notes"])
    assert any("3 of 5 classes are shown" in note for note in data["notes"])
    assert len(data["target"]["classes"]) == 5 and len(data["pairs"]) == 3
    names = [feature["name"] for feature in data["features"]]
    assert names == sorted(names) and len(set(names)) == 4


def test_one_feature_has_no_context():
    x = np.linspace(0, 1, 160)
    fitted, rows = fit({"x": x, "y": 3 * x}, "y")
    data = table_report(fitted, rows, title="t")
    check_table(data)
    assert data["interactions"] is None and data["pairs"] == []
    assert data["features"][0]["rules"] is None


def test_texts_of_users_are_cut():
    rng = np.random.default_rng(0)
    long = "x" * 5000
    levels = np.array([long + "a", long + "b"], object)
    columns = {long: rng.normal(size=160), "c": levels[rng.integers(2, size=160)]}
    fitted, rows = fit(columns | {"y": rng.normal(size=160)}, "y")
    data = table_report(fitted, rows, title=long)
    check_table(data)
    assert len(data["features"][0]["name"]) == 300
    assert len(json.dumps(data)) < 200_000


def test_rules_average_to_the_mean_over_all_contexts(case):
    _, fitted, rows, data = case
    feature = data["features"][2]
    assert feature["name"] == "garden" and feature["rules"]["at"] == ["false", "true"]
    leaves = feature["rules"]["leaves"]
    mean = sum(leaf["share"] * np.array(leaf["curve"]) for leaf in leaves)
    for at, value in enumerate((False, True)):
        moved = rows.shown | {"garden": np.full(120, value)}
        own = explain_rows(fitted, moved).contributions[:, 2].mean(axis=0)
        size = np.abs(feature["lower"]).max()
        np.testing.assert_allclose(
            mean[:, at], own - feature["shift"], atol=2e-3 * size
        )
