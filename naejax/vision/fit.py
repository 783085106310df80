"""Training on images: first a backbone that knows masked images, then Sum-of-Parts."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from naejax.data.images import ImageDataset, Images
from naejax.models.masking import PatchMasked
from naejax.models.sop import SumOfParts
from naejax.settings import SOPSettings
from naejax.train.checkpoint import Checkpoints
from naejax.train.loop import fit
from naejax.train.processes import own_part
from naejax.train.result import FitResult
from naejax.vision.fitted import ImageBackbone, ImageSOP, check_shape
from naejax.vision.networks import (
    Network,
    build_network,
    check_network,
    head_layers,
    image_backbone,
    mask_grid,
    settings_like,
    usual_grid,
)

_AT_LEAST_ONE = (
    "epochs",
    "backbone_epochs",
    "batch_size",
    "patience",
    "channels",
    "hidden",
    "depth",
    "kernel",
    "vit_patch",
    "vit_width",
    "vit_depth",
    "vit_heads",
)


def fit_backbone(
    dataset: ImageDataset,
    settings: SOPSettings,
    *,
    devices: int | None = None,
    checkpoints: Checkpoints | None = None,
    seed: int = 0,
    progress: bool = True,
) -> tuple[ImageBackbone, FitResult]:
    """Trains a CNN or a ViT on images, some of them masked by random patches.

    Args:
        dataset: images; the validation images pick the best epoch.
        settings: how to build and train it; what is None is chosen by
            `SOPSettings.for_images`.
        devices: see `naejax.fit`.
        checkpoints: likewise.
        seed: of the initial parameters, the shuffling and the masks.
        progress: whether to show a progress bar.

    Returns:
        The backbone and the history of training.

    Raises:
        ValueError: if the settings do not suit the images.

    Example:
        >>> from naejax.data import load_images
        >>> settings = SOPSettings(backbone_epochs=1, channels=(4, 8))
        >>> digits = load_images("digits", rows=100)
        >>> backbone, _ = fit_backbone(digits, settings, progress=False)
        >>> backbone.shape, backbone.classes[:3]
        ((8, 8, 1), ('0', '1', '2'))
    """
    chosen = _chosen(dataset, settings)
    network = build_network(chosen, len(dataset.classes or dataset.targets))
    # Before anything is trained, so that a mistake does not cost an hour.
    grid = _grid(network, dataset, chosen)
    centre, spread = _target_scale(dataset)
    x = dataset.training.x
    patches = mask_grid(chosen, grid, *x.shape[1:3])
    model = PatchMasked(network, patches, chosen.mask_rate)
    # Compiled: initialising one operation at a time takes seconds.
    variables = jax.jit(model.init)(jax.random.key(seed), x[:1])
    backbone = ImageBackbone(
        model=network,
        variables={"params": variables["params"]["model"]},
        shape=_shape(dataset),
        classes=dataset.classes,
        targets=dataset.targets,
        centre=tuple(map(float, centre)),
        spread=tuple(map(float, spread)),
    )
    result = fit(
        model,
        variables,
        own_part(_pairs(backbone, dataset.training)),
        loss=_loss(backbone),
        optimizer=chosen.learning_rate,
        weight_decay=chosen.weight_decay,
        epochs=chosen.backbone_epochs,
        batch_size=chosen.batch_size,
        seed=seed,
        validation=own_part(_pairs(backbone, dataset.validation)),
        patience=chosen.patience,
        devices=devices,
        checkpoints=checkpoints,
        progress=progress,
    )
    params = {"params": result.variables["params"]["model"]}
    return replace(backbone, variables=params), result


def fit_sop(
    dataset: ImageDataset,
    backbone: ImageBackbone,
    settings: SOPSettings,
    *,
    devices: int | None = None,
    checkpoints: Checkpoints | None = None,
    seed: int = 0,
    progress: bool = True,
) -> tuple[ImageSOP, FitResult]:
    """Trains Sum-of-Parts around a backbone, which stays as it is.

    Args:
        dataset: images; the validation images pick the best epoch.
        backbone: trained on images of the same size and with the same outputs.
        settings: how to build and train it; what is None is chosen by
            `SOPSettings.for_images`.
        devices: see `naejax.fit`.
        checkpoints: likewise.
        seed: of the initial parameters and the shuffling.
        progress: whether to show a progress bar.

    Returns:
        The fitted model and the history of training.

    Raises:
        ValueError: if the settings or the backbone do not suit the images.

    Example:
        >>> from naejax.data import load_images
        >>> from naejax.models.cnn import CNN
        >>> digits, cnn = load_images("digits", rows=100), CNN(10, channels=(4, 8))
        >>> variables = cnn.init(jax.random.key(0), digits.test.x)
        >>> backbone = ImageBackbone(cnn, variables, (8, 8, 1), digits.classes, (),
        ...                          (0.0,) * 10, (1.0,) * 10)
        >>> settings = SOPSettings(num_groups=4, epochs=1)
        >>> fitted, _ = fit_sop(digits, backbone, settings, progress=False)
        >>> fitted.model.num_groups, fitted.model.keep
        (4, 0.25)
    """
    _check_backbone(backbone, dataset)
    chosen = _chosen(dataset, settings_like(backbone.model, settings))
    model = _sum_of_parts(backbone.model, backbone.variables, chosen)
    x = dataset.training.x
    variables = jax.jit(model.init)(jax.random.key(seed), x[:1])
    result = fit(
        model,
        variables,
        own_part(_pairs(backbone, dataset.training)),
        loss=_loss(backbone),
        optimizer=chosen.learning_rate,
        weight_decay=chosen.weight_decay,
        epochs=chosen.epochs,
        batch_size=chosen.batch_size,
        seed=seed,
        penalties={
            name: getattr(chosen, name)
            for name in ("coverage", "diversity")
            if getattr(chosen, name) > 0
        },
        validation=own_part(_pairs(backbone, dataset.validation)),
        patience=chosen.patience,
        devices=devices,
        checkpoints=checkpoints,
        progress=progress,
    )
    return ImageSOP(model, result.variables, backbone), result


def _check_backbone(backbone: ImageBackbone, dataset: ImageDataset) -> None:
    """Refuses a backbone that was trained on other images."""
    check_shape(backbone, dataset.training.x)
    if (backbone.classes, backbone.targets) != (dataset.classes, dataset.targets):
        trained = "; ".join(backbone.classes or backbone.targets)
        wanted = "; ".join(dataset.classes or dataset.targets)
        raise ValueError(
            f"the backbone predicts {trained}, {dataset.name} has {wanted}; train a "
            "backbone on these images"
        )


def _chosen(dataset: ImageDataset, settings: SOPSettings) -> Any:
    """Settings for these images, checked; the grid too, where it is free."""
    count, height, width, _ = dataset.training.x.shape
    chosen: Any = settings.for_images(count, height, width)
    if not 0 <= chosen.mask_rate <= 1:
        raise ValueError(f"mask_rate is {chosen.mask_rate}, expected a share in [0, 1]")
    for name in _AT_LEAST_ONE:
        value = getattr(chosen, name)
        if value is not None and np.any(np.asarray(value) < 1):
            raise ValueError(f"{name} is {value}, expected at least 1")
    check_network(chosen, height, width)
    if chosen.grid is not None and (
        chosen.encoder == "patches"
        or not 1 <= chosen.grid[0] <= height
        or not 1 <= chosen.grid[1] <= width
    ):
        raise ValueError(
            f"grid is {chosen.grid} with encoder {chosen.encoder!r}, expected 1 part "
            f"to all {height} x {width} pixels along each axis, and encoder shared or "
            "copy; leave it out to take the features' own grid"
        )
    if chosen.grid is None and chosen.encoder != "patches":
        chosen = replace(chosen, grid=usual_grid(chosen, height, width))
    if chosen.finetune == "auto":
        chosen = replace(chosen, finetune="none" if dataset.classes else "head")
    return chosen


def _sum_of_parts(network: Network, variables: Any, chosen: Any) -> SumOfParts:
    """The module around a backbone."""
    tuned = chosen.finetune != "none"
    return SumOfParts(
        image_backbone(network, variables),
        num_outputs=network.num_outputs,
        num_groups=chosen.num_groups,
        keep=chosen.keep,
        heads=chosen.heads,
        mask=chosen.mask,
        scale=chosen.group_scale,
        encoder=chosen.encoder,
        patch=chosen.vit_patch if chosen.drop_tokens else None,
        standardise=chosen.standardise,
        grid=chosen.grid,
        finetune=head_layers(network, variables) if tuned else (),
        generator_scale=chosen.generator_scale,
        selector_scale=chosen.selector_scale,
        blur=chosen.blur,
        blur_sigma=chosen.blur_sigma,
    )


def _grid(network: Network, dataset: ImageDataset, chosen: Any) -> tuple[int, ...]:
    """Parts along each axis; on the way all that does not fit together is refused."""

    def outputs(key: jax.Array, x: np.ndarray) -> Any:
        variables = network.init(key, x)
        return _sum_of_parts(network, variables, chosen).init_with_output(key, x)[0]

    shapes = jax.eval_shape(outputs, jax.random.key(0), dataset.training.x[:1])
    return shapes.attention.shape[2:]


def _shape(dataset: ImageDataset) -> tuple[int, int, int]:
    """Height, width and channels."""
    height, width, channels = dataset.training.x.shape[1:]
    return height, width, channels


def _target_scale(dataset: ImageDataset) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every output in the training images."""
    if dataset.classes:
        return np.zeros(len(dataset.classes)), np.ones(len(dataset.classes))
    values = np.asarray(dataset.training.target, np.float64)
    spread = values.std(axis=0)
    if not spread.all():
        name = dataset.targets[int(spread.argmin())]
        raise ValueError(
            f"target {name!r} is the same in all training images, so there is nothing "
            "to learn; drop it"
        )
    return values.mean(axis=0), spread


def _pairs(backbone: ImageBackbone, images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Images and targets as the loss expects them."""
    if backbone.classes:
        return images.x, images.target
    centre, spread = backbone.target_scale
    return images.x, (images.target - centre) / spread


def _loss(backbone: ImageBackbone) -> str:
    """Name of the loss."""
    return "softmax_cross_entropy" if backbone.classes else "squared"
