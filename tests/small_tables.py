"""A small table and small models, the same in all tests of the estimators.

Tables of one shape and models of one kind share their compiled programs.
"""

import numpy as np

SMALL = {
    "num_experts": 4,
    "top_k": 2,
    "gate": "none",
    "hidden": (8,),
    "num_knots": 0,
    "epochs": 4,
    "batch_size": 16,
    "learning_rate": 0.03,
    "dropout": 0.0,
    "expert_variance": 0.0,
}
X = np.random.default_rng(0).normal(size=(96, 3))
SIGNAL = 2 * X[:, 0] - X[:, 1]
Y = 50 + 10 * SIGNAL
LABELS = np.where(SIGNAL > 0, "up", "down")
MORE = np.random.default_rng(1).normal(size=(40, 3))
