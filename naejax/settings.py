"""How to build and train a model of a table, as one flat set of numbers."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True)
class Settings:
    """How to build and train a model; "by rows" is what `for_rows` chooses for None.

    Attributes:
        num_experts: K, experts per feature.
        top_k: k, experts active per feature and row.
        hidden: widths of a feature's encoder; None: by rows.
        gate: context, equal, own or none.
        gate_rank: rank of the gate's matrix, 0 for a full one; None: by features.
        dropout: rate of dropout in the encoders; None: by rows.
        expert_dropout: rate at which experts drop out of the choice in training.
        expert_variance: penalty that slides from interactions (0) to a plain additive
            model (large); None: by rows.
        output_energy: penalty on large contributions.
        utilisation: penalty on unevenly used experts.
        concurvity: penalty on correlated contributions.
        loss: name of a loss; None: squared, logistic or softmax_cross_entropy.
        learning_rate: the highest one.
        weight_decay: of AdamW.
        epochs: passes over the training rows; None: by rows.
        batch_size: rows per step; None: by rows.
        numeric: quantile (normal quantiles) or standard (mean 0, variance 1).
        categorical: levels (one number per level), target (statistics of the target,
            never of the row's own), or auto: target above 16 levels.
        patience: epochs without a better validation loss before training stops; None:
            a third of the epochs.
    """

    num_experts: int = 32
    top_k: int = 8
    hidden: tuple[int, ...] | None = None
    gate: str = "context"
    gate_rank: int | None = None
    dropout: float | None = None
    expert_dropout: float = 0.0
    expert_variance: float | None = None
    output_energy: float = 0.0
    utilisation: float = 0.0
    concurvity: float = 0.0
    loss: str | None = None
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    epochs: int | None = None
    batch_size: int | None = None
    numeric: Literal["quantile", "standard"] = "quantile"
    categorical: Literal["auto", "levels", "target"] = "auto"
    patience: int | None = None

    def for_rows(self, rows: int, features: int, kind: str) -> "Settings":
        """Fills in what was left to the size of the table.

        From 5,000 training rows on: four blocks of 64, no dropout, 60 epochs, and an
        expert variance penalty of 1 for regression, 10 for classes. Smaller tables get
        two blocks of 32 with dropout 0.1, 100 epochs and a penalty of 30, which keeps
        them near an additive model. Batches grow with the rows from 32 to 256; above
        100 features the gate gets rank 16. Patience is a third of the epochs.

        Args:
            rows: number of training rows.
            features: F.
            kind: of the target: regression, binary or multiclass.

        Returns:
            Settings without None, except the loss.

        Example:
            >>> Settings().for_rows(300, 10, "regression").batch_size
            32
        """
        is_small = rows < 5000
        large_penalty = 1.0 if kind == "regression" else 10.0
        chosen: dict[str, Any] = {
            "hidden": (32, 32) if is_small else (64, 64, 64, 64),
            "gate_rank": 16 if features > 100 else 0,
            "dropout": 0.1 if is_small else 0.0,
            "expert_variance": 30.0 if is_small else large_penalty,
            "epochs": 100 if is_small else 60,
            "batch_size": int(np.clip(2 ** np.floor(np.log2(rows / 16)), 32, 256)),
        }
        chosen |= {k: getattr(self, k) for k in chosen if getattr(self, k) is not None}
        patience = self.patience
        if patience is None:
            patience = max(10, chosen["epochs"] // 3)
        return replace(self, **chosen, patience=patience)
