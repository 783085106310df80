"""Experts that only rise, or only fall, with their feature."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from naejax.models.experts import uniform


class MonotoneExperts(nn.Module):
    """One feature's K monotone experts, at its knots: sums of non-negative steps.

    ``e_c(t_j) = s sum_{i<=j} w_ci^2 + b_c`` with the sign ``s``: non-decreasing for
    s = 1, non-increasing for s = -1. A missing value has a number of its own.

    A contribution ``f = sum_c g_c e_c`` is monotone too as long as the gate does not
    see the feature; `naejax.models.nae.NAE` hides it from every gate, so that the whole
    score is.

    Attributes:
        num_experts: K.
        num_outputs: C.
        num_knots: T.
    """

    num_experts: int
    num_outputs: int
    num_knots: int

    @nn.compact
    def __call__(self, sign: Float[Array, ""]) -> Float[Array, "K C slots"]:
        """Proposed contributions at the knots and, last, of a missing value."""
        shape = (self.num_experts, self.num_outputs)
        steps = self.num_knots - 1
        # Squares keep their gradient's scale, so that a jump is learned in few steps.
        roots = self.param("roots", uniform(steps**-0.5), (*shape, steps))
        bias = self.param("bias", uniform(0.1), shape)
        learned = self.param("missing", uniform(0.1), shape)
        rise = jnp.cumsum(jnp.square(roots), axis=-1)
        rise = jnp.concatenate([jnp.zeros((*shape, 1)), rise], axis=-1)
        known = sign * rise + bias[..., None]
        return jnp.concatenate([known, learned[..., None]], axis=-1)
