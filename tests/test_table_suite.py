"""The suite of tables: scores, ranks, relative errors, and choices without a table."""

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


def test_the_suite_scores_by_the_kind_of_target(module):
    scores = module("table_scores")

    class Known:
        def predict(self, x):
            return x

        predict_proba = predict

    values = scores.suite_score(Known(), np.array([1.0, 5.0]), [1.0, 2.0], 0)
    assert values == pytest.approx(3 / 2**0.5)
    chances = np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]])
    assert scores.suite_score(Known(), chances, [0, 1, 0], 2) == 1
    three = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])
    loss = scores.suite_score(Known(), three, [0, 2], 3)
    assert loss == pytest.approx(np.log(8) / 2)
    names = [scores.suite_measure(classes) for classes in (0, 2, 3, 4)]
    assert names == ["RMSE", "AUC", "log loss", "log loss"]
    assert scores.error(0.9, 2) == pytest.approx(0.1)
    assert scores.error(0.9, 0) == scores.error(0.9, 3) == 0.9
    assert scores.error(1.0, 2) > 0


ERRORS = {
    "first": {"a": 2.0, "b": 1.0, "c": 4.0},
    "second": {"a": 3.0, "b": 3.0, "c": 1.0},
}


def test_ranks_are_means_over_the_tables_that_have_all_models(module):
    ranks = module("table_scores").mean_ranks
    assert ranks(ERRORS, "abc") == {"a": 2.25, "b": 1.75, "c": 2.0}
    assert ranks(ERRORS, "ac") == {"a": 1.5, "c": 1.5}
    more = ERRORS | {"third": {"a": 1.0, "b": 2.0}}
    assert ranks(more, "abc") == ranks(ERRORS, "abc")
    assert ranks(more, "ab") == {"a": 1.5, "b": 1.5}
    assert ranks(ERRORS, "abd") == {}


def test_relative_errors(module):
    scores = module("table_scores")
    assert scores.relative({"a": 3.0, "b": 1.0}, 2.0) == {"a": 0.5, "b": -0.5}
    assert scores.to_best(ERRORS) == {
        "first": {"a": 1.0, "b": 0.0, "c": 3.0},
        "second": {"a": 2.0, "b": 2.0, "c": 0.0},
    }


def test_what_is_chosen_without_a_table_has_not_seen_it(module):
    scores = module("table_scores")
    excess = {
        "x": {"a": 0.0, "b": 0.25, "c": 1.0},
        "y": {"a": 0.5, "b": 0.125, "c": 0.0},
        "z": {"a": 0.125, "b": 0.125, "c": 0.5},
    }
    assert scores.choose(excess) == "b"
    # Without x: b 0.125, c 0.25, a 0.3125; without y: a 0.0625; without z: b 0.1875.
    assert scores.leave_one_out(excess) == {
        "x": ("b", 0.25),
        "y": ("a", 0.5),
        "z": ("b", 0.125),
    }
    ties = {"x": {"a": 1.0, "b": 1.0}, "y": {"a": 0.0, "b": 0.0}}
    assert scores.choose(ties) == "a"


def test_validation_rows_are_training_rows_of_the_suite(module):
    tables, defaults = module("real_tables"), module("choose_defaults")
    x = pd.DataFrame({"x": np.arange(100)})
    y = pd.Series(np.arange(100) % 2)
    for seed in range(3):
        train, test, *_ = tables.split_rows("credit_g", x, y, seed)
        fitted, scored, y_fitted, y_scored = defaults.validation_split(
            "credit_g", x, y, seed
        )
        assert sorted([*fitted["x"], *scored["x"]]) == sorted(train["x"])
        assert len(test) == len(scored) == 20 and not {*test["x"]} & {*scored["x"]}
        assert y_fitted.mean() == y_scored.mean() == 0.5


def test_the_tables_of_the_suite(module, tmp_path):
    tables = module("real_tables")
    assert len({*tables.SUITE}) == 15 and {*tables.SUITE} <= {*tables.TABLES}
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, value in ((first, 1), (second, 2)):
        folder.mkdir()
        (folder / "abalone.csv").write_text(f"Sex,Rings\nM,{value}\n")
    (second / "airfoil.csv").write_text("x0,y\n1,2\n")
    x, y = tables.load_table("abalone", [first, second])
    assert y.tolist() == [1.0] and list(x["Sex"].cat.categories) == ["M"]
    assert tables.load_table("airfoil", [first, second])[1].tolist() == [2.0]


