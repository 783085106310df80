"""Sum-of-Parts on images: units, sums, scores against oracles, files."""

import dataclasses
import json
import struct

import jax
import numpy as np
import pytest
from flax import traverse_util
from tiers import first_quick

from naejax import artifact
from naejax.data import ImageDataset, Images, make_shapes
from naejax.explain import insertion
from naejax.models.bert import BERT
from naejax.models.cnn import CNN, cnn_backbone
from naejax.models.predict import predict
from naejax.models.sop import SumOfParts
from naejax.settings import SOPOptions, SOPSettings
from naejax.sop_file import SOP_FIELDS
from naejax.texts import state as text_state
from naejax.vision import (
    ImageBackbone,
    ImageSOP,
    evaluate_images,
    explain_images,
    fit_sop,
    networks,
    predict_images,
    score_images,
    state,
)

pytestmark = pytest.mark.slow

SHAPE = (12, 16, 3)
CENTRE, SPREAD = (100.0, -5.0), (20.0, 0.5)


def untrained(classes=(), targets=(), **options):
    """A model with random parameters; sparse masks and few groups by default."""
    outputs = len(classes or targets)
    cnn, x = CNN(outputs, channels=(4, 8), hidden=(6,)), np.zeros((1, *SHAPE))
    variables = jax.jit(cnn.init)(jax.random.key(1), x)
    scale = ((0.0,) * outputs, (1.0,) * outputs) if classes else (CENTRE, SPREAD)
    backbone = ImageBackbone(cnn, variables, SHAPE, classes, targets, *scale)
    options = {"num_groups": 5, "encoder": "shared", "selector_scale": 9.0} | options
    model = SumOfParts(cnn_backbone(cnn, variables), outputs, **options)
    return ImageSOP(model, jax.jit(model.init)(jax.random.key(2), x), backbone)


@pytest.fixture(scope="module")
def classifier():
    return untrained(classes=("a", "b", "c"), keep=0.25, heads=2)


@pytest.fixture(scope="module")
def regressor():
    return untrained(targets=("mass", "size"), mask="sparse")


