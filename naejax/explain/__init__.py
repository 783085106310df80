"""Explanations: quantities computed from a model's parts, and their pictures."""

from naejax.explain.additive import Shape, compute_shapes, importance_order
from naejax.explain.plots import plot_shape, plot_shapes

__all__ = [
    "Shape",
    "compute_shapes",
    "importance_order",
    "plot_shape",
    "plot_shapes",
]
