"""Tables: read, described, encoded as numbers; images; texts; data sets by name."""

from naejax.data.cells import Columns
from naejax.data.columns import read_columns
from naejax.data.datasets import Dataset, DatasetInfo, available, load_dataset
from naejax.data.fields import make_lognormal_fields
from naejax.data.image_sets import ImageInfo, available_images, load_images
from naejax.data.images import ImageDataset, Images, split_images, take_images
from naejax.data.schema import Feature, Schema, Target, describe, infer_schema
from naejax.data.shapes import make_shapes
from naejax.data.split import split_rows
from naejax.data.state import from_state, to_state
from naejax.data.synthetic import GENERATORS, Synthetic, make_synthetic
from naejax.data.synthetic_texts import make_synthetic_texts
from naejax.data.table import (
    TableEncoder,
    decode_feature,
    decode_target,
    encode,
    encode_target,
    encode_training,
    fit_encoder,
)
from naejax.data.tfds_builders import TABLE_FILES, prepare_named, prepare_table
from naejax.data.tfds_known_texts import TFDS_TEXTS, load_text
from naejax.data.tfds_text import Texts, prepare_text, read_text
from naejax.data.tokenized import TokenizedTexts, tokenize_texts
from naejax.data.tokenizer import word_tokenizer

__all__ = [
    "GENERATORS",
    "TABLE_FILES",
    "TFDS_TEXTS",
    "Columns",
    "Dataset",
    "DatasetInfo",
    "Feature",
    "ImageDataset",
    "ImageInfo",
    "Images",
    "Schema",
    "Synthetic",
    "TableEncoder",
    "Target",
    "Texts",
    "TokenizedTexts",
    "available",
    "available_images",
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
    "load_images",
    "load_text",
    "make_lognormal_fields",
    "make_shapes",
    "make_synthetic",
    "make_synthetic_texts",
    "prepare_named",
    "prepare_table",
    "prepare_text",
    "read_columns",
    "read_text",
    "split_images",
    "split_rows",
    "take_images",
    "to_state",
    "tokenize_texts",
    "word_tokenizer",
]
