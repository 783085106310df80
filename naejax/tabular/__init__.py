"""Neural Additive Experts on a table: from named columns to a fitted model and back."""

from naejax.tabular.fit import fit_table
from naejax.tabular.fitted import TabularNAE
from naejax.tabular.predict import (
    evaluate_table,
    explain_rows,
    predict_table,
    raw_target,
    score_rows,
)
from naejax.tabular.streamed import fit_parquet

__all__ = [
    "TabularNAE",
    "evaluate_table",
    "explain_rows",
    "fit_parquet",
    "fit_table",
    "predict_table",
    "raw_target",
    "score_rows",
]
