"""Sum-of-Parts on images: from images to a fitted model and back."""

from naejax.vision.evaluate import evaluate_images
from naejax.vision.fit import fit_backbone, fit_sop
from naejax.vision.fitted import (
    ImageBackbone,
    ImageSOP,
    explain_images,
    predict_images,
    score_images,
)

__all__ = [
    "ImageBackbone",
    "ImageSOP",
    "evaluate_images",
    "explain_images",
    "fit_backbone",
    "fit_sop",
    "predict_images",
    "score_images",
]
