"""Sum-of-Parts on the command line as a user walks it."""

import contextlib
import csv
import io
import json
import re

import jax
import numpy as np
import pytest

import naejax
from naejax.cli import main
from naejax.runs.images import _examples
from naejax.vision import explain_images

pytestmark = pytest.mark.slow

CLASSES = {"square, triangle", "square, cross", "disc, triangle", "disc, cross"}


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def train(*words):
    main(["train", "--model", "sop", *map(str, words)])


def test_train_leaves_a_whole_run(sop_run):
    assert {path.name for path in sop_run.iterdir()} == {
        "model.safetensors",
        "backbone.safetensors",
        "metrics.json",
        "history.csv",
        "config.json",
        "groups.png",
    }
    beside = {p.name for p in sop_run.parent.iterdir() if p.name.startswith("drawn")}
    assert beside == {"drawn", "drawn.lock"}  # no leftovers
    config = json.loads((sop_run / "config.json").read_text())
    assert config["model"] == "sop" and config["seed"] == 0
    assert config["settings"]["num_groups"] == 6 and config["settings"]["epochs"] == 1
    phases = [(r["phase"], r["epoch"]) for r in rows_of(sop_run / "history.csv")]
    assert phases == [("backbone", "1"), ("backbone", "2"), ("sop", "1")]
    assert (sop_run / "groups.png").read_bytes().startswith(b"\x89PNG")


def test_metrics_hold_every_comparison(sop_run):
    metrics = json.loads((sop_run / "metrics.json").read_text())
    assert metrics["images"] == {"training": 96, "validation": 12, "test": 12}
    assert metrics["training"]["backbone"]["epochs"] == 2
    test = metrics["test"]
    for name in ("backbone", "sop", "backbone_on_parts"):
        assert 0 <= test[name]["accuracy"] <= 1 and test[name]["log_loss"] > 0
    single = {"iou", "purity", "object_ratio"}
    for name in ("sop", "random"):
        measures = test["groups"][name]
        assert set(measures) == single | {f"union_{key}" for key in single}
        assert all(0 <= value <= 1 + 1e-6 for value in measures.values())
    assert 1 <= test["groups"]["used"] <= 6 and 0 < test["groups"]["covered"] <= 1
    methods = {"sop", "random_groups", "gradient_saliency", "integrated_gradients"}
    for curve in ("insertion", "deletion"):
        assert set(test[curve]) == methods
        assert all(0 < area < 1 for area in test[curve].values())


def test_predict_writes_parts_that_add_up(sop_run, drawn, tmp_path):
    out = tmp_path / "predictions.csv"
    main(["predict", str(sop_run), "--data", str(drawn), "--out", str(out)])
    rows = rows_of(out)
    assert len(rows) == 120
    groups = [f"contribution:{g}" for g in range(1, 7)]
    probabilities = [name for name in rows[0] if name.startswith("probability:")]
    assert list(rows[0]) == ["prediction", *probabilities, "score", "bias", *groups]
    assert {name.partition(":")[2] for name in probabilities} == CLASSES
    for row in rows:
        total = float(row["bias"]) + sum(float(row[name]) for name in groups)
        assert total == pytest.approx(float(row["score"]), rel=1e-4, abs=1e-6)
        shares = {name: float(row[name]) for name in probabilities}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-6)
        assert f"probability:{row['prediction']}" == max(shares, key=shares.get)
        log_odds = np.log(max(shares.values())) - np.log(list(shares.values()))
        assert log_odds.min() == 0


def test_predict_takes_images_without_targets(sop_run, drawn, tmp_path):
    x = np.load(drawn)["x"]
    np.savez(tmp_path / "x.npz", x=x[:5])
    for name, path in {"all": drawn, "five": tmp_path / "x.npz"}.items():
        words = ["predict", sop_run, "--data", path, "--out", tmp_path / name]
        main([str(word) for word in words])
    whole = (tmp_path / "all").read_text().splitlines()
    assert (tmp_path / "five").read_text().splitlines() == whole[:6]


def test_a_loaded_model_predicts_bitwise_the_same(sop_run, drawn, tmp_path):
    x = np.load(drawn)["x"][:9]
    fitted = naejax.load(sop_run / "model.safetensors")
    assert fitted.model.num_groups == 6 and fitted.model.keep == 0.25
    naejax.save(tmp_path / "again", fitted)
    again = naejax.load(tmp_path / "again")
    outputs = explain_images(fitted, x), explain_images(again, x)
    assert all(map(np.array_equal, *map(jax.tree.leaves, outputs)))
    name = "model.safetensors"
    assert (tmp_path / "again").read_bytes() == (sop_run / name).read_bytes()


