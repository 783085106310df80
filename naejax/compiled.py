"""Compiled programs, kept in the user's cache folder for the next process."""

import contextlib
import functools
import hashlib
import os
import platform
import sys
import warnings
from pathlib import Path
from typing import Any

import jax

_CPUINFO = Path("/proc/cpuinfo")
_MOST_BYTES = 1 << 29
_LEAST_SECONDS = 0.1
_USUAL_SECONDS = 1.0  # JAX's own.


# Once: who turns it off after a training does not get it back with the next one.
@functools.cache
def keep_compiled_programs() -> None:
    """Turns on JAX's persistent compilation cache, in the user's cache folder.

    Commands and trainings call it when they begin; all but the first call do nothing.

    Programs are kept apart for each kind of processor, because JAX would run those of
    another one. The least recently used ones go when they take more than 512 MiB.
    Where no folder can be had that nobody else may write to, nothing is kept.

    JAX's own settings win: ``JAX_COMPILATION_CACHE_DIR`` names another folder, which
    is left to JAX, and ``JAX_ENABLE_COMPILATION_CACHE=false`` keeps nothing.

    Example:
        >>> keep_compiled_programs()
    """
    config: Any = jax.config
    if not config.jax_enable_compilation_cache or config.jax_compilation_cache_dir:
        return
    try:
        programs = _cache_home() / "naejax" / "programs"
        folder = programs / _processor()
        programs.parent.parent.mkdir(parents=True, exist_ok=True)
        for path in (programs.parent, programs, folder):
            path.mkdir(mode=0o700, exist_ok=True)
            if not _is_own(path):
                return
        _prune(programs, _MOST_BYTES)
    except (OSError, RuntimeError):  # No room, no right, or no home folder.
        return
    config.update("jax_compilation_cache_dir", str(folder))
    least = "jax_persistent_cache_min_compile_time_secs"
    if least.upper() not in os.environ and getattr(config, least) == _USUAL_SECONDS:
        config.update(least, _LEAST_SECONDS)
    # A program that cannot be read or written costs time, and is no news to the user.
    warnings.filterwarnings(
        "ignore", "Error (reading|writing) persistent compilation cache"
    )


def _cache_home() -> Path:
    """The user's cache folder."""
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if chosen.is_absolute():
        return chosen
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path.home() / ".cache"


def _processor() -> str:
    """A name for processors that run the same programs."""
    what = [platform.processor(), platform.version()]
    with contextlib.suppress(OSError):
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
        # Of the first processor what it can do; other lines tell its number and clock.
        lines = text.split("\n\n")[0].splitlines()
        names = ("model name", "flags", "CPU part", "Features")
        what = [line for line in lines if line.startswith(names)] or what
    digest = hashlib.sha256("\n".join(what).encode()).hexdigest()
    return f"{platform.machine() or 'processor'}-{digest[:16]}"


def _is_own(folder: Path) -> bool:
    """Whether nobody else can write there: programs that are read are run."""
    if not os.access(folder, os.W_OK):
        return False
    if sys.platform == "win32":
        return True
    status = folder.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _prune(folder: Path, most_bytes: int) -> None:
    """Deletes the files that were used the longest ago until the others fit."""
    room = most_bytes
    files = [(path, path.stat()) for path in folder.rglob("*") if path.is_file()]
    for path, status in sorted(
        files, key=lambda file: max(file[1].st_atime, file[1].st_mtime), reverse=True
    ):
        room -= status.st_size
        if room < 0:
            path.unlink(missing_ok=True)
