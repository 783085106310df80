"""Checkpoints on bad disks: any file may be spoilt, and any write may fail."""

import os
import shutil
import signal
import subprocess
import sys
import warnings

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from naejax.train.checkpoint import (
    Checkpoints,
    TrainingPreemptedError,
    keep_checkpoints,
)
from naejax.train.progress import Progress
from naejax.train.step import init_state


def progress_of(number, params=None):
    params = {"w": jnp.full((3, 4), number * 0.1)} if params is None else params
    return Progress(
        state=init_state({"params": params}, optax.adam(0.1), seed=number),
        best=params,
        best_score=1 / (number + 1),
        best_epoch=number,
        metrics=np.full((3, 4), number, np.float32),
        epoch=number,
        steps=2,
        history=[],
        stopped="",
    )


def keep(folder, *numbers):
    with keep_checkpoints(Checkpoints(folder, seconds=0), "abc") as keeper:
        for number in numbers:
            keeper.offer(progress_of(number))


def found_in(folder):
    """The number of the progress that is found, and what is said about it."""
    with (
        warnings.catch_warnings(record=True) as said,
        keep_checkpoints(Checkpoints(folder, seconds=0), "abc") as keeper,
    ):
        warnings.simplefilter("always")
        found = keeper.restore(progress_of(0))
    whole = progress_of(found.epoch)
    np.testing.assert_array_equal(found.state.params["w"], whole.state.params["w"])
    return found.epoch, [str(w.message) for w in said if w.category is UserWarning]


def spoil(path, how):
    content = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "zeros":
        path.write_bytes(bytes(len(content)))
    elif content:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["gone", "cut", "zeros", "flip"])
def test_whatever_file_is_spoilt_nothing_wrong_is_found(tmp_path, how):
    keep(tmp_path / "sound", 1, 2, 3)
    files = [p for p in (tmp_path / "sound" / "3").rglob("*") if p.is_file()]
    assert len(files) >= 5
    fell_back = 0
    for number, file in enumerate(files):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "sound", folder)
        spoil(folder / file.relative_to(tmp_path / "sound"), how)
        epoch, said = found_in(folder)
        assert epoch == 3 or (epoch == 2 and "3 in" in said[0] and "damaged" in said[0])
        fell_back += epoch == 2
        # It goes on from there, keeps more, and finds those.
        keep(folder, 4, 5)
        assert found_in(folder) == (5, [])
    assert fell_back


@pytest.mark.parametrize("text", ["", "{", "\x00" * 29, "[]", '{"rcore": 1}'])
def test_a_score_that_is_damaged_costs_nothing(tmp_path, text):
    keep(tmp_path, 1, 2)
    (tmp_path / "2" / "metrics" / "metrics").write_text(text)
    assert found_in(tmp_path) == (2, [])
    keep(tmp_path, 3)
    assert found_in(tmp_path) == (3, [])


# In a process of its own: Orbax's threads say what was wrong, too.
FULL_DISK = """
import resource, sys
import jax.numpy as jnp
import numpy as np
from test_checkpoint_damage import keep, keep_checkpoints, progress_of
from naejax.train.checkpoint import Checkpoints
rng = np.random.default_rng(0)
large = progress_of(2, {"w": jnp.asarray(rng.normal(size=(300, 300)))})
keep(sys.argv[1], 1)
with keep_checkpoints(Checkpoints(sys.argv[1], seconds=0), "abc") as keeper:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        keeper.finish(large)
    except OSError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_full_disk_is_an_error_and_what_was_kept_stays(tmp_path):
    words = [sys.executable, "-c", FULL_DISK, str(tmp_path / "kept")]
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(words, env=here, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    line = done.stdout.splitlines()[-1]
    assert line.startswith(f"cannot write a checkpoint to {tmp_path / 'kept'} (")
    assert "File too large" in line and line.endswith("or choose another folder")
    assert found_in(tmp_path / "kept") == (1, [])


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_place_that_is_no_folder(tmp_path, name):
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(ValueError, match=r"cannot keep checkpoints in .*; choose"),
        keep_checkpoints(Checkpoints(tmp_path / name), "abc"),
    ):
        pass
    assert (tmp_path / "file").read_text() == "mine"


def test_folders_of_others_are_left_alone(tmp_path):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "mine").write_text("mine")
    (tmp_path / "notes").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with (
        pytest.warns(UserWarning, match="is damaged"),
        pytest.raises(ValueError, match="can be read"),
        keep_checkpoints(Checkpoints(tmp_path), "abc") as keeper,
    ):
        keeper.restore(progress_of(0))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "array",
    [
        jnp.ones((3, 2), jnp.bfloat16),
        jnp.ones((3, 2), jnp.float8_e4m3fn),
        jnp.ones((0, 2)),
        jnp.array([np.nan, np.inf, -0.0]),
        np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    ],
)
def test_arrays_of_all_kinds_come_back_bitwise(tmp_path, array):
    kept = progress_of(1, {"w": array, "v": jnp.ones(2)})
    asked = Checkpoints(tmp_path, seconds=0)
    with keep_checkpoints(asked, "abc") as keeper:
        keeper.offer(kept)
    with keep_checkpoints(asked, "abc") as keeper:
        found = keeper.restore(kept._replace(epoch=9))
    assert found.epoch == 1
    for params in (found.best["w"], found.state.params["w"]):
        assert (params.shape, params.dtype) == (array.shape, array.dtype)
        assert np.asarray(params).tobytes() == np.asarray(array).tobytes()


def test_sigterm_after_the_last_chunk_is_not_lost(tmp_path):
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
    try:
        with keep_checkpoints(Checkpoints(tmp_path), "abc") as keeper:
            os.kill(os.getpid(), signal.SIGTERM)
            keeper.finish(progress_of(1))
            assert not heard
        assert heard == [1]
        # One that ended the training is not heard twice.
        with (
            pytest.raises(TrainingPreemptedError),
            keep_checkpoints(Checkpoints(tmp_path), "abc") as keeper,
        ):
            os.kill(os.getpid(), signal.SIGTERM)
            keeper.offer(progress_of(1))
        assert heard == [1]
    finally:
        signal.signal(signal.SIGTERM, before)
