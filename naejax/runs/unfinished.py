"""What is kept of a run until it is done: RUN.unfinished beside RUN."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from naejax.files import new_folder, write_file
from naejax.runs.folder import json_text
from naejax.train.checkpoint import TrainingPreemptedError
from naejax.train.result import TrainingDivergedError

_ASKED_FILE = "train.json"
_KEPT = "checkpoints"


@contextlib.contextmanager
def unfinished(
    out: str | Path,
    asked: Mapping[str, Any],
    *,
    overwrite: bool = False,
    resume: bool = False,
) -> Iterator[Path]:
    """A folder for checkpoints that lasts until the run is done.

    A new run that fails before its first checkpoint, or diverges, leaves nothing
    behind. Any other end, also that of the process, leaves the folder for ``naejax
    train --resume``.

    Args:
        out: the run's folder.
        asked: what is needed to train again, plain values.
        overwrite: whether an unfinished run of that name may be replaced.
        resume: whether to go on with the unfinished run.

    Yields:
        The folder for the checkpoints, one in it for each training.

    Raises:
        ValueError: if there is an unfinished run that is not to be replaced.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp()) / "run"
        >>> with unfinished(out, {"seed": 0}) as folder:
        ...     read_asked(out)
        {'seed': 0}
        >>> folder.exists()
        False
    """
    folder = place(out)
    # Of several processes, the first one makes and removes it.
    is_first = jax.process_index() == 0
    if is_first:
        _begin(out, asked, overwrite=overwrite, resume=resume)
    try:
        yield folder / _KEPT
    except BaseException as error:
        is_lost = isinstance(error, TrainingDivergedError)
        is_lost |= not any(p.name.isdigit() for p in folder.glob(f"{_KEPT}/*/*"))
        if is_first and is_lost and not resume:
            remove(out)
        go_on = f"go on with naejax train --resume {out}"
        if isinstance(error, TrainingPreemptedError):
            where = str(error).partition(";")[0]
            raise TrainingPreemptedError(f"{where}; {go_on}") from error
        if isinstance(error, KeyboardInterrupt) and folder.exists():
            raise KeyboardInterrupt(go_on) from error
        raise
    if is_first:
        remove(out)


def remove(out: str | Path) -> None:
    """Removes what is kept of a run.

    Args:
        out: the run's folder.
    """
    folder = place(out)
    gone = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    # In one step: half of it could not be gone on with.
    folder.replace(gone)
    shutil.rmtree(gone)


def _begin(
    out: str | Path, asked: Mapping[str, Any], *, overwrite: bool, resume: bool
) -> None:
    """Makes the folder, or goes on with the one that is there."""
    folder = place(out)
    if resume:
        write_file(folder / _ASKED_FILE, json_text(asked))
        return
    if (folder / _ASKED_FILE).is_file() and not overwrite:
        raise ValueError(
            f"{folder} holds a training that was stopped; go on with naejax train "
            f"--resume {out}, or pass --overwrite to start anew"
        )
    # Appears whole, and replaces nothing but an unfinished run.
    with new_folder(folder, marker=_ASKED_FILE, overwrite=overwrite) as new:
        write_file(new / _ASKED_FILE, json_text(asked))


def place(out: str | Path) -> Path:
    """Where an unfinished run is kept.

    Args:
        out: the run's folder.

    Returns:
        The folder beside it.

    Example:
        >>> place("runs/wine").name
        'wine.unfinished'
    """
    out = Path(out).absolute()
    return out.with_name(f"{out.name}.unfinished")


def read_asked(out: str | Path) -> dict[str, Any]:
    """Reads what an unfinished run was asked for.

    Args:
        out: the run's folder.

    Returns:
        The values.

    Raises:
        ValueError: if there is no unfinished run of that name, or it is damaged.
    """
    path = place(out) / _ASKED_FILE
    if not path.is_file():
        done = "is done" if Path(out).is_dir() else "was never begun, or is done"
        raise ValueError(
            f"there is no {path.parent}, so {out} {done}; give the folder that was "
            "--out of a training that was stopped"
        )
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}); delete {path.parent} and train anew"
        ) from error
