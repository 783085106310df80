"""Strict settings for every test: fake devices, no silent broadcasting."""

import csv
import fcntl
import os
import signal

import jax
import numpy as np
import pytest

# Trainings here, and commands that tests start, leave the user's cache alone.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
jax.config.update("jax_enable_compilation_cache", False)
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_configure(config: pytest.Config) -> None:
    """Compile the many small programs without optimising them, in child processes too.

    Tests marked optimised run what users run. Old JAX compiles three times faster with
    its older code generator; new JAX has one generator only, and refuses the flag.
    """
    if config.option.markexpr.startswith(("slow", "not slow")):
        os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
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


def made_once(tmp_path_factory, name, make):
    """The path that make(path) writes, once for all processes that run tests."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    path = shared / name
    with open(shared / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            make(path)
    return path


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

    words = ["train", "--data", homes, "--target", "price"]
    words += ["--epochs", "2", "--num-experts", "4", "--hidden", "8", "--out"]
    return made_once(
        tmp_path_factory, "homes", lambda out: main([str(w) for w in [*words, out]])
    )


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

    words = ["train", "--model", "sop", "--data", drawn, "--epochs", "1"]
    words += ["--backbone-epochs", "2", "--num-groups", "6", "--channels", "4", "8"]
    words += ["--hidden", "8", "--keep", "0.25", "--out"]
    return made_once(
        tmp_path_factory, "drawn", lambda out: main([str(w) for w in [*words, out]])
    )
