"""Prediction whose result for a row does not depend on the rows beside it."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import ScopeParamShapeError
from jax.typing import ArrayLike


@partial(jax.jit, static_argnums=0)
def _apply(model: nn.Module, variables, x):
    return model.apply(variables, x)


@partial(jax.jit, static_argnums=0)
def _apply_scores(model: nn.Module, variables, x):
    return _apply(model, variables, x).prediction


def predict(
    model: nn.Module, variables, x: ArrayLike, *, chunk_rows: int | None = None
) -> Any:
    """Applies a model to any number of rows, in chunks of one fixed size.

    The last chunk is padded, so one program is compiled, memory is bounded, and a
    row's result is bitwise the same alone, permuted or among others.

    Args:
        model: a module whose ``apply`` returns a NamedTuple of arrays.
        variables: its variables.
        x: rows, (N, F), or examples (N, H, W, channels), (N, L, ...).
        chunk_rows: rows per chunk, of tables rounded up to a multiple of 16; None: the
            model's own ``chunk_rows``, else 512.

    Returns:
        The model's output for the N rows, as numpy arrays.

    Raises:
        ValueError: if `x` has fewer than two axes, no rows, or examples of another
            shape than the variables.

    Example:
        >>> import jax, numpy as np
        >>> from naejax import NAE
        >>> model, x = NAE(num_experts=4, hidden=(8,)), np.ones((3, 2), np.float32)
        >>> variables = model.init(jax.random.key(0), x)
        >>> predict(model, variables, x).prediction.shape
        (3, 1)
    """
    x = np.asarray(x, np.float32)
    chunks = _map_rows(partial(_apply, model, variables), model, x, chunk_rows)
    parts = {
        name: getattr(chunks[0], name)
        if name == "bias"
        else np.concatenate([getattr(chunk, name) for chunk in chunks])[: len(x)]
        for name in chunks[0]._fields
    }
    return type(chunks[0])(**parts)


def predict_scores(
    model: nn.Module, variables, x: ArrayLike, *, chunk_rows: int | None = None
) -> np.ndarray:
    """The prediction of `predict` alone, without memory for its parts.

    Args:
        model: as for `predict`.
        variables: its variables.
        x: rows or examples.
        chunk_rows: rows per chunk.

    Returns:
        Scores, (N, C).

    Raises:
        ValueError: as `predict`.

    Example:
        >>> import jax, numpy as np
        >>> from naejax import NAE
        >>> model, x = NAE(num_experts=4, hidden=(8,)), np.ones((3, 2), np.float32)
        >>> variables = model.init(jax.random.key(0), x)
        >>> predict_scores(model, variables, x).shape
        (3, 1)
    """
    x = np.asarray(x, np.float32)
    apply = partial(_apply_scores, model, variables)
    return np.concatenate(_map_rows(apply, model, x, chunk_rows))[: len(x)]


@contextlib.contextmanager
def naming_shapes(shape: tuple[int, ...]) -> Iterator[None]:
    """Turns Flax's complaint about parameters into one about the examples.

    Args:
        shape: of the examples, (N, ...).

    Raises:
        ValueError: when a module finds parameters of another shape than it wants.

    Example:
        >>> with naming_shapes((2, 5)):
        ...     print("all fits")
        all fits
    """
    try:
        yield
    except (ScopeParamShapeError, ValueError) as error:
        # What a module mapped over features says of too many or too few of them.
        of_features = str(error).startswith("Inconsistent batch axis sizes")
        if not isinstance(error, ScopeParamShapeError) and not of_features:
            raise
        raise ValueError(
            f"x has shape {shape}, which does not fit the variables: pass examples of "
            "the shape that they were made for, with an axis of examples in front"
        ) from error


def _map_rows(
    apply: Callable[[Any], Any], model: nn.Module, x: np.ndarray, chunk_rows: int | None
) -> list[Any]:
    """The outputs for all rows, in chunks of one size, as numpy arrays."""
    if x.ndim < 2 or len(x) == 0:
        raise ValueError(
            f"x has shape {x.shape}, expected (rows, features), or (rows, height, "
            "width, channels), with at least one row"
        )
    if chunk_rows is None:
        chunk_rows = getattr(model, "chunk_rows", 512)
    if x.ndim == 2:
        # CPUs work on up to 16 floats at once, and sum what is left over in other ways.
        chunk_rows += -chunk_rows % 16
    chunks = []
    for start in range(0, len(x), chunk_rows):
        rows = x[start : start + chunk_rows]
        pads = [(0, chunk_rows - len(rows)), *[(0, 0)] * (x.ndim - 1)]
        with naming_shapes(x.shape):
            output = apply(jnp.asarray(np.pad(rows, pads)))
        chunks.append(jax.tree.map(np.asarray, output))
    return chunks
