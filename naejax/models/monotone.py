"""Experts that only rise, or only fall, with their feature."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from naejax.models.experts import uniform
from naejax.models.knots import ramps


class MonotoneExperts(nn.Module):
    """One feature's K monotone experts: non-negative sums of ramps.

    ``e_c(x) = s sum_t w_ct^2 ramp_t(x) + b_c`` with the sign ``s``: non-decreasing for
    s = 1, non-increasing for s = -1, constant beyond the outer knots. A missing value
    (NaN) has a learned number per expert.

    A contribution ``f = sum_c g_c e_c`` is monotone too as long as the gate does not
    see the feature; `naejax.models.nae.NAE` hides it from every gate, so that the whole
    score is.

    Attributes:
        num_experts: K.
        num_outputs: C.
    """

    num_experts: int
    num_outputs: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "B"], knots: Float[Array, "T"], sign: Float[Array, ""]
    ) -> Float[Array, "K C B"]:
        """Maps the values ``x`` (B,) to proposed contributions (K, C, B)."""
        shape = (self.num_experts, self.num_outputs)
        steps = len(knots) - 1
        # Squares keep their gradient's scale, so that a jump is learned in few steps.
        roots = self.param("roots", uniform(steps**-0.5), (*shape, steps))
        bias = self.param("bias", uniform(0.1), shape)
        learned = self.param("missing", uniform(0.1), shape)
        missing = jnp.isnan(x)
        up = ramps(jnp.where(missing, 0.0, x), knots)
        rise = jnp.einsum("kct,tb->kcb", jnp.square(roots), up)
        known = sign * rise + bias[..., None]
        return jnp.where(missing, learned[..., None], known)
