"""Runs on images: Sum-of-Parts and its backbone in a folder."""

import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from naejax import artifact
from naejax.data.images import ImageDataset, take_images
from naejax.files import write_file
from naejax.runs.distributed import run_folder
from naejax.runs.folder import (
    MODEL_FILE,
    config,
    history_text,
    json_text,
    training_line,
)
from naejax.runs.image_report import (
    count_images,
    describe_images,
    draw_groups,
    score_tables,
)
from naejax.runs.unfinished import unfinished
from naejax.settings import NETWORKS, SOPSettings
from naejax.train.checkpoint import Checkpoints
from naejax.train.result import FitResult
from naejax.vision import (
    ImageBackbone,
    ImageSOP,
    evaluate_images,
    explain_images,
    fit_backbone,
    fit_sop,
)
from naejax.vision.networks import NETWORK_SETTINGS, settings_like

BACKBONE_FILE = "backbone.safetensors"
_CALLED = {"cnn": "CNN", "vit": "ViT"}
_DRAWN, _LOOKED_AT = 6, 500


class _Phase(NamedTuple):
    """One training and how long it took, with everything around it."""

    result: FitResult
    seconds: float


def train_image_run(
    dataset: ImageDataset,
    settings: SOPSettings,
    out: str | Path,
    *,
    seed: int = 0,
    overwrite: bool = False,
    resume: bool = False,
    devices: int | None = None,
    checkpoint_seconds: float = 60.0,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Trains a backbone, or loads one, then Sum-of-Parts; leaves a run folder.

    The folder appears when everything in it is written: ``model.safetensors``,
    ``backbone.safetensors``, ``metrics.json``, ``history.csv``, ``config.json`` and
    ``groups.png``. Until then the trainings are kept beside it, see
    `naejax.runs.unfinished`.

    Args:
        dataset: images.
        settings: how to build and train the model.
        out: the run folder.
        seed: of initial parameters, shuffling and random groups.
        overwrite: whether to replace an existing run.
        resume: whether to go on with an unfinished run.
        devices: how many to train on; None: all.
        checkpoint_seconds: least time between two checkpoints.
        progress: whether to show progress bars.
        say: gets the lines to print.

    Raises:
        ValueError: if the images, the settings, the backbone or the folder cannot be
            used.

    Example:
        >>> import tempfile
        >>> from naejax.data import load_images
        >>> out = Path(tempfile.mkdtemp()) / "digits"
        >>> settings = SOPSettings(num_groups=4, epochs=1, backbone_epochs=1,
        ...                        channels=(4, 8))
        >>> train_image_run(load_images("digits", rows=100), settings, out,
        ...                 progress=False, say=lambda line: None)
        >>> (out / "model.safetensors").is_file()
        True
    """
    source = {"data": dataset.name, "model": "sop"}
    how = {"overwrite": overwrite, "devices": devices, "seconds": checkpoint_seconds}
    asked = config(settings, seed, **source, how=how)
    backbone = None
    if settings.backbone not in (None, *NETWORKS):
        backbone = load_backbone(settings.backbone)
        settings = _around(backbone, settings)
    settings = settings.for_images(*dataset.training.x.shape[:3])
    images = f"{len(dataset.training):,} images"
    with (
        unfinished(out, asked, overwrite=overwrite, resume=resume) as kept,
        run_folder(
            out, marker=MODEL_FILE, overwrite=overwrite, within=kept.parent
        ) as folder,
    ):
        say(describe_images(dataset))
        phases: dict[str, _Phase] = {}
        if backbone is None:
            say(f"training the backbone, a {_CALLED[settings.network]}")
            start = time.perf_counter()
            backbone, result = fit_backbone(
                dataset,
                settings,
                devices=devices,
                checkpoints=Checkpoints(kept / "backbone", checkpoint_seconds),
                seed=seed,
                progress=progress,
            )
            phases["backbone"] = _Phase(result, time.perf_counter() - start)
            say(training_line(*phases["backbone"], images))
        else:
            say(f"backbone: {settings.backbone}")
        say("training Sum-of-Parts around it")
        start = time.perf_counter()
        fitted, result = fit_sop(
            dataset,
            backbone,
            settings,
            devices=devices,
            checkpoints=Checkpoints(kept / "sop", checkpoint_seconds),
            seed=seed,
            progress=progress,
        )
        if jax.process_index() > 0:
            return  # The first process writes the folder.
        phases["sop"] = _Phase(result, time.perf_counter() - start)
        say(training_line(*phases["sop"], images))
        scores = evaluate_images(fitted, dataset.test, seed=seed)
        say(score_tables(scores, fitted.model.num_groups))
        artifact.save(folder / MODEL_FILE, fitted)
        artifact.save(folder / BACKBONE_FILE, backbone)
        metrics = {
            "images": count_images(dataset),
            "test": scores,
            "training": {name: _summary(*phase) for name, phase in phases.items()},
        }
        write_file(folder / "metrics.json", json_text(metrics))
        write_file(folder / "history.csv", history_text(_by_phase(phases)))
        write_file(folder / "config.json", json_text(config(settings, seed, **source)))
        names = [MODEL_FILE, BACKBONE_FILE]
        names += ["metrics.json", "history.csv", "config.json"]
        if find_spec("matplotlib"):
            shown = take_images(dataset.test, _examples(dataset.test.target))
            picture = draw_groups(dataset, shown, explain_images(fitted, shown.x))
            write_file(folder / "groups.png", picture)
            names.append("groups.png")
        else:
            say("no groups.png: it needs matplotlib (pip install 'naejax[plot]')")
    say(f"{out}: {', '.join(names)}")


def load_backbone(path: str | Path) -> ImageBackbone:
    """Loads the backbone of a run on images.

    Args:
        path: a run folder, or a file with a backbone or a model around one.

    Returns:
        The backbone.

    Raises:
        ValueError: if there is none.

    Example:
        >>> load_backbone("nowhere/model.safetensors")
        Traceback (most recent call last):
            ...
        ValueError: nowhere/model.safetensors does not exist, expected a model file ...
    """
    path = Path(path)
    fitted = artifact.load(path / BACKBONE_FILE if path.is_dir() else path)
    if isinstance(fitted, ImageSOP):
        return fitted.backbone
    if not isinstance(fitted, ImageBackbone):
        raise ValueError(
            f"{path} holds a model of type {type(fitted).__name__}, expected a "
            "backbone of images; give a run folder of --model sop"
        )
    return fitted


def _around(backbone: ImageBackbone, settings: SOPSettings) -> SOPSettings:
    """Settings that say what the loaded backbone is; others for it are refused."""
    usual = SOPSettings()
    for name in (*NETWORK_SETTINGS, "backbone_epochs", "mask_rate"):
        if getattr(settings, name) != getattr(usual, name):
            raise ValueError(
                f"{name} is for a backbone to train, but {settings.backbone} is a "
                "trained one; leave out one of the two"
            )
    return settings_like(backbone.model, settings)


def _examples(target: np.ndarray) -> np.ndarray:
    """Indices of a few examples; of classes the first of each, then the second."""
    target = target[:_LOOKED_AT]
    if target.ndim == 1:
        place = [np.count_nonzero(target[:i] == c) for i, c in enumerate(target)]
        return np.argsort(place, kind="stable")[:_DRAWN]
    return np.arange(len(target))[:_DRAWN]


def _summary(result: FitResult, seconds: float) -> dict[str, Any]:
    """How one training went."""
    return {
        "best_epoch": result.best_epoch,
        "epochs": len(result.history),
        "stopped": result.stopped,
        "seconds": round(seconds, 2),
    }


def _by_phase(phases: Mapping[str, _Phase]) -> list[dict[str, Any]]:
    """The histories one under the other."""
    return [
        {"phase": name, **row}
        for name, phase in phases.items()
        for row in phase.result.history
    ]
