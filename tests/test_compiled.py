"""Compiled programs that are kept for the next command."""

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import pytest

from naejax import compiled

WHERE = "jax_compilation_cache_dir"
LEAST = "jax_persistent_cache_min_compile_time_secs"
ENABLE = "jax_enable_compilation_cache"
keep = compiled.keep_compiled_programs.__wrapped__  # once a process is too rarely


@pytest.fixture(autouse=True)
def config(monkeypatch, tmp_path):
    """Nothing is kept, or set, after a test."""
    before = {name: getattr(jax.config, name) for name in (WHERE, LEAST, ENABLE)}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", raising=False)
    jax.config.update(WHERE, None)
    jax.config.update(ENABLE, True)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_a_folder_of_the_users_own(tmp_path):
    old = os.umask(0o002)  # where groups may write what a user makes
    try:
        keep()
    finally:
        os.umask(old)
    folder = Path(jax.config.jax_compilation_cache_dir)
    assert folder.parent == tmp_path / "cache" / "naejax" / "programs"
    assert folder.is_dir() and folder.stat().st_mode & 0o777 == 0o700
    assert jax.config.jax_persistent_cache_min_compile_time_secs < 1
    keep()  # once more, as a second command would
    assert Path(jax.config.jax_compilation_cache_dir) == folder


def test_jaxs_own_settings_win(monkeypatch, tmp_path):
    jax.config.update(WHERE, str(tmp_path / "own"))
    keep()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "own")
    jax.config.update(WHERE, None)
    jax.config.update(ENABLE, False)
    keep()
    assert jax.config.jax_compilation_cache_dir is None
    assert not (tmp_path / "cache").exists()
    jax.config.update(ENABLE, True)
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "7")
    jax.config.update(LEAST, 7.0)
    keep()
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 7


@pytest.mark.parametrize(
    ("system", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x"),
        ("linux", {"XDG_CACHE_HOME": "not/absolute"}, "HOME/.cache"),
        ("linux", {}, "HOME/.cache"),
        ("darwin", {}, "HOME/Library/Caches"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local"),
        ("win32", {}, "HOME/AppData/Local"),
    ],
)
def test_each_systems_cache_folder(monkeypatch, tmp_path, system, variables, expected):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", system)
    found = str(compiled._cache_home())
    assert found == expected.replace("HOME", str(tmp_path))


def unusable(tmp_path, monkeypatch, what):
    """Makes the cache folder unusable in one of many ways."""
    cache = tmp_path / "cache"
    if what == "a file is in the way":
        cache.write_text("")
    elif what == "no home":
        monkeypatch.delenv("XDG_CACHE_HOME")

        def home():
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", home)
    elif what == "others may write":
        (cache / "naejax").mkdir(parents=True)
        (cache / "naejax").chmod(0o777)
    elif what == "somebody else's":
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    elif what == "read only":
        # Root may write everywhere, so that the mode alone would not do.
        monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)


@pytest.mark.parametrize(
    "what",
    [
        "a file is in the way",
        "no home",
        "others may write",
        "somebody else's",
        "read only",
    ],
)
def test_without_a_safe_folder_nothing_is_kept(tmp_path, monkeypatch, capfd, what):
    unusable(tmp_path, monkeypatch, what)
    keep()
    assert jax.config.jax_compilation_cache_dir is None
    assert capfd.readouterr() == ("", "")


X86 = "processor : {n}\nmodel name : A\ncpu MHz : {mhz}\nflags : fpu {flag}\n\n"
ARM = "processor : {n}\nBogoMIPS : {mhz}\nFeatures : fp {flag}\nCPU part : 0xd0c\n\n"


@pytest.mark.parametrize("text", [X86, ARM])
def test_processors_that_can_do_other_things_have_other_programs(
    monkeypatch, tmp_path, text
):
    def name(*processors):
        file = tmp_path / "cpuinfo"
        file.write_text("".join(text.format(**p) for p in processors))
        monkeypatch.setattr(compiled, "_CPUINFO", file)
        return compiled._processor()

    one = {"n": 0, "mhz": 1000, "flag": "avx"}
    two = {"n": 1, "mhz": 1100, "flag": "avx"}
    assert name(one) == name(two) == name(two, one)
    assert name(one) != name({**one, "flag": "avx512"})


def test_a_processor_that_does_not_tell(monkeypatch, tmp_path):
    monkeypatch.setattr(compiled, "_CPUINFO", tmp_path / "nowhere")
    silent = compiled._processor()
    (tmp_path / "cpuinfo").write_text("cpu : unknown\n")
    monkeypatch.setattr(compiled, "_CPUINFO", tmp_path / "cpuinfo")
    assert compiled._processor() == silent
    assert re.fullmatch(r"\w+-[0-9a-f]{16}", silent)


def test_the_programs_used_last_stay(tmp_path):
    sizes = {"old": 40, "used": 30, "new": 30, "newest": 40}
    for age, (name, size) in enumerate(sizes.items()):
        path = tmp_path / f"cpu{age % 2}" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(size))
        time = 1_700_000_000 + age
        os.utime(path, (time + 10 * (name == "used"), time))
    compiled._prune(tmp_path, 200)
    assert len(list(tmp_path.rglob("*"))) == 6
    compiled._prune(tmp_path, 75)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {
        "used",
        "newest",
    }


PROGRAM = """
import sys
import warnings
import jax
import numpy as np
from naejax.compiled import keep_compiled_programs

keep_compiled_programs()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name))

@jax.jit
def f(w):
    def step(c, _):
        return c - 0.1 * jax.grad(lambda w: jax.numpy.tanh(w @ w.T).mean())(c), ()
    return jax.lax.scan(step, w, None, length=20)[0]

w = np.random.default_rng(0).normal(size=(20, 20)).astype(np.float32)
print(np.asarray(f(w)).tobytes().hex())
print(sum("cache_hits" in name for name in hits))
"""


@pytest.mark.optimised
def test_the_next_process_finds_them_and_computes_the_same(tmp_path, monkeypatch):
    # What the other tests start keeps nothing.
    monkeypatch.delenv("JAX_ENABLE_COMPILATION_CACHE")

    def run():
        command = [sys.executable, "-W", "error", "-c", PROGRAM]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        result, hits = done.stdout.split()
        return result, int(hits)

    def programs():
        return list((tmp_path / "cache").rglob("*-cache"))

    first, hits = run()
    assert hits == 0 and programs()
    second, hits = run()
    assert hits > 0 and second == first
    for damage in (b"", b"garbage", programs()[0].read_bytes()[:-10]):
        for path in programs():
            path.write_bytes(damage)
        again, hits = run()
        assert again == first and hits == 0


def test_other_warnings_stay():
    keep()
    with pytest.warns(UserWarning, match="something else"):
        warnings.warn("something else", stacklevel=1)
    warnings.warn(
        "Error reading persistent compilation cache entry for 'f'", stacklevel=1
    )
