"""Two processes that train one model, over the machine's own network."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import jax
import numpy as np
import pytest
from tiers import first_quick, sampled
from train_together import TRAININGS, flat

pytestmark = pytest.mark.slow

WORKER = Path(__file__).with_name("train_together.py")
LOST = "another process of this training ended, or cannot be reached"
# Joins, says so, and then either waits outside of JAX, or is done and waits to end.
IDLE = """
import sys, time
from naejax.runs.distributed import together
with together(f"localhost:{sys.argv[1]}", 2, int(sys.argv[2])):
    print("joined", file=sys.stderr)
    if sys.argv[2] in sys.argv[3]:
        time.sleep(600)
"""


@pytest.fixture
def start(tmp_path):
    """Starts two processes; in their words @PORT and @ID are filled in."""
    running = []

    def both(*words):
        started = []
        with socket.create_server(("", 0)) as free:
            port = free.getsockname()[1]
        environment = dict(os.environ, JAX_NUM_CPU_DEVICES="1")
        for process in "01":
            own = [str(w).replace("@PORT", str(port)) for w in words]
            command = [sys.executable, *(w.replace("@ID", process) for w in own)]
            with open(tmp_path / process, "w") as errors:
                one = subprocess.Popen(
                    command,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    env=environment,
                )
            started.append(one)
            running.append(one)
        return started

    yield both
    for process in running:
        process.kill()
        process.communicate()


def errors_of(tmp_path, process):
    return (tmp_path / str(process)).read_text()


def wait_for(text, tmp_path, *processes):
    """Waits until processes have said something."""
    end = time.monotonic() + 180
    while not all(text in errors_of(tmp_path, process) for process in processes):
        assert time.monotonic() < end, [errors_of(tmp_path, p) for p in processes]
        time.sleep(0.1)


def check_the_other_ends(processes, tmp_path, victim):
    """Kills one: the other ends within a minute, with one line and a status."""
    processes[victim].kill()
    other = 1 - victim
    processes[other].communicate(timeout=60)
    assert processes[other].returncode not in (0, None)
    # The line is another process's, which outlives this one by a moment.
    wait_for("naejax: error", tmp_path, other)
    text = errors_of(tmp_path, other)
    lines = [line for line in text.splitlines() if "naejax: error" in line]
    assert len(lines) == 1
    assert f"naejax: error: process {other} of 2: {LOST}" in lines[0]
    assert "Traceback" not in text
    assert "stack trace" not in text


def train_words(homes, out, *more):
    """``naejax train`` as one of two processes."""
    words = ["-m", "naejax", "train", "--data", homes, "--target", "price"]
    words += ["--out", out, "--num-experts", "4", "--hidden", "8", "--dropout", "0"]
    words += ["--expert-dropout", "0", "--distributed", "--num-processes", "2"]
    words += ["--coordinator", "localhost:@PORT", "--process-id", "@ID", *more]
    return words


@pytest.mark.parametrize(
    ("name", "backend"),
    sampled(
        product(TRAININGS, ["pmap", "shard_map"]),
        [("nae", "pmap"), ("sop", "shard_map")],
    ),
)
def test_two_processes_agree_with_two_devices(start, tmp_path, name, backend):
    alone = TRAININGS[name](
        lambda rows: rows, devices=jax.devices()[:2], backend=backend, progress=False
    )
    outs = [tmp_path / "0.npz", tmp_path / "1.npz"]
    processes = start(WORKER, "@PORT", "@ID", name, backend, tmp_path / "@ID.npz")
    for process in processes:
        process.communicate(timeout=120)
    assert [p.returncode for p in processes] == [0, 0], errors_of(tmp_path, 0)
    first, second = (dict(np.load(out)) for out in outs)
    for part in first:
        assert np.array_equal(first[part], second[part])
    ours, theirs = first["params"], flat(alone)
    assert np.linalg.norm(ours - theirs) < 1e-6 * np.linalg.norm(theirs)
    losses = [[row["loss"], row["validation"]] for row in alone.history]
    assert first["losses"] == pytest.approx(np.array(losses), rel=1e-5)
    assert first["best"] == alone.best_epoch


@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_dies_while_training_the_other_ends(start, homes, tmp_path, victim):
    out = tmp_path / "run"
    processes = start(*train_words(homes, out, "--epochs", "1000000"))
    wait_for("validation=", tmp_path, 0)
    check_the_other_ends(processes, tmp_path, victim)
    assert not out.exists()


@pytest.mark.parametrize(
    ("idle", "victim"),
    first_quick([("01", 0), ("1", 1), ("01", 1), ("0", 0)], 0, 2),
    ids=["0 at work", "1 before the end", "1 at work", "0 before the end"],
)
def test_when_one_dies_while_nothing_is_sent_the_other_ends(
    start, tmp_path, idle, victim
):
    processes = start("-c", IDLE, "@PORT", "@ID", idle)
    wait_for("joined", tmp_path, 0, 1)
    time.sleep(1)
    assert [process.poll() for process in processes] == [None, None]
    check_the_other_ends(processes, tmp_path, victim)


def test_one_process_writes_and_speaks(start, homes, tmp_path):
    out = tmp_path / "run"
    processes = start(*train_words(homes, out, "--epochs", "2"))
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [p.returncode for p in processes] == [0, 0], errors_of(tmp_path, 0)
    assert "trained on 84 rows for 2 epochs" in said[0]
    assert "Gloo" not in said[0]
    assert said[1] == errors_of(tmp_path, 1) == ""
    assert json.loads((out / "metrics.json").read_text())["rows"]["training"] == 84
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"0", "1", "run"}


def test_a_mistake_of_one_process_ends_the_other(start, homes, tmp_path):
    data = tmp_path / "homes0.csv"
    data.write_bytes(homes.read_bytes())
    words = train_words(tmp_path / "homes@ID.csv", tmp_path / "run")
    processes = start(*words, "--epochs", "1000000")
    for process in processes:
        process.communicate(timeout=120)
    assert processes[1].returncode == 2
    assert "naejax: error: process 1 of 2: " in errors_of(tmp_path, 1)
    assert "homes1.csv" in errors_of(tmp_path, 1)
    assert processes[0].returncode not in (0, None)
    wait_for(LOST, tmp_path, 0)


def test_ctrl_c_ends_both(start, homes, tmp_path):
    processes = start(*train_words(homes, tmp_path / "run", "--epochs", "1000000"))
    wait_for("validation=", tmp_path, 0)
    processes[0].send_signal(signal.SIGINT)
    for process in processes:
        process.communicate(timeout=60)
    assert processes[0].returncode == 130
    assert "stopped by Ctrl-C" in errors_of(tmp_path, 0)
    wait_for(LOST, tmp_path, 1)
    assert not (tmp_path / "run").exists()


def test_sigterm_to_one_stops_both_and_they_go_on(start, homes, tmp_path):
    out, whole = tmp_path / "run", tmp_path / "whole"
    for process in start(*train_words(homes, whole, "--epochs", "30")):
        process.communicate(timeout=120)
    processes = start(
        *train_words(homes, out, "--epochs", "30", "--checkpoint-seconds", "0")
    )
    kept = tmp_path / "run.unfinished" / "checkpoints" / "nae"
    end = time.monotonic() + 120
    while not (kept / "3").exists() and time.monotonic() < end:
        time.sleep(0.01)
    processes[1].send_signal(signal.SIGTERM)
    for process in processes:
        process.communicate(timeout=60)
    assert [p.returncode for p in processes] == [143, 143], errors_of(tmp_path, 0)
    for number in (0, 1):
        assert f"go on with naejax train --resume {out}" in errors_of(tmp_path, number)
    words = train_words(homes, out)
    # All but what a resumed run was begun with.
    again = [*words[:3], "--resume", out, *words[words.index("--distributed") :]]
    processes = start(*again)
    for process in processes:
        process.communicate(timeout=120)
    assert [p.returncode for p in processes] == [0, 0], errors_of(tmp_path, 0)
    model = "model.safetensors"
    assert (out / model).read_bytes() == (whole / model).read_bytes()
