"""Weights from other code: the methods' authors', and Hugging Face's transformers."""

from naejax.interop.authors import nae_from_torch, sop_from_torch
from naejax.interop.hugging_face import bert_from_hugging_face, vit_from_hugging_face

__all__ = [
    "bert_from_hugging_face",
    "nae_from_torch",
    "sop_from_torch",
    "vit_from_hugging_face",
]
