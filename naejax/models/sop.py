"""Sum-of-Parts: a prediction as a sparse weighted sum of scores on groups of parts."""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from naejax.models.groups import (
    GroupGenerator,
    GroupSelector,
    PatchEncoder,
    class_weights_init,
    standardise,
)
from naejax.models.masking import masked_scores
from naejax.ops.grouping import (
    keep_count,
    keep_counts,
    keep_top,
    kept_mass,
    signed_scale,
    strided_groups,
    upsample_nearest,
)
from naejax.ops.precision import at_least_float32
from naejax.ops.sparsemax import sparsemax
from naejax.ops.tokens import (
    pool_positions,
    present_parts,
    spread_to_positions,
    strided_candidates,
)
from naejax.types import Backbone, Numbers, SOPOutput

MASKS = ("hard", "sparse")
SCALES = ("signed", "straight_through", "none")
ENCODERS = ("patches", "shared", "copy")


class SumOfParts(nn.Module):
    """Sum-of-Parts around any backbone.

    With ``m_g`` the mask of group g, ``h`` the backbone and ``z`` its pooled features::

        a_g   = softmax_p(score_gp)            attention of group g over the parts p
        m_g   = top keep of a_g                the parts kept, as 0 and 1
        c_g   = 2 sum_p m_gp a_gp - 1          scale of the group, see `scale`
        theta = select(z(m_1 x) .. z(m_G x))   weights on the simplex, per output
        score = sum_g theta_g c_g h(m_g x)

    Masks ``sparse`` take ``m_g = sparsemax(score_g) / max`` and ``c_g = 1`` instead,
    and learn through the masked example. A frozen backbone gets no gradient, and with
    hard masks none flows through it.

    Attributes:
        backbone: the model that scores groups.
        num_outputs: C, outputs of the backbone.
        num_groups: G, groups that run.
        keep: fraction of the parts that a hard mask keeps.
        heads: heads of the group generator.
        mask: ``hard`` or ``sparse``.
        scale: what multiplies a hard group's scores, in training and prediction alike:
            ``signed`` (c_g), ``straight_through`` (1, with the gradient of c_g) or
            ``none`` (1; only penalties then teach the generator).
        encoder: where the parts' features come from: ``patches`` (a learned affine map
            of each patch), ``shared`` (the backbone's own features, kept as they are)
            or ``copy`` (those of a trainable copy of the backbone).
        patch: encoder ``patches``: positions of a patch, one number or one per axis;
            None cuts images and sequences into about 14 along each axis.
        width: encoder ``patches``: width of the features.
        standardise: encoders ``shared`` and ``copy``: whether each example's features
            get mean 0 over its parts and mean square 1, so that scores measure what is
            special about a part, on one scale for every backbone.
        grid: encoders ``shared`` and ``copy``: parts along each axis, to which the
            features are spread; None keeps the features' own grid.
        generator_scale: factor of the generator's scores.
        selector_scale: factor of the selector's scores; smaller uses more groups.
        blur: steps of the Gaussian blur of the generator's scores; 1 is none.
        blur_sigma: its standard deviation in parts.
        num_parts: P, the most parts of an example, where the backbone says which
            position belongs to which part (texts); None: as many as positions.
        frozen: whether the backbone's parameters stay as they are, in a collection
            ``backbone`` of their own.
        finetune: top-level names of a frozen backbone's parameters that train all the
            same, such as its last layers; gradients then stop below them.
        chunk: most masked examples that the backbone gets at once; bounds memory.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from naejax.models.backbones import from_function
        >>> backbone = from_function(lambda w, x: x.sum(axis=2) @ w, jnp.ones((6, 3)))
        >>> model = SumOfParts(backbone, num_outputs=3, num_groups=4, keep=0.5)
        >>> x = jnp.ones((2, 6, 5))
        >>> variables = model.init(jax.random.key(0), x)
        >>> output = model.apply(variables, x)
        >>> output.prediction.shape, output.masks.shape, output.selection.shape
        ((2, 3), (2, 4, 6), (2, 4, 3))

    Source: You et al., "Sum-of-Parts: Self-Attributing Neural Networks with End-to-End
    Learning of Feature Groups", ICML 2025, arXiv 2310.16316, and its released code.
    """

    backbone: Backbone
    num_outputs: int
    num_groups: int = 20
    keep: float = 0.2
    heads: int = 1
    mask: str = "hard"
    scale: str = "straight_through"
    encoder: str = "patches"
    patch: int | Sequence[int] | None = None
    width: int = 64
    standardise: bool = True
    grid: Sequence[int] | None = None
    generator_scale: float = 1.0
    selector_scale: float = 1.0
    blur: int = 1
    blur_sigma: float = 1.0
    num_parts: int | None = None
    frozen: bool = True
    finetune: Sequence[str] = ()
    chunk: int = 64

    def __post_init__(self):
        _check_settings(self)
        for name in ("patch", "grid", "finetune"):
            if isinstance(getattr(self, name), list):  # a list could not be hashed
                setattr(self, name, tuple(getattr(self, name)))
        super().__post_init__()

    @property
    def chunk_rows(self) -> int:
        """Examples that one program of `naejax.predict` should hold."""
        return max(1, 8 * self.chunk // self.num_groups)

    @nn.compact
    def __call__(
        self, x: Numbers, train: bool = False, groups: Numbers | None = None
    ) -> SOPOutput:
        """Scores examples ``x`` (B, H, W, channels) or (B, L, ...).

        Args:
            x: the examples; 0 is the value of what a mask removes, unless the backbone
                removes parts in a way of its own.
            train: makes no difference: masks, scales and groups are the same in
                training and prediction.
            groups: the candidates (head times P plus part) that run, (G,) or (B, G);
                None takes `num_groups` of them, evenly strided over all heads and the
                parts that an example has.

        Returns:
            The prediction and its parts; masks of texts are of the tokens of the parts
            kept, without those that are never removed.
        """
        params = self._backbone_params()
        parts = None if self.backbone.parts is None else self.backbone.parts(x)
        features, present = self._features(params, x, parts)
        grid = features.shape[1:-1]
        if groups is None:
            groups = self._candidates(grid, present)
        logits = GroupGenerator(
            self.heads,
            self.generator_scale,
            self.blur,
            self.blur_sigma,
            name="generator",
        )(features, groups, present)
        flat = logits.reshape(*logits.shape[:2], -1)
        count = self._count(flat.shape[-1], present) if self.mask == "hard" else None
        masks, scale, attention = self._masks(flat, count)
        masks = masks.reshape(logits.shape)
        if parts is not None:
            masks = spread_to_positions(masks, parts)
        scores, pooled = masked_scores(
            self.backbone.apply,
            params,
            x,
            masks,
            self.chunk,
            remat=not (self.frozen and self.mask == "hard"),
            masked=self.backbone.masked,
            count=count if isinstance(count, int) else None,
        )
        if scores.shape[-1] != self.num_outputs:
            raise ValueError(
                f"the backbone has {scores.shape[-1]} outputs, num_outputs is "
                f"{self.num_outputs}; make them equal"
            )
        selection = GroupSelector(
            class_weights_init(self.backbone.class_weights),
            self.num_outputs,
            self.selector_scale,
            name="selector",
        )(pooled)
        contributions = selection * scale[..., None] * scores
        return SOPOutput(
            prediction=contributions.sum(axis=1),
            bias=jnp.zeros(self.num_outputs, scores.dtype),
            contributions=contributions,
            masks=masks
            if parts is not None
            else upsample_nearest(masks, x.shape[1 : 1 + len(grid)]),
            selection=selection,
            scale=scale,
            group_scores=scores,
            attention=attention.reshape(logits.shape),
        )

    def _backbone_params(self) -> Any:
        """The backbone's parameters: constants of their own, or trainable."""
        params = self.backbone.params
        if not self.frozen:
            return self.param("backbone", lambda key: params)
        if not self.finetune:
            held = self.variable("backbone", "params", lambda: params)
            return jax.lax.stop_gradient(held.value)
        unknown = [name for name in self.finetune if name not in params]
        if unknown:
            raise ValueError(
                f"finetune names {unknown}, expected parameters of the backbone: "
                f"{list(params)}"
            )
        rest = {k: v for k, v in params.items() if k not in self.finetune}
        held = self.variable("backbone", "params", lambda: rest)
        tuned = {name: params[name] for name in self.finetune}
        tuned = self.param("backbone", lambda key: tuned)
        return {**jax.lax.stop_gradient(held.value), **tuned}

    def _features(
        self, params: Any, x: Numbers, parts: Int[Numbers, "B L"] | None
    ) -> tuple[Float[Array, "B *grid d"], Bool[Array, "B P"] | None]:
        """Features of the parts, on their grid, and which of them are there."""
        if self.encoder == "patches":
            if parts is not None:
                raise ValueError(
                    "encoder is 'patches', which reads numbers, but the backbone reads "
                    "tokens; use encoder='shared' or 'copy'"
                )
            return PatchEncoder(self.width, self._patch(x), name="encoder")(x), None
        if self.encoder == "copy":
            params = self.param("encoder", lambda key: self.backbone.params)
        features = self.backbone.apply(params, x).features
        if features is None:
            raise ValueError(
                f"encoder {self.encoder!r} needs a backbone that returns features; "
                "use encoder='patches'"
            )
        features, present = at_least_float32(features), None
        if parts is not None:
            num_parts = self.num_parts or parts.shape[1]
            features = pool_positions(features, parts, num_parts)
            present = present_parts(parts, num_parts)
            # A text without any part: its groups keep nothing that could be removed.
            present |= ~present.any(axis=1, keepdims=True)
        if self.standardise:
            features = standardise(features, present)
        if self.grid is None or parts is not None:
            return features, present
        channels_first = jnp.moveaxis(features, -1, 1)
        return jnp.moveaxis(upsample_nearest(channels_first, self.grid), 1, -1), None

    def _candidates(
        self, grid: tuple[int, ...], present: Bool[Array, "B P"] | None
    ) -> Numbers:
        """The candidates that run: head times P plus part, (G,) or (B, G)."""
        if present is None:
            return strided_groups(self.heads * math.prod(grid), self.num_groups)
        counts = present.sum(axis=1)
        head, part = strided_candidates(counts, self.heads, self.num_groups)
        return head * present.shape[1] + part

    def _count(
        self, num_parts: int, present: Bool[Array, "B P"] | None
    ) -> int | Int[Array, "B 1"]:
        """How many parts a hard mask keeps, of all examples or of each."""
        if present is None:
            return keep_count(num_parts, self.keep)
        return keep_counts(present.sum(axis=1, keepdims=True), self.keep)

    def _patch(self, x: Numbers) -> tuple[int, ...]:
        """Size of a patch along every axis of the grid: two for images, else one."""
        spatial = x.shape[1:3] if x.ndim == 4 else x.shape[1:2]
        if self.patch is None:
            return tuple(max(1, size // 14) for size in spatial)
        if isinstance(self.patch, int):
            return (self.patch,) * len(spatial)
        return tuple(self.patch)

    def _masks(
        self, logits: Float[Array, "B G P"], count: int | Int[Array, "B 1"] | None
    ) -> tuple[Float[Array, "B G P"], Float[Array, "B G"], Float[Array, "B G P"]]:
        """Masks, scales and attention of the groups."""
        if count is None:  # sparse masks keep what they like
            attention = sparsemax(logits)
            masks = attention / attention.max(axis=-1, keepdims=True)
            return masks, jnp.ones(logits.shape[:2], logits.dtype), attention
        attention = jax.nn.softmax(logits)
        # By logits: a saturated softmax ties parts that the logits tell apart.
        kept = keep_top(jax.lax.stop_gradient(logits), count)
        scale = signed_scale(kept_mass(attention, kept))
        if self.scale == "straight_through":
            scale = 1.0 + (scale - jax.lax.stop_gradient(scale))
        elif self.scale == "none":
            scale = jnp.ones_like(scale)
        return kept.astype(logits.dtype), scale, attention


def _check_settings(model: SumOfParts) -> None:
    """Refuses settings that no model can have, in one line each."""
    if not isinstance(model.backbone, Backbone):
        raise ValueError(
            f"backbone is a {type(model.backbone).__name__}, expected a Backbone; wrap "
            "it with naejax.backbones, as in from_linen(module, variables)"
        )
    choices = {"mask": MASKS, "scale": SCALES, "encoder": ENCODERS}
    for name, allowed in choices.items():
        if getattr(model, name) not in allowed:
            raise ValueError(
                f"{name} is {getattr(model, name)!r}, expected one of {allowed}"
            )
    for name in ("num_outputs", "num_groups", "heads", "width", "chunk"):
        if getattr(model, name) < 1:
            raise ValueError(f"{name} is {getattr(model, name)}, expected at least 1")
    if not 0 < model.keep <= 1:
        raise ValueError(f"keep is {model.keep}, expected a fraction in (0, 1]")
