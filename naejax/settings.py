"""How to build and train a model, as one flat set of numbers for each family."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

NETWORKS = ("cnn", "vit")
"""Backbones of images that can be trained."""


@dataclass(frozen=True)
class SharedSettings:
    """What both families have; None leaves the choice to the size of the data.

    Attributes:
        hidden: widths of the dense layers, of a feature's encoder or of the CNN; None:
            for tables 64 64, for images 64.
        learning_rate: the highest one.
        weight_decay: of AdamW.
        epochs: passes over the training examples; None: for tables as many as make
            `NAEOptions.steps`, at least 2; for images 3 to 30.
        batch_size: examples per step; None: a sixteenth of them, for tables 32 to 1,024
            and above two million rows a two-thousandth, for images 16 to 32.
        patience: epochs without a better validation loss before training stops; None:
            a third of the epochs, at least 10.
    """

    hidden: tuple[int, ...] | None = None
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    epochs: int | None = None
    batch_size: int | None = None
    patience: int | None = None


@dataclass(frozen=True)
class NAEOptions:
    """What only Neural Additive Experts have, as experiments/choose_defaults.py chose.

    Attributes:
        num_experts: K, experts per feature.
        top_k: k, experts active per feature and row; None: all K.
        gate: how experts are chosen and weighed: context (by the whole row), equal
            (chosen so, weighed alike), own (by the feature alone) or none (all alike).
        gate_rank: rank of the gate's matrix, 0 for a full one.
        dropout: rate of dropout in the encoders.
        expert_dropout: rate at which experts drop out of the choice in training.
        expert_variance: penalty that slides from interactions (0) to a plain additive
            model (large).
        output_energy: penalty on large contributions.
        utilisation: penalty on unevenly used experts.
        concurvity: penalty on correlated contributions.
        num_knots: T, most values of a feature at which its networks run, between which
            rows interpolate; 0: networks run on every row, the paper's model.
        members: S, models trained side by side whose mean predicts.
        bootstrap: whether every member trains on its own draw of rows with replacement.
        averaging: decay of the mean of parameters over steps that predicts; 0: no mean.
        steps: of the training, at most, where epochs is None; two epochs at least.
        monotone: columns and 1 or -1: the score never falls, or never rises, with them.
        loss: name of a loss; None: squared, logistic or softmax_cross_entropy.
        loss_parameter: q of quantile, delta of huber (in the target's unit) or power of
            tweedie; None: its default.
        numeric: quantile (normal quantiles) or standard (mean 0, variance 1).
        categorical: levels (one number per level), target (statistics of the target,
            never of the row's own), or auto: target above 16 levels.
    """

    num_experts: int = 8
    top_k: int | None = None
    gate: Literal["context", "equal", "own", "none"] = "context"
    gate_rank: int = 32
    dropout: float = 0.05
    expert_dropout: float = 0.0
    expert_variance: float = 0.05
    output_energy: float = 0.0
    utilisation: float = 0.0
    concurvity: float = 0.0
    num_knots: int = 64
    members: int = 1
    bootstrap: bool = False
    averaging: float = 0.99
    steps: int = 2000
    monotone: tuple[tuple[str, int], ...] = ()
    loss: str | None = None
    loss_parameter: float | None = None
    numeric: Literal["quantile", "standard"] = "quantile"
    categorical: Literal["auto", "levels", "target"] = "auto"


@dataclass(frozen=True)
class Settings(NAEOptions, SharedSettings):
    """How to build and train Neural Additive Experts on a table.

    See `SharedSettings` and `NAEOptions`.
    """

    learning_rate: float = 3e-3

    def for_rows(self, rows: int) -> "Settings":
        """Fills in what was left to the size of the table, without steps in its size.

        Every training has the same number of steps; batches grow with the rows, to a
        sixteenth of them from 32 to 1,024, and above two million rows to a
        two-thousandth.

        Args:
            rows: number of training rows.

        Returns:
            Settings without None, except the loss.

        Raises:
            ValueError: if there is no step to take.

        Example:
            >>> settings = Settings().for_rows(16_000)
            >>> settings.batch_size, settings.epochs
            (1000, 125)
        """
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}, expected at least 1")
        chosen: dict[str, Any] = {
            "hidden": (64, 64),
            "top_k": self.num_experts,
            "batch_size": int(np.clip(rows // 16, 32, max(1024, rows // self.steps))),
        }
        # Not "or": what cannot be, such as 0 epochs, must reach the training's checks.
        chosen |= {k: getattr(self, k) for k in chosen if getattr(self, k) is not None}
        steps = max(1, rows // max(1, chosen["batch_size"]))
        epochs = max(2, -(-self.steps // steps)) if self.epochs is None else self.epochs
        patience = _patience(self.patience, epochs)
        return replace(self, **chosen, epochs=epochs, patience=patience)


@dataclass(frozen=True)
class SOPOptions:
    """What only Sum-of-Parts has.

    Attributes:
        num_groups: G, groups of parts that run.
        keep: fraction of the parts that a group keeps.
        heads: heads of the group generator.
        mask: hard (parts kept or not) or sparse (parts weighed).
        group_scale: what multiplies a hard group's scores: straight_through (1, with
            the gradient of the kept attention), signed (as published) or none.
        encoder: where the features of parts come from: shared (the backbone's own),
            copy (a trainable copy of the backbone) or patches (an affine map).
        standardise: whether these features get mean 0 and mean square 1 within each
            image (shared and copy).
        grid: parts along each axis; None: twice as many as the features have, and with
            dropped tokens as many.
        generator_scale: factor of the group generator's scores.
        selector_scale: factor of the selector's scores; smaller uses more groups.
        blur: steps of the Gaussian blur of the generator's scores, odd; 1 is none.
            None: 5, and with dropped tokens 1, since patches are coarse as they are.
        blur_sigma: its standard deviation in parts.
        coverage: penalty on parts that no group attends to.
        diversity: penalty on groups that are alike.
        backbone: cnn or vit to train one, a convolutional network or a vision
            transformer; or run folder or file of a trained one. None: cnn.
        backbone_epochs: passes over the training images for the backbone; None: fewer
            for many images, more for a vit.
        mask_rate: share of the backbone's training images that it sees through random
            patches only, so that it knows masked images; 0 is none.
        channels: cnn: of each block, which halves the image; None: 32 64 64 ...,
            down to about 4 pixels.
        depth: cnn: convolutions of a block.
        kernel: cnn: side of the convolutions.
        vit_patch: vit: side of a patch in pixels; None: by images.
        vit_width: vit: width of the states; None: 64.
        vit_depth: vit: number of blocks; None: 4.
        vit_heads: vit: heads of the attention; None: 4.
        drop_tokens: vit: whether patches whose pixels are all 0, such as removed ones,
            are dropped, not seen: groups are then of whole patches, and computing a
            quarter of the patches costs a quarter.
        finetune: whether the backbone's dense layers (head; of a ViT the classifier
            and the norm before it) train along with Sum-of-Parts; auto: for
            regressions, where the average of what groups tell would else shrink
            towards the mean.
    """

    num_groups: int = 20
    keep: float = 0.25
    heads: int = 4
    mask: Literal["hard", "sparse"] = "hard"
    group_scale: Literal["straight_through", "signed", "none"] = "straight_through"
    encoder: Literal["shared", "copy", "patches"] = "copy"
    standardise: bool = True
    grid: tuple[int, int] | None = None
    generator_scale: float = 0.05
    selector_scale: float = 0.3
    blur: int | None = None
    blur_sigma: float = 1.0
    coverage: float = 0.0
    diversity: float = 0.0
    backbone: str | None = None
    backbone_epochs: int | None = None
    mask_rate: float = 0.5
    channels: tuple[int, ...] | None = None
    depth: int = 1
    kernel: int = 3
    vit_patch: int | None = None
    vit_width: int | None = None
    vit_depth: int | None = None
    vit_heads: int | None = None
    drop_tokens: bool = False
    finetune: Literal["auto", "head", "none"] = "auto"


@dataclass(frozen=True)
class SOPSettings(SOPOptions, SharedSettings):
    """How to build and train a backbone and Sum-of-Parts around it, on images.

    See `SharedSettings` and `SOPOptions`.
    """

    @property
    def network(self) -> str:
        """The kind of the backbone, ``cnn`` or ``vit``.

        That of a trained one shows in its settings, once they are known.
        """
        if self.backbone in NETWORKS:
            return self.backbone
        is_vit = self.backbone is not None and self.vit_patch is not None
        return "vit" if is_vit else "cnn"

    def for_images(
        self, rows: int, height: int, width: int | None = None
    ) -> "SOPSettings":
        """Fills in what was left to the number and the size of the images.

        The CNN gets blocks of 32, 64, 64, ... channels that halve the image down to
        about 4 pixels, and one dense layer of 64. The ViT gets four blocks of width 64
        with 4 heads, and patches of at least 2 pixels, about 8 along each axis. The
        CNN sees about 120,000 examples in 5 to 60 epochs, the ViT, which learns
        slower, twice as many; Sum-of-Parts 30,000 in 3 to 30. Batches grow with the
        images from 16 to 32. Patience is a third of the epochs, with a ViT of those of
        the backbone, at least 10.

        Args:
            rows: number of training images.
            height: of an image, in pixels.
            width: likewise; None: the height.

        Returns:
            Settings without None, except the grid, the backbone and the settings of
            another network.

        Example:
            >>> settings = SOPSettings().for_images(10_000, 32)
            >>> settings.channels, settings.epochs, settings.batch_size
            ((32, 64, 64), 3, 32)
        """
        width = height if width is None else width
        slower = 2 if self.network == "vit" else 1
        chosen: dict[str, Any] = {
            "epochs": int(np.clip(30_000 // rows, 3, 30)),
            "blur": 1 if self.drop_tokens else 5,
            "backbone_epochs": slower * int(np.clip(120_000 // rows, 5, 60)),
            "batch_size": int(np.clip(2 ** np.floor(np.log2(rows / 16)), 16, 32)),
        }
        if self.network == "cnn":
            blocks = max(2, round(np.log2(min(height, width) / 4)))
            chosen |= {"hidden": (64,), "channels": (32, *(64,) * (blocks - 1))}
        else:
            chosen |= {
                "vit_patch": _patch(height, width),
                "vit_width": 64,
                "vit_depth": 4,
                "vit_heads": 4,
            }
        chosen |= {k: getattr(self, k) for k in chosen if getattr(self, k) is not None}
        # A ViT stopped early would miss the low learning rates, where it gains most.
        waits = "epochs" if self.network == "cnn" else "backbone_epochs"
        chosen["patience"] = _patience(self.patience, chosen[waits])
        return replace(self, **chosen)


def _patch(height: int, width: int) -> int:
    """The side of patches that cover an image, with about 8 along its shorter side."""
    common, wanted = math.gcd(height, width), min(height, width) / 8
    sides = [side for side in range(2, common + 1) if common % side == 0]
    return min(sides or [1], key=lambda side: (abs(side - wanted), -side))


def _patience(patience: int | None, epochs: int) -> int:
    """Epochs without progress to wait for."""
    return max(10, epochs // 3) if patience is None else patience
