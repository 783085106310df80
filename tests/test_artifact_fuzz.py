"""A thousand damaged model files: none crashes, hangs, or loads as something else."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flax import traverse_util
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_artifact import rebuilt

import naejax
from naejax.serving import to_numpy_predictor

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parent / "golden" / "format2"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.safetensors"))
TRACED = ("backbone", "sop", "texts")
CHEAP = settings(
    deadline=10_000,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    """Every golden file without a checksum, and saved again with one."""
    folder = tmp_path_factory.mktemp("files")
    contents = {}
    for name in NAMES:
        path = GOLDEN / f"{name}.safetensors"
        contents[name] = rebuilt(path.read_bytes(), lambda header, index: None)
        naejax.save(folder / name, naejax.load(path))
        contents[f"{name}, checked"] = (folder / name).read_bytes()
    return contents


def flip(draw, content: bytes) -> bytes:
    """Up to three bits flipped, anywhere or in the header."""
    damaged = bytearray(content)
    last = draw(st.sampled_from([len(content) - 1, 2000]))
    for _ in range(draw(st.integers(1, 3))):
        damaged[draw(st.integers(0, min(last, len(content) - 1)))] ^= 1 << draw(
            st.integers(0, 7)
        )
    return bytes(damaged)


def cut(draw, content: bytes) -> bytes:
    """Something taken out, doubled, or put in."""
    start = draw(st.integers(0, len(content)))
    stop = draw(st.integers(start, min(start + 64, len(content))))
    middle = draw(st.sampled_from([b"", 2 * content[start:stop]]))
    middle = draw(st.binary(max_size=16)) or middle
    end = draw(st.sampled_from([b"", content[stop:]]))
    return content[:start] + middle + end


def random_header(draw, content: bytes) -> bytes:
    """Another length, or a random text of the right length."""
    (length,) = struct.unpack("<Q", content[:8])
    text = draw(st.sampled_from([b"", content[8 : 8 + length], b"[" * length]))
    text = draw(st.binary(max_size=200)) + text
    claimed = draw(st.sampled_from([len(text), length, 2**30, 2**63, 0]))
    return struct.pack("<Q", claimed) + text + content[8 + length :]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats()
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def swap_values(draw, content: bytes) -> bytes:
    """Some places of the header or the index hold another value, or that of another."""
    (length,) = struct.unpack("<Q", content[:8])
    index = json.loads(content[8 : 8 + length])
    index["__metadata__"]["naejax"] = json.loads(index["__metadata__"]["naejax"])
    for _ in range(draw(st.integers(1, 2))):
        places = list(_places(index))
        at = st.integers(0, len(places) - 1)
        (where, key), (other, name) = places[draw(at)], places[draw(at)]
        # A copy: a list within itself cannot be written.
        where[key] = draw(JSON | st.just(json.loads(json.dumps(other[name]))))
    metadata = index["__metadata__"]
    if isinstance(metadata, dict) and "naejax" in metadata:
        metadata["naejax"] = json.dumps(metadata["naejax"])
    text = json.dumps(index).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def _places(value):
    """Every object and list with each of its keys."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def arrays(loaded) -> dict[str, np.ndarray]:
    """A model's variables and, of a table, its encoder."""
    fitted = getattr(loaded, "fitted_", loaded)
    flat = traverse_util.flatten_dict(fitted.variables, sep="/")
    codecs = fitted.encoder.codecs if hasattr(fitted, "encoder") else ()
    # Quantiles have any length: without a checksum, two tables may change places.
    return flat | {
        f"codec {i}": c.table for i, c in enumerate(codecs) if c.kind != "quantile"
    }


def swap_arrays(draw, content: bytes) -> bytes:
    """Two arrays exchange their descriptions, or one is reshaped."""
    (length,) = struct.unpack("<Q", content[:8])
    index = json.loads(content[8 : 8 + length])
    names = st.sampled_from(sorted(set(index) - {"__metadata__"}))
    one, two = draw(names), draw(names)
    index[one], index[two] = index[two], index[one]
    index[one]["shape"] = draw(
        st.sampled_from([index[one]["shape"][::-1], index[two]["shape"]])
    )
    text = json.dumps(index).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("damage", [flip, cut, random_header, swap_values, swap_arrays])
def test_damaged_files_are_refused_or_the_same_shape(
    damage: Callable, traced: bool, files, tmp_path
):
    path = tmp_path / "model"
    names = [n for n in sorted(files) if n.startswith(TRACED) == traced]
    seen = {"refused": 0, "loaded": 0}
    wanted = {}
    for name in names:
        path.write_bytes(files[name])
        shapes = arrays(naejax.load(path)).items()
        wanted[name] = {place: array.shape for place, array in shapes}

    # Models of images and texts that hold together are traced, which takes a while.
    @settings(CHEAP, max_examples=30 if traced else 200)
    @given(data=st.data())
    def check(data):
        name = data.draw(st.sampled_from(names))
        content = damage(data.draw, files[name])
        if content == files[name]:
            return
        path.write_bytes(content)
        try:
            loaded = naejax.load(path)
        except ValueError as error:
            assert "\n" not in str(error)
            seen["refused"] += 1
        else:
            found = arrays(loaded)
            assert not name.endswith("checked")
            assert {place: a.shape for place, a in found.items()} == wanted[name]
            assert all(np.isfinite(a).all() for a in found.values())
            seen["loaded"] += 1
        try:
            to_numpy_predictor(path)
        except ValueError:
            pass

    check()
    assert seen["refused"] >= (15 if traced else 100)
