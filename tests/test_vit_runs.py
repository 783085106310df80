"""A ViT as the backbone of runs on images: dropped patches, files, the command line."""

import contextlib
import csv
import dataclasses
import functools
import io
import json

import jax
import numpy as np
import pytest
from test_sop_cli_errors import fails
from test_vision import edit
from tiers import first_quick

import naejax
from naejax import artifact
from naejax.cli import main
from naejax.data import load_images
from naejax.models.predict import predict
from naejax.models.sop import SumOfParts
from naejax.models.vit import ViT, vit_backbone
from naejax.ops.grouping import keep_top, upsample_nearest
from naejax.runs import images
from naejax.settings import SOPSettings
from naejax.train.checkpoint import TrainingPreemptedError
from naejax.vision import (
    ImageBackbone,
    ImageSOP,
    evaluate_images,
    explain_images,
    fit_backbone,
    fit_sop,
)
from naejax.vision.fit import _chosen, _grid
from naejax.vision.networks import build_network, image_backbone, settings_like

SHAPE = (8, 12, 3)  # 2 x 3 patches


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, *SHAPE)).astype(np.float32)


@functools.cache
def vit(drop):
    """A ViT whose parameters are far from their start, where much is 0."""
    model = ViT(2, patch=4, width=8, depth=2, heads=2, mlp=16, drop_zeros=drop)
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, *SHAPE)))
    rng = np.random.default_rng(7)
    return model, jax.tree.map(
        lambda a: rng.normal(0, 0.4, a.shape).astype(np.float32), shapes
    )


@functools.cache
def wrap(drop):
    """An untrained Sum-of-Parts around it."""
    model, variables = vit(drop)
    scale = (0.0, 0.0), (1.0, 1.0)
    backbone = ImageBackbone(model, variables, SHAPE, ("a", "b"), (), *scale)
    wrapped = image_backbone(model, variables)
    sop = SumOfParts(wrapped, 2, num_groups=4, keep=0.5, encoder="shared", blur=1)
    variables = jax.jit(sop.init)(jax.random.key(2), np.zeros((1, *SHAPE)))
    return ImageSOP(sop, variables, backbone)


@pytest.mark.parametrize("count", first_quick([3, 1, 6]))
def test_zeroed_patches_are_as_good_as_gone(x, count):
    model, variables = vit(True)
    backbone = vit_backbone(model, variables, drop_tokens=True)
    noise = np.random.default_rng(count).normal(size=(5, 6))
    mask = np.asarray(keep_top(noise, count), np.float32).reshape(5, 2, 3)
    pixels = np.asarray(upsample_nearest(mask, SHAPE[:2]))[..., None]
    zeroed = jax.jit(backbone.apply)(backbone.params, x * pixels)
    masked = jax.jit(backbone.masked, static_argnums=3)
    dropped = masked(backbone.params, x, mask, count)
    np.testing.assert_allclose(zeroed.scores, dropped.scores, atol=1e-5)
    # Without the flag zeros are seen: a patch of them has an offset and a position.
    plain = dataclasses.replace(model, drop_zeros=False)
    seen = jax.jit(plain.apply)(variables, x * pixels).scores
    assert (np.abs(seen - dropped.scores).max() > 1e-2) == (count < 6)


def test_an_empty_image_leaves_the_class_token(x):
    model, variables = vit(True)
    apply = jax.jit(model.apply)
    scores = apply(variables, 0 * x).scores
    assert np.isfinite(scores).all() and np.ptp(scores, axis=0).max() == 0
    empty = apply(variables, x, np.zeros((5, 0), np.int32)).scores
    np.testing.assert_allclose(scores, empty, atol=1e-6)


def test_groups_score_alike_dropped_and_zeroed(x):
    fitted = wrap(True)
    zeroing = dataclasses.replace(fitted.model.backbone, masked=None)
    other = fitted.model.clone(backbone=zeroing)
    outputs = [predict(m, fitted.variables, x) for m in (fitted.model, other)]
    assert fitted.model.backbone.masked is not None
    for dropped, zeroed in zip(*outputs, strict=True):
        np.testing.assert_allclose(dropped, zeroed, atol=1e-5)


