"""Images from arrays, .npz files and by name; what is refused, and how."""

import zipfile

import numpy as np
import pytest
from sklearn.datasets import load_digits

from naejax.data.fields import FIELD_TARGETS, make_lognormal_fields
from naejax.data.image_file import read_npz
from naejax.data.image_sets import available_images, load_images
from naejax.data.images import Images, as_images, split_images, take_images
from naejax.data.shapes import PAIRS, SAME_OR_DIFFERENT, make_shapes

DRAWN = ["shapes", "shapes-same", "fields"]


@pytest.fixture
def save(tmp_path):
    """Writes arrays to an .npz file, images and classes unless others are given."""

    def write(**arrays):
        rng = np.random.default_rng(0)
        x = rng.integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)
        given = {"x": x, "y": np.arange(20) % 3, **arrays}
        path = tmp_path / "own.npz"
        np.savez(path, **{k: v for k, v in given.items() if v is not None})
        return str(path)

    return write


def numbered(rows: int) -> Images:
    """Images that carry their row number in pixels, target and mask."""
    i = np.arange(rows)
    parts = (i % 2 == 0)[:, None, None] & np.ones((rows, 2, 2), bool)
    x = np.broadcast_to(i[:, None, None, None], (rows, 2, 2, 1)).astype(np.float32)
    return Images(x, i.astype(np.int32), parts)


def test_bytes_are_scaled_and_floats_are_not():
    byte = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    images = as_images(byte, np.zeros(4))
    assert images.x.shape == (4, 8, 8, 1) and images.x.dtype == np.float32
    np.testing.assert_allclose(
        images.x.ravel(), np.linspace(-1, 1, 256), atol=1e-6, rtol=0
    )
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 2))
    images = as_images(x, np.zeros(4))
    np.testing.assert_array_equal(images.x, x.astype(np.float32))


@pytest.mark.parametrize("rows", [10, 59, 100])
@pytest.mark.parametrize("own_test", [False, True])
def test_a_split_keeps_every_row_once_and_whole(rows, own_test):
    images, test = numbered(rows), numbered(7)
    split = split_images(images, 3, test if own_test else None)
    tenth = rows // 10
    sizes = [rows - tenth, tenth] if own_test else [rows - 2 * tenth, tenth, tenth]
    assert [len(part) for part in split[: len(sizes)]] == sizes
    assert not own_test or split[2] is test
    kept = np.concatenate([part.target for part in split[: len(sizes)]])
    np.testing.assert_array_equal(np.sort(kept), np.arange(rows))
    for part in split:
        np.testing.assert_array_equal(part.x[:, 0, 0, 0], part.target)
        np.testing.assert_array_equal(part.parts[:, 0, 0], part.target % 2 == 0)
    again, other = split_images(images, 3), split_images(images, 4)
    np.testing.assert_array_equal(again[0].target, split_images(images, 3)[0].target)
    assert (again[0].target != other[0].target).any()


def test_the_seed_that_drew_the_images_does_not_sort_them_by_label():
    images = make_shapes(2000, side=16, seed=0, same_or_different=True)
    parts = split_images(images, seed=0)
    shares = [part.target.mean() for part in parts]
    np.testing.assert_allclose(shares, 0.5, atol=0.12)


def test_take_images():
    taken = take_images(numbered(5), np.array([4, 1]))
    assert taken.target.tolist() == [4, 1] and len(taken) == 2
    assert taken.x[:, 0, 0, 0].tolist() == [4, 1]
    assert taken.parts[:, 0, 0].tolist() == [True, False]
    without = Images(np.zeros((3, 2, 2, 1), np.float32), np.arange(3))
    assert take_images(without, slice(1, 3)).parts is None


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        ([7, 3, 10, 3] * 5, ("3", "7", "10")),
        ([True, False] * 10, ("false", "true")),
        (["dog", "cat"] * 10, ("cat", "dog")),
        (np.array([0, 255] * 10, np.uint8), ("0", "255")),
    ],
)
def test_classes_of_a_file(save, y, classes):
    source = read_npz(save(y=np.array(y)))
    assert source.classes == classes and source.targets == ()
    assert source.images.target.dtype == np.int32
    names = [classes[i] for i in source.images.target]
    assert names == [str(value).lower() for value in y]
    assert source.images.parts is None and source.test is None


@pytest.mark.parametrize(
    ("shape", "targets"),
    [((20,), ("y",)), ((20, 1), ("y",)), ((20, 2), ("y0", "y1"))],
)
def test_values_of_a_file(save, shape, targets):
    y = np.random.default_rng(0).normal(size=shape)
    source = read_npz(save(y=y, parts=np.ones((20, 6, 5), np.uint8)))
    assert source.classes == () and source.targets == targets
    assert source.images.target.dtype == np.float32
    np.testing.assert_array_equal(
        source.images.target, y.reshape(20, -1).astype(np.float32)
    )
    assert source.images.parts.dtype == bool and source.images.parts.all()


def test_a_file_is_a_data_set(save):
    path = save()
    data = load_images(path, seed=1)
    assert (data.name, data.description) == (path, "file own.npz")
    assert data.classes == ("0", "1", "2")
    assert [len(p) for p in (data.training, data.validation, data.test)] == [16, 2, 2]
    assert data.training.x.shape[1:] == (6, 5, 3)
    fewer = load_images(path, rows=10)
    assert [len(p) for p in (fewer.training, fewer.validation, fewer.test)] == [8, 1, 1]