def test_tables_of_the_suite_with_numbers_made_by_hand(module):
    bench = module("bench_tables")

    def runs(*scores, cpu=1.0):
        return [bench.Run(score, cpu, 2.0, 3.0, 4000.0, 5.0) for score in scores]

    found = {
        ("airfoil", "nae"): runs(1.0, 2.0, cpu=4.0),
        ("airfoil", "ensemble"): runs(1.0, 1.0),
        ("airfoil", "ebm"): runs(2.0, 2.0, cpu=2.0),
        ("telco", "nae"): runs(0.8),
        ("telco", "ensemble"): runs(0.9),
        ("telco", "ebm"): runs(0.9, cpu=2.0),
    }
    models = ["nae", "ensemble", "ebm"]
    errors = bench.mean_errors(found)
    assert errors["airfoil"] == {"nae": 1.5, "ensemble": 1.0, "ebm": 2.0}
    assert errors["telco"]["nae"] == pytest.approx(0.2)
    scores = bench.score_table(found, models).splitlines()[2:]
    assert scores == [
        "| airfoil | RMSE | 1.500 | 1.000 | 2.000 |",
        "| telco | AUC | 0.8000 | 0.9000 | 0.9000 |",
        "| mean rank, with NAE | rank | 1.50 | - | 1.50 |",
        "| mean rank, with NAE ensemble | rank | - | 1.25 | 1.75 |",
    ]
    beside = bench.relative_table(errors, models, "ebm").splitlines()[2:]
    assert beside == [
        "| airfoil | -25.0% | -50.0% |",
        "| telco | +100.0% | +0.0% |",
        "| mean | +37.5% | -25.0% |",
        "| less error | 1 of 2 | 1 of 2 |",
        "| largest | +100.0%, telco | +0.0%, telco |",
    ]
    costs = bench.cost_table(found, models, "ebm").splitlines()[2:]
    assert costs[0] == "| airfoil | 4.0 | 1.0 | 2.0 | 2.00 | 0.50 |"
    assert costs[-1] == "| sum | 5.0 | 2.0 | 4.0 | 1.25 | 0.50 |"
    assert bench.serving_table(found, models, 9).splitlines()[-1] == (
        "| EBM | 3.0 | 4,000 | 5 |"
    )


def test_the_report_on_choices(module):
    defaults = module("choose_defaults")
    numbers = {"airfoil": {"a": (1.0, 1.0), "b": (1.5, 2.5)}, "bike": {"a": (4.0,)}}
    numbers["bike"]["b"] = (2.0,)
    numbers["adult"] = {"a": (1.0,), "b": (1.1,)}
    found = {
        (where, name): [defaults.Run(error, 10.0) for error in errors]
        for where, each in numbers.items()
        for name, errors in each.items()
    } | {("airfoil", "of another kind"): [defaults.Run(0.1, 1.0)]}
    lines = defaults.report(found, ["a", "b"]).splitlines()
    assert lines[2:4] == [
        "| **a** | 33.33% | 100.0%, bike | 2 of 3 | 30 |",
        "| b | 36.67% | 100.0%, airfoil | 1 of 3 | 30 |",
    ]
    assert lines[-4:] == [
        "| airfoil | a | b | 100.0% |",
        "| bike | b | a | 100.0% |",
        "| adult | a | a | 0.0% |",
        "| mean |  |  | 66.67% |",
    ]


def test_catboost_gets_categories_as_text(module):
    got = []

    class Model:
        def fit(self, x, y, cat_features):
            got.append((x, cat_features))

        def predict(self, x):
            got.append((x, None))

    x = pd.DataFrame({"n": [1.0, np.nan], "c": pd.Categorical(["u", None])})
    module("table_models").CatBoost(Model()).fit(x, [0, 1]).predict(x[:1])
    (fitted, words), (asked, _) = got
    assert words == ["c"] and fitted["c"].tolist() == ["u", "missing"]
    assert list(fitted) == ["n", "c"] and np.isnan(fitted["n"][1])
    assert asked["c"].tolist() == ["u"] and x["c"].isna()[1]


@pytest.mark.slow
def test_seconds_of_other_processes_count(module):
    from joblib import Parallel, delayed

    class Parallelised:
        def fit(self, x, y):
            Parallel(2, backend="loky")(delayed(sum)(range(x)) for _ in range(2))

    cpu, wall = module("table_scores").fit_costs(Parallelised(), 20_000_000, None)
    alone, _ = module("table_scores").fit_costs(Parallelised(), 10, None)
    assert wall > 0 and cpu - alone > 0.1
