"""Sweeps: grids, tables of results, picks, pictures and run folders."""

import csv
import json
from dataclasses import replace

import jax
import numpy as np
import pandas as pd
import polars as pl
import pytest

from naejax import artifact
from naejax.cli import main
from naejax.data import Dataset, infer_schema, read_columns, split_rows
from naejax.runs.sweep import sweep_run
from naejax.settings import Settings
from naejax.sweeps import SweepResult, parse_grid, sweep
from naejax.sweeps.grid import split_grid
from naejax.sweeps.rows import read_table, split_table
from naejax.tabular import evaluate_table, fit_table

pytestmark = pytest.mark.slow

SETTINGS = Settings(
    epochs=3, num_experts=4, hidden=(8,), num_knots=0, batch_size=32, dropout=0.0
)
GRID = {"num_experts": [2, 4], "expert_variance": [0.0, 10.0], "learning_rate": [0.01]}


def make_frame(rows=200):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3))
    y = x[:, 0] * x[:, 1] + x[:, 2] + rng.normal(0, 0.1, rows)
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y})


@pytest.fixture(scope="module")
def swept():
    return sweep(
        make_frame(), "y", grid=GRID, seeds=[0, 5], settings=SETTINGS, progress=False
    )


def test_a_table_of_all_models(swept):
    table = swept.table
    names = [
        f"{part}_{k}" for part in ("validation", "test") for k in ("rmse", "mae", "r2")
    ]
    expected = [*GRID, "seed", *names, "additivity", "best_epoch", "diverged"]
    assert list(table) == expected
    assert table["num_experts"].tolist() == [2] * 4 + [4] * 4
    assert table["expert_variance"].tolist() == [0, 0, 10, 10] * 2
    assert table["seed"].tolist() == [0, 5] * 4
    assert {len(column) for column in table.values()} == {8} == {len(swept.models)}
    for row, model in enumerate(swept.models):
        assert model.model.num_experts == table["num_experts"][row]
    assert (table["best_epoch"] > 0).all() and not table["diverged"].any()


def test_a_model_is_what_training_it_alone_gives(swept):
    columns = read_columns(make_frame())
    schema = infer_schema(columns, "y")
    training, validation, test = split_rows(columns, schema, 0)
    row = 6  # 4 experts, the larger penalty, the seed that the encoder has too
    settings = replace(SETTINGS, expert_variance=10.0, learning_rate=0.01)
    alone, result = fit_table(
        training, validation, schema, settings, seed=0, progress=False
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        dict(swept.model(row).variables),
        dict(alone.variables),
    )
    scores = evaluate_table(alone, test)
    assert swept.table["test_rmse"][row] == pytest.approx(scores["rmse"], rel=1e-4)
    assert swept.table["best_epoch"][row] == result.best_epoch


def test_picks_by_validation_and_by_additivity(swept):
    def table(validation, additivity):
        return {
            **swept.table,
            "validation_rmse": np.repeat(validation, 2),
            "additivity": np.repeat(additivity, 2),
        }

    made = SweepResult(
        table([4.0, 1.0, 2.0, 3.0], [0.2, 0.4, 0.8, 1.0]),
        swept.points,
        swept.cells,
        swept.models,
        swept.schema,
        0.0,
    )
    assert made.pick().settings == swept.points[1]
    assert made.pick(additivity=0.7).settings == swept.points[2]
    assert made.pick(additivity=0.7).validation == 2.0
    made.table["validation_rmse"][5] = 1.5
    assert made.pick(additivity=0.7).row == 5
    with pytest.raises(ValueError, match=r"additivity of 1\.1, the highest is 1\.000"):
        made.pick(additivity=1.1)
    cut = replace(made, cells=np.delete(made.cells, 3))  # Ctrl-C before the last seed
    cut = replace(cut, table={k: np.delete(v, 3) for k, v in made.table.items()})
    assert cut.pick().settings == swept.points[2] and np.isnan(cut.means("seed")[1])
    made.table["validation_rmse"][2] = np.nan  # a diverged seed rules its setting out
    assert made.pick().settings == swept.points[2]
    made.table["validation_rmse"][:] = np.nan
    with pytest.raises(ValueError, match="no setting was trained with all seeds"):
        made.pick()


