"""Images that are decoded when they are needed, against the same in memory."""

import contextlib
import importlib.util
import io
import random
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from naejax.data import examples, image_sets, tfds_images
from naejax.data.images import split_images, take_images
from naejax.data.streamed import StreamedRows, must_stream
from naejax.data.tfds_images import read_tfds_folder
from naejax.train import memory
from naejax.train.sources import RowSource

needs_grain = pytest.mark.skipif(
    importlib.util.find_spec("grain") is None, reason="needs the extra grain"
)


@needs_grain
def test_threads_keep_the_order():
    order = random.Random(0)

    def make(number):
        time.sleep(order.random() / 500)
        return np.full(2, number, np.float32)

    rows = StreamedRows(range(100, 200), make)
    assert rows.shape == (100, 2) and rows.dtype == np.float32
    wanted = np.random.default_rng(0).permutation(100)[:60]
    np.testing.assert_array_equal(rows[wanted][:, 0], wanted + 100)


@needs_grain
def test_only_what_is_needed_is_made():
    made = []

    def make(number):
        made.append(number)
        return np.full(1, number, np.float32)

    rows = StreamedRows(range(1000), make)
    assert made == [0]
    assert rows[[5, 3, 5]].tolist() == [[5], [3], [5]]
    assert sorted(made) == [0, 3, 5]


