"""What a first call imports, and finds compiled."""

import os
import subprocess
import sys

import pytest

# What nobody needs who makes an estimator, with JAX, and who fits it.
NEVER = "orbax grain tensorflow_datasets tensorflow matplotlib tyro"
LATER = "jax flax optax sklearn.linear_model sklearn.model_selection"

MAKE = """
import sys
import sklearn.base  # It imports pandas and scipy.stats itself.
before = set(sys.modules)
import naejax
{body}
print(*sorted(set(sys.modules) - before))
"""
FIT = """
import numpy as np
x = np.linspace(0, 1, 64)[:, None]
model = naejax.NAERegressor(num_experts=2, hidden=(4,), epochs=1)
model.fit(x, x[:, 0]).predict(x)
"""
HITS = """
import jax, naejax
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name))
jax.jit(lambda x: x + 1)(1.0)  # Users compile before they fit.
{body}
print(sum("cache_hits" in name for name in hits))
"""


def output(program: str, **variables: str) -> list[str]:
    """The words that a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | variables,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def found(words: str, modules: list[str]) -> set[str]:
    """Which modules are imported, or a part of them."""
    return {
        word
        for word in words.split()
        if any(f"{module}.".startswith(f"{word}.") for module in modules)
    }


def test_an_estimator_is_made_without_jax():
    modules = output(MAKE.format(body="naejax.NAERegressor(), naejax.NAEClassifier()"))
    assert "naejax.estimators.regression" in modules
    assert not found(f"{NEVER} {LATER} pandas scipy.stats", modules)


@pytest.mark.slow
def test_a_fit_imports_nothing_that_it_does_not_need():
    modules = output(MAKE.format(body=FIT))
    assert "jax" in modules and not found(NEVER, modules)


def test_help_is_told_without_jax():
    body = "import naejax.cli"
    modules = output(MAKE.format(body=body))
    never = NEVER.replace("tyro", "")
    assert "naejax.commands" in modules and not found(f"{never} {LATER}", modules)


@pytest.mark.slow
def test_the_next_processes_fit_finds_compiled_programs(tmp_path):
    home = {"XDG_CACHE_HOME": str(tmp_path)}
    on = {**home, "JAX_ENABLE_COMPILATION_CACHE": "true"}
    program = HITS.format(body=FIT)
    # Small programs, too.
    on["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    assert output(program, **home) == ["0"] and not list(tmp_path.iterdir())
    assert output(program, **on) == ["0"]
    kept = list((tmp_path / "naejax" / "programs").rglob("*-cache"))
    assert kept
    assert int(output(program, **on)[0]) > 0
    elsewhere = {**on, "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "own")}
    output(program, **elsewhere)
    assert list((tmp_path / "own").glob("*-cache"))
