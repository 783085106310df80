"""Rows on their way to training: every kind of number, and none that cannot be used."""

import jax
import numpy as np
import pytest

from naejax.train.batch import add_offset, make_batch


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((np.zeros(3), np.zeros(3)), "expected \\(rows, features\\)"),
        ((np.zeros((0, 2)), np.zeros(0)), "at least one row"),
        ((np.zeros((3, 2)), np.zeros(2)), "one target and one weight per row"),
        ((np.full((3, 2), np.inf), np.zeros(3)), "infinite"),
        ((np.zeros((3, 2)), np.array([0, np.nan, 0])), "target holds NaN"),
        ((np.zeros((3, 2)), np.zeros(3), -np.ones(3)), "weights must be finite"),
        ((np.zeros((3, 2)), np.zeros(3), np.zeros(3)), "not all zero"),
        ((np.zeros((3, 2)), np.zeros(3), [1, np.nan, 1]), "weights must be finite"),
        ((np.zeros((3, 2)), np.zeros(3), [1, np.inf, 1]), "weights must be finite"),
        ((np.zeros((3, 2)), np.zeros(3), ["a", "b", "c"]), "weight must be an array"),
        ((np.full((3, 2), 1e300), np.zeros(3)), "too large ones for float32"),
        ((np.zeros((3, 2)), np.full(3, 1e300)), "too large ones for float32"),
        ((np.zeros((3, 2)), ["a", "b", "c"]), "target must be an array of numbers"),
        ((np.zeros((3, 2)), [[1], [2, 3], [4]]), "target must be an array of numbers"),
        (([["a"]], [0.0]), "x must be an array of numbers"),
        ((1.0, 2.0), "expected \\(rows, features\\)"),
        ((np.zeros((3, 2)), np.zeros(3), None, [0, np.inf, 0]), "offset holds NaN"),
        ((np.zeros((3, 2)), np.zeros(3), None, [0, 1]), r"offset has shape \(2,\)"),
    ],
)
def test_wrong_rows_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        make_batch(*rows)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float64, np.float16])
def test_targets_of_every_type_of_number_are_read(dtype):
    batch = make_batch(np.zeros((2, 1)), np.array([0, 200], dtype))
    assert batch.target.dtype in (np.int32, np.float32)
    assert batch.target.tolist() == [0, 200]


def test_whole_numbers_beyond_32_bits_do_not_wrap():
    batch = make_batch(np.zeros((2, 1)), np.array([0, 3_000_000_000]))
    assert batch.target.tolist() == [0, 3e9]


@pytest.mark.parametrize("scale", [1e300, 3e38, 1e-300])
def test_extreme_weights_keep_their_ratios(scale):
    weight = np.array([1.0, 0.5, 0.0, 0.25])
    got = make_batch(np.zeros((4, 1)), np.zeros(4), weight * scale).weight
    np.testing.assert_allclose(got, weight)
    plain = make_batch(np.zeros((4, 1)), np.zeros(4), 3 * weight).weight
    np.testing.assert_array_equal(plain, np.float32(3 * weight))


def test_rows_stay_on_the_host_or_go_to_the_device():
    rows = np.zeros((3, 2)), np.zeros(3), None, np.arange(3)
    host, device = make_batch(*rows, on_host=True), make_batch(*rows)
    assert all(isinstance(a, np.ndarray) for a in host)
    assert all(isinstance(a, jax.Array) for a in device)
    assert host.offset.tolist() == device.offset.tolist() == [[0], [1], [2]]
    assert add_offset(np.ones((3, 1)), host).tolist() == [[1], [2], [3]]
