"""Codecs of single columns; whole tables are tested in test_table."""

from dataclasses import replace

import numpy as np
import pytest

from naejax.data.codec import (
    Codec,
    decode_column,
    encode_column,
    fit_levels,
    fit_numeric,
    to_numbers,
)
from naejax.data.schema import Feature


def test_infinite_numbers_are_refused():
    with pytest.raises(ValueError, match=r"'a' holds an infinite number in row 2"):
        to_numbers("a", np.array([1.0, np.inf]))


@pytest.mark.parametrize("kind", ["quantile", "standard"])
def test_missing_numbers_get_the_code_of_the_median(kind):
    codec = fit_numeric("a", np.array([1.0, 2.0, 6.0]), kind=kind)
    feature, cells = Feature("a", "numeric"), np.array([np.nan, 2.0])
    codes = encode_column(feature, codec, cells)
    assert codes[0] == codes[1] == codec.fill
    assert encode_column(feature, replace(codec, fill=9.0), cells)[0] == 9.0
    assert np.isnan(fit_numeric("a", np.array([1.0, np.nan]), kind=kind).fill)


@pytest.mark.parametrize("kind", ["quantile", "standard"])
def test_a_constant_with_gaps_tells_its_gaps(kind):
    codec = fit_numeric("a", np.array([3.0, np.nan, 3.0]), kind=kind)
    codes = encode_column(Feature("a", "numeric"), codec, np.array([3.0, np.nan]))
    np.testing.assert_array_equal(codes, [0, np.nan])
    np.testing.assert_array_equal(decode_column(codec, codes), [3, np.nan])


@pytest.mark.parametrize(("max_levels", "kind"), [(3, "levels"), (2, "statistics")])
def test_statistics_begin_above_max_levels(max_levels, kind):
    column = np.array(["c", "a", "b", "c"], dtype=object)
    feature = Feature("a", "categorical")
    codec = fit_levels(feature, column, np.arange(4.0), max_levels=max_levels)
    assert codec.kind == kind
    assert codec.levels == ("a", "b", "c")
    assert np.isfinite(codec.fill)


def test_decoding_takes_the_nearest_level():
    codec = Codec("levels", np.array([-1.0, 0.0, 3.0]), ("a", "b", "c"), 0.0)
    codes = np.array([-9.0, -0.6, -0.4, 1.4, 1.6, np.nan], dtype=np.float32)
    assert decode_column(codec, codes).tolist() == ["a", "a", "b", "b", "c", None]
