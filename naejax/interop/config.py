"""The settings of a model, read from its config.json."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from naejax.interop.snapshot import read_json
from naejax.strict_json import is_number, is_whole


class Config:
    """The settings of a model; errors name the file and the key.

    Args:
        folder: that holds the file.
        kind: the ``model_type`` that it must have.

    Raises:
        ValueError: if the file is missing or damaged or of another type.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp())
        >>> _ = (path / "config.json").write_text('{"model_type": "vit", "a": 3}')
        >>> Config(path, "vit").whole("a")
        3
    """

    def __init__(self, folder: Path, kind: str):
        self.path = folder / "config.json"
        self.values = read_json(self.path)
        self.choice("model_type", [kind])

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or the default if there is one.

        Raises:
            ValueError: if there is neither.
        """
        value = self.values.get(key)
        if value is None and default is None:
            raise ValueError(f"{self.path} has no {key!r}; add it")
        return default if value is None else value

    def whole(self, key: str, default: int | None = None, least: int = 1) -> int:
        """A whole number.

        Raises:
            ValueError: if it is none, or smaller than ``least``.
        """
        value = self.get(key, default)
        if not is_whole(value, least):
            raise self.error(key, f"a whole number from {least} on")
        return value

    def positive(self, key: str, default: float | None = None) -> float:
        """A number above 0.

        Raises:
            ValueError: if it is none.
        """
        value = self.get(key, default)
        if not (is_number(value) and value > 0):
            raise self.error(key, "a number above 0")
        return float(value)

    def choice(self, key: str, known: Collection[Any], default: Any = None) -> Any:
        """One of the values that are known.

        Raises:
            ValueError: if it is another.
        """
        value = self.get(key, default)
        if value not in list(known):
            raise self.error(key, " or ".join(repr(name) for name in known))
        return value

    def error(self, key: str, expected: str) -> ValueError:
        """One line about a value that will not do."""
        return ValueError(
            f"{self.path} has {key!r}: {self.values.get(key)!r}, expected {expected}"
        )
