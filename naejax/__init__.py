"""naejax: self-explaining models in JAX.

`NAE` is Neural Additive Experts: a score that is a sum of one contribution per
feature, each the gated mixture of that feature's experts.
"""

from naejax import interop
from naejax.artifact import load, save
from naejax.models.nae import NAE, contribution_range
from naejax.models.predict import predict
from naejax.objectives import losses, penalties
from naejax.train.loop import FitResult, TrainingDivergedError, fit
from naejax.types import NAEOutput

__version__ = "0.1.0"

__all__ = [
    "NAE",
    "FitResult",
    "NAEOutput",
    "TrainingDivergedError",
    "contribution_range",
    "fit",
    "interop",
    "load",
    "losses",
    "penalties",
    "predict",
    "save",
]
