"""Fitted models of images, and what their outputs mean."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from naejax.evaluation import log_probabilities
from naejax.explain.groups import group_attributions
from naejax.models.masking import PatchMasked
from naejax.models.predict import predict
from naejax.models.sop import SumOfParts
from naejax.types import Numbers, SOPOutput
from naejax.vision.networks import Network

_CHUNK = 64


@dataclass(frozen=True, eq=False)
class ImageBackbone:
    """A trained CNN or ViT with all that is needed to use it on images.

    Attributes:
        model: the module.
        variables: its variables.
        shape: (H, W, Ch) of an image.
        classes: names of the C classes; empty for a regression.
        targets: names of the C outputs of a regression; empty for classes.
        centre: mean of each output in the training images; 0 for classes, (C,).
        spread: their standard deviation; 1 for classes, (C,).
    """

    model: Network
    variables: Any
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    targets: tuple[str, ...]
    centre: tuple[float, ...]
    spread: tuple[float, ...]

    @property
    def target_scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Centre and spread, which turn scores into the targets' units, (C,) each."""
        return np.array(self.centre, np.float32), np.array(self.spread, np.float32)


@dataclass(frozen=True, eq=False)
class ImageSOP:
    """A trained Sum-of-Parts model with all that is needed to use it on images.

    Attributes:
        model: the module.
        variables: its variables; the backbone's are among them.
        backbone: what it is built around.
    """

    model: SumOfParts
    variables: Any
    backbone: ImageBackbone


def score_images(
    backbone: ImageBackbone, x: Float[Numbers, "N H W Ch"]
) -> Float[np.ndarray, "N C"]:
    """The backbone's scores of images.

    Args:
        backbone: a fitted backbone.
        x: images, 0 where they are masked.

    Returns:
        Log-odds of the classes, or values in the targets' units, (N, C).

    Raises:
        ValueError: if the images have another size than those it was trained on.

    Example:
        >>> import jax
        >>> from naejax.models.cnn import CNN
        >>> cnn, x = CNN(2, channels=(4, 4)), np.ones((3, 8, 8, 1), np.float32)
        >>> variables = cnn.init(jax.random.key(0), x)
        >>> backbone = ImageBackbone(cnn, variables, (8, 8, 1), ("a", "b"), (),
        ...                          (0.0, 0.0), (1.0, 1.0))
        >>> score_images(backbone, x).shape
        (3, 2)
    """
    check_shape(backbone, x)
    # In prediction nothing is masked; a backbone's inner maps would take memory.
    model = PatchMasked(backbone.model, grid=(1, 1), rate=0.0)
    params = {"model": backbone.variables["params"]}
    output = predict(model, {"params": params}, x, chunk_rows=_CHUNK)
    centre, spread = backbone.target_scale
    return np.asarray(centre + spread * output.prediction)


def explain_images(fitted: ImageSOP, x: Float[Numbers, "N H W Ch"]) -> SOPOutput:
    """Prediction and its parts for images.

    For classes all is in log-odds. For a regression contributions are in the targets'
    units and the bias is the mean of the training images, so that again
    ``prediction = bias + contributions.sum(axis=1)``.

    Args:
        fitted: a fitted model.
        x: images.

    Returns:
        The output for the N images, as numpy arrays.

    Raises:
        ValueError: if the images have another size than those it was trained on.

    Example:
        >>> import jax
        >>> from naejax.models.cnn import CNN, cnn_backbone
        >>> cnn, x = CNN(2, channels=(4, 4)), np.ones((3, 8, 8, 1), np.float32)
        >>> variables = cnn.init(jax.random.key(0), x)
        >>> backbone = ImageBackbone(cnn, variables, (8, 8, 1), ("a", "b"), (),
        ...                          (0.0, 0.0), (1.0, 1.0))
        >>> model = SumOfParts(cnn_backbone(cnn, variables), 2, num_groups=2)
        >>> variables = jax.jit(model.init)(jax.random.key(0), x)
        >>> fitted = ImageSOP(model, variables, backbone)
        >>> explain_images(fitted, x).contributions.shape
        (3, 2, 2)
    """
    check_shape(fitted.backbone, x)
    output: Any = predict(fitted.model, fitted.variables, x)
    centre, spread = fitted.backbone.target_scale
    return output._replace(
        prediction=centre + spread * output.prediction,
        bias=centre + spread * output.bias,
        contributions=spread * output.contributions,
        group_scores=spread * output.group_scores,
    )


