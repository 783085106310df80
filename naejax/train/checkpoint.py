"""Checkpoints: a training that is stopped anywhere goes on as if it never was."""

import contextlib
import json
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from naejax.train.packed import pack, read_header, unpack
from naejax.train.parallel import over_processes

P = TypeVar("P", bound=NamedTuple)

_NAME = "progress"
_NO_SCORE = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Checkpoints:
    """Where and how often a training is kept.

    The newest checkpoints and the one with the best validation score stay. One that is
    not written to the end is never taken for one.

    Attributes:
        folder: of this training alone; a training of the same rows, model, settings and
            seed goes on from what is in it.
        seconds: least time between two; 0 keeps one after every chunk of steps.
        keep: how many of the newest stay.
    """

    folder: str | Path
    seconds: float = 60.0
    keep: int = 2

    def __post_init__(self) -> None:
        if not self.seconds >= 0 or self.keep < 1:
            raise ValueError(
                f"seconds is {self.seconds} and keep {self.keep}, expected at least 0 "
                "seconds between checkpoints, and at least 1 to keep"
            )


class TrainingPreemptedError(RuntimeError):
    """The process was asked to end (SIGTERM); the training was kept before."""


class Keeper:
    """Keeps no checkpoints."""

    def restore(self, start: P) -> P:
        """Where to go on.

        Args:
            start: the progress of a training that begins.

        Returns:
            The progress of the newest sound checkpoint; without one, the same.
        """
        return start

    def offer(self, progress: Any) -> None:
        """Keeps the progress if it is time.

        Args:
            progress: between two chunks of steps.

        Raises:
            TrainingPreemptedError: after SIGTERM, when the progress is on disk.
        """

    def finish(self, progress: Any) -> None:
        """Keeps the end of a training, and waits until it is on disk.

        Args:
            progress: the last one.
        """


