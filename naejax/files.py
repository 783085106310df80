"""Files and folders that are whole or not there: written beside, fsynced, renamed."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path


def write_file(path: str | Path, content: bytes | str) -> None:
    """Writes a file so that a reader finds the old one or the new one, never half.

    Args:
        path: where; an existing file is replaced.
        content: bytes, or text to be encoded as UTF-8.

    Raises:
        ValueError: if ``path`` is a folder, or the place cannot be written.

    Example:
        >>> folder = tempfile.mkdtemp()
        >>> write_file(f"{folder}/a.txt", "whole")
        >>> Path(f"{folder}/a.txt").read_text()
        'whole'
    """
    write_pieces(path, [content])


def write_pieces(path: str | Path, pieces: Iterable[bytes | str]) -> None:
    """Writes a file piece by piece, in the manner of `write_file`.

    Args:
        path: where; an existing file is replaced.
        pieces: bytes, or text to be encoded as UTF-8.

    Raises:
        ValueError: if ``path`` is a folder, or the place cannot be written.

    Example:
        >>> folder = tempfile.mkdtemp()
        >>> write_pieces(f"{folder}/a.txt", iter(["one ", "two"]))
        >>> Path(f"{folder}/a.txt").read_text()
        'one two'
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, expected the path of a file to write")
    try:
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in pieces:
                file.write(piece.encode() if isinstance(piece, str) else piece)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; a new file should be what the user's umask says.
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def check_new_file(path: str | Path, *, overwrite: bool = False) -> None:
    """Refuses a place for a new file before the work that fills it.

    Args:
        path: of the file to write.
        overwrite: whether an existing file may be replaced.

    Raises:
        ValueError: if there is a file, or a folder, or no folder to write into.

    Example:
        >>> check_new_file("nowhere/page.html")
        Traceback (most recent call last):
        ValueError: nowhere is not a folder, expected one to write into
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, expected the path of a file to write")
    if path.exists() and not overwrite:
        raise ValueError(
            f"{path} exists; choose another file, or pass --overwrite to replace it"
        )
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{path.parent} is not a folder, expected one to write into")


@contextlib.contextmanager
def new_folder(
    path: str | Path,
    *,
    marker: str,
    overwrite: bool = False,
    within: str | Path | None = None,
) -> Iterator[Path]:
    """A folder that appears under its name only when the ``with`` block has ended well.

    Args:
        path: the folder to make; its parents are made too.
        marker: name of a file that every such folder holds; an existing folder
            without it is never replaced.
        overwrite: whether an existing folder with the marker may be replaced.
        within: a folder on the same disk for what a process that is killed leaves of
            it; None: that of ``path``.

    Yields:
        A temporary folder in ``within`` to write into.

    Raises:
        ValueError: if the folder exists and may not be replaced, or the place cannot
            be written.

    Example:
        >>> place = Path(tempfile.mkdtemp()) / "run"
        >>> with new_folder(place, marker="model") as folder:
        ...     write_file(folder / "model", "m")
        >>> [entry.name for entry in place.iterdir()]
        ['model']
    """
    path = Path(path).absolute()
    is_empty = path.is_dir() and not any(path.iterdir())
    if path.exists() and not is_empty:
        if not (path / marker).is_file():
            raise ValueError(
                f"{path} exists and is not a run of naejax; choose another folder"
            )
        if not overwrite:
            raise ValueError(
                f"{path} already holds a run; choose another folder, or pass "
                "--overwrite to replace it"
            )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        place = path.parent if within is None else within
        beside = Path(tempfile.mkdtemp(dir=place, prefix=f".{path.name}."))
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield beside
        os.chmod(beside, 0o777 & ~_umask())
        if path.exists() and not is_empty:
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            os.replace(path, old)
            os.replace(beside, path)
            shutil.rmtree(old)
        else:
            os.replace(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    _sync_folder(path.parent)


def _cannot_write(path: Path, error: OSError) -> ValueError:
    """One line about a place that cannot be written."""
    return ValueError(
        f"cannot write {path} ({error.strerror}); choose another place, or make its "
        "folder writable"
    )


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Makes a rename in a folder survive a crash."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
