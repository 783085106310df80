"""Targets as a loss expects them, and scores in the unit of the target."""

import numpy as np
import pytest

from naejax.data.columns import Columns, read_columns
from naejax.data.schema import infer_schema
from naejax.data.table import TableEncoder, decode_target, encode_target, fit_encoder

N = 60


def fitted(target=None, task="auto") -> tuple[Columns, TableEncoder]:
    rng = np.random.default_rng(0)
    y = 1e3 + 7 * rng.standard_normal(N) if target is None else target
    columns = read_columns({"x": rng.standard_normal(N), "y": y})
    return columns, fit_encoder(columns, infer_schema(columns, "y", task=task))


def test_regression_target_is_standardised():
    columns, encoder = fitted()
    y = encode_target(encoder, columns)
    assert y.dtype == np.float32
    np.testing.assert_allclose([y.mean(), y.std()], [0.0, 1.0], atol=1e-5)
    np.testing.assert_array_equal(y, encode_target(encoder, columns["y"]))
    np.testing.assert_array_equal(y, encode_target(encoder, columns["y"].tolist()))
    np.testing.assert_allclose(decode_target(encoder, y), columns["y"], rtol=1e-6)
    np.testing.assert_allclose(
        decode_target(encoder, y[:, None]), columns["y"][:, None], atol=1e-5
    )


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["no", "yes"], ("no", "yes")),
        ([False, True], ("false", "true")),
        ([0, 1], ("0", "1")),
        ([2.0, 10.0, 1.0], ("1", "2", "10")),
    ],
)
def test_classes_become_indices(values, classes):
    target = [values[i % len(values)] for i in range(N)]
    columns, encoder = fitted(target, task="classification")
    assert encoder.schema.target.classes == classes
    y = encode_target(encoder, columns)
    assert y.dtype == np.int32
    expected = [classes.index(str(v).lower().removesuffix(".0")) for v in target]
    assert y.tolist() == encode_target(encoder, target).tolist() == expected
    score = np.linspace(-1, 1, 5)
    np.testing.assert_array_equal(decode_target(encoder, score), score)


@pytest.mark.parametrize(
    ("fit_on", "values", "message"),
    [
        (None, ["high"] * 3, "numeric column 'y': 'high' in row 1"),
        (None, [1.0, None], r"'y' is missing in 1 of 2 rows \(first: row 2\)"),
        (["no", "yes"], ["yes", "maybe"], "'maybe' in row 2, expected one of: no, yes"),
        (["no", "yes"], [None, "yes"], "missing in 1 of 2 rows"),
        ([0, 1], [0, 2], "holds '2' in row 2, expected one of: 0, 1"),
        (None, [[1.0], [2.0]], r"shape \(2, 1\)"),
    ],
)
def test_bad_labels_are_refused_in_one_line(fit_on, values, message):
    target = fit_on and [fit_on[i % 2] for i in range(N)]
    _, encoder = fitted(target)
    with pytest.raises(ValueError, match=message) as caught:
        encode_target(encoder, values)
    assert "\n" not in str(caught.value)
