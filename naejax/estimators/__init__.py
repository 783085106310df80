"""Neural Additive Experts with the interface of scikit-learn."""

from naejax.estimators.classification import NAEClassifier
from naejax.estimators.regression import NAERegressor

__all__ = ["NAEClassifier", "NAERegressor"]
