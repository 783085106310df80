"""Runs that are killed anywhere go on, and end with bitwise the same model."""

import ast
import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from tiers import first_quick

from naejax import TrainingDivergedError
from naejax.cli import main
from naejax.files import write_file
from naejax.runs.unfinished import place, read_asked, unfinished
from naejax.train.checkpoint import TrainingPreemptedError
from naejax.train.chunk import RunChunk

# A parent that has computed nothing forks the trainings: that saves most of the start.
SCRIPT = """
import os, random, signal, sys, time
from pathlib import Path
import jax
import numpy as np
from naejax import NAE, fit
from naejax.train.checkpoint import Checkpoints, TrainingPreemptedError
from naejax.train.training import Training

folder, kills = Path(sys.argv[1]), int(sys.argv[2])
jax.config.update("jax_enable_compilation_cache", True)
jax.config.update("jax_compilation_cache_dir", str(folder / "cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)

def train(out, kept, pipe):
    run = Training.run
    def watched(training, progress):
        for reached in run(training, progress):
            os.write(pipe, b".")
            yield reached
    Training.run = watched
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)).astype(np.float32)
    rows = x, x[:, 0] * x[:, 1], rng.uniform(size=400)
    model = NAE(num_experts=4, hidden=(8, 8), dropout=0.1)
    variables = jax.jit(model.init)(jax.random.key(0), x)
    result = fit(model, variables, rows, validation=tuple(a[:50] for a in rows),
                 penalties={"expert_variance": 0.1}, batch_size=20, epochs=6, seed=3,
                 device_budget=4000, progress=False, checkpoints=kept)
    leaves = jax.tree.leaves(result.variables)
    with open(out, "wb") as file:
        np.savez(file, *leaves, best=result.best_epoch,
                 losses=[[h["loss"], h["validation"]] for h in result.history])

def start(out, kept):
    listen, pipe = os.pipe()
    child = os.fork()
    if not child:
        status = 0
        try:
            train(out, kept, pipe)
        except TrainingPreemptedError:
            status = 143
        os._exit(status)
    os.close(pipe)
    return child, listen

def wait(child, listen, chunks=None):
    seen = 0
    while chunks is None or seen < chunks:
        if not os.read(listen, 1):
            break
        seen += 1
    return seen

child, listen = start(folder / "whole", None)
total = wait(child, listen)
assert os.waitpid(child, 0)[1] == 0 and total > 20
whole = np.load(folder / "whole")
rng, seen = random.Random(int(sys.argv[3])), []
for number in range(kills):
    kept = Checkpoints(folder / f"kept{number}", seconds=rng.choice([0, 0, 0.05]))
    out, how = folder / f"out{number}", [signal.SIGKILL, signal.SIGTERM][number % 2]
    child, listen = start(out, kept)
    wait(child, listen, rng.randint(0, total - 1))
    time.sleep(rng.uniform(0, 0.02))
    os.kill(child, how)
    status = os.waitpid(child, 0)[1]
    ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    # SIGTERM before the training listens ends it at once; one that is done is done.
    assert ended in ({9, 0} if how == signal.SIGKILL else {143, 15, 0}), ended
    half = [p.name for p in folder.glob(f"kept{number}/*tmp*")]
    child, listen = start(out, kept)
    more = wait(child, listen)
    assert os.waitpid(child, 0)[1] == 0
    resumed = np.load(out)
    for name in whole.files:
        assert whole[name].tobytes() == resumed[name].tobytes(), (number, name)
    seen.append((how.name, ended, total - more, bool(half)))
print(seen)
"""


@pytest.mark.parametrize("kills", first_quick([6, 20], 0, 1))
def test_killed_again_and_again_and_bitwise_the_same_in_the_end(tmp_path, kills):
    words = [sys.executable, "-c", SCRIPT, str(tmp_path), str(kills), "7"]
    result = subprocess.run(words, capture_output=True, text=True, timeout=500)
    assert result.returncode == 0, result.stderr[-2000:]
    seen = ast.literal_eval(result.stdout.splitlines()[-1])
    assert len(seen) == kills
    # Most resumed trainings really went on, from somewhere in the middle.
    assert sum(0 < kept for _, _, kept, _ in seen) >= kills / 2, seen
    assert sum(ended == 143 for _, ended, _, _ in seen) >= kills / 4, seen


