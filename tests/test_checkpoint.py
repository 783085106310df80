"""Checkpoints: bitwise on from anywhere, and never from half a file."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from test_train import MODEL, all_equal
from tiers import first_quick

from naejax import NAE, fit, losses
from naejax.train.checkpoint import (
    Checkpoints,
    TrainingPreemptedError,
    keep_checkpoints,
)
from naejax.train.fingerprint import fingerprint
from naejax.train.progress import Progress
from naejax.train.step import init_state
from naejax.train.training import Training

ROWS, STEPS = 112, 7  # an epoch of seven steps in chunks of three, three and one
quick = partial(fit, MODEL, progress=False, batch_size=16, epochs=3, seed=1)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 2)).astype(np.float32)
    return x, (x[:, 0] * x[:, 1]).astype(np.float32)


@pytest.fixture(scope="module")
def variables(rows):
    return jax.jit(MODEL.init)(jax.random.key(0), rows[0])


@pytest.fixture(scope="module")
def train(rows, variables):
    """A training in chunks of three steps."""
    check = tuple(a[:32] for a in rows)
    return partial(quick, variables, rows, validation=check, device_budget=2000)


@pytest.fixture(scope="module")
def whole(train):
    return train()


@pytest.fixture
def stop_after(monkeypatch):
    """Sends SIGTERM to this process when it has done so many chunks."""

    def arrange(*chunks):
        run, done = Training.run, []

        def watched(training, progress):
            for reached in run(training, progress):
                done.append(reached.steps)
                if len(done) in chunks:
                    os.kill(os.getpid(), signal.SIGTERM)
                yield reached

        monkeypatch.setattr(Training, "run", watched)
        return done

    return arrange


def without_seconds(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def assert_same(result, whole):
    assert all_equal(result.variables, whole.variables)
    assert without_seconds(result.history) == without_seconds(whole.history)
    assert result[2:] == whole[2:]


def progress_of(variables, score=0.5, number=3):
    state = init_state(variables, optax.adam(0.1), seed=number)
    return Progress(
        state=state._replace(constants={"knots": {"a": np.ones(2)}}),
        best=variables["params"],
        best_score=score,
        best_epoch=number,
        metrics=np.full((3, 4), number, np.float32),
        epoch=number,
        steps=2,
        history=[{"epoch": 1, "loss": 0.1 + 0.2, "validation": None}],
        stopped="",
    )


def test_every_part_comes_back_bitwise(variables, tmp_path):
    asked, kept = Checkpoints(tmp_path, seconds=0), progress_of(variables)
    with keep_checkpoints(asked, "abc") as keeper:
        assert keeper.restore(kept) is kept
        keeper.offer(kept)
    blank = progress_of(jax.tree.map(np.zeros_like, variables), 0.0, 0)
    with keep_checkpoints(asked, "abc") as keeper:
        found = keeper.restore(blank)
    assert found.history == kept.history and type(found.epoch) is int
    assert jax.tree.structure(found) == jax.tree.structure(kept)
    for ours, theirs in zip(*map(jax.tree.leaves, (found, kept)), strict=True):
        if isinstance(ours, jax.Array) and ours.dtype == jax.random.key(0).dtype:
            ours, theirs = map(jax.random.key_data, (ours, theirs))
        np.testing.assert_array_equal(ours, theirs)
        assert np.asarray(ours).dtype == np.asarray(theirs).dtype


@pytest.mark.parametrize(
    "chunks",
    [(2, 4), *(pytest.param(c, marks=pytest.mark.slow) for c in [(1,), (3, 5, 8)])],
)
def test_stopped_and_gone_on_is_never_stopped(
    train, whole, tmp_path, stop_after, chunks
):
    done, kept = stop_after(*chunks), Checkpoints(tmp_path / "kept")
    for _ in chunks:
        with pytest.raises(
            TrainingPreemptedError, match=r"SIGTERM.* is kept in .*kept"
        ):
            train(checkpoints=kept)
    assert_same(train(checkpoints=kept), whole)
    assert done == [3, 6, 0] * 3  # no chunk is lost, none is done twice
    # Of one that has ended, the end is found.
    assert_same(train(checkpoints=kept), whole)
    assert len(done) == 9


@pytest.mark.slow
def test_a_training_on_several_devices_goes_on(rows, variables, tmp_path, stop_after):
    train = partial(quick, variables, rows, devices=3, validation=rows)
    whole = train()
    stop_after(2)
    with pytest.raises(TrainingPreemptedError):
        train(checkpoints=Checkpoints(tmp_path))
    assert_same(train(checkpoints=Checkpoints(tmp_path)), whole)


def test_the_newest_and_the_best_stay(variables, tmp_path):
    with keep_checkpoints(Checkpoints(tmp_path, seconds=0), "abc") as keeper:
        for number, score in enumerate([np.inf, 0.5, 0.2, 0.3, 0.4, 0.4]):
            keeper.offer(progress_of(variables, score, number))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["3", "5", "6"]


def test_a_checkpoint_is_kept_when_it_is_time(variables, tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with keep_checkpoints(Checkpoints(tmp_path, seconds=10), "abc") as keeper:
        for now in (1.0, 9.0, 10.0, 19.0, 21.0):
            clock[0] = now
            keeper.offer(progress_of(variables))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "2"]


def damage(folder: Path, how: str) -> None:
    """Spoils what a checkpoint holds."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    largest = max(files, key=lambda p: p.stat().st_size)
    content = bytearray(largest.read_bytes())
    if how == "flip":
        content[len(content) // 2] ^= 1
        largest.write_bytes(content)
    elif how == "cut":
        largest.write_bytes(content[: len(content) // 2])
    elif how == "gone":
        largest.unlink()
    else:
        shutil.rmtree(folder)
        folder.mkdir()


@pytest.mark.parametrize("how", ["flip", "cut", "gone", "empty"])
def test_from_a_damaged_checkpoint_to_the_one_before(variables, tmp_path, how):
    asked = Checkpoints(tmp_path, seconds=0)
    with keep_checkpoints(asked, "abc") as keeper:
        for number in (1, 2):
            keeper.offer(progress_of(variables, 0.5, number))
    damage(tmp_path / "2", how)
    blank = progress_of(variables, 0.0, 0)
    with (
        pytest.warns(UserWarning, match="checkpoint 2 in .* is damaged"),
        keep_checkpoints(asked, "abc") as keeper,
    ):
        found = keeper.restore(blank)
        assert found.epoch == 1
        keeper.offer(found)
    damage(tmp_path / "3", how)
    with (
        pytest.warns(UserWarning, match="is damaged"),
        pytest.raises(ValueError, match=r"no checkpoint .* can be read; delete"),
        keep_checkpoints(asked, "abc") as keeper,
    ):
        keeper.restore(blank)


def test_what_was_not_written_to_the_end_is_no_checkpoint(variables, tmp_path):
    asked = Checkpoints(tmp_path, seconds=0)
    with keep_checkpoints(asked, "abc") as keeper:
        keeper.offer(progress_of(variables, 0.5, 1))
    half = tmp_path / "2.orbax-checkpoint-tmp"
    shutil.copytree(tmp_path / "1", half)
    with keep_checkpoints(asked, "abc") as keeper:
        assert keeper.restore(progress_of(variables, 0.0, 0)).epoch == 1
    assert not half.exists()


@pytest.mark.parametrize(
    "change",
    first_quick(
        [
            {"penalties": {"output_energy": 1.0}},
            {"seed": 2},
            {"batch_size": 8},
            {"optimizer": 2e-3},
        ]
    ),
)
def test_another_training_is_not_gone_on_with(train, tmp_path, stop_after, change):
    stop_after(1)
    with pytest.raises(TrainingPreemptedError):
        train(checkpoints=Checkpoints(tmp_path))
    with pytest.raises(ValueError, match="checkpoints of another training; pass"):
        train(checkpoints=Checkpoints(tmp_path), **change)


def test_other_rows_are_another_training(rows, variables):
    same = fingerprint(variables, rows, (1,))
    assert same == fingerprint(variables, rows, (1,))
    x, y = rows
    moved = x.copy()
    moved[3, 1] = np.nextafter(moved[3, 1], 9)
    assert fingerprint(variables, (moved, y), (1,)) != same
    assert fingerprint(variables, (x, y[:-1]), (1,)) != same
    other = jax.tree.map(lambda a: a + 1, variables)
    assert fingerprint(other, rows, (1,)) != same
    assert fingerprint(variables, rows, (2,)) != same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (NAE(num_experts=4, hidden=(8,)), NAE(num_experts=4, hidden=(8,), top_k=1)),
        (NAE(num_experts=4, dropout=0.1), NAE(num_experts=4, dropout=0.2)),
        (optax.adamw(1e-3), optax.adamw(1e-2)),
        (optax.adamw(optax.cosine_decay_schedule(1, 9)), optax.adamw(1.0)),
        (optax.sgd(1e-3), optax.rmsprop(1e-3)),
        (partial(losses.quantile, q=0.1), partial(losses.quantile, q=0.2)),
        (np.float32(1), np.float32(2)),
        (np.ones(3), np.array([1.0, 1.0, 2.0])),
        ({"a": 1}, {"a": 2}),
    ],
)
def test_other_settings_are_another_training(one, other):
    assert fingerprint({}, np.ones(1), (one,)) != fingerprint({}, np.ones(1), (other,))


@pytest.mark.slow
def test_settings_are_the_same_in_another_process():
    words = (
        "import jax, numpy as np, optax; from naejax import NAE, losses\n"
        "from naejax.train.fingerprint import fingerprint\n"
        "def endless(): return endless, jax\n"
        "optimizer = optax.chain(optax.clip(1.0), optax.lamb(lambda step: 0.1))\n"
        "asked = NAE(num_experts=4), losses.squared, optimizer, jax.jit(abs), endless\n"
        "key = {'k': jax.random.key(0)}\n"
        "print(fingerprint(key, np.ones(1), asked))"
    )
    said = [
        subprocess.check_output(
            [sys.executable, "-c", words], env={**os.environ, "PYTHONHASHSEED": seed}
        )
        for seed in "12"
    ]
    assert said[0] == said[1]


def test_another_optimiser_is_refused(variables, tmp_path):
    asked, kept = Checkpoints(tmp_path, seconds=0), progress_of(variables)
    with keep_checkpoints(asked, "abc") as keeper:
        keeper.offer(kept)
    other = kept._replace(state=init_state(variables, optax.sgd(0.1), 0))
    with (
        keep_checkpoints(asked, "abc") as keeper,
        pytest.raises(ValueError, match="optimiser of another kind; delete"),
    ):
        keeper.restore(other)


def test_sigterm_is_as_before_afterwards(variables, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with keep_checkpoints(Checkpoints(tmp_path), "abc"):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_trainings_in_other_threads_keep_checkpoints_too(train, whole, tmp_path):
    results = []
    thread = threading.Thread(
        target=lambda: results.append(train(checkpoints=Checkpoints(tmp_path)))
    )
    thread.start()
    thread.join()
    assert_same(results[0], whole)


@pytest.mark.parametrize("wrong", [{"seconds": -1}, {"seconds": np.nan}, {"keep": 0}])
def test_numbers_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="expected at least 0 seconds between"):
        Checkpoints("here", **wrong)


def test_ctrl_c_leaves_the_last_checkpoint(train, whole, tmp_path, monkeypatch):
    run = Training.run

    def interrupted(training, progress):
        for number, reached in enumerate(run(training, progress)):
            yield reached
            if number == 3:
                raise KeyboardInterrupt

    kept = Checkpoints(tmp_path, seconds=0)
    with monkeypatch.context() as patch:
        patch.setattr(Training, "run", interrupted)
        assert train(checkpoints=kept).stopped == "interrupted"
    assert_same(train(checkpoints=kept), whole)
