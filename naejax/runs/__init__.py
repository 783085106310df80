"""Runs: a folder that holds a trained model, its scores, its history and a picture."""

from naejax.runs.explain import explain_run
from naejax.runs.images import train_image_run
from naejax.runs.predict import predict_run
from naejax.runs.resume import resume_run
from naejax.runs.sweep import sweep_run
from naejax.runs.table import train_run

__all__ = [
    "explain_run",
    "predict_run",
    "resume_run",
    "sweep_run",
    "train_image_run",
    "train_run",
]