@pytest.fixture(scope="module")
def images():
    """Noise, with random pixels as true parts."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(70, *SHAPE)).astype(np.float32)
    return Images(x, rng.integers(3, size=70), rng.random((70, *SHAPE[:2])) < 0.2)


def test_contributions_of_classes_are_log_odds(classifier, images):
    output = explain_images(classifier, images.x)
    raw = predict(classifier.model, classifier.variables, images.x)
    assert all(map(np.array_equal, output, raw))
    sums = output.bias + output.contributions.sum(axis=1)
    np.testing.assert_allclose(output.prediction, sums, atol=1e-6)


def test_contributions_of_values_are_in_their_units(regressor, images):
    output = explain_images(regressor, images.x)
    raw = predict(regressor.model, regressor.variables, images.x)
    np.testing.assert_array_equal(output.bias, CENTRE)
    expected = np.float32(CENTRE) + np.float32(SPREAD) * raw.prediction
    np.testing.assert_allclose(output.prediction, expected, rtol=1e-6)
    sums = output.bias + output.contributions.sum(axis=1)
    np.testing.assert_allclose(output.prediction, sums, rtol=1e-6)
    parts = output.selection * output.scale[..., None] * output.group_scores
    np.testing.assert_allclose(output.contributions, parts, rtol=1e-5, atol=1e-6)


def test_backbone_scores_are_its_own(regressor, images):
    backbone = regressor.backbone
    raw = np.asarray(backbone.model.apply(backbone.variables, images.x).scores)
    expected = np.float32(CENTRE) + np.float32(SPREAD) * raw
    scores = score_images(backbone, images.x)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_predicted_columns_add_up_for_the_predicted_class(classifier, images):
    table = predict_images(classifier, images.x)
    shares = np.sum([table[f"contribution:{g}"] for g in range(1, 6)], axis=0)
    np.testing.assert_allclose(table["score"], table["bias"] + shares, atol=1e-6)
    output = explain_images(classifier, images.x)
    best = np.asarray(output.prediction).argmax(axis=1)
    assert table["prediction"].tolist() == [("a", "b", "c")[c] for c in best]
    first = output.contributions[np.arange(70), 0, best]
    np.testing.assert_array_equal(table["contribution:1"], first)


def test_predicted_columns_of_values_name_their_output(regressor, images):
    table = predict_images(regressor, images.x)
    names = ["prediction", "bias", *(f"contribution:{g}" for g in range(1, 6))]
    wanted = [f"{name}:{target}" for target in ("mass", "size") for name in names]
    assert list(table) == wanted


def overlaps(mask, part):
    """IoU, purity and precision of two masks, by sets."""
    both, either = (mask & part).sum(), (mask | part).sum()
    ratio = both / mask.sum()
    p = min(max(ratio, 0.5), 1 - 1e-12)
    entropy = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
    return np.array([both / either, 1 - entropy, ratio])


def test_groups_are_measured_as_by_hand(classifier, images):
    scores = evaluate_images(classifier, images, num_curves=0)
    output = explain_images(classifier, images.x)
    single, union, used, covered = [], [], [], []
    for i, part in enumerate(images.parts):
        groups = output.selection[i, :, np.argmax(output.prediction[i])] > 0
        masks = output.masks[i][groups] > 0
        single.append(np.mean([overlaps(mask, part) for mask in masks], axis=0))
        union.append(overlaps(masks.any(axis=0), part))
        used.append(groups.sum())
        covered.append(masks.any(axis=0).mean())
    names = ["iou", "purity", "object_ratio"]
    found = scores["groups"]
    assert found["used"] == pytest.approx(np.mean(used)) and 1 < found["used"] < 5
    assert found["covered"] == pytest.approx(np.mean(covered), rel=1e-5)
    mine = [found["sop"][name] for name in names]
    np.testing.assert_allclose(mine, np.mean(single, axis=0), rtol=1e-4, atol=1e-6)
    mine = [found["sop"][f"union_{name}"] for name in names]
    np.testing.assert_allclose(mine, np.mean(union, axis=0), rtol=1e-4, atol=1e-6)


def test_random_groups_have_the_same_sizes(images):
    fitted = untrained(classes=("a", "b", "c"), keep=0.25, num_groups=40, heads=2)
    output = explain_images(fitted, images.x)
    from naejax.vision.evaluate import _move_groups

    moved = _move_groups(jax.random.key(0), output)
    sizes = [np.sum(o.masks, axis=(2, 3)) for o in (output, moved)]
    np.testing.assert_array_equal(*sizes)
    assert len(np.unique(np.reshape(moved.masks, (-1, 12 * 16)), axis=0)) == 70 * 40
    np.testing.assert_allclose(np.mean(moved.masks, axis=(0, 1)), 0.25, atol=0.04)


def test_backbone_on_true_parts_sees_nothing_else(classifier, images):
    scores = evaluate_images(classifier, images, num_curves=0)
    shown = dataclasses.replace(images, x=images.x * images.parts[..., None])
    again = evaluate_images(classifier, shown, num_curves=0)
    assert scores["backbone_on_parts"] == again["backbone"] != scores["backbone"]
    nobody = dataclasses.replace(images, parts=None)
    without = evaluate_images(classifier, nobody, num_curves=0)
    assert set(without) == {"backbone", "sop", "groups"}
    assert set(without["groups"]) == {"used", "covered"}


def test_curves_follow_the_class_of_the_backbone(classifier, images):
    few = Images(images.x[:5], images.target[:5])
    found = evaluate_images(classifier, images, num_curves=5)["insertion"]["sop"]
    output, model = explain_images(classifier, few.x), classifier.backbone
    label = score_images(model, few.x).argmax(axis=1)
    shares = output.contributions[np.arange(5), :, label]
    pixels = np.einsum("bghw,bg->bhw", output.masks, shares)
    order = pixels[:, 1::2, 1::2]  # one pixel of every part: they are all alike
    curve = insertion(
        lambda x: model.model.apply(model.variables, x).scores,
        few.x,
        order,
        target=label,
        steps=16,
    )
    assert found == pytest.approx(float(curve.area.mean()), rel=1e-5)


def test_settings_leave_nothing_open_and_keep_what_was_given():
    small, large = (SOPSettings().for_images(*s) for s in ((200, 8), (50_000, 64)))
    assert small.channels == (32, 64) and large.channels == (32, 64, 64, 64)
    assert small.batch_size < large.batch_size and small.epochs > large.epochs
    for settings in (small, large):
        values = dataclasses.asdict(settings)
        left = [name for name, value in values.items() if value is None]
        of_vit = ["vit_patch", "vit_width", "vit_depth", "vit_heads"]
        assert left == ["grid", "backbone", *of_vit]
    own = SOPSettings(epochs=7, channels=(3, 3), hidden=(5,), batch_size=9, patience=4)
    chosen = own.for_images(200, 32)
    assert chosen.blur == 5 and chosen.backbone_epochs == 60
    assert dataclasses.replace(chosen, blur=None, backbone_epochs=None) == own


def test_every_setting_reaches_the_model():
    names = {field.name for field in dataclasses.fields(SOPOptions)}
    of_training = {"coverage", "diversity", "backbone", "backbone_epochs", "mask_rate"}
    of_network = set(networks.NETWORK_SETTINGS)
    kept = set(SOP_FIELDS) | {"group_scale"}
    assert names - of_training - of_network <= kept
    absent = {"backbone", "num_outputs", "parent", "name"}
    fields = {field.name for field in dataclasses.fields(SumOfParts)} - absent
    assert fields == set(text_state._SOP_FIELDS)
    assert fields - {"num_parts", "frozen"} == set(SOP_FIELDS)
    networks_of_texts = [(BERT, text_state._BERT_FIELDS)]
    for module, known in [*state._NETWORKS.values(), *networks_of_texts]:
        fields = {field.name for field in dataclasses.fields(module)}
        assert fields - {"parent", "name"} == set(known)


@pytest.fixture(scope="module")
def finetuned():
    """A model whose last layer is its own and not the backbone's."""
    fitted = untrained(classes=("a", "b"), finetune=("classifier",))
    tuned = fitted.variables["params"]["backbone"]["classifier"]
    tuned["bias"] = tuned["bias"] + 1
    return fitted


