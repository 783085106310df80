"""Gates of Neural Additive Experts: which experts speak for a row, and how loudly.

A gate is a router, which turns the features' encodings into logits, and a rule from
`naejax.ops.gating`, which turns logits into weights on the simplex.
"""

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from flax.typing import Dtype
from jaxtyping import Array, Float

from naejax.models.layers import Dense
from naejax.ops import gating
from naejax.ops.precision import at_least_float32

GATES = ("context", "equal", "own", "none")


class Summary(nn.Module):
    """What every feature tells the gates: ``u_i = U_i z_i``, R numbers.

    Attributes:
        rank: R.
        dtype: type of the computation; parameters stay float32.
    """

    rank: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, z: Float[Array, "seen H B"]) -> Float[Array, "seen R B"]:
        """Maps the encodings ``z`` (features seen, H, B) to (features seen, R, B)."""
        init = nn.initializers.glorot_normal((0, 1), 2)
        kernel = self.param("kernel", init, (*z.shape[:2], self.rank))
        z, kernel = promote_dtype(z, kernel, dtype=self.dtype)
        return kernel.swapaxes(1, 2) @ z


class ContextRouter(nn.Module):
    """Logits that see every feature: ``r = sum_i W_i z_i + b``.

    With a rank, ``W_i = V U_i``: ``rank`` numbers summarise the row, so that cost and
    parameters grow with F times rank instead of F squared.

    Attributes:
        num_experts: K.
        rank: size of the summary; None for a full matrix.
        dtype: type of the computation; parameters stay float32.
    """

    num_experts: int
    rank: int | None = None
    dtype: Dtype | None = None

    def setup(self):
        if self.rank is not None:
            self.summary = Summary(self.rank, self.dtype)

    def tell(self, z: Float[Array, "seen H B"]) -> Float[Array, "seen R B"]:
        """What each feature tells: ``U_i z_i`` with a rank, else ``z_i`` itself."""
        return z if self.rank is None else self.summary(z)

    @nn.compact
    def __call__(
        self, told: Float[Array, "*parts B"], num_features: int
    ) -> Float[Array, "F K B"]:
        """Logits (F, K, B) from what was told (features seen, R, B), or its sum."""
        if self.rank is not None and told.ndim == 3:
            told = told.sum(axis=0)
        in_axes = (0, 1) if self.rank is None else 0
        out_axes = (2, 3) if self.rank is None else (1, 2)
        return Dense(
            (num_features, self.num_experts),
            kernel_init=nn.initializers.glorot_normal(in_axes, out_axes),
            dtype=self.dtype,
            name="dense",
        )(told)


class OwnRouter(nn.Module):
    """Logits of ONE feature from its own encoding: ``r_i = W_i z_i + b_i``.

    Attributes:
        num_experts: K.
        dtype: type of the computation; parameters stay float32.
    """

    num_experts: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, z: Float[Array, "H B"]) -> Float[Array, "K B"]:
        """Maps one feature's encoding ``z`` (H, B) to logits (K, B)."""
        return Dense(
            (self.num_experts,),
            kernel_init=nn.initializers.glorot_normal(),
            dtype=self.dtype,
            name="dense",
        )(z)


class Gate(nn.Module):
    """Weights of every feature's experts for every row.

    ===========  ==========================  ======================================
    kind         router                      weights
    ===========  ==========================  ======================================
    ``context``  sees all features           softmax over the ``top_k`` largest
    ``equal``    sees all features           ``1 / top_k`` each, straight through
    ``own``      sees the feature alone      softmax over all; training draws
                                             Gumbel-softmax weights
    ``none``     none                        ``1 / K`` each
    ===========  ==========================  ======================================

    Attributes:
        kind: one of ``GATES``.
        num_experts: K.
        top_k: k, the number of active experts of the first two kinds.
        rank: rank of the router that sees all features; None for a full matrix.
        expert_dropout: rate at which experts drop out of the choice in training.
        dtype: type of the computation; parameters stay float32.
    """

    kind: str
    num_experts: int
    top_k: int
    rank: int | None = None
    expert_dropout: float = 0.0
    dtype: Dtype | None = None

    def setup(self):
        if self.kind in ("context", "equal"):
            self.router: nn.Module = ContextRouter(
                self.num_experts, self.rank, self.dtype
            )
        elif self.kind == "own":
            self.router = nn.vmap(
                OwnRouter, variable_axes={"params": 0}, split_rngs={"params": True}
            )(self.num_experts, self.dtype)

    @property
    def sees_context(self) -> bool:
        """Whether the gates of a feature see the other ones."""
        return self.kind in ("context", "equal")

    def told_size(self, width: int) -> int:
        """R, how many numbers each feature tells, of encodings of a width H."""
        if self.sees_context:
            return self.rank or width
        return self.num_experts if self.kind == "own" else 0

    def tell(self, z: Float[Array, "seen H B"]) -> Float[Array, "seen R B"]:
        """What each feature tells the gates, from its encoding; for ``own`` its logits.

        It is an affine map of each encoding, so that it may be interpolated.
        """
        if self.kind == "none":
            return z[:, :0]
        if self.kind == "own":
            return at_least_float32(self.router(z))
        return self.router.tell(z)

    def logits(
        self, told: Float[Array, "*parts B"], num_features: int
    ) -> Float[Array, "F K B"]:
        """The router's logits (F, K, B) for what features told, or its sum."""
        if self.kind == "own":
            return told
        return at_least_float32(self.router(told, num_features))

    def __call__(
        self, told: Float[Array, "*parts B"], num_features: int, train: bool = False
    ) -> Float[Array, "F K B"]:
        """The weights (F, K, B) for what features told (`tell`)."""
        if self.kind == "none":
            shape = (num_features, self.num_experts, told.shape[-1])
            return jnp.full(shape, 1 / self.num_experts)
        logits = self.logits(told, num_features)
        if train and self.expert_dropout > 0:
            key = self.make_rng("dropout")
            logits = gating.drop_experts(logits, key, self.expert_dropout, axis=1)
        if self.kind == "context":
            return gating.top_k_gates(logits, self.top_k, axis=1)
        if self.kind == "equal":
            return gating.equal_gates(logits, self.top_k, axis=1)
        if train:
            return gating.gumbel_gates(logits, self.make_rng("gumbel"), axis=1)
        return nn.softmax(logits, axis=1)