@pytest.mark.parametrize("drop", first_quick([True, False]))
def test_saved_models_predict_bitwise_the_same(drop, x, tmp_path):
    fitted, path = wrap(drop), tmp_path / "model"
    naejax.save(path, fitted)
    loaded = naejax.load(path)
    assert loaded.backbone.model == fitted.backbone.model
    assert (loaded.model.backbone.masked is not None) == drop
    outputs = [explain_images(f, x) for f in (fitted, loaded)]
    assert all(map(np.array_equal, *outputs))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "gan"}, "the backbone is a 'gan', expected one of cnn, vit"),
        ({"kind": "cnn"}, "has or lacks 'activation'"),
        ({"kind": []}, "not a model that naejax saved"),
        ({"depth": 10**5}, "more layers than the file has arrays"),
        ({"depth": 3}, "does not have the shape"),
        ({"patch": 2}, "does not have the shape"),
        ({"patch": 5}, "expected multiples of patch 5"),
        ({"heads": 3}, "not a multiple of heads 3"),
        ({"activation": "magic"}, "activation is 'magic'"),
        ({"drop_zeros": 1}, "drop_zeros is 1"),
    ],
)
def test_damaged_headers_are_refused(change, message, tmp_path):
    path = tmp_path / "model"
    artifact.save(path, wrap(False))
    damaged = edit(path.read_bytes(), lambda h: h["backbone"].update(change))
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=message):
        artifact.load(path)


@pytest.mark.parametrize(
    ("size", "patch"),
    [
        ((8, 8), 2),
        ((16, 16), 2),
        ((32, 32), 4),
        ((28, 28), 4),
        ((66, 66), 6),
        ((32, 48), 4),
        ((64, 24), 4),
        ((7, 9), 1),
    ],
)
def test_patches_cover_the_image(size, patch):
    settings = SOPSettings(backbone="vit").for_images(1000, *size)
    assert settings.vit_patch == patch
    assert not any(side % patch for side in size)
    values = dataclasses.asdict(settings)
    left = [name for name, value in values.items() if value is None]
    assert left == ["hidden", "grid", "channels"]


def test_a_trained_network_says_its_settings():
    model, _ = vit(True)
    asked = SOPSettings(backbone="runs/mine", epochs=3)
    settings = settings_like(model, asked).for_images(100, 8, 12)
    assert settings.network == "vit" and settings.backbone == "runs/mine"
    assert (settings.vit_patch, settings.vit_depth, settings.drop_tokens) == (
        4,
        2,
        True,
    )
    assert settings.channels is None and settings.epochs == 3


VIT = ["--backbone", "vit", "--vit-width", "8", "--vit-depth", "1", "--vit-heads", "2"]
SHORT = ["--epochs", "1", "--backbone-epochs", "1", "--num-groups", "4"]


