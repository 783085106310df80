"""Interpretable Mixture of Experts: one linear model speaks for each row.

With forecasts e_j(x) of J linear experts, weights w(x) on the simplex and a forecast
g(x), all of the gate's network, U_j the mean of w_j over the batch and e~ the forecasts
of rows with noise, the loss is the sum of

    - log sum_j w_j / J exp(-(y - e_j)^2 / 2)                          (a mixture)
    (y - g)^2                                                          (the gate)
    1 / J sum_j (exp(-k U_j) - exp(-k))                                (all are used)
    max(0, - sum_j log (exp(cos(e_j, e~_j) / t) / sum_{l != j} exp(cos(e_j, e_l) / t)))

Then the experts are fixed and the gate goes on. The expert with the largest weight
predicts. Left out is what only series have: errors of the past as inputs, and the
distance from the weights a step before.

Source: Ismail et al., Interpretable Mixture of Experts, TMLR 2023, arXiv 2206.02107.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from baselines.training import MLP, Method, squared

UTILISATION, TEMPERATURE, NOISE = 10.0, 0.2, 0.1


class IME(nn.Module):
    """Forecasts (B, J) of linear experts, their weights' logits, and the gate's own."""

    num_experts: int
    hidden: tuple[int, ...]

    @nn.compact
    def __call__(self, x):
        forecasts = nn.Dense(self.num_experts, name="experts")(x)
        gate = MLP((*self.hidden, self.num_experts + 1), name="gate")(x)
        return forecasts, gate[:, :-1], gate[:, -1]


def likelihood(forecasts, logits, y):
    """The mixture's mean negative log-likelihood, up to a constant."""
    weights = jax.nn.log_softmax(logits) - jnp.log(logits.shape[1])
    fits = -jnp.square(y[:, None] - forecasts) / 2
    return -jax.nn.logsumexp(weights + fits, axis=1).mean()


def utilisation(weights):
    """Least, exp(-k / J) - exp(-k), where all of the J experts get the same weight."""
    means = weights.mean(axis=0)
    return (jnp.exp(-UTILISATION * means) - jnp.exp(-UTILISATION)).mean()


def diversity(forecasts, noisy):
    """Small where experts differ from each other, but not from themselves in noise."""

    def units(columns):
        return columns / jnp.sqrt(
            jnp.square(columns).sum(axis=0, keepdims=True) + 1e-12
        )

    own = (units(forecasts) * units(noisy)).sum(axis=0) / TEMPERATURE
    others = units(forecasts).T @ units(forecasts) / TEMPERATURE
    others = jnp.where(jnp.eye(len(own), dtype=bool), -jnp.inf, others)
    return jnp.maximum(0.0, -(own - jax.nn.logsumexp(others, axis=1)).sum())


def ime(num_experts=3, hidden=(64, 64)):
    """The method; its note is how many experts speak, ``exp(entropy of their use)``."""
    model = IME(num_experts, hidden)

    def experts_and_gate(params, x, y, key):
        forecasts, logits, own = model.apply(params, x)
        noisy = model.apply(params, x + NOISE * jax.random.normal(key, x.shape))[0]
        return (
            likelihood(forecasts, logits, y)
            + squared(own, y)
            + utilisation(jax.nn.softmax(logits))
            + diversity(forecasts, noisy)
        )

    def gate_alone(params, x, y, key):
        forecasts, logits, _ = model.apply(params, x)
        return likelihood(jax.lax.stop_gradient(forecasts), logits, y)

    def predict(params, x):
        forecasts, logits, _ = model.apply(params, x)
        chosen = logits.argmax(axis=1)[:, None]
        return jnp.take_along_axis(forecasts, chosen, axis=1)[:, 0]

    def spoken(params, x):
        chosen = jax.nn.one_hot(model.apply(params, x)[1].argmax(axis=1), num_experts)
        return jnp.exp(jax.scipy.special.entr(chosen.mean(axis=0)).sum())

    losses = experts_and_gate, gate_alone
    return Method(model.init, losses, predict, spoken, f"experts of {num_experts}")
