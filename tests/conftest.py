"""Strict settings for every test: fake devices, no silent broadcasting."""

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_configure(config: pytest.Config) -> None:
    """Compile the many small programs of the quick tests without optimising them.

    The slow tests run what users run.
    """
    if config.option.markexpr == "not slow":
        jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def key() -> jax.Array:
    """A fixed random key: a failure today is a failure tomorrow."""
    return jax.random.key(0)
