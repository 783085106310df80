"""Encoders of whole tables: what x holds, what is refused, and what comes back."""

import numpy as np
import pytest

from naejax.data.columns import Columns, read_columns
from naejax.data.encoding import (
    fit_knots,
    level_codes,
    out_of_fold_statistics,
    target_statistics,
    to_normal,
)
from naejax.data.schema import infer_schema
from naejax.data.table import (
    TableEncoder,
    decode_feature,
    encode,
    encode_training,
    fit_encoder,
)

N = 300
NAMES = ["size", "gap", "flag", "town", "street", "maybe"]


def table(seed: int = 0) -> Columns:
    """Every kind of column; "gap" and "maybe" have missing cells."""
    rng = np.random.default_rng(seed)
    street = rng.integers(0, 40, N)
    gap = rng.exponential(size=N)
    gap[rng.random(N) < 0.2] = np.nan
    maybe = rng.choice(np.array(["u", "v", None], dtype=object), N)
    return read_columns(
        {
            "size": rng.standard_normal(N) * 5 + 100,
            "gap": gap,
            "flag": rng.random(N) < 0.7,
            "town": rng.choice(["a", "b", "c"], N, p=[0.2, 0.3, 0.5]),
            "street": [f"s{i:02}" for i in street],
            "maybe": maybe,
            "y": street + rng.standard_normal(N),
        }
    )


def fitted(target_values=None, task="auto", **options) -> tuple[Columns, TableEncoder]:
    columns = table()
    if target_values is not None:
        columns |= read_columns({"y": target_values})
    return columns, fit_encoder(
        columns, infer_schema(columns, "y", task=task), **options
    )


def rows_of(columns: Columns, rows) -> Columns:
    return {name: column[rows] for name, column in columns.items()}


def test_every_column_is_encoded_as_its_kind_says():
    columns, encoder = fitted(seed=3)
    x = encode(encoder, columns)
    assert x.shape == (N, len(NAMES))
    assert x.dtype == np.float32
    assert [feature.name for feature in encoder.schema.features] == NAMES
    kinds = ["quantile", "quantile", "levels", "levels", "statistics", "levels"]
    assert [codec.kind for codec in encoder.codecs] == kinds

    def column(i):
        return x[:, NAMES.index(i)]

    size, gap = columns["size"], columns["gap"]
    expected = to_normal(size, fit_knots(size, 64)).astype(np.float32)
    np.testing.assert_array_equal(column("size"), expected)
    known = ~np.isnan(gap)
    expected = to_normal(gap, fit_knots(gap[known], 64)).astype(np.float32)
    np.testing.assert_array_equal(column("gap"), expected)
    assert np.isnan(column("gap")[~known]).all()
    np.testing.assert_array_equal(column("flag"), np.where(columns["flag"], 1, -1))
    towns = dict(zip("abc", level_codes(3).astype(np.float32), strict=True))
    np.testing.assert_array_equal(column("town"), [towns[t] for t in columns["town"]])
    maybe = dict(zip("uv", level_codes(2).astype(np.float32), strict=True))
    expected = [maybe.get(cell, np.nan) for cell in columns["maybe"]]
    np.testing.assert_array_equal(column("maybe"), expected)
    levels, index = np.unique(columns["street"], return_inverse=True)
    codes = target_statistics(index, columns["y"], len(levels)).astype(np.float32)
    np.testing.assert_array_equal(column("street"), codes[index])


def test_standardised_numbers():
    columns, encoder = fitted(numeric="standard")
    x = encode(encoder, columns)
    for name in ("size", "gap"):
        column = x[:, NAMES.index(name)]
        expected = columns[name]
        expected = (expected - np.nanmean(expected)) / np.nanstd(expected)
        np.testing.assert_allclose(column, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({}, ["levels", "statistics"]),
        ({"max_levels": 40}, ["levels", "levels"]),
        ({"max_levels": 2}, ["statistics", "statistics"]),
        ({"categorical": "levels"}, ["levels", "levels"]),
        ({"categorical": "target"}, ["statistics", "statistics"]),
    ],
)
def test_which_categories_get_statistics(options, kinds):
    _, encoder = fitted(**options)
    assert [encoder.codecs[i].kind for i in (3, 4)] == kinds
    assert encoder.codecs[2].kind == "levels"


