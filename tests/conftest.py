"""Strict settings for every test: fake devices, no silent broadcasting."""

import csv
import os
import signal

import jax
import numpy as np
import pytest

# Commands that tests start leave the user's cache alone.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_configure(config: pytest.Config) -> None:
    """Compile the many small programs of the quick tests without optimising them.

    The slow tests run what users run. Old JAX compiles three times faster with its
    older code generator; new JAX has one generator only, and refuses the flag.
    """
    if config.option.markexpr == "not slow":
        jax.config.update("jax_disable_most_optimizations", True)
        if jax.__version_info__ < (0, 11):
            flags = os.environ.get("XLA_FLAGS", "")
            os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_use_fusion_emitters=false"
    # A shell's background jobs ignore Ctrl-C, and so would what tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Tests train on one device unless they name more, as users with one do.
    jax.config.update("jax_default_device", jax.devices()[0])


@pytest.fixture
def key() -> jax.Array:
    """A fixed random key: a failure today is a failure tomorrow."""
    return jax.random.key(0)


@pytest.fixture(scope="session")
def homes(tmp_path_factory):
    """A CSV with numbers, categories, booleans and missing cells."""
    path = tmp_path_factory.mktemp("data") / "homes.csv"
    rng = np.random.default_rng(0)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["size", "city", "garden", "price"])
        for i in range(120):
            size, garden = rng.uniform(20, 200), bool(rng.integers(2))
            city = ["Oslo", "Bergen", ""][i % 3]
            price = 3 * size + 50 * garden + 100 * (city == "Oslo")
            writer.writerow(
                ["" if i % 10 == 0 else round(size, 1), city, garden, price]
            )
    return path


@pytest.fixture(scope="session")
def run(homes, tmp_path_factory):
    """A run trained from that CSV."""
    from naejax.cli import main

    out = tmp_path_factory.mktemp("runs") / "homes"
    words = ["train", "--data", homes, "--target", "price", "--out", out]
    words += ["--epochs", "2", "--num-experts", "4", "--hidden", "8"]
    main([str(word) for word in words])
    return out


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """An .npz file of small images whose deciding pixels are known."""
    from naejax.data import make_shapes
    from naejax.data.shapes import PAIRS

    path = tmp_path_factory.mktemp("images") / "drawn.npz"
    images = make_shapes(120, side=16)
    np.savez(path, x=images.x, y=np.array(PAIRS)[images.target], parts=images.parts)
    return path


@pytest.fixture(scope="session")
def sop_run(drawn, tmp_path_factory):
    """A run trained from those images."""
    from naejax.cli import main

    out = tmp_path_factory.mktemp("runs") / "drawn"
    words = ["train", "--model", "sop", "--data", drawn, "--out", out]
    words += ["--epochs", "1", "--backbone-epochs", "2", "--num-groups", "6"]
    words += ["--channels", "4", "8", "--hidden", "8", "--keep", "0.25"]
    main([str(word) for word in words])
    return out