@pytest.fixture
def asked(homes):
    """The words of a short training, but for its folder."""
    words = ["train", "--data", homes, "--target", "price", "--epochs", "40"]
    words += ["--num-experts", "4", "--hidden", "8", "--checkpoint-seconds", "0"]
    return [str(word) for word in words]


@pytest.mark.slow
def test_the_command_goes_on_after_sigterm(asked, tmp_path):
    whole, run = tmp_path / "whole", tmp_path / "run"
    command = [sys.executable, "-m", "naejax"]
    subprocess.run([*command, *asked, "--out", whole], check=True, capture_output=True)
    process = subprocess.Popen(
        [*command, *asked, "--out", run], stderr=subprocess.PIPE, text=True
    )
    kept, limit = place(run) / "checkpoints" / "nae", time.monotonic() + 120
    while not (kept / "3").exists() and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    said = process.communicate()[1].splitlines()[-1]
    assert process.returncode == 143
    assert said.startswith("naejax: asked to end (SIGTERM) in epoch ")
    assert said.endswith(f"; go on with naejax train --resume {run}")
    assert not run.exists()
    again = subprocess.run([*command, *asked, "--out", run], capture_output=True)
    assert again.returncode == 2 and b"--resume" in again.stderr
    subprocess.run([*command, "train", "--resume", run], check=True)
    model = "model.safetensors"
    assert (run / model).read_bytes() == (whole / model).read_bytes()
    assert not place(run).exists()


@pytest.mark.slow
def test_images_go_on_with_the_training_that_was_stopped(
    drawn, tmp_path, monkeypatch, capsys
):
    from naejax.runs import images

    words = ["train", "--model", "sop", "--data", drawn, "--out", tmp_path / "run"]
    words += ["--epochs", "1", "--backbone-epochs", "1", "--num-groups", "4"]
    words += ["--channels", "4", "8", "--hidden", "8", "--keep", "0.25"]
    fit_sop = images.fit_sop

    def preempted(*_, **__):
        raise TrainingPreemptedError("asked to end (SIGTERM) in epoch 1; kept")

    monkeypatch.setattr(images, "fit_sop", preempted)
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    assert end.value.code == 143
    assert "in epoch 1; go on with naejax train --resume" in capsys.readouterr().err
    monkeypatch.setattr(images, "fit_sop", fit_sop)
    begun, call = [], RunChunk.__call__

    def counted(chunk, *arguments):
        begun.append(1)
        return call(chunk, *arguments)

    monkeypatch.setattr(RunChunk, "__call__", counted)
    main(["train", "--resume", str(tmp_path / "run")])
    # The backbone had ended: only the steps of Sum-of-Parts are taken.
    assert len(begun) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]


def test_a_mistake_leaves_nothing_behind(tmp_path):
    with (
        pytest.raises(ValueError, match="wrong"),
        unfinished(tmp_path / "run", {"a": 1}) as kept,
    ):
        (kept / "nae").mkdir(parents=True)
        raise ValueError("wrong")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("error", [ValueError("full"), OSError("full")])
def test_what_fails_late_loses_nothing(tmp_path, error):
    with pytest.raises(type(error)), unfinished(tmp_path / "run", {"a": 1}) as kept:
        (kept / "nae" / "7").mkdir(parents=True)
        raise error
    assert (place(tmp_path / "run") / "checkpoints" / "nae" / "7").is_dir()


