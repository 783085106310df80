"""Images prepared by TFDS: its mock data, and prepared files, without TensorFlow."""

import contextlib
import io
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from naejax.data.image_sets import available_images, load_images
from naejax.data.tfds_images import (
    TFDS_IMAGES,
    TFDSImages,
    read_tfds,
    read_tfds_folder,
)

CLASSES = {"oxford_iiit_pet": 37}


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def pixels(i: int) -> np.ndarray:
    """A grey image that carries its number."""
    return np.full((6, 5), 10 * i, np.uint8)


class Made(tfds.core.GeneratorBasedBuilder):
    """A data set whose features and examples a test gives."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, features, examples, keys=None, **options):
        self.given, self.examples, self.keys = features, examples, keys
        super().__init__(**options)

    def _info(self):
        features = tfds.features.FeaturesDict(self.given)
        return tfds.core.DatasetInfo(
            builder=self, features=features, supervised_keys=self.keys
        )

    def _split_generators(self, manager):
        return {name: enumerate(rows) for name, rows in self.examples.items()}

    def _generate_examples(self):
        raise NotImplementedError


@pytest.fixture
def prepare(tmp_path):
    """Prepares a data set and returns its folder."""

    def run(features, examples, keys=None):
        options = {"data_dir": tmp_path, "file_format": "array_record"}
        builder = Made(features, examples, keys, **options)
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare()
        return str(builder.data_dir)

    return run


GREY = {
    "image": tfds.features.Image(shape=(6, 5, 1)),
    "label": tfds.features.ClassLabel(names=["odd", "even"]),
    "parts": tfds.features.Tensor(shape=(6, 5), dtype=np.bool_),
}


def grey(numbers):
    """Examples whose pixels, label and mask follow from their number."""
    return [
        {"image": png(pixels(i)), "label": int(i % 2 == 0), "parts": pixels(i) > 50}
        for i in numbers
    ]


def check_grey(images, numbers):
    found = np.round((images.x[:, 0, 0, 0] + 1) * 12.75).astype(int)
    assert sorted(found) == sorted(numbers)
    np.testing.assert_allclose(
        images.x, np.stack([pixels(i) for i in found])[..., None] / 127.5 - 1, atol=1e-6
    )
    np.testing.assert_array_equal(images.target, found % 2 == 0)
    np.testing.assert_array_equal(images.parts[:, 0, 0], found > 5)


class MadeGrey(Made):
    """Grey images under a name of their own."""

    def __init__(self, **options):
        examples = {"train": grey(range(20)), "test": grey(range(20, 25))}
        super().__init__(GREY, examples, **options)


@pytest.mark.parametrize("name", TFDS_IMAGES)
def test_mocked_sets(name, capsys):
    with tfds.testing.mock_data(num_examples=20):
        data = load_images(name, seed=2)
    assert "tensorflow" not in sys.modules
    info = available_images()[name]
    assert info.network and (data.name, data.description) == (name, info.description)
    parts = (data.training, data.validation, data.test)
    assert [len(part) for part in parts] == [18, 2, 20]
    assert len(data.classes) == CLASSES.get(name, 10) and data.targets == ()
    for part in parts:
        assert part.x.shape[1:] == info.shape and part.x.dtype == np.float32
        assert -1 <= part.x.min() < -0.5 and 0.5 < part.x.max() <= 1
        assert part.target.dtype == np.int32 and part.target.max() < len(data.classes)
        assert (part.parts is not None) == (name == "oxford_iiit_pet")
    assert capsys.readouterr().out == ""


def test_rows_are_a_share_of_both_splits():
    with tfds.testing.mock_data(num_examples=40):
        source = read_tfds("mnist", rows=30)
        other = read_tfds("mnist", rows=30, seed=1)
        everything = read_tfds("mnist", rows=1000)
    assert len(source.images) == len(source.test) == 15
    assert (source.images.target != other.images.target).any()
    assert len(everything.images) == 40


def test_pets_are_stretched_with_their_trimaps(capsys):
    image = np.zeros((40, 20, 3), np.uint8)
    image[:20, :, 0] = 255
    # Wider than the image, and of another size: 1 pet, 2 background, 3 border.
    trimap = np.full((80, 40, 1), 2, np.uint8)
    trimap[:40], trimap[38:42] = 1, 3
    example = {"image": image, "label": 5, "segmentation_mask": trimap}

    def examples(self, split, **options):
        print("a banner")
        return [[example] * 3 for _ in split]

    with tfds.testing.mock_data(as_data_source_fn=examples):
        source = read_tfds("oxford_iiit_pet", side=16)
    assert capsys.readouterr().out == ""
    assert source.images.x.shape == (3, 16, 16, 3)
    assert source.classes[5] == "Bengal"
    x, parts = source.images.x[0], source.images.parts[0]
    np.testing.assert_array_equal(x[:7, :, 0], 1)
    np.testing.assert_array_equal(x[9:, :, 0], -1)
    np.testing.assert_array_equal(x[..., 1:], -1)
    # 38 of 80 rows are the pet: 7.6 of 16.
    np.testing.assert_array_equal(parts.all(1), np.arange(16) < 8)
    np.testing.assert_array_equal(parts.any(1), np.arange(16) < 8)


def test_a_folder_of_ones_own(prepare, capsys):
    examples = {"train": grey(range(20)), "test": grey(range(20, 25))}
    folder = prepare(GREY, examples)
    data = load_images(folder)
    assert (data.name, data.description) == (folder, "folder 1.0.0")
    assert data.classes == ("odd", "even")
    assert [len(p) for p in (data.training, data.validation, data.test)] == [18, 2, 5]
    source = read_tfds_folder(folder)
    check_grey(source.images, range(20))
    check_grey(source.test, range(20, 25))
    assert len(read_tfds_folder(folder, rows=10).images) == 8
    assert "tensorflow" not in sys.modules
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("splits", "own_test"),
    [
        (("train",), None),
        (("whole",), None),
        (("test",), None),
        (("train", "validation"), "validation"),
        (("train", "validation", "test"), "test"),
    ],
)
def test_which_split_is_which(prepare, splits, own_test):
    starts = {name: 8 * i for i, name in enumerate(splits)}
    examples = {name: grey(range(i, i + 8)) for name, i in starts.items()}
    source = read_tfds_folder(prepare(GREY, examples))
    check_grey(source.images, range(8))
    if own_test is None:
        assert source.test is None
    else:
        check_grey(source.test, range(starts[own_test], starts[own_test] + 8))


@pytest.mark.parametrize("outputs", [(), (2,)])
def test_a_regression_with_its_own_keys(prepare, outputs):
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(12, 4, 4)).astype(np.float32)
    values = rng.normal(size=(12, *outputs)).astype(np.float32)
    features = {
        "map": tfds.features.Tensor(shape=(4, 4), dtype=np.float32),
        "mass": tfds.features.Tensor(shape=outputs, dtype=np.float32),
    }
    rows = [{"map": m, "mass": v} for m, v in zip(maps, values, strict=True)]
    source = read_tfds_folder(prepare(features, {"train": rows}, ("map", "mass")))
    assert source.classes == () and source.images.parts is None
    assert source.targets == (("mass0", "mass1") if outputs else ("mass",))
    order = np.argsort(source.images.x[:, 0, 0, 0])
    expected = np.argsort(maps[:, 0, 0])
    np.testing.assert_array_equal(source.images.x[order, ..., 0], maps[expected])
    np.testing.assert_array_equal(
        source.images.target[order], values.reshape(12, -1)[expected]
    )


def test_a_file_of_images_of_varying_size(prepare):
    features = {**GREY, "image": tfds.features.Image(shape=(None, None, 3))}
    del features["parts"]
    rng = np.random.default_rng(0)
    sizes = [(30, 20), (7, 9), (64, 64)]
    rows = [
        {"image": png(np.full((*size, 3), [9, 99, 199], np.uint8)), "label": 1}
        for size in rng.permuted(sizes)
    ]
    images = read_tfds_folder(prepare(features, {"train": rows}), side=12).images
    assert images.x.shape == (3, 12, 12, 3)
    colour = np.array([9, 99, 199]) / 127.5 - 1
    np.testing.assert_allclose(images.x, np.tile(colour, (3, 12, 12, 1)), atol=1e-6)


def test_smaller_images_are_averages(prepare):
    features = {**GREY, "image": tfds.features.Image(shape=(None, None, 1))}
    del features["parts"]
    checks = 255 * (np.indices((64, 64)).sum(0) % 2).astype(np.uint8)
    folder = prepare(features, {"train": [{"image": png(checks), "label": 1}]})
    np.testing.assert_allclose(read_tfds_folder(folder, side=8).images.x, 0, atol=0.02)


def test_masks_take_the_size_of_the_image(prepare):
    features = {**GREY, "parts": tfds.features.Image(shape=(12, 20, 1))}
    mask = np.zeros((12, 20), np.uint8)
    mask[:4, 8:] = 1
    rows = [{**row, "parts": png(mask)} for row in grey(range(3))]
    expected = np.zeros((6, 5), bool)
    expected[:2, 2:] = True
    for parts in read_tfds_folder(prepare(features, {"train": rows})).images.parts:
        np.testing.assert_array_equal(parts, expected)


@pytest.mark.parametrize("way", ["argument", "variable"])
@pytest.mark.parametrize("name", TFDS_IMAGES)
def test_data_that_is_not_prepared(name, way, tmp_path, monkeypatch, capsys):
    settings = {"data_dir": str(tmp_path)} if way == "argument" else {}
    if way == "variable":
        monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(ValueError, match=f"{name} is not prepared as array") as caught:
        load_images(name, **settings)
    message = str(caught.value)
    assert "\n" not in message and f"array_record in {tmp_path}" in message
    assert "pip install 'naejax[tf]'" in message and f"data_dir='{tmp_path}'" in message
    code = message.partition('python -c "')[2].partition('"')[0]
    assert "builder(" in code and compile(code, "advice", "exec")
    assert capsys.readouterr().out == ""


def test_the_advice_prepares_what_is_then_read(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(TFDS_IMAGES, "mnist", TFDSImages("made_grey"))
    with pytest.raises(ValueError, match="mnist is not prepared") as caught:
        load_images("mnist", data_dir=str(tmp_path))
    exec(str(caught.value).partition('python -c "')[2].partition('"')[0])
    capsys.readouterr()
    source = read_tfds("mnist", data_dir=str(tmp_path))
    check_grey(source.images, range(20))
    check_grey(source.test, range(20, 25))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"image": GREY["image"]}, "got the features image in made, expected image a"),
        ({"label": GREY["label"]}, "got the features label in made, expected image a"),
        (
            {**GREY, "label": tfds.features.Tensor(shape=(), dtype=np.int64)},
            "expected a ClassLabel or floats",
        ),
    ],
)
def test_features_that_cannot_be_read(prepare, features, message):
    rows = [{k: v for k, v in row.items() if k in features} for row in grey(range(3))]
    with pytest.raises(ValueError, match=message) as caught:
        read_tfds_folder(prepare(features, {"train": rows}))
    assert "\n" not in str(caught.value)


def test_folders_that_cannot_be_read(prepare, tmp_path):
    with pytest.raises(ValueError, match=r"no dataset_info.json in .* one version"):
        read_tfds_folder(tmp_path)
    folder = prepare(GREY, {"a": grey(range(3)), "b": grey(range(3))})
    with pytest.raises(ValueError, match=r"got the splits a, b in .*, expected train"):
        read_tfds_folder(folder)


def test_other_formats_need_tensorflow(prepare):
    folder = prepare(GREY, {"train": grey(range(3))})
    info = Path(folder, "dataset_info.json")
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(ValueError, match="holds tfrecord files, expected array_rec"):
        read_tfds_folder(folder)


def test_reading_is_silent(prepare):
    folder = prepare(GREY, {"train": grey(range(20))})
    code = (
        "import sys; from naejax.data import load_images; "
        f"load_images({folder!r}); assert 'tensorflow' not in sys.modules"
    )
    # A process of its own: TFDS says each thing once.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_level_of_the_log_is_left_alone(tmp_path):
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        with pytest.raises(ValueError, match="not prepared"):
            read_tfds("mnist", data_dir=str(tmp_path))
        assert logger.level == logging.INFO
    finally:
        logger.setLevel(level)
