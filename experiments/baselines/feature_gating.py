"""InterpretCC, feature gating: an additive model that looks at few columns of a row.

    y(x) = b + sum_i m_i(x) f_i(x_i) / max(1, sum_i m_i(x))

with a network f_i for each column and m_i in {0, 1} from one network of all columns:
while training by a sigmoid of its logit with logistic noise (Gumbel), cut at a
threshold, with the sigmoid's gradient; without noise to predict. The loss adds a small
multiple of the number of columns that are used.

Source: Swamy et al., Intrinsic User-Centric Interpretability through Global Mixture of
Experts (InterpretCC), ICLR 2025, arXiv 2402.02933.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from baselines.training import MLP, Method, per_feature, squared

TEMPERATURE, THRESHOLD, SPARSITY = 1.0, 0.5, 1e-5


class FeatureGating(nn.Module):
    """Predictions (B,) and masks (B, F); with a key its noise is drawn."""

    hidden: tuple[int, ...]

    @nn.compact
    def __call__(self, x, key=None):
        columns = per_feature(x, self.hidden)
        logits = MLP((*self.hidden, x.shape[1]))(x)
        if key is not None:
            logits += jax.random.logistic(key, logits.shape)
        soft = nn.sigmoid(logits / TEMPERATURE)
        hard = (soft > THRESHOLD).astype(soft.dtype)
        mask = hard + (soft - jax.lax.stop_gradient(soft))
        bias = self.param("bias", nn.initializers.zeros, ())
        sums = (mask * columns).sum(axis=1) / jnp.maximum(mask.sum(axis=1), 1)
        return bias + sums, mask


def feature_gating(hidden=(64, 64)):
    """The method; its note is the mean share of columns that a row uses."""
    model = FeatureGating(hidden)

    def loss(params, x, y, key):
        prediction, mask = model.apply(params, x, key)
        return squared(prediction, y) + SPARSITY * mask.sum(axis=1).mean()

    def share(params, x):
        return model.apply(params, x)[1].mean()

    def predict(params, x):
        return model.apply(params, x)[0]

    return Method(model.init, (loss,), predict, share, "of the columns")
