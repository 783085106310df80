"""Folders of models as Hugging Face's libraries save them, on disk or downloaded."""

import importlib
from pathlib import Path
from typing import Any

from naejax.strict_json import parse_object

WEIGHTS = "model.safetensors"
FILES = ("*.json", "*.safetensors", "vocab.txt", "merges.txt", "*.model")
"""What is downloaded: settings, weights, and the files of tokenizers."""


def find_folder(folder: str | Path) -> Path:
    """The folder itself, or the one into which a model of the Hub was downloaded.

    Args:
        folder: a folder, or else the name of a model on the Hugging Face Hub, for which
            the package huggingface_hub must be installed.

    Returns:
        The path of a folder.

    Raises:
        ValueError: if it is no folder and cannot be downloaded.

    Example:
        >>> find_folder(".").is_dir()
        True
    """
    path = Path(folder)
    if path.is_dir():
        return path
    wanted = f"expected a folder with config.json and {WEIGHTS}"
    if path.exists():
        raise ValueError(f"{folder} is a file, {wanted}; pass the folder it is in")
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise ValueError(
            f"{folder} does not exist, {wanted}; download that folder, or pip install "
            "huggingface_hub to load a model of the Hub by its name"
        ) from error
    try:
        return Path(hub.snapshot_download(str(folder), allow_patterns=list(FILES)))
    except Exception as error:  # whatever goes wrong with names and networks
        raise ValueError(
            f"{folder} does not exist, and no model of that name could be downloaded "
            f"({_reason(error)}); {wanted}"
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """Reads the JSON object in a file.

    Args:
        path: of the file.

    Returns:
        The object.

    Raises:
        ValueError: if the file is missing or damaged.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "config.json"
        >>> _ = path.write_text('{"a": 3}')
        >>> read_json(path)
        {'a': 3}
    """
    try:
        return parse_object(path.read_bytes())
    except FileNotFoundError as error:
        raise ValueError(f"{path.parent} has no {path.name}; download it") from error
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> ValueError:
    """One line about a file that cannot be read.

    Args:
        path: of the file.
        error: what went wrong.

    Returns:
        The error to raise.

    Example:
        >>> damaged(Path("a"), KeyError("b"))
        ValueError("cannot read a (KeyError: 'b'); download it again")
    """
    return ValueError(f"cannot read {path} ({_reason(error)}); download it again")


def _reason(error: Exception) -> str:
    """An error in a few words on one line."""
    text = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {text}"[:200]
