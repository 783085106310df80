"""Runs: a folder that holds a trained model, its scores, its history and a picture.

Names are imported when first used: a command waits for what it needs alone.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from naejax.runs.explain import explain_run
    from naejax.runs.images import train_image_run
    from naejax.runs.predict import predict_run
    from naejax.runs.resume import resume_run
    from naejax.runs.sweep import sweep_run
    from naejax.runs.table import train_run
    from naejax.runs.tables import open_data

_PLACES = {
    "explain_run": "explain",
    "open_data": "tables",
    "predict_run": "predict",
    "resume_run": "resume",
    "sweep_run": "sweep",
    "train_image_run": "images",
    "train_run": "table",
}

__all__ = [
    "explain_run",
    "open_data",
    "predict_run",
    "resume_run",
    "sweep_run",
    "train_image_run",
    "train_run",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'naejax.runs' has no attribute {name!r}")
    return getattr(importlib.import_module(f"naejax.runs.{_PLACES[name]}"), name)
