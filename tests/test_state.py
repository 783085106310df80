"""Encoders survive storage to the last bit; damaged ones are refused."""

import json

import numpy as np
import pytest

from naejax.data.columns import Columns, read_columns
from naejax.data.schema import infer_schema
from naejax.data.state import from_state, to_state
from naejax.data.table import (
    TableEncoder,
    decode_target,
    encode,
    encode_target,
    encode_training,
    fit_encoder,
)

N = 200


def fitted(classes: tuple[str, ...] = (), **options) -> tuple[Columns, TableEncoder]:
    """A table with every kind of column, with and without missing cells."""
    rng = np.random.default_rng(0)
    street = rng.integers(0, 30, N)
    gap = np.where(rng.random(N) < 0.2, np.nan, rng.exponential(size=N))
    labels = [classes[i % len(classes)] for i in street] if classes else street / 3
    columns = read_columns(
        {
            "size": rng.standard_normal(N),
            "gap": gap,
            "flag": rng.random(N) < 0.7,
            "town": rng.choice(np.array(["a", "b", None], dtype=object), N),
            "street": [f"s{i:02}" for i in street],
            "y": labels,
        }
    )
    return columns, fit_encoder(columns, infer_schema(columns, "y"), **options)


@pytest.mark.parametrize("numeric", ["quantile", "standard"])
@pytest.mark.parametrize("classes", [(), ("p", "q"), ("p", "q", "r")])
def test_state_round_trips_to_the_last_bit(numeric, classes):
    columns, encoder = fitted(classes, numeric=numeric, seed=2)
    config, arrays = to_state(encoder)
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    copies = {name: array.copy() for name, array in arrays.items()}
    other = from_state(json.loads(json.dumps(config, allow_nan=False)), copies)
    assert other.schema == encoder.schema
    assert (other.rows, other.seed) == (encoder.rows, encoder.seed)
    # Missing cells in every column exercise every fill.
    cells = dict(columns, size=np.full(N, np.nan), street=np.full(N, np.nan))
    for function in (encode, encode_training, encode_target):
        for table in (columns, cells):
            got, expected = function(other, table), function(encoder, table)
            np.testing.assert_array_equal(got, expected)
    score = np.linspace(-2, 2, 9)
    np.testing.assert_array_equal(
        decode_target(other, score), decode_target(encoder, score)
    )


def test_damaged_states_are_refused_in_one_line():
    _, encoder = fitted()
    config, arrays = to_state(encoder)
    damaged = [
        ({}, arrays),
        (config, {}),
        (config | {"schema": 3}, arrays),
        (config | {"codecs": config["codecs"][:-1]}, arrays),
        (config, arrays | {"fill": arrays["fill"][:2]}),
        (config, arrays | {"table_0": arrays["table_0"][0]}),
        (config, arrays | {"table_0": arrays["table_0"][:, ::-1]}),
        (config, arrays | {"table_3": np.zeros(3)}),
    ]
    for pair in damaged:
        with pytest.raises(ValueError, match="save the model again") as caught:
            from_state(*pair)
        assert "\n" not in str(caught.value)
