"""The dtype policy: sums, norms and penalties in float32 at least."""

import jax.numpy as jnp
from jaxtyping import Array

from naejax.types import Numbers


def at_least_float32(values: Numbers) -> Array:
    """The values in float32, or in their own type where that is wider.

    Args:
        values: floating-point array of any shape.

    Returns:
        The same values.

    Example:
        >>> import jax.numpy as jnp
        >>> at_least_float32(jnp.ones(2, jnp.bfloat16)).dtype
        dtype('float32')
    """
    return jnp.asarray(values, jnp.promote_types(values.dtype, jnp.float32))
