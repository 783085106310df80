"""Strict settings for every test: fake devices, no silent broadcasting."""

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def key() -> jax.Array:
    """A fixed random key: a failure today is a failure tomorrow."""
    return jax.random.key(0)