def test_a_multiclass_target_has_no_statistics():
    classes = np.random.default_rng(0).choice(["p", "q", "r"], N)
    _, encoder = fitted(classes)
    assert {codec.kind for codec in encoder.codecs} == {"quantile", "levels"}
    with pytest.raises(ValueError, match="'y' has 3 classes: use categorical='levels'"):
        fitted(classes, categorical="target")


@pytest.mark.parametrize("option", ["numeric", "categorical"])
def test_unknown_options_are_refused(option):
    with pytest.raises(ValueError, match=f"got {option}='rank', expected"):
        fitted(**{option: "rank"})


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_training_rows_get_out_of_fold_statistics(task):
    rng = np.random.default_rng(0)
    target = {
        "regression": None,
        "classification": np.where(rng.random(N) < 0.4, "yes", "no"),
    }[task]
    columns, encoder = fitted(target, seed=5)
    x, training = encode(encoder, columns), encode_training(encoder, columns)
    i = NAMES.index("street")
    others = [j for j in range(len(NAMES)) if j != i]
    np.testing.assert_array_equal(training[:, others], x[:, others])
    levels, index = np.unique(columns["street"], return_inverse=True)
    labels = columns["y"] if target is None else (target == "yes").astype(float)
    expected = out_of_fold_statistics(index, labels, len(levels), seed=5)
    np.testing.assert_array_equal(training[:, i], expected.astype(np.float32))


def test_training_rows_never_see_their_own_label():
    columns, encoder = fitted(categorical="target")
    x = encode_training(encoder, columns)
    for row in range(0, N, 29):
        changed = dict(columns, y=columns["y"].copy())
        changed["y"][row] += 1e3
        refitted = fit_encoder(changed, encoder.schema, categorical="target")
        np.testing.assert_array_equal(encode_training(refitted, changed)[row], x[row])
        assert not np.array_equal(
            encode(refitted, changed)[row], encode(encoder, columns)[row]
        )


def test_missing_cells_of_a_column_with_statistics():
    columns = table()
    columns["street"][::10] = None
    encoder = fit_encoder(columns, infer_schema(columns, "y"))
    i = NAMES.index("street")
    for x in (encode(encoder, columns), encode_training(encoder, columns)):
        np.testing.assert_array_equal(np.isnan(x[:, i]), np.arange(N) % 10 == 0)


def test_training_rows_must_be_those_at_fit():
    columns, encoder = fitted()
    with pytest.raises(ValueError, match="got 10 rows, expected the 300 rows"):
        encode_training(encoder, rows_of(columns, slice(10)))
    del columns["y"]
    with pytest.raises(ValueError, match="lacks the column 'y'"):
        encode_training(encoder, columns)


def test_rows_do_not_depend_on_the_batch_or_its_order():
    columns, encoder = fitted()
    x = encode(encoder, columns)
    order = np.random.default_rng(0).permutation(N)
    np.testing.assert_array_equal(encode(encoder, rows_of(columns, order)), x[order])
    for row in range(0, N, 7):
        alone = encode(encoder, rows_of(columns, slice(row, row + 1)))
        np.testing.assert_array_equal(alone, x[row : row + 1])


def test_columns_are_found_by_name():
    columns, encoder = fitted()
    other = {name: columns[name] for name in reversed(NAMES)} | {"z": columns["size"]}
    np.testing.assert_array_equal(encode(encoder, other), encode(encoder, columns))
    other["Size"] = other.pop("size")
    with pytest.raises(
        ValueError, match="lacks the column 'size'; did you mean 'Size'"
    ):
        encode(encoder, other)


def test_permuting_columns_permutes_x():
    columns, encoder = fitted()
    order = [*reversed(NAMES), "y"]
    mirrored = {name: columns[name] for name in order}
    other = fit_encoder(mirrored, infer_schema(mirrored, "y"))
    np.testing.assert_array_equal(
        encode_training(other, mirrored), encode_training(encoder, columns)[:, ::-1]
    )