@needs_grain
def test_an_image_that_cannot_be_made():
    def make(number):
        if number == 3:
            raise OSError("a broken image")
        return np.zeros((number // 5 + 1, 2), np.float32)

    rows = StreamedRows(range(20), make)
    with pytest.raises(OSError, match="a broken image"):
        rows[1:4]
    with pytest.raises(ValueError, match=r"shape \(2, 2\), expected \(1, 2\) as the"):
        rows[4:6]


def test_without_grain(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'naejax\[grain\]'") as error:
        StreamedRows([1], np.asarray)
    assert "\n" not in str(error.value)


def test_what_does_not_fit_is_streamed(monkeypatch):
    for free, expected in ((3 * 4000, False), (3 * 4000 - 1, True), (None, False)):
        monkeypatch.setattr(memory, "free_host_memory", lambda free=free: free)
        assert must_stream(10, (10, 10, 1)) is expected


class Prepared(tfds.core.GeneratorBasedBuilder):
    """A data set of given features and examples."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, features, examples, **options):
        self.given, self.examples = features, examples
        super().__init__(**options)

    def _info(self):
        features = tfds.features.FeaturesDict(self.given)
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, manager):
        return {name: enumerate(rows) for name, rows in self.examples.items()}

    def _generate_examples(self):
        raise NotImplementedError


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def bytes_of_one_size(rng, i):
    image = rng.integers(0, 256, (16, 16, 3), np.uint8)
    image[:8] //= 1 + 3 * (i % 2)
    mask = rng.integers(0, 2, (16, 16)).astype(bool)
    return {"image": png(image), "label": i % 2, "parts": mask}


def bytes_of_many_sizes(rng, i):
    size = tuple(rng.integers(20, 90, 2))
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    mask = rng.integers(0, 2, size).astype(np.uint8)
    return {"image": png(image), "label": i % 2, "parts": png(mask)}


def floats(rng, i):
    image = rng.normal(size=(9, 8)).astype(np.float32)
    return {"image": image, "label": rng.normal(size=2).astype(np.float32)}


LABEL = tfds.features.ClassLabel(names=["dark", "light"])
KINDS = {
    bytes_of_one_size: {
        "image": tfds.features.Image(shape=(16, 16, 3)),
        "label": LABEL,
        "parts": tfds.features.Tensor(shape=(16, 16), dtype=np.bool_),
    },
    bytes_of_many_sizes: {
        "image": tfds.features.Image(shape=(None, None, 3)),
        "label": LABEL,
        "parts": tfds.features.Image(shape=(None, None, 1)),
    },
    floats: {
        "image": tfds.features.Tensor(shape=(9, 8), dtype=np.float32),
        "label": tfds.features.Tensor(shape=(2,), dtype=np.float32),
    },
}


@pytest.fixture
def prepare(tmp_path):
    """Prepares a data set, of one split or two, and returns its folder."""

    def run(kind, **sizes):
        rng = np.random.default_rng(0)
        rows = {name: [kind(rng, i) for i in range(n)] for name, n in sizes.items()}
        options = {"data_dir": tmp_path, "file_format": "array_record"}
        builder = Prepared(KINDS[kind], rows, **options)
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare()
        return str(builder.data_dir)

    return run


def check_images(found, expected):
    """Streamed images, against those in memory."""
    assert isinstance(found.x, RowSource) and found.x.shape == expected.x.shape
    read = take_images(found, slice(None))
    for name in ("x", "target", "parts"):
        one, other = getattr(read, name), getattr(expected, name)
        assert (one is None) == (other is None)
        if one is not None:
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


@needs_grain
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [None, 15])
def test_streamed_images_are_those_in_memory(prepare, kind, rows, capsys):
    folder = prepare(kind, train=20, test=7)
    capsys.readouterr()
    one = read_tfds_folder(folder, rows=rows, seed=3, stream=True)
    other = read_tfds_folder(folder, rows=rows, seed=3)
    check_images(one.images, other.images)
    check_images(one.test, other.test)
    assert (one.classes, one.targets) == (other.classes, other.targets)
    assert capsys.readouterr().out == ""


@needs_grain
@pytest.mark.parametrize("own_test", [False, True])
def test_streamed_images_are_split_alike(prepare, monkeypatch, own_test):
    sizes = {"train": 30, "test": 8} if own_test else {"train": 30}
    folder = prepare(bytes_of_one_size, **sizes)
    in_memory = image_sets.load_images(folder, seed=5)
    monkeypatch.setattr(tfds_images, "must_stream", lambda count, shape: True)
    on_disk = image_sets.load_images(folder, seed=5)
    for name in ("training", "validation", "test"):
        check_images(getattr(on_disk, name), getattr(in_memory, name))


@needs_grain
def test_opening_decodes_one_image_of_a_split(prepare, monkeypatch):
    folder, seen = prepare(bytes_of_many_sizes, train=25), []
    real = examples.ExampleReader.pixels

    def pixels(self, example):
        seen.append(example)
        return real(self, example)

    monkeypatch.setattr(examples.ExampleReader, "pixels", pixels)
    source = read_tfds_folder(folder, stream=True)
    assert len(seen) == 1 and len(source.images.target) == 25
    split_images(source.images, seed=0)
    assert len(seen) == 1


def test_a_split_without_images():
    def nothing(self, split, **options):
        return [[] for _ in split]

    with (
        tfds.testing.mock_data(as_data_source_fn=nothing),
        pytest.raises(ValueError, match="a split of mnist without images"),
    ):
        tfds_images.read_tfds("mnist")


@needs_grain
@pytest.mark.slow
def test_a_run_on_streamed_images_is_the_same(prepare, monkeypatch, tmp_path):
    from naejax.cli import main

    folder = prepare(bytes_of_one_size, train=60, test=12)
    words = ["train", "--model", "sop", "--data", folder, "--epochs", "1"]
    words += ["--backbone-epochs", "1", "--batch-size", "16", "--channels", "4", "8"]
    words += ["--num-groups", "4", "--out"]
    main([*words, str(tmp_path / "memory")])
    monkeypatch.setattr(tfds_images, "must_stream", lambda count, shape: True)
    main([*words, str(tmp_path / "disk")])
    for name in ("model.safetensors", "backbone.safetensors", "groups.png"):
        one, other = (tmp_path / run / name for run in ("memory", "disk"))
        assert one.read_bytes() == other.read_bytes()