def train(*words):
    """Trains from the command line; returns what was printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        main(["train", "--model", "sop", *map(str, words)])
    return printed.getvalue()


@pytest.fixture(scope="module")
def blinks(tmp_path_factory):
    """An .npz file of dark and bright images."""
    path = tmp_path_factory.mktemp("images") / "blinks.npz"
    x = np.random.default_rng(0).random((40, 8, 8, 1), np.float32)
    x[::2] += 1
    np.savez(path, x=x, y=np.array(["bright", "dark"])[np.arange(40) % 2])
    return path


@pytest.fixture(scope="module")
def vit_run(blinks, tmp_path_factory):
    """A run with dropped patches, and what it printed."""
    out = tmp_path_factory.mktemp("runs") / "vit"
    words = [*VIT, *SHORT, "--drop-tokens"]
    return out, train("--data", blinks, "--out", out, *words)


@pytest.mark.slow
def test_train_takes_a_vit(vit_run, blinks, tmp_path):
    run, printed = vit_run
    assert "training the backbone, a ViT" in printed
    settings = json.loads((run / "config.json").read_text())["settings"]
    assert settings["backbone"] == "vit" and settings["vit_patch"] == 2
    assert settings["drop_tokens"] and settings["channels"] is None
    test = json.loads((run / "metrics.json").read_text())["test"]
    for name in ("backbone", "sop"):
        assert 0 <= test[name]["accuracy"] <= 1 and test[name]["log_loss"] > 0
    fitted = naejax.load(run / "model.safetensors")
    assert fitted.backbone.model.drop_zeros and fitted.model.grid == (4, 4)
    out = tmp_path / "out.csv"
    main(["predict", str(run), "--data", str(blinks), "--out", str(out)])
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        parts = [float(row[f"contribution:{g}"]) for g in range(1, 5)]
        assert sum(parts) == pytest.approx(float(row["score"]), rel=1e-4, abs=1e-6)


@pytest.mark.slow
def test_a_run_with_a_vit_is_explained(vit_run, blinks, tmp_path):
    words = ["explain", vit_run[0], "--data", blinks, "--out", tmp_path / "page.html"]
    main(list(map(str, words)))
    assert "bright" in (tmp_path / "page.html").read_text()


@pytest.mark.slow
def test_a_saved_vit_is_used_again(vit_run, blinks, tmp_path):
    run, out = vit_run[0], tmp_path / "again"
    words = ["--backbone", run, "--epochs", "1", "--num-groups", "3"]
    assert f"backbone: {run}" in train("--data", blinks, "--out", out, *words)
    files = [folder / "backbone.safetensors" for folder in (run, out)]
    assert files[0].read_bytes() == files[1].read_bytes()
    settings = json.loads((out / "config.json").read_text())["settings"]
    assert settings["vit_width"] == 8 and settings["drop_tokens"]
    assert naejax.load(out / "model.safetensors").model.num_groups == 3


@pytest.mark.slow
def test_a_stopped_run_goes_on(vit_run, blinks, tmp_path, monkeypatch):
    """Its backbone had ended; the model is bitwise that of the whole run."""

    def preempted(*_, **__):
        raise TrainingPreemptedError("asked to end (SIGTERM) in epoch 1; kept")

    run, words = tmp_path / "run", [*VIT, *SHORT, "--drop-tokens"]
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(images, "fit_sop", preempted)
        train("--data", blinks, "--out", run, *words)
    main(["train", "--resume", str(run)])
    models = [folder / "model.safetensors" for folder in (run, vit_run[0])]
    assert models[0].read_bytes() == models[1].read_bytes()


# What is said -> the words of the command besides train, --model, --data and --out.
BAD = {
    "channels is for another backbone than vit": [*VIT, "--channels", "4", "8"],
    "hidden is for another backbone than vit": [*VIT, "--hidden", "8"],
    "depth is for another backbone than vit": [*VIT, "--depth", "2"],
    "kernel is for another backbone than vit": [*VIT, "--kernel", "5"],
    "vit_patch is for another backbone than cnn": ["--vit-patch", "2"],
    "vit_depth is for another": ["--backbone", "cnn", "--vit-depth", "2"],
    "drop_tokens is for another backbone than cnn": ["--drop-tokens"],
    "vit_heads is for a backbone to train": ["--backbone", "RUN", "--vit-heads", "2"],
    "drop_tokens is for a backbone to train": ["--backbone", "RUN", "--drop-tokens"],
    "vit_patch is 5, expected a side": [*VIT, "--vit-patch", "5"],
    "vit_patch is 8, expected a side": [*VIT, "--vit-patch", "8"],
    "vit_patch is 0": [*VIT, "--vit-patch", "0"],
    "vit_depth is 0": ["--backbone", "vit", "--vit-depth", "0"],
    "vit_width is 9, expected a multiple": ["--backbone", "vit", "--vit-width", "9"],
    "grid is (8, 8), expected that of": [*VIT, "--drop-tokens", "--grid", "8", "8"],
    "mask is 'sparse', expected 'hard'": [*VIT, "--drop-tokens", "--mask", "sparse"],
    "ViT does not exist": ["--backbone", "ViT"],
}


@pytest.mark.parametrize("words", BAD)
def test_bad_options_are_one_line(words, blinks, tmp_path, capsys):
    saved = tmp_path / "backbone"
    naejax.save(saved, wrap(False).backbone)
    asked = [saved if word == "RUN" else word for word in BAD[words]]
    start = ["train", "--model", "sop", "--data", blinks, "--out", tmp_path / "run"]
    assert words in fails([*start, *asked], capsys)
    assert list(tmp_path.iterdir()) == [saved]  # nothing half-made


@pytest.mark.parametrize(
    "options",
    [
        {"grid": (8, 8)},
        {"mask": "sparse"},
        {"encoder": "patches"},
        {"encoder": "shared"},
        {"drop_tokens": True, "encoder": "patches"},
        {"drop_tokens": True, "finetune": "head"},
    ],
)
def test_every_way_of_sum_of_parts_fits_a_vit(options):
    digits = load_images("digits", rows=60)
    settings = SOPSettings(
        backbone="vit", vit_width=8, vit_depth=1, vit_heads=2, num_groups=4, **options
    )
    chosen = _chosen(digits, settings)
    grid = _grid(build_network(chosen, 10), digits, chosen)
    own = (4, 4) if settings.drop_tokens else (8, 8)
    assert grid == own


@pytest.mark.optimised
def test_a_vit_learns_digits_and_sum_of_parts_follows():
    """Measured: 0.983 and 0.899 of the test images; chance is 0.1."""
    digits = load_images("digits")
    settings = SOPSettings(
        backbone="vit", drop_tokens=True, backbone_epochs=60, patience=60, epochs=6
    )
    backbone, _ = fit_backbone(digits, settings, devices=1, progress=False)
    fitted, _ = fit_sop(digits, backbone, settings, devices=1, progress=False)
    scores = evaluate_images(fitted, digits.test, num_curves=0)
    assert scores["backbone"]["accuracy"] > 0.95
    assert scores["sop"]["accuracy"] > 0.85
