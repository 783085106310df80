"""The tensors of a model, read from safetensors files with names and shapes checked."""

from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from naejax.interop.snapshot import WEIGHTS, damaged, read_json

INDEX = f"{WEIGHTS}.index.json"

# Names of norms in the oldest checkpoints.
_RENAMED = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


class Tensors:
    """The tensors of a folder, read when taken, with their names and shapes checked.

    Args:
        folder: with model.safetensors, or several such files and their index.
        ignored: beginnings of the names of tensors that may be left.

    Raises:
        ValueError: if there is no such file, or it is damaged.

    Example:
        >>> import tempfile
        >>> from safetensors.numpy import save_file
        >>> path = Path(tempfile.mkdtemp())
        >>> save_file({"a": np.ones((2, 3), np.float16)}, path / "model.safetensors")
        >>> Tensors(path).take("a", (2, 3)).dtype
        dtype('float32')
    """

    def __init__(self, folder: Path, ignored: tuple[str, ...] = ()):
        self.path, self.ignored = folder, ignored
        self.files: dict[str, tuple[Any, str]] = {}
        self.taken: set[str] = set()
        for path in _weight_files(folder):
            try:
                file = safe_open(path, "numpy")
            except (SafetensorError, OSError) as error:
                raise damaged(path, error) from error
            for stored in file.keys():
                name = stored
                for old, new in _RENAMED.items():
                    name = name.replace(old, new)
                self.files[name] = (file, stored)

    def has(self, name: str) -> bool:
        """Whether there is a tensor of that name."""
        return name in self.files

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of the tensor of that name.

        Raises:
            ValueError: if there is none.
        """
        if name not in self.files:
            raise ValueError(
                f"{self.path} has no tensor {name!r}; it holds "
                f"{sorted(self.files)[:6]} and others, {len(self.files)} in all"
            )
        file, stored = self.files[name]
        return tuple(file.get_slice(stored).get_shape())

    def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The tensor of that name in float32.

        Raises:
            ValueError: if there is none, or it has another shape.
        """
        if self.shape(name) != shape:
            raise ValueError(
                f"{self.path} has tensor {name!r} of shape {self.shape(name)}, "
                f"expected {shape} by its config.json"
            )
        self.taken.add(name)
        file, stored = self.files[name]
        return np.asarray(file.get_tensor(stored), np.float32)

    def dense(
        self, name: str, inputs: int, outputs: int, use_bias: bool = True
    ) -> dict[str, np.ndarray]:
        """A dense layer; there matrices act from the left.

        Raises:
            ValueError: if a tensor is missing or misshapen.
        """
        layer = {"kernel": self.take(f"{name}.weight", (outputs, inputs)).T}
        if use_bias:
            layer["bias"] = self.take(f"{name}.bias", (outputs,))
        return layer

    def norm(self, name: str, width: int) -> dict[str, np.ndarray]:
        """The scale and the offset of a norm.

        Raises:
            ValueError: if a tensor is missing or misshapen.
        """
        return {
            "scale": self.take(f"{name}.weight", (width,)),
            "bias": self.take(f"{name}.bias", (width,)),
        }

    def check_all_taken(self) -> None:
        """Refuses tensors that the model has no place for.

        Raises:
            ValueError: if there is one that is not ignored.
        """
        left = [
            name
            for name in sorted(self.files)
            if name not in self.taken and not name.startswith(self.ignored)
        ]
        if left:
            raise ValueError(
                f"{self.path} also holds tensors {left[:6]} ({len(left)} in all), for "
                "which the model has no place; is it of another architecture?"
            )


def _weight_files(folder: Path) -> list[Path]:
    """The files that hold a model's tensors."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = folder / INDEX
    if index.is_file():
        places = read_json(index).get("weight_map")
        names = list(places.values()) if isinstance(places, dict) else []
        # A name from a file must not lead out of the folder.
        if not names or any(Path(str(n)).name != n for n in names):
            raise ValueError(f"{index} has no weight_map of file names; repair it")
        return [folder / name for name in sorted(set(names))]
    if (folder / "pytorch_model.bin").is_file():
        raise ValueError(
            f"{folder} has pytorch_model.bin, a pickle, which could run any code, and "
            f"no {WEIGHTS}; save the model anew as safetensors"
        )
    raise ValueError(f"{folder} has no {WEIGHTS}; download it")
