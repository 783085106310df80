"""Tables larger than memory: places in two bytes, streams, splits, and whole runs."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import naejax
from naejax.cli import main
from naejax.data import encode, encode_training, fit_encoder, infer_schema
from naejax.data import streamed_table as large
from naejax.data.fixed_point import MISSING, PlacedRows, make_places
from naejax.data.parquet_files import read_parquet
from naejax.data.streamed_table import (
    TEST,
    TRAINING,
    VALIDATION,
    draw_parts,
    must_stream,
    open_streamed,
)
from naejax.runs.tables import LargeTable
from naejax.settings import Settings
from naejax.tabular import fit_parquet, score_rows
from naejax.tabular.build import FINE, table_knots
from naejax.tabular.streamed import fit_streamed, own_groups

QUICK = Settings(epochs=2, num_experts=2, hidden=(8,), gate_rank=4)


def make_columns(rows: int = 3000, seed: int = 0) -> dict[str, np.ndarray]:
    """Columns of all kinds, some cells missing, one with many levels."""
    rng = np.random.default_rng(seed)
    x = rng.lognormal(size=rows).round(2)
    few = rng.integers(0, 5, rows).astype(float)
    city = rng.choice(np.array([f"c{i}" for i in range(9)], object), rows)
    code = rng.choice(np.array([f"k{i:03}" for i in range(200)], object), rows)
    flag = rng.random(rows) < 0.3
    y = np.sin(x) + few * flag + 0.1 * rng.normal(size=rows)
    x[rng.random(rows) < 0.1] = np.nan
    city[rng.random(rows) < 0.05] = None
    return {"x": x, "few": few, "city": city, "code": code, "flag": flag, "y": y}


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "rows.parquet", make_columns())


def write(path, columns, group=500):
    cells = {
        name: pa.array(column, from_pandas=True) for name, column in columns.items()
    }
    pq.write_table(pa.table(cells), path, row_group_size=group)
    return path


@pytest.mark.parametrize("num_knots", [0, 2, 16, 64, 300])
def test_places_are_the_codes_to_a_thousandth_of_a_step(num_knots):
    columns = make_columns()
    encoder = fit_encoder(
        columns, infer_schema(columns, "y"), num_knots=num_knots or FINE
    )
    knots = table_knots(encoder, encode_training(encoder, columns), num_knots or FINE)
    other = make_columns(500, seed=1)
    other["x"][:2] = -1e9, 1e9
    other["city"][2] = "unknown"
    places = make_places(encoder, knots)
    stored = places.store(other)
    assert stored.dtype == np.uint16
    rows = PlacedRows(stored, places.tables())
    wanted = encode(encoder, other)
    # The model sees a value beyond the knots as the outermost knot.
    wanted = np.clip(wanted, knots[:, 0], knots[:, -1])
    np.testing.assert_array_equal(np.isnan(rows[:]), np.isnan(wanted))
    np.testing.assert_array_equal(stored == MISSING, np.isnan(wanted))
    for i, at in enumerate(places.knots):
        step = np.interp(wanted[:, i], at, np.arange(len(at)))
        got = np.interp(rows[:][:, i], at, np.arange(len(at)))
        most = max(2**-10, 0.51 * (len(at) - 1) / 65_534)
        assert np.nanmax(np.abs(got - step)) < most
    again = places.store_codes(encode(encoder, other))
    # Codes are float32: of a place and the next either may be the nearest.
    assert np.abs(again.astype(int) - stored).max() <= 1


def test_rows_are_read_in_any_order_and_shape():
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 2**16, (40_000, 3), dtype=np.uint16)
    tables = rng.normal(size=(3, 2**16)).astype(np.float32)
    rows = PlacedRows(cells, tables)
    index = rng.integers(0, 40_000, (17, 2_000))
    whole = np.stack([tables[i, cells[:, i]] for i in range(3)], axis=1)
    np.testing.assert_array_equal(rows[index], whole[index])
    np.testing.assert_array_equal(rows[5:9], whole[5:9])
    np.testing.assert_array_equal(rows.take(np.array([4, 2]))[:], whole[[4, 2]])
    assert rows[np.arange(0)].shape == (0, 3)
    with pytest.raises(IndexError, match="expected whole numbers from 0 to 39999"):
        rows[[40_000]]


def test_every_row_has_one_part_whoever_reads_it():
    whole = draw_parts(0, 100_000, seed=3)
    parts = [draw_parts(first, 25_000, seed=3) for first in range(0, 100_000, 25_000)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    shares = np.bincount(whole) / 100_000
    np.testing.assert_allclose(shares, (0.7, 0.1, 0.2), atol=0.005)
    assert (whole != draw_parts(0, 100_000, seed=4)).mean() > 0.4
    # Neighbours do not follow each other.
    is_test = whole == TEST
    assert abs((is_test[1:] & is_test[:-1]).mean() - 0.04) < 0.004


def test_streams_hold_what_the_whole_table_does(path):
    table = open_streamed(str(path), "y", seed=2)
    columns, parts = read_parquet(path), draw_parts(0, 3000, 2)
    assert table.sizes() == tuple(np.bincount(parts))
    wanted = {n: c[parts == TRAINING] for n, c in columns.items()}
    # Of few rows the sample is all that are trained on.
    np.testing.assert_array_equal(table.sample.rows, np.flatnonzero(parts == TRAINING))
    for name, column in wanted.items():
        np.testing.assert_array_equal(table.sample.columns[name], column)
    encoder = fit_encoder(wanted, table.schema)
    x = encode_training(encoder, wanted)
    places = make_places(encoder, table_knots(encoder, x, 64))
    (rows, y), (check, check_y) = table.read(places, x, table.table.groups)
    validation = {n: c[parts == VALIDATION] for n, c in columns.items()}
    assert np.nanmax(np.abs(rows[:] - x)) < 0.01  # out of fold, as in memory
    assert np.nanmax(np.abs(check[:] - encode(encoder, validation))) < 0.01
    spread = encoder.target_std
    np.testing.assert_allclose(
        y * spread + encoder.target_mean, wanted["y"], 1e-5, 1e-6
    )
    assert len(check_y) == len(validation["y"])
    found = [columns["y"] for _, columns in table.parts((TEST,))]
    np.testing.assert_array_equal(np.concatenate(found), columns["y"][parts == TEST])


def test_samples_are_spread_and_bounded(path, monkeypatch):
    monkeypatch.setattr(large, "_SAMPLE_ROWS", 300)
    monkeypatch.setattr(large, "_SAMPLE_GROUPS", 3)
    table = open_streamed(str(path), "y")
    assert 270 < len(table.sample.rows) < 330
    groups = np.bincount(table.sample.rows // 500, minlength=6)
    assert (groups[[0, 2, 5]] > 50).all() and groups.sum() == groups[[0, 2, 5]].sum()
    again = open_streamed(str(path), "y")
    np.testing.assert_array_equal(table.sample.rows, again.sample.rows)
    assert table.schema == again.schema and table.schema.rows == 3000
    # Training reads all rows none the less.
    fitted, _ = fit_streamed(table, QUICK, progress=False)
    assert fitted.encoder.rows == len(table.sample.rows)


@pytest.mark.parametrize("num_knots", [32, 0])
def test_training_is_that_on_the_rows_in_memory(path, num_knots, monkeypatch):
    from naejax.tabular import streamed

    seen = {}

    def kept(model, variables, data, **options):
        seen.update(model=model, variables=variables, data=data, options=options)
        return naejax.fit(model, variables, data, **options)

    monkeypatch.setattr(streamed, "fit", kept)
    settings = Settings(**{**QUICK.__dict__, "num_knots": num_knots})
    fitted, result = fit_parquet(path, "y", settings, progress=False)
    options = seen["options"] | {"device_budget": None}
    x, y = options.pop("validation")
    (rows, target) = seen["data"]
    same = naejax.fit(
        seen["model"],
        seen["variables"],
        (rows[:], target),
        validation=(x[:], y),
        **options,
    )
    assert [h["loss"] for h in result.history] == [h["loss"] for h in same.history]
    np.testing.assert_array_equal(
        fitted.variables["params"]["bias"], same.variables["params"]["bias"]
    )


def test_classes_and_losses(tmp_path):
    columns = make_columns()
    columns["y"] = np.where(columns["y"] > 1, "high", "low").astype(object)
    path = write(tmp_path / "rows.parquet", columns)
    fitted, _ = fit_parquet(path, "y", QUICK, progress=False)
    assert fitted.loss == "logistic"
    assert fitted.encoder.schema.target.classes == ("high", "low")
    with pytest.raises(ValueError, match=r"loss 'poisson' needs a regression target"):
        fit_parquet(path, "y", Settings(loss="poisson"), progress=False)
    path = write(tmp_path / "rows.parquet", make_columns())
    with pytest.raises(ValueError, match=r"target of at least 0, but 'y' goes down"):
        fit_parquet(path, "y", Settings(loss="poisson"), progress=False)
    with pytest.raises(ValueError, match=r"trains one model; leave members out"):
        fit_parquet(path, "y", Settings(members=2), progress=False)
    columns["y"][1234] = None
    path = write(tmp_path / "rows.parquet", columns)
    with pytest.raises(ValueError, match=r"'y' is missing in 1 of 3000 rows.*1235"):
        fit_parquet(path, "y", QUICK, progress=False)


def test_processes_share_row_groups(path, monkeypatch):
    import jax

    table, found = open_streamed(str(path), "y"), []
    for process in range(4):
        monkeypatch.setattr(jax, "process_count", lambda: 4)
        monkeypatch.setattr(jax, "process_index", lambda p=process: p)
        found.append(own_groups(table))
    assert [len(groups) for groups in found] == [2, 2, 1, 1]
    assert sum(found, ()) == table.table.groups
    monkeypatch.setattr(jax, "process_count", lambda: 7)
    with pytest.raises(ValueError, match="6 row groups, too few for 7 processes"):
        own_groups(table)


def test_few_test_rows_stand_for_all(path, monkeypatch):
    from naejax.runs import tables

    monkeypatch.setattr(tables, "_TEST_ROWS", 100)
    own = LargeTable(open_streamed(str(path), "y"))
    assert 80 < len(own.few_test_rows()["y"]) <= 106


def test_a_run_from_end_to_end(path, tmp_path, monkeypatch, capsys):
    assert not must_stream(str(path)) and not must_stream("wine")
    monkeypatch.setattr(large, "MOST_CELLS", 10_000)
    assert must_stream(str(path))
    run, page, out = tmp_path / "run", tmp_path / "page.html", tmp_path / "out.csv"
    options = ["--target", "y", "--epochs", "2", "--num-experts", "2"]
    main(["train", "--data", str(path), "--out", str(run), *options])
    printed = capsys.readouterr().out
    assert "Parquet, 6 row groups, read in streams" in printed
    metrics = json.loads((run / "metrics.json").read_text())
    table = open_streamed(str(path), "y")
    assert tuple(metrics["rows"].values()) == table.sizes()
    fitted = naejax.load(run / "model.safetensors")
    columns = read_parquet(path)
    error = (score_rows(fitted, columns)[:, 0] - columns["y"])[
        draw_parts(0, 3000, 0) == TEST
    ]
    np.testing.assert_allclose(metrics["test"]["rmse"], np.sqrt(np.mean(error**2)))
    assert metrics["baselines"]["linear"]["rmse"] > 0
    main(["explain", str(run), "--out", str(page)])
    assert "the run's own table" in capsys.readouterr().out
    main(["predict", str(run), "--data", str(path), "--out", str(out)])
    lines = out.read_text().splitlines()
    assert len(lines) == 3001
    wanted = score_rows(fitted, {n: c[-1:] for n, c in columns.items()})
    assert float(lines[-1].split(",")[0]) == pytest.approx(wanted[0, 0], rel=1e-5)


@pytest.mark.slow
def test_two_processes_train_as_one(path, tmp_path):
    from stream_together import SETTINGS
    from train_together import flat

    with socket.create_server(("", 0)) as free:
        port = str(free.getsockname()[1])
    worker = Path(__file__).with_name("stream_together.py")
    environment = dict(os.environ, JAX_NUM_CPU_DEVICES="1")
    processes = [
        subprocess.Popen(
            [sys.executable, worker, port, process, path, tmp_path / f"{process}.npz"],
            env=environment,
        )
        for process in "01"
    ]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    first, second = (np.load(tmp_path / f"{process}.npz") for process in "01")
    fitted, result = fit_parquet(path, "y", SETTINGS, progress=False)
    for name in ("params", "losses", "std"):
        np.testing.assert_array_equal(first[name], second[name])
    # The rows of a batch are added up in another order.
    losses = [[row["loss"], row["validation"]] for row in result.history]
    np.testing.assert_allclose(first["losses"], losses, rtol=1e-4)
    np.testing.assert_allclose(first["params"], flat(result), atol=1e-3)
    assert first["std"] == fitted.encoder.target_std
