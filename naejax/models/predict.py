"""Prediction whose result for a row does not depend on the rows beside it."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from naejax.types import NAEOutput


@partial(jax.jit, static_argnums=0)
def _apply(model: nn.Module, variables, x):
    return model.apply(variables, x)


def predict(
    model: nn.Module, variables, x: ArrayLike, *, chunk_rows: int = 512
) -> NAEOutput:
    """Applies a model to any number of rows, in chunks of one fixed size.

    The last chunk is padded, so one program is compiled, memory is bounded, and a
    row's result is bitwise the same alone, permuted or among others.

    Args:
        model: a module whose ``apply`` returns a NamedTuple of arrays.
        variables: its variables.
        x: rows, (N, F).
        chunk_rows: rows per chunk.

    Returns:
        The model's output for the N rows, as numpy arrays.

    Raises:
        ValueError: if `x` is not (N, F) with N >= 1.

    Example:
        >>> import jax, numpy as np
        >>> from naejax import NAE
        >>> model, x = NAE(num_experts=4, hidden=(8,)), np.ones((3, 2), np.float32)
        >>> variables = model.init(jax.random.key(0), x)
        >>> predict(model, variables, x).prediction.shape
        (3, 1)
    """
    x = np.asarray(x, np.float32)
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(
            f"x has shape {x.shape}, expected (rows, features) with at least one row"
        )
    chunks = []
    for start in range(0, len(x), chunk_rows):
        rows = x[start : start + chunk_rows]
        padding = chunk_rows - len(rows)
        output = _apply(
            model, variables, jnp.asarray(np.pad(rows, ((0, padding), (0, 0))))
        )
        chunks.append(jax.tree.map(np.asarray, output))
    parts = {
        name: getattr(chunks[0], name)
        if name == "bias"
        else np.concatenate([getattr(chunk, name) for chunk in chunks])[: len(x)]
        for name in chunks[0]._fields
    }
    return type(chunks[0])(**parts)
