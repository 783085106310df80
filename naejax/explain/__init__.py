"""Explanations: quantities computed from a model's parts, and their pictures."""

from naejax.explain import metrics
from naejax.explain.additive import Shape, compute_shapes, importance_order
from naejax.explain.curves import Curve, deletion, insertion
from naejax.explain.group_plots import plot_groups
from naejax.explain.grouped_curves import grouped_deletion, grouped_insertion
from naejax.explain.groups import (
    MergedGroups,
    UsedGroups,
    flat_masks,
    group_attributions,
    merge_duplicates,
    pixel_map,
    union_mask,
    used_groups,
)
from naejax.explain.plots import plot_shape, plot_shapes
from naejax.explain.rationales import comprehensiveness, sufficiency
from naejax.explain.saliency import (
    gradient_saliency,
    integrated_gradients,
    pool_parts,
    random_masks,
)

__all__ = [
    "Curve",
    "MergedGroups",
    "Shape",
    "UsedGroups",
    "comprehensiveness",
    "compute_shapes",
    "deletion",
    "flat_masks",
    "gradient_saliency",
    "group_attributions",
    "grouped_deletion",
    "grouped_insertion",
    "importance_order",
    "insertion",
    "integrated_gradients",
    "merge_duplicates",
    "metrics",
    "pixel_map",
    "plot_groups",
    "plot_shape",
    "plot_shapes",
    "pool_parts",
    "random_masks",
    "sufficiency",
    "union_mask",
    "used_groups",
]