@pytest.fixture(scope="module")
def again(sop_run, drawn, tmp_path_factory):
    """A run with the same backbone, and what it printed."""
    out = tmp_path_factory.mktemp("runs") / "again"
    words = ["--epochs", "1", "--num-groups", "3", "--backbone", sop_run]
    printed, bars = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(bars):
        train("--data", drawn, "--out", out, *words)
    return out, printed.getvalue(), bars.getvalue()


def test_a_saved_backbone_is_used_again(sop_run, again):
    out, saved = again[0], sop_run / "backbone.safetensors"
    assert (out / "backbone.safetensors").read_bytes() == saved.read_bytes()
    assert {row["phase"] for row in rows_of(out / "history.csv")} == {"sop"}
    settings = json.loads((out / "config.json").read_text())["settings"]
    assert settings["channels"] == [4, 8] and settings["hidden"] == [8]
    first, second = (
        json.loads((run / "metrics.json").read_text())["test"] for run in (sop_run, out)
    )
    assert first["backbone"] == second["backbone"] and first["sop"] != second["sop"]


def test_train_prints_readable_tables(sop_run, again):
    _, printed, bars = again
    for part in (
        "96 training, 12 validation, 12 test images of 16 x 16 pixels",
        "true parts are known",
        f"backbone: {sop_run}",
        "backbone, true parts alone",
        "random groups, same size",
        "integrated gradients",
        "groups.png",
    ):
        assert part in printed
    assert "epoch" in bars
    for table in printed.split("\n\n")[1:-1]:  # numbers stand under one another
        lines = [line for line in table.splitlines() if re.search(r"\.\d{3}$", line)]
        assert len(lines) >= 2 and len(set(map(len, lines))) == 1, table


def test_values_far_from_zero_are_learnt_in_their_own_units(tmp_path, capsys):
    rng = np.random.default_rng(0)
    level = rng.uniform(-1, 1, (90, 2)).astype(np.float32)
    x = np.repeat(np.repeat(level[:, None], 8, axis=1), 4, axis=2)
    data, run, out = (tmp_path / name for name in ("levels.npz", "run", "out.csv"))
    y = np.array([1000, -5]) + np.array([100, 0.1]) * level  # left and right brightness
    np.savez(data, x=x + 0.1 * rng.normal(size=x.shape), y=y)
    words = ["--channels", "4", "8", "--hidden", "8", "--learning-rate", "0.01"]
    words += ["--epochs", "4", "--backbone-epochs", "20", "--patience", "20"]
    words += ["--keep", "0.5", "--coverage", "0.01", "--diversity", "0.01"]
    train("--data", data, "--out", run, "--num-groups", "4", *words)
    printed = capsys.readouterr().out
    assert "rmse:y0" in printed and "IMPORTANCE" not in printed
    test = json.loads((run / "metrics.json").read_text())["test"]
    assert "insertion" not in test and set(test["groups"]) == {"used", "covered"}
    for name in ("y0", "y1"):
        assert test["backbone"][f"r2:{name}"] > 0.8 and test["sop"][f"r2:{name}"] > 0.2
    squares = [test["sop"][f"rmse:{name}"] ** 2 for name in ("y0", "y1")]
    assert test["sop"]["mse"] == pytest.approx(np.mean(squares), rel=1e-5)
    main(["predict", str(run), "--data", str(data), "--out", str(out)])
    bias = naejax.load(run / "backbone.safetensors").centre
    for row in rows_of(out):
        for name, centre in zip(("y0", "y1"), bias, strict=True):
            parts = [float(row[f"contribution:{g}:{name}"]) for g in range(1, 5)]
            assert float(row[f"bias:{name}"]) == pytest.approx(centre, rel=1e-6)
            prediction = float(row[f"prediction:{name}"])
            assert prediction == pytest.approx(centre + sum(parts), rel=1e-6)


def test_images_are_listed_with_the_tables(capsys):
    main(["datasets"])
    text = capsys.readouterr().out
    assert text.index("diabetes") < text.index("shapes") and "32 x 32 x 3" in text


def test_the_picture_shows_every_class_in_turn():
    target = np.array([2, 2, 2, 0, 2, 1, 1, 0, 2])
    assert _examples(target).tolist() == [0, 3, 5, 1, 6, 7]
    assert _examples(np.ones((9, 2))).tolist() == [0, 1, 2, 3, 4, 5]