def test_larger_scores_are_better_where_they_are():
    frame = make_frame()
    frame["y"] = np.where(frame["c"] > 0, "up", "down")
    result = sweep(
        frame,
        "y",
        grid={"learning_rate": [1e-6, 0.1]},
        seeds=1,
        settings=replace(SETTINGS, epochs=10),
        progress=False,
    )
    assert result.score == "auc"
    assert result.pick().settings == {"learning_rate": 0.1}
    assert result.table["validation_auc"][1] > result.table["validation_auc"][0]


def test_files_and_frames(swept, tmp_path):
    assert swept.save(tmp_path) == ["sweep.csv", "sweep.parquet"]
    with open(tmp_path / "sweep.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, column in swept.table.items():
        assert [row[name] for row in rows] == [str(value) for value in column.tolist()]
    frame = pd.read_parquet(tmp_path / "sweep.parquet")
    pd.testing.assert_frame_equal(frame, swept.to_frame())


def test_the_picture_has_a_line_for_each_other_setting(swept):
    ax = swept.plot()
    lines = [line for line in ax.lines if len(line.get_xdata()) == 2]
    assert len(lines) == 2
    cells = swept.means("additivity")[:2]
    np.testing.assert_allclose(lines[0].get_xdata(), cells)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[1] == "num_experts 4, learning_rate 0.01"
    with pytest.raises(ValueError, match="along is 'lambda'"):
        swept.plot(along="lambda")


def test_tables_of_every_kind_are_the_same_table():
    frame = make_frame(60)
    expected = {**read_columns(frame)}
    features = frame.drop(columns="y")
    given = [
        (frame, "y"),
        (pl.from_pandas(frame), "y"),
        (features, frame["y"]),
        (pl.from_pandas(features), pl.Series("y", frame["y"].to_numpy())),
        (dict(expected), "y"),
        (Dataset("d", expected, "y", "auto", ""), None),
    ]
    for x, y in given:
        columns, target, task = read_table(x, y)
        assert (target, task) == ("y", "auto") and list(columns) == list(expected)
        for name in expected:
            np.testing.assert_array_equal(columns[name], expected[name])
    columns, target, _ = read_table(features.to_numpy(), frame["y"].to_numpy())
    assert list(columns) == ["x0", "x1", "x2", "target"] and target == "target"


def test_given_test_rows_are_the_test_rows():
    frame = make_frame(100)
    columns = read_columns(frame)
    schema = infer_schema(columns, "y")
    test = {name: column[:7] for name, column in columns.items()}
    training, validation, scored = split_table(columns, schema, test, seed=0)
    assert scored is test
    together = np.sort(np.concatenate([training["y"], validation["y"]]))
    np.testing.assert_array_equal(together, np.sort(columns["y"]))
    result = sweep(
        frame,
        "y",
        grid={"expert_variance": [1.0]},
        seeds=1,
        settings=SETTINGS,
        test=(frame.drop(columns="y")[:7], frame["y"][:7]),
        progress=False,
    )
    scores = evaluate_table(result.model(0), test)
    assert result.table["test_rmse"][0] == pytest.approx(scores["rmse"])


def test_scalars_share_a_program_and_shapes_do_not():
    grid = {"hidden": [(8,), (4, 4)], "weight_decay": [0, 1], "batch_size": [16, 32]}
    points, programs = split_grid(grid, Settings())
    assert len(points) == 8 and len(programs) == 4
    assert sorted(cell for program in programs for cell in program.cells) == [*range(8)]
    for program in programs:
        for cell, point in zip(program.cells, program.points, strict=True):
            assert points[cell] == point
            assert program.settings.hidden == point["hidden"]
            assert program.settings.batch_size == point["batch_size"]


def test_grids_as_words():
    words = ["--expert-variance=0,1e-1", "hidden=32x32,8", "gate=own,none", "top_k=2"]
    assert parse_grid(words) == {
        "expert_variance": [0.0, 0.1],
        "hidden": [(32, 32), (8,)],
        "gate": ["own", "none"],
        "top_k": [2],
    }


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("expert_variance", "expected NAME=VALUE"),
        ("expert_varience=1", "did you mean 'expert_variance'"),
        ("members=2", "'members', which cannot be swept"),
        ("top_k=two", "'two' for top_k, expected numbers"),
        ("top_k=2=3", "'2=3' for top_k"),
    ],
)
def test_words_that_are_no_grid(word, message):
    with pytest.raises(ValueError, match=message) as error:
        parse_grid([word])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": {}}, "the grid is empty"),
        ({"grid": {"epoch": [1]}}, "did you mean 'epochs'"),
        ({"grid": {"epochs": 3}}, "has 3 for epochs, expected a list"),
        ({"grid": {"epochs": [3, 3]}}, r"has \[3, 3\] for epochs, expected different"),
        ({"grid": GRID, "seeds": 0}, "seeds are 0, expected"),
        ({"grid": GRID, "y": None}, "y is missing"),
        ({"grid": GRID, "y": [1.0]}, "X has 200 rows and y 1"),
        ({"grid": GRID, "settings": Settings(members=2)}, "members is 2, expected 1"),
        ({"grid": GRID, "test": pd.DataFrame({"y": [1.0]})}, "lack the column 'a'"),
    ],
)
def test_what_cannot_be_swept_is_refused_in_one_line(options, message):
    options = {"y": "y", "settings": SETTINGS, "progress": False, **options}
    with pytest.raises(ValueError, match=message) as error:
        sweep(make_frame(), **options)
    assert "\n" not in str(error.value)


