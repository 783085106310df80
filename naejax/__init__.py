"""naejax: self-explaining models in JAX.

`NAE` is Neural Additive Experts: a score that is a sum of one contribution per
feature, each the gated mixture of that feature's experts; `NAERegressor` and
`NAEClassifier` are its scikit-learn estimators. `SumOfParts` wraps any backbone: a
score that is a sparse weighted sum of the backbone's scores on learned groups of parts.

Names are imported when first used: `to_numpy_predictor` needs no JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from naejax import data, explain, interop
    from naejax.artifact import load, save
    from naejax.estimators import NAEClassifier, NAERegressor
    from naejax.models import backbones
    from naejax.models.bert import BERT
    from naejax.models.ensemble import NAEEnsemble
    from naejax.models.nae import NAE, contribution_range, place_knots
    from naejax.models.predict import predict
    from naejax.models.sop import SumOfParts
    from naejax.models.vit import ViT
    from naejax.objectives import losses, penalties
    from naejax.ops.sparsemax import sparsemax
    from naejax.reports import report
    from naejax.serving import to_numpy_predictor
    from naejax.stablehlo import export
    from naejax.sweeps import SweepResult, sweep
    from naejax.train.checkpoint import Checkpoints, TrainingPreemptedError
    from naejax.train.loop import fit
    from naejax.train.result import FitResult, TrainingDivergedError
    from naejax.train.sources import RowSource
    from naejax.types import Backbone, BackboneOutput, NAEOutput, SOPOutput

__version__ = "0.1.0"

_PLACES = {
    "BERT": "models.bert",
    "NAE": "models.nae",
    "NAEClassifier": "estimators",
    "NAEEnsemble": "models.ensemble",
    "NAEOutput": "types",
    "NAERegressor": "estimators",
    "Backbone": "types",
    "BackboneOutput": "types",
    "Checkpoints": "train.checkpoint",
    "FitResult": "train.result",
    "RowSource": "train.sources",
    "SOPOutput": "types",
    "SumOfParts": "models.sop",
    "SweepResult": "sweeps",
    "TrainingDivergedError": "train.result",
    "TrainingPreemptedError": "train.checkpoint",
    "ViT": "models.vit",
    "backbones": "models",
    "contribution_range": "models.nae",
    "data": "",
    "explain": "",
    "export": "stablehlo",
    "fit": "train.loop",
    "interop": "",
    "load": "artifact",
    "losses": "objectives",
    "penalties": "objectives",
    "place_knots": "models.nae",
    "predict": "models.predict",
    "report": "reports",
    "save": "artifact",
    "sparsemax": "ops.sparsemax",
    "sweep": "sweeps",
    "to_numpy_predictor": "serving",
}
_MODULES = ("backbones", "data", "explain", "interop", "losses", "penalties")

__all__ = [
    "BERT",
    "NAE",
    "Backbone",
    "BackboneOutput",
    "Checkpoints",
    "FitResult",
    "NAEClassifier",
    "NAEEnsemble",
    "NAEOutput",
    "NAERegressor",
    "RowSource",
    "SOPOutput",
    "SumOfParts",
    "SweepResult",
    "TrainingDivergedError",
    "TrainingPreemptedError",
    "ViT",
    "backbones",
    "contribution_range",
    "data",
    "explain",
    "export",
    "fit",
    "interop",
    "load",
    "losses",
    "penalties",
    "place_knots",
    "predict",
    "report",
    "save",
    "sparsemax",
    "sweep",
    "to_numpy_predictor",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'naejax' has no attribute {name!r}")
    place = f"naejax.{_PLACES[name]}".removesuffix(".")
    if name in _MODULES:
        value: Any = importlib.import_module(f"{place}.{name}")
    else:
        value = getattr(importlib.import_module(place), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
