"""Tables: read, described, encoded as numbers; and data sets by name."""

from naejax.data.cells import Columns
from naejax.data.columns import read_columns
from naejax.data.datasets import Dataset, DatasetInfo, available, load_dataset
from naejax.data.schema import Feature, Schema, Target, describe, infer_schema
from naejax.data.split import split_rows
from naejax.data.state import from_state, to_state
from naejax.data.synthetic import GENERATORS, Synthetic, make_synthetic
from naejax.data.table import (
    TableEncoder,
    decode_feature,
    decode_target,
    encode,
    encode_target,
    encode_training,
    fit_encoder,
)

__all__ = [
    "GENERATORS",
    "Columns",
    "Dataset",
    "DatasetInfo",
    "Feature",
    "Schema",
    "Synthetic",
    "TableEncoder",
    "Target",
    "available",
    "decode_feature",
    "decode_target",
    "describe",
    "encode",
    "encode_target",
    "encode_training",
    "fit_encoder",
    "from_state",
    "infer_schema",
    "load_dataset",
    "make_synthetic",
    "read_columns",
    "split_rows",
    "to_state",
]
