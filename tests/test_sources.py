"""Rows that are read when they are needed, against the same rows in memory."""

import jax
import numpy as np
import pytest

from naejax import NAE, fit
from naejax.train.batch import make_batch
from naejax.train.shards import plan_shards
from naejax.train.sources import MappedRows, RowSource, as_source


class Rows(RowSource):
    """Rows of an array that notes what was read."""

    def __init__(self, array):
        self.array, self.shape, self.asked = array, array.shape, []

    def read(self, rows):
        self.asked.append(rows.tolist())
        return self.array[rows]


ARRAY = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "index",
    [
        slice(None),
        slice(2, 20),
        slice(None, None, -3),
        slice(5, 5),
        [7],
        [3, 1, 1, 11, 3],
        np.array([[0, 5], [5, 2]], np.int32),
        np.array([], np.int64),
    ],
    ids=str,
)
def test_rows_are_those_of_the_array(index):
    rows = Rows(ARRAY)
    np.testing.assert_array_equal(rows[index], ARRAY[index])
    assert rows[index].dtype == np.float32
    for asked in rows.asked:  # as a reader of files wants them
        assert asked == sorted(set(asked))
    np.testing.assert_array_equal(np.asarray(rows), ARRAY)


@pytest.mark.parametrize("index", [[-1], [12], [1.0], [True, False], [3, 40]])
def test_rows_that_are_not_there(index):
    with pytest.raises(IndexError, match="expected whole numbers from 0 to 11"):
        Rows(ARRAY)[np.array(index)]


def test_some_rows_stay_unread():
    rows = Rows(ARRAY)
    some = rows.take(np.array([8, 0, 5, 3])).take(np.array([3, 0, 0]))
    assert some.shape == (3, 3) and len(some) == 3 and not rows.asked
    np.testing.assert_array_equal(some[:], ARRAY[[3, 8, 8]])
    assert rows.asked == [[3, 8]]
    odd = rows.take(np.arange(12) % 2 == 1)
    np.testing.assert_array_equal(odd[1:3], ARRAY[[3, 5]])
    with pytest.raises(IndexError, match="expected 0 to 11"):
        rows.take(np.array([2, 12]))


def test_a_source_keeps_its_promise():
    short = Rows(ARRAY)
    short.shape = (12, 4)
    with pytest.raises(ValueError, match=r"Rows read values of shape \(2, 3\), expec"):
        short[:2]
    with pytest.raises(ValueError, match="x holds infinite values"):
        Rows(np.full((2, 2), 1e39))[:]
    missing = Rows(np.full((2, 2), np.nan))
    assert np.isnan(missing[:]).all()


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8", "u1", "i8", "?"])
def test_a_mapped_file_of_any_numbers(tmp_path, dtype):
    array = (10 * np.abs(ARRAY)).astype(dtype)
    np.save(tmp_path / "x.npy", array)
    source = as_source(np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert isinstance(source, MappedRows) and as_source(source) is source
    found = source[[4, 2, 2]]
    assert found.dtype == np.float32 and type(found) is np.ndarray
    np.testing.assert_array_equal(found, array[[4, 2, 2]].astype(np.float32))


def test_a_mapped_file_of_text(tmp_path):
    np.save(tmp_path / "x.npy", np.array([["a"], ["b"]]))
    with pytest.raises(ValueError, match="x is a file of <U1, expected numbers"):
        as_source(np.load(tmp_path / "x.npy", mmap_mode="r"))


def test_rows_in_memory_are_no_source():
    assert as_source(ARRAY) is as_source(ARRAY.tolist()) is None


def train(x, x_check, **options):
    """The parameters and losses of a short training."""
    model, rng = NAE(num_experts=4, hidden=(8,)), np.random.default_rng(0)
    variables = model.init(jax.random.key(0), np.zeros((1, 3), np.float32))
    targets = [rng.normal(size=len(rows)) for rows in (x, x_check)]
    result = fit(
        model,
        variables,
        (x, targets[0]),
        validation=(x_check, targets[1]),
        epochs=2,
        batch_size=16,
        progress=False,
        **options,
    )
    scores = [(row["loss"], row["validation"]) for row in result.history]
    return jax.tree.leaves(result.variables), scores


def check_same(one, other):
    for a, b in zip(one[0], other[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert one[1] == other[1]


@pytest.fixture
def mapped(tmp_path):
    """Rows to train on and to validate with, in memory and mapped from files."""
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=(n, 3)).astype(np.float32) for n in (100, 37)]
    for i, array in enumerate(arrays):
        np.save(tmp_path / f"{i}.npy", array)
    return arrays, [np.load(tmp_path / f"{i}.npy", mmap_mode="r") for i in (0, 1)]


def test_shards_of_a_source_are_those_of_the_array(mapped):
    arrays, files = mapped
    batches = [
        make_batch(x, np.zeros(100), on_host=True) for x in (arrays[0], files[0])
    ]
    assert isinstance(batches[1].x, MappedRows)
    # However much room there is, a source stays where it is.
    plan = plan_shards(batches[1], None, (1, 6, 16), 0, budget=None)
    assert plan.on_host
    rows = np.random.default_rng(0).permutation(96).reshape(6, 16)
    sent = [plan.send(batch, rows) for batch in batches]
    for one, other in zip(*map(jax.tree.leaves, sent), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_training_on_mapped_files_is_the_same(mapped):
    (x, x_check), files = mapped
    check_same(train(*files), train(x, x_check))


@pytest.mark.slow
def test_training_reads_some_rows_at_a_time(mapped):
    (x, x_check), _ = mapped
    rows, check = Rows(x), Rows(x_check)
    check_same(train(rows, check, device_budget=2_000), train(x, x_check))
    # Two steps of 16 rows at most, each row once an epoch but for the last shard's.
    assert len(rows.asked) == 6 and max(map(len, rows.asked)) == 32
    assert len(check.asked) == 2


@pytest.mark.slow
def test_training_on_many_devices_is_the_same(mapped):
    arrays, files = mapped
    devices = jax.devices()[:2]
    check_same(train(*files, devices=devices), train(*arrays, devices=devices))


@pytest.mark.slow
@pytest.mark.parametrize("bad", [20, 99])
def test_a_value_that_is_found_late(mapped, bad):
    (x, x_check), _ = mapped
    x[bad] = np.inf
    with pytest.raises(ValueError, match="x holds infinite values"):
        train(Rows(x), x_check)


def test_sources_are_checked_like_arrays(mapped):
    (x, x_check), _ = mapped
    with pytest.raises(ValueError, match=r"x has shape \(100,\), expected \(rows, fea"):
        train(Rows(x[:, 0]), x_check)
    with pytest.raises(ValueError, match="x has 100 rows, target"):
        fit(None, None, (Rows(x), np.zeros(99)))
    with pytest.raises(ValueError, match="device_budget is 500 bytes"):
        train(Rows(x), x_check, device_budget=500)
