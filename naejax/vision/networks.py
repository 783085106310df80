"""The networks that train on images: a CNN, or a vision transformer (ViT)."""

from dataclasses import replace
from typing import Any

from naejax.models.cnn import CNN, cnn_backbone
from naejax.models.vit import ViT, vit_backbone
from naejax.settings import SOPSettings
from naejax.types import Backbone

Network = CNN | ViT

# The settings that say what a network is, and what its module calls them.
_ATTRIBUTES = {
    "cnn": {
        "channels": "channels",
        "hidden": "hidden",
        "depth": "depth",
        "kernel": "kernel",
    },
    "vit": {
        "vit_patch": "patch",
        "vit_width": "width",
        "vit_depth": "depth",
        "vit_heads": "heads",
        "drop_tokens": "drop_zeros",
    },
}
NETWORK_SETTINGS = tuple(name for names in _ATTRIBUTES.values() for name in names)
"""Names of all settings of networks."""

_MLP = 4  # inner width of a block's network, in widths of the ViT


def build_network(settings: Any, num_outputs: int) -> Network:
    """The module of a network to train.

    Args:
        settings: of `SOPSettings.for_images`.
        num_outputs: C.

    Returns:
        The module.

    Example:
        >>> settings = SOPSettings(backbone="vit").for_images(1000, 32)
        >>> build_network(settings, 10).patch
        4
    """
    names = _ATTRIBUTES[settings.network]
    options = {v: getattr(settings, k) for k, v in names.items()}
    if settings.network == "cnn":
        return CNN(num_outputs, **options)
    return ViT(num_outputs, mlp=_MLP * settings.vit_width, **options)


def image_backbone(model: Network, variables: Any) -> Backbone:
    """A network as Sum-of-Parts needs it.

    Args:
        model: the module.
        variables: its variables.

    Returns:
        The backbone; that of a ViT with ``drop_zeros`` computes the patches of a group
        alone.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> model, x = CNN(2, channels=(4, 4)), jnp.ones((1, 8, 8, 1))
        >>> image_backbone(model, model.init(jax.random.key(0), x)).class_weights.shape
        (2, 64)
    """
    if isinstance(model, CNN):
        return cnn_backbone(model, variables)
    return vit_backbone(model, variables, drop_tokens=model.drop_zeros)


def head_layers(model: Network, variables: Any) -> tuple[str, ...]:
    """The layers between the pooled vector, or what it is made of, and the scores.

    Args:
        model: the module.
        variables: its variables.

    Returns:
        Their names: a CNN's dense layers; a ViT's last norm and its classifier.

    Example:
        >>> params = {"patches": 0, "block_0": 0, "norm": 0, "classifier": 0}
        >>> head_layers(ViT(3), {"params": params})
        ('norm', 'classifier')
    """
    if isinstance(model, ViT):
        return ("norm", "classifier")
    return tuple(name for name in variables["params"] if not name.startswith("conv"))


def settings_like(model: Network, settings: SOPSettings) -> SOPSettings:
    """Settings that say what a trained network is.

    Args:
        model: its module.
        settings: others.

    Returns:
        The settings, with those of the network from its module.

    Example:
        >>> settings_like(CNN(3, kernel=5), SOPSettings(epochs=2)).kernel
        5
    """
    kind, usual = _kind(model), SOPSettings()
    chosen: dict[str, Any] = {name: getattr(usual, name) for name in NETWORK_SETTINGS}
    chosen |= {k: getattr(model, v) for k, v in _ATTRIBUTES[kind].items()}
    if settings.backbone in (None, *_ATTRIBUTES):
        chosen["backbone"] = kind
    return replace(settings, **chosen)


def check_network(settings: Any, height: int, width: int) -> None:
    """Refuses settings of a network that do not suit it or the images.

    Args:
        settings: of `SOPSettings.for_images`.
        height: H of the images.
        width: W of the images.

    Raises:
        ValueError: for settings of another network, images that patches do not cover,
            or too many blocks.

    Example:
        >>> check_network(SOPSettings().for_images(1000, 32), 32, 32)
    """
    usual = SOPSettings()
    for name in NETWORK_SETTINGS:
        is_own = name in _ATTRIBUTES[settings.network]
        if not is_own and getattr(settings, name) != getattr(usual, name):
            raise ValueError(
                f"{name} is for another backbone than {settings.network}; leave it out"
            )
    if settings.network == "cnn":
        blocks = len(settings.channels)
        if blocks < 2 or min(height, width) >> blocks == 0:
            raise ValueError(
                f"got {blocks} channels for images of {height} x {width}, expected at "
                "least 2 blocks, each of which halves the image; change channels, or "
                "enlarge the images"
            )
        return
    side = settings.vit_patch
    if height % side or width % side or min(height, width) < 2 * side:
        raise ValueError(
            f"vit_patch is {side}, expected a side of which images of {height} x "
            f"{width} hold a whole number, at least two, along each axis; change it, "
            "or resize the images"
        )
    if settings.vit_width % settings.vit_heads:
        raise ValueError(
            f"vit_width is {settings.vit_width}, expected a multiple of vit_heads, "
            f"which is {settings.vit_heads}; change one"
        )
    own = (height // side, width // side)
    if settings.drop_tokens and settings.grid not in (None, own):
        raise ValueError(
            f"grid is {settings.grid}, expected that of the patches, {own}, since "
            "drop_tokens drops whole patches; leave out one of the two"
        )
    if settings.drop_tokens and settings.mask != "hard":
        raise ValueError(
            f"mask is {settings.mask!r}, expected 'hard', since drop_tokens drops "
            "whole patches; leave out one of the two"
        )


def usual_grid(settings: Any, height: int, width: int) -> tuple[int, int]:
    """The grid of parts where the user names none.

    Twice as fine as the features, so that groups follow the outlines of things; where
    tokens are dropped, that of the patches.

    Args:
        settings: checked ones.
        height: H of the images.
        width: W of the images.

    Returns:
        Parts along each axis.

    Example:
        >>> usual_grid(SOPSettings().for_images(1000, 32), 32, 32)
        (16, 16)
    """
    if settings.network == "cnn":
        halvings = len(settings.channels) - 1
        own = (height >> halvings, width >> halvings)
    else:
        own = (height // settings.vit_patch, width // settings.vit_patch)
        if settings.drop_tokens:
            return own
    return min(height, 2 * own[0]), min(width, 2 * own[1])


def mask_grid(
    settings: Any, parts: tuple[int, ...], height: int, width: int
) -> tuple[int, ...]:
    """The grid of the patches by which training images of a backbone are masked.

    Args:
        settings: checked ones.
        parts: of Sum-of-Parts along each axis.
        height: H of the images.
        width: W of the images.

    Returns:
        The patches of a ViT; for a CNN half as many as parts along each axis.

    Example:
        >>> settings = SOPSettings(backbone="vit").for_images(1000, 32)
        >>> mask_grid(settings, (16, 16), 32, 32)
        (8, 8)
    """
    if settings.network == "vit":
        return height // settings.vit_patch, width // settings.vit_patch
    # Patches larger than a part leave whole things out, as groups do.
    return tuple(max(1, count // 2) for count in parts)


def _kind(model: Network) -> str:
    """What settings call a network."""
    return "cnn" if isinstance(model, CNN) else "vit"
