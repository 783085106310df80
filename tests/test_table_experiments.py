"""Experiments on real tables: additivity of models, tables, and fits that are kept."""

import argparse
import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


@pytest.fixture
def module(monkeypatch):
    """Imports a script of the folder of experiments."""
    monkeypatch.syspath_prepend(EXPERIMENTS)
    return importlib.import_module


def rows(count, seed):
    """Independent columns: numbers, few numbers, missing cells, a category."""
    rng = np.random.default_rng(seed)
    gaps = rng.normal(size=count)
    gaps[rng.random(count) < 0.1] = np.nan
    levels = rng.choice(["a", "b", "c"], count)
    return pd.DataFrame(
        {
            "x": rng.normal(size=count),
            "few": rng.integers(0, 3, count),
            "gaps": gaps,
            "level": pd.Categorical(levels, categories=["a", "b", "c"]),
        }
    )


FUNCTIONS = {
    "additive": (
        lambda x: (
            np.sin(2 * x["x"])
            + 1000.0 * (x["few"] == 1)
            + x["gaps"].fillna(5) ** 2
            + x["level"].cat.codes ** 2
        ),
        1.0,
    ),
    "product": (lambda x: x["x"] * (x["few"] - 1), 0.0),
    # The two halves vary equally.
    "half": (
        lambda x: x["x"] + x["x"] * (2 * (x["few"] > 0) - 4 / 3) * 1.5 / 2**0.5,
        0.5,
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_additivity_is_the_share_of_the_best_additive_function(module, name):
    function, expected = FUNCTIONS[name]
    x, x_test = rows(4000, 0), rows(4000, 1)
    found = module("table_models").additivity(
        function(x).to_numpy(), x, function(x_test).to_numpy(), x_test
    )
    assert found == pytest.approx(expected, abs=0.001 if expected == 1 else 0.06)


def test_additivity_of_many_models_is_that_of_each(module):
    additivity = module("table_models").additivity
    x, x_test = rows(500, 0), rows(400, 1)
    some = [FUNCTIONS["product"][0], FUNCTIONS["half"][0]]
    scores, test_scores = (
        np.column_stack([function(part) for function in some]) for part in (x, x_test)
    )
    found = additivity(scores, x, test_scores, x_test)
    assert found.shape == (2,)
    for i, one in enumerate(found):
        alone = additivity(scores[:, i], x, test_scores[:, i], x_test)
        assert one == pytest.approx(alone, abs=1e-9)


def test_a_level_that_only_test_rows_have_changes_nothing(module):
    x, x_test = rows(500, 0), rows(500, 1)
    x = x[x["level"] != "c"]
    found = module("table_models").additivity(
        x["x"].to_numpy(), x, x_test["x"].to_numpy(), x_test
    )
    assert found == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("has_classes", [False, True])
def test_every_model_is_built_and_scored(module, has_classes):
    models = module("table_models")
    x = rows(120, 0)
    y = (x["few"] > 0).astype(int) if has_classes else x["x"] + x["few"]
    classes = 2 * has_classes
    usual = ("nae", "nam", "hist", "linear")
    x = x.assign(gaps=x["gaps"].fillna(0))
    for name in usual:
        model = models.build(name, has_classes, 0, members=2, epochs=2).fit(x, y)
        scores = models.model_scores(model, x, classes)
        assert scores.shape == (120,) and np.isfinite(scores).all()
        assert np.isfinite(models.test_score(model, x, y, classes))
        assert models.size(model) > 1 and models.file_size(model) > 1
        if has_classes:
            positive = model.predict_proba(x)[:, 1]
            assert np.allclose(1 / (1 + np.exp(-scores)), positive, atol=1e-5)
    assert models.build("nam", has_classes, 0).gate == "none"
    assert models.build("ensemble", has_classes, 0, members=3).n_members == 3


def test_tables_are_read_from_a_folder(module, tmp_path):
    tables = module("real_tables")
    file = tmp_path / "mimic2.csv"
    file.write_text("age,sex,mortality\n40,f,0\n?,m,1\n")
    x, y = tables.load_table("mimic2", [tmp_path])
    assert list(x) == ["age", "sex"] and y.tolist() == [0, 1]
    assert np.isnan(x["age"][1]) and list(x["sex"].cat.categories) == ["f", "m"]
    file.write_text("age,sex,mortality\n40,f,0\n50,m,1\n60,f,2\n")
    with pytest.raises(ValueError, match=r"mortality of mimic2.csv has .* 2 different"):
        tables.load_table("mimic2", [tmp_path])
    file.write_text("age,sex,died\n40,f,0\n")
    with pytest.raises(ValueError, match=r"age, sex, died, expected .* mortality"):
        tables.load_table("mimic2", [tmp_path])


def test_the_last_rows_of_year_are_its_test_part(module, tmp_path, monkeypatch):
    tables = module("real_tables")
    monkeypatch.setitem(tables.TABLES, "year", tables.TABLES["year"]._replace(last=2))
    cells = np.arange(5 * 91).reshape(5, 91)
    np.savetxt(tmp_path / "YearPredictionMSD.txt", cells, delimiter=",", fmt="%d")
    x, y = tables.load_table("year", [tmp_path])
    assert y.tolist() == (91.0 * np.arange(5)).tolist() and x.shape == (5, 90)
    _, _, train, test = tables.split_table("year", x, y, 3)
    assert train.tolist() == [0, 91, 182] and test.tolist() == [273, 364]


def test_without_a_file_the_table_is_fetched(module, monkeypatch):
    tables = module("real_tables")
    asked = []

    def fetch(name, **options):
        asked.append((name, options["version"]))
        return rows(6, 0), pd.Series(range(6))

    monkeypatch.setattr(tables.datasets, "fetch_openml", fetch)
    x, y = tables.load_table("bike")
    assert asked == [("Bike_Sharing_Demand", 2)]
    assert len(x) == 6 and y.dtype == float


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tables", "mimic2"], "expected a folder with mimic2.csv"),
        (["--tables", "bike", "--folder", "."], "without --folder it is fetched"),
        (["--tables", "hpc"], "got --folder none, expected a folder with hpc.csv"),
        (["--tables", "hpc", "--folder", "a", "b"], "got --folder a b, expected"),
        (["--tables", "nope"], "invalid choice: 'nope'"),
    ],
)
def test_a_table_that_is_not_there_is_one_line(module, capsys, words, message):
    tables = module("real_tables")
    parser = argparse.ArgumentParser()
    tables.add_tables(parser, [*tables.TABLES], ["california"])
    with pytest.raises(SystemExit) as stop:
        tables.check_tables(parser, parser.parse_args(words))
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_fits_are_kept_and_nothing_else_is_taken_for_them(module, tmp_path):
    scores, kind = module("table_scores"), module("nae_tables").Run
    path = tmp_path / "fits.jsonl"
    runs = {
        ("bike", "nae", 0, 8, None): kind(38.1, 40.0, 2.5, 900.0, 0.7),
        ("wine", "mlp", 1, 8, 2): kind(0.9, 0.1, 2.5, 9.0, float("nan")),
    }
    for key, run in runs.items():
        scores.keep(path, key, run)
        scores.keep(None, key, run)
    found = scores.kept(path, kind, 5)
    assert str(found) == str(runs)
    assert scores.kept(None, kind, 5) == scores.kept(tmp_path / "new", kind, 5) == {}
    with pytest.raises(ValueError, match="there is no folder"):
        scores.kept(tmp_path / "no" / "new", kind, 5)
    with pytest.raises(ValueError, match=r"fits.jsonl holds no kept fits"):
        scores.kept(path, kind, 4)
    for text in ("not json\n", "[1, 2]\n", "3\n"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"fits.jsonl holds no kept fits"):
            scores.kept(path, kind, 5)