class _DiskKeeper(Keeper):
    """Keeps checkpoints in a folder, which several processes must share."""

    def __init__(self, checkpoints: Checkpoints, fingerprint: str, asked_to_end):
        self._folder = Path(checkpoints.folder).absolute()
        self._seconds = checkpoints.seconds
        self._fingerprint = fingerprint
        self._asked_to_end: threading.Event = asked_to_end
        self._last = time.monotonic()
        self._saving: Any = None
        self._disk = _open(self._folder, checkpoints.keep)

    def restore(self, start: P) -> P:
        found = self._newest()
        return start if found is None else unpack(found, start, self._folder)

    def offer(self, progress: Any) -> None:
        # All processes save and end together: when the first one's clock says so, and
        # when any was asked to end.
        is_due = time.monotonic() - self._last >= self._seconds
        said = over_processes(is_due + 2 * self._asked_to_end.is_set())
        ending = max(said) >= 2
        if ending or said[0] % 2:
            self._save(progress)
        if ending:
            self.wait()
            raise TrainingPreemptedError(
                f"asked to end (SIGTERM) in epoch {progress.epoch}; the training is "
                f"kept in {self._folder}, the same call goes on from there"
            )

    def finish(self, progress: Any) -> None:
        self._save(progress)
        self.wait()

    def wait(self) -> None:
        """Waits until what was kept is on disk."""
        if self._saving is not None:
            with self._writing():
                self._saving.result()

    def _save(self, progress: Any) -> None:
        """Writes a checkpoint, in a thread."""
        self._last = time.monotonic()
        self.wait()
        number = 1 if self._disk.latest is None else self._disk.latest.step + 1
        score = float(progress.best_score)
        metrics = {"score": score if np.isfinite(score) else _NO_SCORE}
        # One array: Orbax reads many at once, and warns of the others if one is bad.
        packed = {_NAME: pack(progress, self._fingerprint)}
        with self._writing():
            self._saving = self._disk.save_async(number, packed, metrics=metrics)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One line for a checkpoint that cannot be written."""
        try:
            yield
        except (ValueError, OSError) as error:
            # A second wait would fail likewise.
            self._saving = None
            why = str(error).partition("\n")[0]
            raise OSError(
                f"cannot write a checkpoint to {self._folder} ({why}); make room, or "
                "choose another folder"
            ) from error

    def _newest(self) -> np.ndarray | None:
        """The newest checkpoint that can be read."""
        numbers = sorted((c.step for c in self._disk.checkpoints), reverse=True)
        for number in numbers:
            why = ""
            try:
                found = _load(self._folder / str(number))
                header = read_header(found)
            # A damaged file can fail in any way.
            except Exception as error:
                why = str(error).partition("\n")[0] or type(error).__name__
            if any(over_processes(bool(why))):
                warnings.warn(
                    f"checkpoint {number} in {self._folder} is damaged ({why}); going "
                    "on from the one before",
                    stacklevel=2,
                )
                continue
            if header["fingerprint"] != self._fingerprint:
                raise ValueError(
                    f"{self._folder} holds checkpoints of another training; pass the "
                    "same rows, model, settings and seed, or another folder"
                )
            return found
        if numbers:
            raise ValueError(
                f"no checkpoint in {self._folder} can be read; delete the folder to "
                "start anew"
            )
        return None


@contextlib.contextmanager
def keep_checkpoints(
    checkpoints: Checkpoints | None, fingerprint: str | None
) -> Iterator[Keeper]:
    """Opens the checkpoints of a training, and listens to SIGTERM meanwhile.

    Args:
        checkpoints: where to keep them; None keeps none, and leaves SIGTERM alone.
        fingerprint: result of `naejax.train.fingerprint.fingerprint`.

    Yields:
        What keeps them.

    Raises:
        ValueError: if the folder holds another training, or nothing that can be read.

    Example:
        >>> with keep_checkpoints(None, None) as keeper:
        ...     keeper.restore((1, 2))
        (1, 2)
    """
    if checkpoints is None or fingerprint is None:
        yield Keeper()
        return
    asked_to_end = threading.Event()

    def remember(number: int, frame: FrameType | None) -> None:
        asked_to_end.set()

    # Only the main thread may listen.
    listens = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, remember) if listens else None
    try:
        keeper = _DiskKeeper(checkpoints, fingerprint, asked_to_end)
        try:
            yield keeper
        finally:
            keeper.wait()
    except TrainingPreemptedError:
        asked_to_end.clear()
        raise
    finally:
        if listens:
            signal.signal(signal.SIGTERM, before)
            # It came after the last chunk: whoever listened before hears it now.
            if asked_to_end.is_set():
                signal.raise_signal(signal.SIGTERM)


def _open(folder: Path, keep: int) -> Any:
    """Orbax's keeper of a folder."""
    from orbax.checkpoint import v1 as ocp

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"cannot keep checkpoints in {folder} ({error.strerror}); choose another "
            "folder"
        ) from error
    if jax.process_index() == 0:
        _mend_scores(folder)
    over_processes(0)  # The others open it after that.
    policies = ocp.training.preservation_policies
    best = policies.BestN(get_metric_fn=lambda m: m["score"], reverse=True, n=1)
    return ocp.training.Checkpointer(
        folder,
        save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
        preservation_policy=policies.AnyPreservationPolicy(
            [policies.LatestN(keep), best]
        ),
        cleanup_tmp_directories=True,
    )


def _mend_scores(folder: Path) -> None:
    """Replaces damaged scores, with which Orbax would not open the folder.

    A score only says which checkpoints stay; what training needs has a checksum.
    """
    for path in folder.glob("[0-9]*/metrics/metrics"):
        try:
            float(json.loads(path.read_bytes())["score"])
        except (ValueError, TypeError, KeyError):
            path.write_text(json.dumps({"score": _NO_SCORE}))


def _load(folder: Path) -> np.ndarray:
    """Reads a checkpoint without waiting for other processes."""
    from orbax.checkpoint import v1 as ocp

    context = ocp.Context()
    context.multiprocessing.primary_host = jax.process_index()
    context.multiprocessing.active_processes = {jax.process_index()}
    with context:
        return np.asarray(ocp.load(folder)[_NAME])