def test_what_diverged_is_not_gone_on_with(tmp_path):
    with (
        pytest.raises(TrainingDivergedError),
        unfinished(tmp_path / "run", {"a": 1}) as kept,
    ):
        (kept / "nae" / "7").mkdir(parents=True)
        raise TrainingDivergedError("the loss is nan", None)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_that_name_that_is_no_run_is_left_alone(tmp_path, overwrite):
    mine = place(tmp_path / "run")
    mine.mkdir()
    (mine / "notes").write_text("mine")
    with pytest.raises(ValueError, match=r"run.unfinished exists and is not a run"):
        with unfinished(tmp_path / "run", {}, overwrite=overwrite):
            pass
    assert (mine / "notes").read_text() == "mine"


def test_a_run_that_was_done_but_for_its_last_step(run, tmp_path, capsys):
    out = tmp_path / "run"
    shutil.copytree(run, out)
    asked = json.loads((run / "config.json").read_text())
    asked["how"] = {"overwrite": False, "devices": None, "seconds": 60.0}
    with pytest.raises(KeyboardInterrupt), unfinished(out, asked) as kept:
        (kept / "nae" / "7").mkdir(parents=True)
        raise KeyboardInterrupt
    main(["train", "--resume", str(out)])
    assert capsys.readouterr().out == f"{out} is done\n"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_mistake_while_going_on_loses_nothing(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt), unfinished(out, {"a": 1}) as kept:
        (kept / "nae" / "1").mkdir(parents=True)
        raise KeyboardInterrupt
    for error in (ValueError, OSError, KeyboardInterrupt):
        with pytest.raises(error), unfinished(out, {"a": 1}, resume=True):
            raise error
    assert read_asked(out) == {"a": 1} and (place(out) / "checkpoints").is_dir()
    with pytest.raises(ValueError, match=r"run.unfinished holds .* --overwrite"):
        with unfinished(out, {}):
            pass
    with unfinished(out, {"a": 2}, overwrite=True) as kept:
        assert not kept.exists() and read_asked(out) == {"a": 2}
    assert not any(tmp_path.iterdir())


def test_ctrl_c_before_the_first_checkpoint_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt) as stop, unfinished(tmp_path / "run", {}):
        raise KeyboardInterrupt
    assert not any(tmp_path.iterdir()) and not str(stop.value)


def test_ctrl_c_after_it_says_how_to_go_on(homes, tmp_path, capsys, monkeypatch):
    out = tmp_path / "run"

    def interrupted(*args, checkpoints, **kwargs):
        (checkpoints.folder / "7").mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr("naejax.tabular.fit.fit", interrupted)
    with pytest.raises(SystemExit) as stop:
        main(["train", "--data", str(homes), "--target", "price", "--out", str(out)])
    assert stop.value.code == 130
    said = f"naejax: stopped by Ctrl-C, go on with naejax train --resume {out}\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resume", "none"], "was never begun, or is done; give the folder"),
        (["--resume", "run"], "so run is done; give the folder"),
        (["--resume", "run", "--seed", "3"], "goes on as the run was begun; leave out"),
        (["--resume", "a", "--out", "b"], "goes on as the run was begun; leave out"),
        (["--out", "b"], "needs --data and --out, or --resume"),
        (["--data", "wine"], "needs --data and --out, or --resume"),
        (["--resume", "bad"], "train.json is damaged"),
        (["--resume", "old"], "begun by another version of naejax ('model')"),
        (
            ["--data", "wine", "--out", "b", "--devices", "99"],
            "devices is 99, expected 1",
        ),
        (
            ["--data", "wine", "--out", "b", "--checkpoint-seconds", "-1"],
            "expected at least 0 seconds",
        ),
        (["--data", "wine", "--out", "b", "--process-id", "1"], "pass --distributed"),
    ],
)
def test_what_cannot_be_gone_on_with(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    for name, text in {"bad": "{", "old": json.dumps({"seed": 1})}.items():
        place(name).mkdir()
        write_file(place(name) / "train.json", text)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as end:
        main(["train", *words])
    assert end.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert message in lines[-1] and lines[-1].startswith("naejax: error: ")
    assert sorted(tmp_path.rglob("*")) == before
