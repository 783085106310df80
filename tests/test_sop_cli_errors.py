"""The mistakes users make with images: one line each, exit status 2."""

import shutil

import numpy as np
import pytest

from naejax.cli import main

pytestmark = pytest.mark.slow


def fails(arguments, capsys):
    """Runs a command that must fail; returns its last line."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert error.count("\n") == 1 and error.startswith("naejax: error: "), error
    return error


SOP = ["--model", "sop"]
# What is said -> the words of the command besides train and --out.
BAD_TRAINING = {
    "'shapes'": [*SOP, "--data", "shape"],
    "--model is 'sopp'": ["--model", "sopp", "--data", "DRAWN"],
    "pass --model sop": ["--data", "DRAWN"],
    "shapes holds images": ["--data", "shapes"],
    "wine is a table": [*SOP, "--data", "wine"],
    "x.csv is a table": [*SOP, "--data", "x.csv"],
    "nowhere.npz": [*SOP, "--data", "nowhere.npz"],
    "--num-experts is for --model nae": [*SOP, "--data", "DRAWN", "--num-experts", "4"],
    "--keep is for --model sop": ["--data", "wine", "--keep", "0.5"],
    "--target, --task, --categories": [*SOP, "--data", "DRAWN", "--target", "y"],
    "keep is 0.0": [*SOP, "--data", "DRAWN", "--keep", "0"],
    "keep is 2.0": [*SOP, "--data", "DRAWN", "--keep", "2"],
    "keeps none": [*SOP, "--data", "DRAWN", "--keep", "0.001"],
    "num_groups is 9999": [*SOP, "--data", "DRAWN", "--num-groups", "9999"],
    "num_groups is 0": [*SOP, "--data", "DRAWN", "--num-groups", "0"],
    "heads is 0": [*SOP, "--data", "DRAWN", "--heads", "0"],
    "blur of size 2": [*SOP, "--data", "DRAWN", "--blur", "2"],
    "epochs is 0": [*SOP, "--data", "DRAWN", "--epochs", "0"],
    "backbone_epochs is 0": [*SOP, "--data", "DRAWN", "--backbone-epochs", "0"],
    "batch_size is 0": [*SOP, "--data", "DRAWN", "--batch-size", "0"],
    "mask_rate is 1.5": [*SOP, "--data", "DRAWN", "--mask-rate", "1.5"],
    "got 6 channels": [*SOP, "--data", "DRAWN", "--channels", *"444444"],
    "got 1 channels": [*SOP, "--data", "DRAWN", "--channels", "4"],
    "channels is (4, 0)": [*SOP, "--data", "DRAWN", "--channels", "4", "0"],
    "grid is (99, 4)": [*SOP, "--data", "DRAWN", "--grid", "99", "4"],
    "nowhere does not exist": [*SOP, "--data", "DRAWN", "--backbone", "nowhere"],
    "not a model that naejax saved": [*SOP, "--data", "DRAWN", "--backbone", "DRAWN"],
    "model of type TabularNAE": [*SOP, "--data", "DRAWN", "--backbone", "TABLE"],
    "got images of 8 x 8 x 1": [*SOP, "--data", "digits", "--backbone", "RUN"],
    "depth is for a backbone to train": [
        *SOP, "--data", "DRAWN", "--backbone", "RUN", "--depth", "2"
    ],
}  # fmt: skip


@pytest.mark.parametrize("words", BAD_TRAINING)
def test_bad_training_is_one_line(words, drawn, sop_run, run, tmp_path, capsys):
    paths = {"DRAWN": drawn, "RUN": sop_run, "TABLE": run / "model.safetensors"}
    arguments = [paths.get(word, word) for word in BAD_TRAINING[words]]
    error = fails(["train", *arguments, "--out", tmp_path / "run"], capsys)
    assert words in error
    assert not list(tmp_path.iterdir())  # nothing half-made


IMAGES = np.zeros((20, 16, 16, 3), np.float32)
CLASSES = np.arange(20) % 2
BAD_FILES = {
    "expected the arrays x and y": {"y": CLASSES},
    "add y": {"x": IMAGES},
    "got x of shape (20, 16)": {"x": IMAGES[:, :, 0, 0], "y": CLASSES},
    "expected 20 rows": {"x": IMAGES, "y": CLASSES[:7]},
    "NaN or infinite": {"x": IMAGES + np.nan, "y": CLASSES},
    "at least 10": {"x": IMAGES[:5], "y": CLASSES[:5]},
    "expected at least two": {"x": IMAGES, "y": 0 * CLASSES},
    "the same in all training images": {"x": IMAGES, "y": 0.5 + 0 * IMAGES[:, 0, 0]},
    "got parts of type": {"x": IMAGES, "y": CLASSES, "parts": IMAGES},
}


@pytest.mark.parametrize("words", BAD_FILES)
def test_bad_files_are_one_line(words, tmp_path, capsys):
    path = tmp_path / "images.npz"
    np.savez(path, **BAD_FILES[words])
    arguments = ["train", *SOP, "--data", path, "--out", tmp_path / "run"]
    assert words in fails(arguments, capsys)
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_run_is_kept(sop_run, drawn, capsys):
    before = (sop_run / "model.safetensors").read_bytes()
    arguments = ["train", *SOP, "--data", drawn, "--out", sop_run]
    assert "--overwrite" in fails(arguments, capsys)
    assert (sop_run / "model.safetensors").read_bytes() == before


def test_a_backbone_of_other_classes_is_refused(sop_run, tmp_path, capsys):
    path = tmp_path / "other.npz"
    np.savez(path, x=IMAGES, y=CLASSES)
    arguments = ["train", *SOP, "--data", path, "--backbone", sop_run]
    error = fails([*arguments, "--out", tmp_path / "run"], capsys)
    assert "the backbone predicts disc, cross; " in error and "has 0; 1" in error


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"y": CLASSES}, "expected the array x"),
        ({"x": IMAGES[:, :8]}, "got images of 8 x 16 x 3"),
        ({"x": IMAGES[..., :1]}, "the model was trained on 16 x 16 x 3"),
        ({"x": IMAGES[:0]}, "none of them 0"),
        ({"x": IMAGES[0, 0, 0, 0]}, "got x of shape ()"),
        ({"x": IMAGES + np.inf}, "NaN or infinite"),
    ],
)
def test_bad_images_to_predict_are_one_line(sop_run, tmp_path, capsys, arrays, words):
    path, out = tmp_path / "images.npz", tmp_path / "out.csv"
    np.savez(path, **arrays)
    assert words in fails(["predict", sop_run, "--data", path, "--out", out], capsys)
    assert not out.exists()


def test_rows_and_images_are_not_mixed_up(sop_run, run, drawn, homes, tmp_path, capsys):
    out = ["--out", tmp_path / "out.csv"]
    error = fails(["predict", run, "--data", drawn, *out], capsys)
    assert "the run is on a table" in error
    error = fails(["predict", sop_run, "--data", homes, *out], capsys)
    assert ".npz file" in error
    error = fails(["predict", sop_run, "--data", "digits", *out], capsys)
    assert "got images of 8 x 8 x 1" in error


def test_damaged_models_are_one_line(sop_run, drawn, tmp_path, capsys):
    damaged = tmp_path / "damaged"
    shutil.copytree(sop_run, damaged)
    model = damaged / "model.safetensors"
    whole = model.read_bytes()
    arguments = ["predict", damaged, "--data", drawn, "--out", tmp_path / "out.csv"]
    for content in (whole[: len(whole) // 2], b"garbage", b""):
        model.write_bytes(content)
        assert "not a model that naejax saved" in fails(arguments, capsys)
    shutil.copy(sop_run / "backbone.safetensors", model)
    assert "holds a model of type ImageBackbone, expected" in fails(arguments, capsys)


def test_diverging_training_is_one_line_after_the_bar(drawn, tmp_path, capsys):
    words = ["train", *SOP, "--data", drawn, "--out", tmp_path / "run"]
    words += ["--learning-rate", "1e30", "--channels", "4", "8", "--hidden", "8"]
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in [*words, "--backbone-epochs", "1"]])
    last = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 2 and last.startswith("naejax: error: ")
    assert "lower the learning rate" in last and not list(tmp_path.iterdir())
