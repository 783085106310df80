"""InterpretCC, group routing: networks of groups of columns that a person names.

    y(x) = b + sum over the k groups with the largest w_g(x) of w_g(x) f_g(x_g)

where f_g sees nothing but the columns of group g, and w is the softmax of a small
network of all columns.

Source: as in feature_gating.py.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from baselines.training import MLP, Method, squared

ROUTER = 16


class GroupRouting(nn.Module):
    """Predictions (B,) and weights (B, G), 0 but for the k largest."""

    masks: tuple[tuple[float, ...], ...]
    top_k: int
    hidden: tuple[int, ...]

    @nn.compact
    def __call__(self, x):
        shown = x[:, None] * jnp.array(self.masks)[None]
        networks = nn.vmap(
            MLP, in_axes=1, out_axes=1, variable_axes={"params": 0},
            split_rngs={"params": True},
        )  # fmt: skip
        scores = networks((*self.hidden, 1))(shown)[..., 0]
        weights = nn.softmax(MLP((ROUTER, len(self.masks)))(x))
        least = jax.lax.top_k(weights, self.top_k)[0][:, -1:]
        weights = jnp.where(weights >= least, weights, 0.0)
        bias = self.param("bias", nn.initializers.zeros, ())
        return bias + (weights * scores).sum(axis=1), weights


def group_routing(groups, num_features, top_k=2, hidden=(64, 64)):
    """The method; its note is the mean weight of a row's first group.

    Args:
        groups: lists of columns.
        num_features: F.
        top_k: groups that a row uses.
        hidden: widths of each group's network.
    """
    masks = np.zeros((len(groups), num_features))
    for mask, group in zip(masks, groups, strict=True):
        mask[list(group)] = 1
    rows = tuple(map(tuple, masks.tolist()))
    model = GroupRouting(rows, min(top_k, len(groups)), hidden)

    def loss(params, x, y, key):
        return squared(model.apply(params, x)[0], y)

    def predict(params, x):
        return model.apply(params, x)[0]

    def first(params, x):
        return model.apply(params, x)[1].max(axis=1).mean()

    return Method(model.init, (loss,), predict, first, "weight of the first group")