def test_a_run_folder_can_be_predicted_with_and_explained(tmp_path):
    from naejax.runs import explain_run, predict_run

    frame = make_frame()
    frame.to_csv(tmp_path / "data.csv", index=False)
    columns = read_columns(tmp_path / "data.csv")
    dataset = Dataset(str(tmp_path / "data.csv"), columns, "y", "auto", "made up")
    lines, out = [], tmp_path / "run"
    sweep_run(dataset, GRID, 2, SETTINGS, out, progress=False, say=lines.append)
    names = {path.name for path in out.iterdir()}
    assert names >= {"sweep.csv", "sweep.parquet", "tradeoff.png", "model.safetensors"}
    text = "\n".join(lines)
    assert "8 models" in text and text.count("<- picked") == 1
    metrics = json.loads((out / "metrics.json").read_text())
    _, _, test = split_rows(columns, infer_schema(columns, "y"), 0)
    model = artifact.load(out / "model.safetensors")
    assert evaluate_table(model, test) == pytest.approx(metrics["test"])
    assert model.model.num_experts == int(metrics["picked"]["num_experts"])
    assert predict_run(out, tmp_path / "data.csv", tmp_path / "p.csv") == 200
    explain_run(out, tmp_path / "report.html", say=lines.append)
    assert any("the run's own table" in line for line in lines)
    with pytest.raises(ValueError, match="already holds a run"):
        sweep_run(dataset, GRID, 2, SETTINGS, out, progress=False, say=lines.append)


def test_an_additivity_that_no_setting_has(tmp_path, capsys):
    """What was trained is not lost: the most additive setting is taken."""
    words = ["sweep", "--data", "wine", "--out", str(tmp_path / "run"), "--seeds", "1"]
    words += ["--epochs", "1", "--num-experts", "4", "--hidden", "8"]
    words += ["--grid", "expert-variance=0,1"]
    with pytest.raises(SystemExit):
        main([*words, "--additivity", "1.5"])
    assert "additivity is 1.5, expected a share" in capsys.readouterr().err
    main([*words, "--additivity", "1"])
    said = capsys.readouterr().out
    assert "no setting has an additivity of 1.0" in said and "<- picked" in said
    assert (tmp_path / "run" / "sweep.csv").is_file()
