"""Sum-of-Parts: a prediction as a sparse weighted sum of scores on groups of parts."""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.typing import Initializer
from jaxtyping import Array, Float

from naejax.models.groups import (
    GroupGenerator,
    GroupSelector,
    PatchEncoder,
    standardise,
)
from naejax.models.masking import masked_scores
from naejax.ops.grouping import (
    keep_count,
    keep_top,
    kept_mass,
    signed_scale,
    strided_groups,
    upsample_nearest,
)
from naejax.ops.precision import at_least_float32
from naejax.ops.sparsemax import sparsemax
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
            x: the examples; 0 is the value of what a mask removes.
            train: makes no difference: masks, scales and groups are the same in
                training and prediction.
            groups: the candidates (head times P plus part) that run, (G,); None takes
                `num_groups` of them, evenly strided over all heads.

        Returns:
            The prediction and its parts.
        """
        params = self._backbone_params()
        features = self._features(params, x)
        grid = features.shape[1:-1]
        if groups is None:
            groups = strided_groups(self.heads * math.prod(grid), self.num_groups)
        logits = GroupGenerator(
            self.heads,
            self.generator_scale,
            self.blur,
            self.blur_sigma,
            name="generator",
        )(features, groups)
        masks, scale, attention = self._masks(logits.reshape(*logits.shape[:2], -1))
        masks = masks.reshape(logits.shape)
        scores, pooled = masked_scores(
            self.backbone.apply,
            params,
            x,
            masks,
            self.chunk,
            remat=not (self.frozen and self.mask == "hard"),
        )
        if scores.shape[-1] != self.num_outputs:
            raise ValueError(
                f"the backbone has {scores.shape[-1]} outputs, num_outputs is "
                f"{self.num_outputs}; make them equal"
            )
        selection = GroupSelector(
            _class_weights(self.backbone),
            self.num_outputs,
            self.selector_scale,
            name="selector",
        )(pooled)
        contributions = selection * scale[..., None] * scores
        return SOPOutput(
            prediction=contributions.sum(axis=1),
            bias=jnp.zeros(self.num_outputs, scores.dtype),
            contributions=contributions,
            masks=upsample_nearest(masks, x.shape[1 : 1 + len(grid)]),
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

    def _features(self, params: Any, x: Numbers) -> Float[Array, "B *grid d"]:
        """Features of the parts, on their grid."""
        if self.encoder == "patches":
            return PatchEncoder(self.width, self._patch(x), name="encoder")(x)
        if self.encoder == "copy":
            params = self.param("encoder", lambda key: self.backbone.params)
        features = self.backbone.apply(params, x).features
        if features is None:
            raise ValueError(
                f"encoder {self.encoder!r} needs a backbone that returns features; "
                "use encoder='patches'"
            )
        features = at_least_float32(features)
        if self.standardise:
            features = standardise(features)
        if self.grid is None:
            return features
        channels_first = jnp.moveaxis(features, -1, 1)
        return jnp.moveaxis(upsample_nearest(channels_first, self.grid), 1, -1)

    def _patch(self, x: Numbers) -> tuple[int, ...]:
        """Size of a patch along every axis of the grid: two for images, else one."""
        spatial = x.shape[1:3] if x.ndim == 4 else x.shape[1:2]
        if self.patch is None:
            return tuple(max(1, size // 14) for size in spatial)
        if isinstance(self.patch, int):
            return (self.patch,) * len(spatial)
        return tuple(self.patch)

    def _masks(
        self, logits: Float[Array, "B G P"]
    ) -> tuple[Float[Array, "B G P"], Float[Array, "B G"], Float[Array, "B G P"]]:
        """Masks, scales and attention of the groups."""
        if self.mask == "sparse":
            attention = sparsemax(logits)
            masks = attention / attention.max(axis=-1, keepdims=True)
            return masks, jnp.ones(logits.shape[:2], logits.dtype), attention
        attention = jax.nn.softmax(logits)
        count = keep_count(logits.shape[-1], self.keep)
        # By logits: a saturated softmax ties parts that the logits tell apart.
        kept = keep_top(jax.lax.stop_gradient(logits), count)
        scale = signed_scale(kept_mass(attention, kept))
        if self.scale == "straight_through":
            scale = 1.0 + (scale - jax.lax.stop_gradient(scale))
        elif self.scale == "none":
            scale = jnp.ones_like(scale)
        return kept.astype(logits.dtype), scale, attention


def _class_weights(backbone: Backbone) -> Initializer:
    """An initialiser of the selector's queries."""
    weights = backbone.class_weights

    def init(key: jax.Array, shape: tuple[int, int]) -> Array:
        if weights is None and shape[0] == shape[1]:
            # Pooled features that are the scores: each output asks for its own.
            return jnp.eye(*shape)
        if weights is None:
            return nn.initializers.xavier_uniform()(key, shape)
        if np.shape(weights) != shape:
            raise ValueError(
                f"class_weights of the backbone have shape {np.shape(weights)}, "
                f"expected {shape}: outputs x pooled features"
            )
        return jnp.array(weights, jnp.float32)

    return init


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
