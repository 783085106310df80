"""Whether a model, its examples and its targets fit together, before any training."""

import functools
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from naejax.models.predict import naming_shapes
from naejax.objectives import losses
from naejax.train.batch import Batch


def check_fit(model: nn.Module, variables: Any, data: Batch, loss: losses.Loss) -> None:
    """Refuses examples of another shape, and classes that the model has no output for.

    Args:
        model: to train.
        variables: its variables.
        data: examples and targets.
        loss: function of scores and targets.

    Raises:
        ValueError: if they do not fit together.

    Example:
        >>> from naejax import NAE
        >>> from naejax.train.batch import make_batch
        >>> model, x = NAE(3, num_experts=2, hidden=(4,)), np.ones((2, 1), np.float32)
        >>> variables = model.init(jax.random.key(0), x)
        >>> data = make_batch(x, [0, 3])
        >>> check_fit(model, variables, data, losses.softmax_cross_entropy)
        Traceback (most recent call last):
        ValueError: the target holds class 3, expected classes from 0 to 2, the ...
    """
    one = jax.ShapeDtypeStruct((1, *data.x.shape[1:]), np.float32)
    with naming_shapes(data.x.shape):
        output: Any = jax.eval_shape(model.apply, variables, one)
    function = loss.func if isinstance(loss, functools.partial) else loss
    target, outputs = data.target, output.prediction.shape[1]
    if function is not losses.softmax_cross_entropy or target.ndim > 1:
        return
    lowest, highest = target.min(), target.max()
    if lowest < 0 or highest >= outputs:
        raise ValueError(
            f"the target holds class {lowest if lowest < 0 else highest}, expected "
            f"classes from 0 to {outputs - 1}, the {outputs} outputs of the model; "
            "number them so, or set num_outputs"
        )
