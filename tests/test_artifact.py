"""Model files: whole, checked before they are read, refused with one line."""

import json
import os
import struct
from pathlib import Path

import jax
import numpy as np
import pytest

import naejax
from naejax import container
from naejax.artifact import describe
from naejax.container import write_container
from naejax.data import fit_encoder, infer_schema, read_columns
from naejax.layout import config_of
from naejax.models.ensemble import NAEEnsemble
from naejax.models.nae import NAE
from naejax.serving import to_numpy_predictor
from naejax.tabular import TabularNAE, explain_rows

GOLDEN = Path(__file__).parent / "golden" / "format2"


def make_model(members: int = 0, loss: str = "squared", **fields) -> TabularNAE:
    """A small model with all kinds of columns, untrained."""
    rng = np.random.default_rng(0)
    columns = read_columns(
        {
            "size": rng.normal(size=20),
            "town": rng.choice(["a", "b", ""], 20),
            "y": rng.normal(size=20),
        }
    )
    encoder = fit_encoder(columns, infer_schema(columns, "y"))
    model = NAE(num_experts=2, hidden=(3,), **fields)
    if members:
        model = NAEEnsemble(model, members)
    row = np.zeros((1, 2), np.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), row)
    variables = jax.tree.map(
        lambda a: np.sort(rng.normal(size=a.shape)).astype(np.float32), dict(shapes)
    )
    return TabularNAE(model, variables, encoder, loss)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    """A good file as of today."""
    path = tmp_path_factory.mktemp("saved") / "model"
    summary = {"rows": np.int64(20), "scores": {"auc": float("nan"), "r2": 0.5}}
    naejax.save(path, make_model(), summary)
    return path.read_bytes()


def rebuilt(content: bytes, change) -> bytes:
    """The same file with its header and index changed, and a good checksum."""
    (length,) = struct.unpack("<Q", content[:8])
    index = json.loads(content[8 : 8 + length])
    header = json.loads(index["__metadata__"]["naejax"])
    header.pop("sha256", None)
    header.pop("version", None)
    index["__metadata__"]["naejax"] = ""
    text = change(header, index)
    if index["__metadata__"]:
        index["__metadata__"]["naejax"] = json.dumps(header) if text is None else text
    start = json.dumps(index).encode()
    return struct.pack("<Q", len(start)) + start + content[8 + length :]


def header_with(**values):
    """Changes members of the header; dots lead into objects."""

    def change(header, index):
        for path, value in values.items():
            *way, last = path.split("__")
            place = header
            for step in way:
                place = place[int(step) if step.isdigit() else step]
            place[last] = value

    return change


def index_with(name: str, **values):
    """Changes the entry of an array."""
    return lambda header, index: index[name].update(values)


def renamed(old: str, new: str):
    """Gives an array another name."""

    def change(header, index):
        index[new] = index.pop(old)

    return change


def metadata(text: str):
    """Another text in place of the header."""
    return lambda header, index: text


