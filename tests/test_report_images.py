"""The data of a report on images: pictures, groups, and sums that are the model's."""

import base64
import io

import jax
import numpy as np
import pytest
from PIL import Image
from report_contract import check_images

from naejax.explain import merge_duplicates
from naejax.models.cnn import CNN, cnn_backbone
from naejax.models.sop import SumOfParts
from naejax.reports import pictures
from naejax.reports.images import LADDER, ImageRows, image_report
from naejax.reports.table import json_bytes
from naejax.reports.write import about_images
from naejax.vision import ImageBackbone, ImageSOP, explain_images

pytestmark = pytest.mark.slow

HOSTILE = "</script><img onerror=alert(1)>"


def make_model(classes, targets=(), channels=3):
    """A model with random parameters."""
    outputs = len(classes) or len(targets)
    cnn, x = CNN(outputs, channels=(4, 4)), np.ones((1, 8, 8, channels), np.float32)
    variables = cnn.init(jax.random.key(0), x)
    scale = (5.0,) * outputs if targets else (0.0,) * outputs
    backbone = ImageBackbone(
        cnn, variables, (8, 8, channels), classes, targets, scale, (1.0,) * outputs
    )
    model = SumOfParts(cnn_backbone(cnn, variables), outputs, num_groups=6)
    return ImageSOP(model, jax.jit(model.init)(jax.random.key(1), x), backbone)


@pytest.fixture(scope="module")
def classifier():
    return make_model(("a", HOSTILE, "b"))


def draw(rows, channels=3, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, 8, 8, channels)).astype("f4")


def decode(uri):
    """The pixels of a picture."""
    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def test_galleries_add_up_and_are_the_models(classifier):
    x, target = draw(30), np.arange(30) % 3
    parts = np.zeros((30, 8, 8), bool)
    parts[:, 2:5, 3:7] = True
    data = image_report(
        classifier,
        ImageRows(x, "test images", target, parts),
        title="t",
        about=about_images(classifier),
    )
    check_images(data)
    assert len(data["gallery"]) == LADDER[0].images == 12
    assert len({entry["id"] for entry in data["gallery"]}) == 12
    output = explain_images(classifier, x)
    names = classifier.backbone.classes
    for entry in data["gallery"]:
        b = int(entry["id"].split()[1]) - 1
        c = int(np.argmax(output.prediction[b]))
        assert entry["prediction"] == names[c] and entry["truth"] == names[target[b]]
        assert entry["explained"] == f"score of {names[c]}"
        assert entry["total"] == pytest.approx(output.prediction[b, c], rel=2e-3)
        one = output._replace(
            **{k: v[b : b + 1] for k, v in output._asdict().items() if k != "bias"}
        )
        merged = merge_duplicates(one, c)
        sums = np.asarray(merged.contributions[0])[np.asarray(merged.counts[0]) > 0]
        strongest = sums[np.argsort(-np.abs(sums))]
        shown = [group["contribution"] for group in entry["groups"]]
        unit = max(abs(strongest[0]), abs(entry["total"]))
        np.testing.assert_allclose(shown, strongest[: len(shown)], atol=1e-3 * unit)
        weights = sorted(group["weight"] for group in entry["groups"])
        if entry["rest"] is None:
            assert sum(weights) == pytest.approx(1, abs=1e-3)
        own = output.selection[b, :, c]
        if all(group["copies"] == 1 for group in entry["groups"]):
            assert all(np.abs(own - weight).min() < 1e-3 for weight in weights)
        copies = sum(group["copies"] for group in entry["groups"])
        copies += entry["rest"]["groups"] if entry["rest"] else 0
        assert copies == int(np.asarray(merged.counts[0]).sum())
    assert {entry["truth"] for entry in data["gallery"]} == set(names)


def test_true_parts_have_an_outline_and_others_none(classifier):
    x = draw(3)
    parts = np.zeros((3, 8, 8), bool)
    parts[:, 2:6, 2:6] = True
    data = image_report(classifier, ImageRows(x, "images", None, parts), title="t")
    line = decode(data["gallery"][0]["outline"])
    size = line.shape[0]
    inside = line[size // 4 : 3 * size // 4, size // 4 : 3 * size // 4]
    assert line[..., 3].sum() == inside[..., 3].sum() > 0
    assert line[size // 2, size // 2, 3] == 0 and line[size // 4, size // 2, 3] == 255
    bare = image_report(classifier, ImageRows(x, "images"), title="t")
    assert all(entry["outline"] is None for entry in bare["gallery"])
    assert all(entry["truth"] is None for entry in bare["gallery"])


def test_regressions_explain_each_target():
    fitted = make_model((), ("mass", "age"), channels=1)
    x, y = draw(4, channels=1), np.arange(8.0).reshape(4, 2)
    data = image_report(fitted, ImageRows(x, "images", y), title="t")
    check_images(data)
    assert [e["explained"] for e in data["gallery"]] == ["mass", "age"] * 4
    assert [e["truth"] for e in data["gallery"][:4]] == ["0", "1", "2", "3"]
    assert all(entry["bias"] == 5 for entry in data["gallery"])


def test_a_smaller_size_is_kept(classifier):
    rows = ImageRows(draw(30), "images", np.arange(30) % 3)
    full = json_bytes(image_report(classifier, rows, title="t"))
    small = image_report(classifier, rows, title="t", most_bytes=full // 3)
    check_images(small)
    assert json_bytes(small) <= full // 3 and len(small["gallery"]) < 12
    assert f"{len(small['gallery'])} of the 30 images are shown" in small["notes"][-2]


@pytest.mark.parametrize(
    ("shape", "side", "expected"),
    [((8, 8), 64, (64, 64)), ((10, 5), 64, (70, 35)), ((300, 200), 100, (100, 66))],
)
def test_pictures_are_enlarged_by_whole_factors_or_averaged(shape, side, expected):
    picture = np.random.default_rng(0).random((*shape, 3))
    large = pictures.enlarge(picture, side)
    assert large.shape == (*expected, 3)
    np.testing.assert_allclose(large.mean(), picture.mean(), atol=0.01)


def test_a_group_shows_its_pixels_and_pales_the_others():
    picture = np.zeros((8, 8, 3))
    picture[..., 2] = 1
    mask = np.zeros((8, 8))
    mask[2:6, 2:6] = 1
    blue = decode(pictures.draw_group(picture, mask, 1.0, 64))
    assert blue.shape == (64, 64, 4)
    assert blue[32, 32, :3].tolist() == [0, 0, 255]
    assert (blue[4, 4, :3] > 200).all() and np.ptp(blue[4, 4, :3].astype(int)) <= 2
    assert blue[16, 32, :3].tolist() == [0, 0x72, 0xB2]
    orange = decode(pictures.draw_group(picture, mask, -1.0, 64))
    assert orange[16, 32, :3].tolist() == [0xD5, 0x5E, 0]


def test_the_flat_mask_is_stronger_where_the_group_is():
    picture, ranks = np.zeros((8, 8, 3)), np.full((8, 8), 2)
    ranks[:3], ranks[5:] = 0, 1
    flat = decode(pictures.draw_flat(picture, ranks, np.array([2.0, -0.2]), 64)).astype(
        int
    )
    strong, none, weak = flat[10, 32, :3], flat[32, 32, :3], flat[53, 32, :3]
    assert np.ptp(none) <= 2
    assert strong[2] > strong[0] + 60  # blue raises
    assert weak[0] > weak[2] and np.ptp(weak) < np.ptp(strong)  # orange lowers
