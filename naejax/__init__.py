"""naejax: self-explaining models in JAX.

`NAE` is Neural Additive Experts: a score that is a sum of one contribution per
feature, each the gated mixture of that feature's experts. `SumOfParts` wraps any
backbone: a score that is a sparse weighted sum of the backbone's scores on learned
groups of parts.
"""

from naejax import interop
from naejax.artifact import load, save
from naejax.models import backbones
from naejax.models.nae import NAE, contribution_range
from naejax.models.predict import predict
from naejax.models.sop import SumOfParts
from naejax.objectives import losses, penalties
from naejax.ops.sparsemax import sparsemax
from naejax.train.loop import FitResult, TrainingDivergedError, fit
from naejax.types import Backbone, BackboneOutput, NAEOutput, SOPOutput

__version__ = "0.1.0"

__all__ = [
    "NAE",
    "Backbone",
    "BackboneOutput",
    "FitResult",
    "NAEOutput",
    "SOPOutput",
    "SumOfParts",
    "TrainingDivergedError",
    "backbones",
    "contribution_range",
    "fit",
    "interop",
    "load",
    "losses",
    "penalties",
    "predict",
    "save",
    "sparsemax",
]