IMAGES = np.zeros((20, 4, 4))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": None}, "holds y, expected the arrays x and y; add x"),
        ({"y": None}, "holds x, expected the arrays x and y; add y"),
        ({"x": np.zeros((20, 16))}, r"got x of shape \(20, 16\), expected"),
        ({"x": np.zeros((0, 4, 4)), "y": np.zeros(0)}, r"got x of shape \(0, 4, 4\)"),
        ({"x": IMAGES.astype(int)}, "got x of type int64, expected uint8 or floats"),
        ({"x": IMAGES + np.nan}, "got 320 values in x that are NaN or infinite"),
        ({"x": IMAGES + 1e300}, "got 320 values in x that are NaN or infinite"),
        ({"y": np.full(20, np.inf)}, "got 20 values in y that are NaN or infinite"),
        ({"y": np.arange(19)}, r"got y of shape \(19,\), expected 20 rows as in x"),
        ({"y": np.zeros((20, 1), int)}, r"got y of type int64 and shape \(20, 1\)"),
        ({"y": np.zeros((20, 1, 1))}, r"got y of shape \(20, 1, 1\), expected values"),
        ({"y": np.zeros((20, 0))}, r"got y of shape \(20, 0\), expected values"),
        ({"y": np.zeros(20, complex)}, "got y of type complex128"),
        ({"y": np.ones(20, int)}, "got 1 classes in y, expected at least two"),
        ({"y": np.array([None] * 20)}, "expected an .npz file of plain numeric or te"),
        (
            {"parts": IMAGES[..., :3] > 0},
            r"got parts of type bool and shape \(20, 4, 3",
        ),
        ({"parts": np.zeros((20, 6, 5))}, "got parts of type float64"),
        ({"parts": np.zeros((3, 6, 5), bool)}, r"got parts of shape \(3, 6, 5\)"),
        ({"x": IMAGES[:9], "y": np.arange(9.0)}, "got 9 images, expected at least 10"),
    ],
)
def test_mistakes_in_a_file_are_one_line(save, arrays, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_images(save(**arrays))
    assert "\n" not in str(caught.value)


def test_what_is_no_npz_file_is_refused_in_one_line(tmp_path):
    empty, text, lone, broken = (tmp_path / f"{name}.npz" for name in "etlb")
    empty.touch()
    text.write_text("x,y\n1,2\n")
    with open(lone, "wb") as file:
        np.save(file, np.zeros(3))
    broken.write_bytes(b"PK\x03\x04 and no more")
    with zipfile.ZipFile(tmp_path / "z.npz", "w") as archive:
        archive.writestr("readme.txt", "no arrays")
    for path in (empty, text, lone, broken, tmp_path / "lost.npz", tmp_path / "z.npz"):
        with pytest.raises(
            ValueError, match=r"cannot read .*\.npz|npz holds"
        ) as caught:
            load_images(str(path))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_sets(name):
    info = available_images()[name]
    data = load_images(name, rows=50, seed=5)
    assert (data.name, data.description) == (name, info.description)
    parts = (data.training, data.validation, data.test)
    assert [len(part) for part in parts] == [40, 5, 5]
    assert all(part.x.shape[1:] == info.shape for part in parts)
    if name == "fields":
        assert (data.classes, data.targets) == ((), FIELD_TARGETS)
        expected = make_lognormal_fields(50, seed=5)
    else:
        same = name == "shapes-same"
        assert data.classes == (SAME_OR_DIFFERENT if same else PAIRS)
        assert data.targets == ()
        expected = make_shapes(50, same_or_different=same, seed=5)
        assert all(part.parts is not None for part in parts)
    np.testing.assert_array_equal(data.training.x, split_images(expected, 5)[0].x)
    assert (info.task == "classification") == bool(data.classes)


def test_digits():
    data = load_images("digits")
    info = available_images()["digits"]
    parts = (data.training, data.validation, data.test)
    assert sum(map(len, parts)) == info.rows
    assert data.training.x.shape[1:] == info.shape and data.training.parts is None
    assert data.classes == tuple("0123456789")
    x = np.concatenate([part.x for part in parts])
    assert x.min() == -1 and x.max() == 1
    bunch = load_digits()
    order = np.lexsort(x.reshape(-1, 64).T)
    expected = np.lexsort(bunch.data.T)
    np.testing.assert_array_equal(
        np.concatenate([part.target for part in parts])[order], bunch.target[expected]
    )
    assert len(load_images("digits", rows=100).training) == 80


def test_the_registry_lists_what_needs_no_network_first():
    infos = list(available_images().values())
    assert [info.name for info in infos][:4] == [*DRAWN, "digits"]
    assert [info.network for info in infos] == [False] * 4 + [True] * 5
    assert all(name == info.name for name, info in available_images().items())


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        ("shape", {}, r"no image data set 'shape'; did you mean 'shapes'\?"),
        ("cifar100", {}, "did you mean 'cifar10'.* or give the path of an .npz file"),
        ("nothing like it", {}, "There are: shapes, shapes-same"),
        ("folder/own.npy", {}, "no image data set 'folder/own.npy'"),
        (".", {}, "no dataset_info.json in ., expected a folder that TFDS prepared"),
        ("shapes", {"rows": 9}, "got rows=9, expected at least 10"),
    ],
)
def test_unknown_sources_are_refused_in_one_line(source, settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_images(source, **settings)
    assert "\n" not in str(caught.value)