BIAS = "params/bias"
CHANGES = {
    "version": (header_with(format=1), "has format 1, .* train the model"),
    "format as text": (header_with(format="1"), "has format '1'"),
    "kind": (header_with(kind="pickle"), "of kind 'pickle'"),
    "unknown field": (header_with(code="import os"), "unknown field 'code'"),
    "more experts": (header_with(model__num_experts=5), "does not have the shape"),
    "huge": (header_with(model__hidden=[10**9] * 3), "does not have the shape"),
    "huge number": (header_with(model__hidden=[10**30]), "hidden is"),
    "many blocks": (header_with(model__hidden=[1] * 10**5), "100000 blocks"),
    "no block": (header_with(model__hidden=[]), "hidden is"),
    "text": (header_with(model__num_experts="2"), "fits no model"),
    "truth": (header_with(model__num_experts=True), "fits no model"),
    "gate": (header_with(model__gate="magic"), "gate is 'magic'"),
    "rate": (header_with(model__dropout=2.0), "dropout is 2.0"),
    "members": (header_with(model__members=10**9), "does not have the shape"),
    "knots": (header_with(model__num_knots=1), "num_knots is 1"),
    "signs": (header_with(model__monotone=[2, 0]), "monotone does not fit"),
    "no knots": (header_with(model__monotone=[1, 0]), "monotone does not fit"),
    "future": (header_with(model__attention=8), "update naejax"),
    "no model": (lambda h, i: h.pop("model") and None, "damaged"),
    "no loss": (lambda h, i: h.pop("loss") and None, "damaged"),
    "loss": (header_with(loss="squird"), "did you mean 'squared'"),
    "loss of classes": (header_with(loss="logistic"), "does not fit a regression"),
    "outputs": (header_with(model__num_outputs=2), "2 outputs, its target 1"),
    "codec": (header_with(encoder__codecs__0__kind="pickle"), "of kind 'pickle'"),
    "levels": (header_with(encoder__codecs__1__levels=["a", "a"]), "levels of column"),
    "fewer levels": (header_with(encoder__codecs__1__levels=["a"]), "encoder/table_1"),
    "std": (header_with(encoder__target_std=0.0), "scale of the target"),
    "huge std": (header_with(encoder__target_std=10**400), "scale of the target"),
    "rows": (header_with(encoder__rows=-1), "rows or seed"),
    "columns": (header_with(encoder__codecs=[]), "number of columns"),
    "feature": (header_with(encoder__schema__features=[3, 4]), "table encoder"),
    "range": (header_with(encoder__schema__features__0__range=[0]), "column 'size'"),
    "target": (header_with(encoder__schema__target__kind="rank"), "the target"),
    "classes": (header_with(encoder__schema__target__classes=["a"]), "the target"),
    "only": (header_with(encoder=None), "TypeError"),
    "name": (renamed(BIAS, "params/bios"), "'params/bias' is missing"),
    "type": (index_with(BIAS, dtype="I32"), "is I32"),
    "other type": (index_with(BIAS, dtype="F16"), "is described as"),
    "shape": (index_with(BIAS, shape=[1, 1]), "does not have the shape"),
    "bad shape": (index_with(BIAS, shape=[-1]), "has the shape"),
    "huge shape": (index_with(BIAS, shape=[2**62] * 4), "is at"),
    "shape of text": (index_with(BIAS, shape="1"), "has the shape"),
    "offsets": (index_with(BIAS, data_offsets=[0, 4]), "is at"),
    "far": (index_with(BIAS, data_offsets=[10**12, 10**12 + 4]), "damaged"),
    "more": (index_with(BIAS, extra=1), "is described as"),
    "no metadata": (lambda h, i: i.update(__metadata__=[]), "damaged"),
    "deep": (metadata("[" * 10**5), "RecursionError"),
    "deep object": (metadata('{"a":' * 10**5), "RecursionError"),
    "list": (metadata("[1]"), "expected a JSON object"),
    "NaN": (metadata('{"format": NaN}'), "NaN in the header"),
    "twice": (metadata('{"format": 2, "format": 2}'), "has a member twice"),
    "digits": (metadata('{"format": ' + "1" * 5000 + "}"), "damaged"),
    "empty": (metadata(""), "damaged"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_headers_that_do_not_fit_are_refused(name, whole, tmp_path):
    change, message = CHANGES[name]
    path = tmp_path / "model"
    path.write_bytes(rebuilt(whole, change))
    for read in (naejax.load, to_numpy_predictor, describe):
        if name == "loss" and read is not naejax.load:
            continue  # Only needs to know whether the link is a logarithm.
        with pytest.raises(ValueError, match=message) as caught:
            read(path)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_an_unchanged_header_without_checksum_loads(whole, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(rebuilt(whole, lambda header, index: None))
    naejax.load(path)


def edited(content: bytes, name: str, place: int, value: float) -> bytes:
    """The same file, without checksum, with one number of one array changed."""
    content = rebuilt(content, lambda header, index: None)
    (length,) = struct.unpack("<Q", content[:8])
    entry = json.loads(content[8 : 8 + length])[name]
    code = {"F32": "<f", "F64": "<d"}[entry["dtype"]]
    at = 8 + length + entry["data_offsets"][0] + place * struct.calcsize(code)
    return (
        content[:at] + struct.pack(code, value) + content[at + struct.calcsize(code) :]
    )


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        (BIAS, 0, np.nan, "NaN or infinite"),
        (BIAS, 0, np.inf, "NaN or infinite"),
        ("knots/at", 0, 1e9, "'knots/at' decreases"),
        ("encoder/table_0", 0, 1e9, "numbers of a 'quantile' column"),
        ("encoder/table_0", 3, np.nan, "numbers of a 'quantile' column"),
        ("encoder/table_1", 0, np.inf, "numbers of a 'levels' column"),
        ("encoder/fill", 1, -np.inf, "missing cell's code"),
    ],
)
def test_numbers_that_no_model_has_are_refused(name, place, value, message, tmp_path):
    path = tmp_path / "model"
    naejax.save(path, make_model(num_knots=3))
    path.write_bytes(edited(path.read_bytes(), name, place, value))
    for read in (naejax.load, to_numpy_predictor):
        with pytest.raises(ValueError, match=message):
            read(path)


def test_one_flipped_bit_of_a_weight_is_noticed(whole, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
    for read in (naejax.load, to_numpy_predictor):
        with pytest.raises(ValueError, match="do not match their checksum"):
            read(path)


@pytest.mark.parametrize("value", [None, "", 0, "0" * 64, True])
def test_another_checksum_is_noticed(value, whole, tmp_path):
    path = tmp_path / "model"
    change = header_with(sha256=value, version="0.1.0")
    path.write_bytes(rebuilt(whole, change))
    for read in (naejax.load, to_numpy_predictor):
        with pytest.raises(ValueError, match="do not match their checksum"):
            read(path)


@pytest.mark.parametrize("field", [{"version": "0.1.0"}, {"xha256": "0" * 64}])
def test_a_lost_checksum_is_noticed(field, whole, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(rebuilt(whole, header_with(**field)))
    for read in (naejax.load, to_numpy_predictor):
        with pytest.raises(ValueError, match=r"lacks its checksum|field 'xha256'"):
            read(path)


def test_a_huge_file_is_refused_before_it_is_read(whole, tmp_path):
    """Its index fits its size; only its configuration does not."""
    path = tmp_path / "model"
    count = 2**36

    def change(header, index):
        index["huge"] = {"dtype": "F32", "shape": [count], "data_offsets": [0, 0]}
        end = max(e["data_offsets"][1] for n, e in index.items() if n[0] != "_")
        index["huge"]["data_offsets"] = [end, end + 4 * count]

    content = rebuilt(whole, change)
    path.write_bytes(content)
    os.truncate(path, len(content) + 4 * count)
    with pytest.raises(ValueError, match="'huge' is not known"):
        naejax.load(path)


def test_what_cannot_be_read_back_is_not_written(tmp_path, monkeypatch):
    path = tmp_path / "model"
    with pytest.raises(ValueError, match="got a dict, expected one of TabularNAE"):
        naejax.save(path, {})
    with pytest.raises(ValueError, match="what JSON cannot"):
        write_container(path, {"score": float("nan")}, {})
    with pytest.raises(ValueError, match="what JSON cannot"):
        naejax.save(path, make_model(), {"model": object()})
    with pytest.raises(ValueError, match="has type float16, expected float32"):
        write_container(path, {}, {"a": np.zeros(3, np.float16)})
    assert container.MAX_INDEX == 2**26
    monkeypatch.setattr(container, "MAX_INDEX", 1000)
    with pytest.raises(ValueError, match="at most 1000 can be read back"):
        write_container(path, {"a": "x" * 1000}, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"gate": "own"},
        {"gate_rank": 2},
        {"num_knots": 3, "gate": "own"},
        {"num_knots": 3, "monotone": (1, 0)},
        {"members": 2},
        {"members": 3, "num_knots": 2, "monotone": (0, -1), "gate": "equal"},
        {"dtype": np.dtype("float16"), "loss": "poisson"},
    ],
)
def test_saved_models_are_bitwise_the_same(fields, tmp_path):
    fitted = make_model(**fields)
    naejax.save(tmp_path / "a", fitted)
    loaded = naejax.load(tmp_path / "a")
    naejax.save(tmp_path / "b", loaded)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    # Of a model with knots a file keeps the tables, not the networks.
    kept = config_of(fitted.model)._replace(tabulated="num_knots" in fields)
    assert config_of(loaded.model) == kept and loaded.loss == fitted.loss
    rows = {"size": np.array([0.5, np.nan]), "town": np.array(["b", "z"], object)}
    before, after = explain_rows(fitted, rows), explain_rows(loaded, rows)
    for part, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(np.asarray(part), np.asarray(other))


def test_a_file_says_what_it_holds(whole, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(whole)
    header = describe(path)
    summary = {"rows": 20, "scores": {"auc": None, "r2": 0.5}}
    assert header["summary"] == summary and header["kind"] == "nae"
    assert (header["format"], header["version"]) == (2, naejax.__version__)
    assert header["model"]["hidden"] == [3]
    assert [f["name"] for f in header["encoder"]["schema"]["features"]] == [
        "size",
        "town",
    ]


IMAGES = {
    "side": (header_with(shape=[10**9, 10**9, 1]), "shape is"),
    "groups": (header_with(model__num_groups=10**9), "num_groups is"),
    "depth": (header_with(backbone__depth=10**6), "more layers than"),
    "channels": (header_with(backbone__channels=[4] * 10**4), "more layers than"),
    "kernel": (header_with(backbone__kernel=0), "kernel is 0"),
    "padding": (header_with(backbone__padding="MAGIC"), "model"),
    "blur": (header_with(model__blur=10**9), "blur is"),
    "mask": (header_with(model__mask="soft"), "mask is 'soft'"),
    "finetune": (header_with(model__finetune=["x"]), "finetune names"),
    "spread": (header_with(spread=[0, 1]), "is not positive"),
    "centre": (header_with(centre=[1]), "names 2 outputs"),
    "field": (header_with(model__magic=1), "has or lacks 'magic'"),
    "heads": (header_with(model__heads=2**20), "does not have the shape"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_models_of_images_are_checked_too(name, tmp_path):
    change, message = IMAGES[name]
    path = tmp_path / "model"
    path.write_bytes(rebuilt((GOLDEN / "sop.safetensors").read_bytes(), change))
    with pytest.raises(ValueError, match=message) as caught:
        naejax.load(path)
    assert "\n" not in str(caught.value)


def test_nan_variables_are_not_saved(tmp_path):
    fitted = make_model()
    fitted.variables["params"]["bias"][:] = np.nan
    with pytest.raises(ValueError, match="'params/bias' holds NaN"):
        naejax.save(tmp_path / "model", fitted)
    assert not list(tmp_path.iterdir())