def predict_images(
    fitted: ImageSOP, x: Float[Numbers, "N H W Ch"]
) -> dict[str, np.ndarray]:
    """Predictions of images as named columns, with what each group contributed.

    Args:
        fitted: a fitted model.
        x: images.

    Returns:
        For classes ``prediction`` (the name), ``probability:CLASS``, ``score`` (that of
        the predicted class), ``bias`` and ``contribution:1`` to ``contribution:G``,
        which add up to the score. For a regression ``prediction``, ``bias`` and the
        contributions, which add up to the prediction; with several outputs one of each
        per output, ending in ``:NAME``.

    Raises:
        ValueError: if the images have another size than those it was trained on.

    Example:
        >>> import jax
        >>> from naejax.models.cnn import CNN, cnn_backbone
        >>> cnn, x = CNN(2, channels=(4, 4)), np.ones((3, 8, 8, 1), np.float32)
        >>> variables = cnn.init(jax.random.key(0), x)
        >>> backbone = ImageBackbone(cnn, variables, (8, 8, 1), ("a", "b"), (),
        ...                          (0.0, 0.0), (1.0, 1.0))
        >>> model = SumOfParts(cnn_backbone(cnn, variables), 2, num_groups=2)
        >>> variables = jax.jit(model.init)(jax.random.key(0), x)
        >>> fitted = ImageSOP(model, variables, backbone)
        >>> list(predict_images(fitted, x))[-4:]
        ['score', 'bias', 'contribution:1', 'contribution:2']
    """
    output = explain_images(fitted, x)
    prediction = np.asarray(output.prediction)
    classes, targets = fitted.backbone.classes, fitted.backbone.targets
    if classes:
        probability = np.exp(log_probabilities(prediction))
        label = prediction.argmax(axis=1)
        table = {"prediction": np.array(classes, dtype=object)[label]}
        table |= {f"probability:{c}": probability[:, j] for j, c in enumerate(classes)}
        table["score"] = prediction.max(axis=1)
        return table | _sum_columns(output, label, "")
    table = {}
    for c, name in enumerate(targets):
        suffix = f":{name}" if len(targets) > 1 else ""
        table[f"prediction{suffix}"] = prediction[:, c]
        table |= _sum_columns(output, np.full(len(prediction), c), suffix)
    return table


def check_shape(backbone: ImageBackbone, x: Numbers) -> None:
    """Refuses images of another size than those that a model was trained on.

    Args:
        backbone: of the model.
        x: images, (N, H, W, Ch).

    Raises:
        ValueError: if they differ in height, width or channels.

    Example:
        >>> from naejax.models.cnn import CNN
        >>> backbone = ImageBackbone(CNN(2), {}, (8, 8, 1), ("a", "b"), (), (), ())
        >>> check_shape(backbone, np.zeros((5, 8, 8, 1)))
    """
    if x.shape[1:] != backbone.shape:
        found, wanted = (" x ".join(map(str, s)) for s in (x.shape[1:], backbone.shape))
        raise ValueError(
            f"got images of {found} (height, width, channels), the model was trained "
            f"on {wanted}; resize them, or train a model on them"
        )


def _sum_columns(
    output: SOPOutput, label: np.ndarray, suffix: str
) -> dict[str, np.ndarray]:
    """The bias and the contributions to one output of each image."""
    shares = np.asarray(group_attributions(output, jnp.asarray(label)))
    columns = {f"bias{suffix}": np.asarray(output.bias)[label]}
    return columns | {
        f"contribution:{g + 1}{suffix}": shares[:, g] for g in range(shares.shape[1])
    }
