"""The file itself: whole, small enough, read strictly, before any array is."""

import os
import struct
import tracemalloc

import numpy as np
import pytest
from test_artifact import make_model

import naejax
from naejax.artifact import describe
from naejax.container import read_container, write_container
from naejax.serving import to_numpy_predictor


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    """A good file."""
    path = tmp_path_factory.mktemp("saved") / "model"
    naejax.save(path, make_model())
    return path.read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        b"garbage" * 100,
        b"\x80\x04}q\x00." + b" " * 100,  # A pickle.
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 3) + b"\xff\xfe{",
        struct.pack("<Q", 2**64 - 1) + b"{}",
    ],
)
def test_what_is_no_model_is_refused(content, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a model that naejax saved") as caught:
        naejax.load(path)
    assert "\n" not in str(caught.value)


def test_every_cut_is_refused(whole, tmp_path):
    path = tmp_path / "model"
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="not a model"):
            naejax.load(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="not a model"):
        naejax.load(path)


@pytest.mark.parametrize("size", [100, 2**31])
def test_a_header_of_a_gigabyte_is_refused_before_it_is_read(size, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(struct.pack("<Q", 2**30))
    os.truncate(path, size)  # Sparse: it takes no place on the disk.
    tracemalloc.start()
    with pytest.raises(ValueError, match="claims an index of 1073741824 bytes"):
        naejax.load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_paths_that_are_no_file_are_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    missing = [tmp_path / "nothing", tmp_path / "a" / "b", "\0", "x" * 5000]
    for read in (naejax.load, to_numpy_predictor, describe):
        with pytest.raises(ValueError, match="is a folder"):
            read(tmp_path)
        with pytest.raises(ValueError, match="is not a file"):
            read(tmp_path / "pipe")
        for path in missing:
            with pytest.raises(ValueError):
                read(path)


def test_containers_hold_any_shape(tmp_path):
    arrays = {
        "scalar": np.array(3.0),
        "none": np.zeros((0, 3), np.float32),
        "late": np.arange(3, dtype=np.int64),
        "0" * 64: np.arange(5, dtype=np.int32).reshape(5, 1),
        "reversed": np.arange(6.0).reshape(2, 3)[:, ::-1],
    }
    header = {"zeros": "0" * 64, "text": 'Zoë "quoted" \\ \n <b>', "list": [1, None]}
    write_container(tmp_path / "a", header, arrays)
    found, tensors = read_container(tmp_path / "a")
    assert found.pop("sha256") != "0" * 64 and found == header
    assert set(tensors) == set(arrays)
    for name, array in arrays.items():
        assert tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(tensors[name], array)