def test_missing_and_unseen_cells():
    columns, encoder = fitted()
    cells = read_columns(
        {
            "size": [None, float(np.median(columns["size"]))],
            "gap": [None, 1.0],
            "flag": [None, True],
            "town": ["nowhere", "c"],
            "street": ["nowhere", None],
            "maybe": ["nowhere", None],
        }
    )
    first, second = encode(encoder, cells)
    # Median and most frequent level where nothing was missing at fit, else NaN.
    assert first[0] == second[0]
    np.testing.assert_array_equal(first[[1, 5]], np.nan)
    assert first[2] == second[2] == 1.0
    assert first[3] == second[3]
    _, index = np.unique(columns["street"], return_inverse=True)
    unseen = target_statistics(index, columns["y"], 40)[-1]
    np.testing.assert_array_equal([first[4], second[4]], np.float32(unseen))
    assert np.isnan(second[5])


def test_levels_are_those_of_the_rows_at_fit():
    columns = table()
    schema = infer_schema(columns, "y")
    part = rows_of(columns, columns["town"] != "b")
    encoder = fit_encoder(part, schema)
    assert encoder.codecs[3].levels == ("a", "c")
    np.testing.assert_allclose(
        np.unique(encode(encoder, columns)[:, 3]), level_codes(2), rtol=1e-6
    )
    part["size"] = np.full(len(part["size"]), np.nan)
    with pytest.raises(ValueError, match="'size' has no values in the"):
        fit_encoder(part, schema)


def test_a_whole_column_may_be_missing():
    columns, encoder = fitted()
    # A CSV column without any value is read as numbers.
    columns |= {name: np.full(N, np.nan) for name in NAMES}
    x = encode(encoder, columns)
    np.testing.assert_array_equal(x, np.tile(x[:1], (N, 1)))


def test_numbers_in_other_guises():
    columns, encoder = fitted()
    expected = encode(encoder, columns)
    as_words = dict(
        columns, size=np.array([repr(float(v)) for v in columns["size"]], object)
    )
    as_words["flag"] = np.where(columns["flag"], "true", "false").astype(object)
    np.testing.assert_array_equal(encode(encoder, as_words), expected)

    codes = np.random.default_rng(0).integers(0, 3, N)
    columns["town"] = np.array([str(code) for code in codes], dtype=object)
    encoder = fit_encoder(columns, infer_schema(columns, "y"))
    as_numbers = dict(columns, town=codes.astype(float))
    np.testing.assert_array_equal(encode(encoder, as_numbers), encode(encoder, columns))


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("size", ["1", "two"], "numeric column 'size': 'two' in row 2"),
        ("size", ["1", None, "1_0"], "'1_0' in row 3"),
        ("flag", [1.0, 0.0], "'flag' holds numbers, expected true and false"),
    ],
)
def test_columns_of_the_wrong_kind_are_refused_in_one_line(name, column, message):
    columns, encoder = fitted()
    columns = rows_of(columns, slice(len(column)))
    columns[name] = read_columns({name: column})[name]
    with pytest.raises(ValueError, match=message) as caught:
        encode(encoder, columns)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("numeric", ["quantile", "standard"])
def test_decoding_a_feature_inverts_its_encoding(numeric):
    columns, encoder = fitted(numeric=numeric)
    x = encode(encoder, columns)
    for i, name in enumerate(NAMES):
        back = decode_feature(encoder, i, x[:, i])
        if name in ("size", "gap"):
            span = np.nanmax(columns[name]) - np.nanmin(columns[name])
            inner = ~(np.abs(x[:, i]) > 5)
            np.testing.assert_allclose(
                back[inner], columns[name][inner], atol=1e-5 * span
            )
        elif name == "flag":
            assert back.tolist() == [str(bool(v)).lower() for v in columns[name]]
        elif name != "street":
            assert back.tolist() == columns[name].tolist()
        else:
            # Streets with equal statistics share a code.
            again = encode(encoder, dict(columns, street=back))
            np.testing.assert_array_equal(again[:, i], x[:, i])


def test_a_constant_column_and_a_constant_target_divide_by_one():
    columns = table()
    columns["size"][:] = 7.0
    schema = infer_schema(columns, "y")
    for numeric in ("quantile", "standard"):
        encoder = fit_encoder(columns, schema, numeric=numeric)
        np.testing.assert_allclose(encode(encoder, columns)[:, 0], 0.0, atol=1e-6)
    columns["y"] = np.full(N, 3.0)
    encoder = fit_encoder(columns, schema)
    assert (encoder.target_mean, encoder.target_std) == (3.0, 1.0)
