"""Explanations: quantities computed from a model's parts, and their pictures."""

from naejax.explain import metrics
from naejax.explain.additive import (
    Shape,
    compute_shapes,
    importance_order,
    model_additivity,
)
from naejax.explain.context import context_curves
from naejax.explain.curves import Curve, deletion, insertion
from naejax.explain.dependence import (
    concurvity,
    dead_experts,
    explained_by_others,
    utilisation,
)
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
from naejax.explain.heatmap import plot_interactions
from naejax.explain.importance_plot import plot_importance
from naejax.explain.interactions import context_effects, interaction_matrix
from naejax.explain.interpretml import shape_data
from naejax.explain.local import LocalExplanation, local_explanation
from naejax.explain.mask_plots import plot_flat_mask, plot_group_overlay
from naejax.explain.members import (
    ActiveExperts,
    active_experts,
    agreement,
    member_contributions,
)
from naejax.explain.plots import plot_shape, plot_shapes
from naejax.explain.quality import (
    additivity_error,
    interaction_auc,
    pair_strengths,
    range_coverage,
    shape_recovery,
    true_additivity,
)
from naejax.explain.rationales import comprehensiveness, sufficiency
from naejax.explain.rules import ContextRules, Rule, context_rules
from naejax.explain.saliency import (
    gradient_saliency,
    integrated_gradients,
    pool_parts,
    random_masks,
)
from naejax.explain.text_plots import plot_text_groups
from naejax.explain.token_plot import plot_tokens
from naejax.explain.tradeoff import plot_tradeoff
from naejax.explain.waterfall import plot_waterfall

__all__ = [
    "ActiveExperts",
    "ContextRules",
    "Curve",
    "LocalExplanation",
    "MergedGroups",
    "Rule",
    "Shape",
    "UsedGroups",
    "active_experts",
    "additivity_error",
    "agreement",
    "comprehensiveness",
    "compute_shapes",
    "concurvity",
    "context_curves",
    "context_effects",
    "context_rules",
    "dead_experts",
    "deletion",
    "explained_by_others",
    "flat_masks",
    "gradient_saliency",
    "group_attributions",
    "grouped_deletion",
    "grouped_insertion",
    "importance_order",
    "insertion",
    "integrated_gradients",
    "interaction_auc",
    "interaction_matrix",
    "local_explanation",
    "member_contributions",
    "merge_duplicates",
    "metrics",
    "model_additivity",
    "pair_strengths",
    "pixel_map",
    "plot_flat_mask",
    "plot_group_overlay",
    "plot_groups",
    "plot_importance",
    "plot_interactions",
    "plot_shape",
    "plot_shapes",
    "plot_text_groups",
    "plot_tokens",
    "plot_tradeoff",
    "plot_waterfall",
    "pool_parts",
    "random_masks",
    "range_coverage",
    "shape_data",
    "shape_recovery",
    "sufficiency",
    "true_additivity",
    "union_mask",
    "used_groups",
    "utilisation",
]