@pytest.mark.parametrize("kind", first_quick(["finetuned", "classifier", "regressor"]))
def test_saved_models_predict_bitwise_the_same(kind, images, request, tmp_path):
    fitted, path = request.getfixturevalue(kind), tmp_path / "model"
    artifact.save(path, fitted)
    loaded = artifact.load(path)
    outputs = [explain_images(f, images.x) for f in (fitted, loaded)]
    assert all(map(np.array_equal, *outputs))
    assert loaded.backbone.classes == fitted.backbone.classes
    artifact.save(path, fitted.backbone)
    backbone = artifact.load(path)
    scores = [score_images(b, images.x) for b in (fitted.backbone, backbone)]
    assert np.array_equal(*scores) and isinstance(backbone, ImageBackbone)


def edit(content, change):
    """The same file with naejax's header changed, and no checksum."""
    (length,) = struct.unpack("<Q", content[:8])
    index = json.loads(content[8 : 8 + length])
    header = json.loads(index["__metadata__"]["naejax"])
    del header["sha256"], header["version"]
    change(header)
    index["__metadata__"]["naejax"] = json.dumps(header)
    text = json.dumps(index).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(format=3), "has format 3"),
        (lambda h: h.update(kind="magic"), "of kind 'magic'"),
        (lambda h: h.pop("kind"), "unknown field 'backbone'"),
        (lambda h: h.pop("shape"), "has or lacks 'shape'"),
        (lambda h: h.pop("classes"), "has or lacks 'classes'"),
        (lambda h: h.pop("model"), "does not have the shape"),
        (lambda h: h.update(model=[]), "has or lacks 'blur'"),
        (lambda h: h["model"].update(heads=3), "does not have the shape"),
        (lambda h: h["model"].update(keep=7.0), "keep is 7"),
        (lambda h: h["model"].update(num_groups=10**9), "num_groups is 1000000000"),
        (lambda h: h["backbone"].update(channels=[4, 9]), "does not have the shape"),
        (lambda h: h["backbone"].update(kernel="3"), "kernel is '3'"),
        (lambda h: h["backbone"].update(channels=[10**9, 8]), "channels is"),
        (lambda h: h.update(shape=[12, 16, 4]), "does not have the shape"),
        (lambda h: h.update(classes=["a", "b"]), "names 2 outputs"),
        (lambda h: h.update(spread=[1.0, 1.0, 0.0]), "spread of an output"),
        (lambda h: h.update(centre=[None] * 3), "centre is"),
    ],
)
def test_damaged_headers_are_refused(classifier, tmp_path, change, message):
    path = tmp_path / "model"
    artifact.save(path, classifier)
    path.write_bytes(edit(path.read_bytes(), change))
    with pytest.raises(ValueError, match=message):
        artifact.load(path)


def test_nan_parameters_are_neither_saved_nor_loaded(classifier, tmp_path):
    flat = traverse_util.flatten_dict(classifier.variables)
    name = ("params", "selector", "key")
    flat[name] = np.full_like(flat[name], np.nan)
    broken = dataclasses.replace(
        classifier, variables=traverse_util.unflatten_dict(flat)
    )
    path = tmp_path / "model"
    with pytest.raises(ValueError, match=r"params/selector/key' holds NaN"):
        artifact.save(path, broken)
    assert not path.exists()
    artifact.save(path, classifier)
    content = edit(path.read_bytes(), lambda header: None)
    path.write_bytes(content[:-4] + struct.pack("<f", np.inf))
    with pytest.raises(ValueError, match="holds NaN or infinite"):
        artifact.load(path)


def test_images_of_another_size_are_refused(classifier):
    wrong = np.zeros((4, 16, 12, 3), np.float32)
    for function in (explain_images, predict_images):
        with pytest.raises(ValueError, match="got images of 16 x 12 x 3"):
            function(classifier, wrong)
    with pytest.raises(ValueError, match="trained on 12 x 16 x 3"):
        score_images(classifier.backbone, wrong)


def test_backbones_of_other_images_are_refused(classifier):
    images = make_shapes(10, side=16)
    dataset = ImageDataset("s", "s", tuple("abcd"), (), images, images, images)
    with pytest.raises(ValueError, match="got images of 16 x 16 x 3"):
        fit_sop(dataset, classifier.backbone, SOPSettings())
    same = Images(images.x[:, :12], images.target)
    dataset = ImageDataset("s", "s", tuple("abcd"), (), same, same, same)
    with pytest.raises(ValueError, match="predicts a; b; c, s has a; b; c; d"):
        fit_sop(dataset, classifier.backbone, SOPSettings())
