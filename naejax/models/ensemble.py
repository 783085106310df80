"""Several Neural Additive Experts of one shape as one model: their mean."""

import flax.linen as nn
from jaxtyping import Float

from naejax.models.knots import KNOTS
from naejax.models.nae import NAE
from naejax.types import NAEOutput, Numbers


class NAEEnsemble(nn.Module):
    """The mean of S models, which is itself Neural Additive Experts.

    With gates ``g_m`` and experts ``e_m`` of member m, feature i contributes::

        f_i = 1/S sum_m f_im = sum_m sum_c (g_imc / S) e_imc

    that is S K experts under one gate on the simplex: parts add up to the prediction,
    and the experts' range bounds every contribution, as for one model.

    Attributes:
        member: the shape of a member.
        size: S.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> model = NAEEnsemble(NAE(num_experts=4, hidden=(8,)), size=3)
        >>> variables = model.init(jax.random.key(0), jnp.ones((5, 2)))
        >>> model.apply(variables, jnp.ones((5, 2))).experts.shape
        (5, 2, 12, 1)
    """

    member: NAE
    size: int

    def __call__(self, x: Float[Numbers, "B F"], train: bool = False) -> NAEOutput:
        """Scores rows ``x`` (B, F) by every member and puts their parts together."""
        apply = nn.vmap(
            lambda member, rows: member(rows, train),
            in_axes=None,
            axis_size=self.size,
            variable_axes={"params": 0, KNOTS: 0},
            split_rngs={"params": True, "dropout": True, "gumbel": True},
        )
        outputs = apply(self.member, x)
        rows, features = x.shape
        experts = outputs.experts.transpose(1, 2, 0, 3, 4)
        gates = outputs.gates.transpose(1, 2, 0, 3) / self.size
        return NAEOutput(
            prediction=outputs.prediction.mean(axis=0),
            bias=outputs.bias.mean(axis=0),
            contributions=outputs.contributions.mean(axis=0),
            gates=gates.reshape(rows, features, -1),
            experts=experts.reshape(rows, features, -1, experts.shape[-1]),
        )
