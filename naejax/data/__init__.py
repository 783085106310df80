"""Tables: read, described, encoded as numbers; and data sets by name."""

from naejax.data.cells import Columns
from naejax.data.columns import read_columns
from naejax.data.datasets import Dataset, DatasetInfo, available, load_dataset
from naejax.data.schema import Feature, Schema, Target, describe, infer_schema
from naejax.data.state import from_state, to_state
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
    "Columns",
    "Dataset",
    "DatasetInfo",
    "Feature",
    "Schema",
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
    "read_columns",
    "to_state",
]
