"""What the published trainings of Sum-of-Parts share."""

import jax.numpy as jnp
import optax


def inverse_sqrt(rate, warmup):
    """A learning rate that rises for ``warmup`` steps, then falls as 1 / sqrt(step)."""

    def schedule(step):
        step = jnp.asarray(step, jnp.float32) + 1
        return rate * jnp.minimum(step / warmup, jnp.sqrt(warmup / step))

    return schedule


def optimizer(rate, warmup=2000):
    """AdamW with torch's weight decay and that learning rate."""
    return optax.adamw(inverse_sqrt(rate, warmup), weight_decay=0.01)
