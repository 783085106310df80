"""Running a function over many examples in chunks, so that memory stays bounded."""

from collections.abc import Callable
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp


def must_unroll(body: jax.extend.core.ClosedJaxpr) -> bool:
    """Whether a loop over a program should not be a device loop.

    On CPUs, XLA runs convolutions inside ``scan`` and ``map`` about ten times slower
    than outside.

    Args:
        body: the traced body of the loop, or the traced loop.

    Returns:
        True for a program that convolves, on a CPU.

    Example:
        >>> import jax.numpy as jnp
        >>> must_unroll(jax.make_jaxpr(jnp.sin)(1.0))
        False
    """
    return jax.default_backend() == "cpu" and "conv_general_dilated" in str(body)


def map_chunks(
    function: Callable[[Any], Any], items: Any, size: int, unroll: bool
) -> Any:
    """Applies a batched function to chunks of at most ``size`` items, one by one.

    Args:
        function: maps a pytree of arrays (n, ...) to a pytree of arrays (n, ...), for
            any n.
        items: pytree of arrays (N, ...).
        size: most items of one chunk.
        unroll: write the chunks one after the other instead of a device loop.

    Returns:
        What the function gives for all N items at once.

    Example:
        >>> import jax.numpy as jnp
        >>> map_chunks(lambda x: 2 * x, jnp.arange(5), size=2, unroll=False).tolist()
        [0, 2, 4, 6, 8]
    """
    count = len(jax.tree.leaves(items)[0])
    if count <= size:
        return function(items)
    whole = count // size * size
    if unroll:
        results = [function(_cut(items, 0, size))]
        for start in range(size, count, size):
            chunk = _cut(items, start, start + size)
            results.append(function(_after(chunk, results[-1])))
    else:
        folded = jax.tree.map(
            lambda a: a[:whole].reshape(-1, size, *a.shape[1:]), items
        )
        mapped = jax.lax.map(function, folded)
        results = [jax.tree.map(lambda a: a.reshape(whole, *a.shape[2:]), mapped)]
        if whole < count:
            results.append(function(_cut(items, whole, count)))
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *results)


def _after(items: Any, results: Any) -> Any:
    """The same items, but known only when the results are.

    Without the tie XLA may run the first layer of every chunk before the second of any,
    and hold them all; on CPUs it drops barriers before it orders the work.
    """
    never = jax.tree.leaves(results)[0].ravel()[0] > jnp.inf
    return jax.tree.map(lambda a: a + never.astype(a.dtype), items)


def _cut(items: Any, start: int, stop: int) -> Any:
    """A slice of every array."""
    return jax.tree.map(lambda a: a[start:stop], items)
