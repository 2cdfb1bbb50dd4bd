"""Generators by name. A new architecture is one file in this folder that registers itself."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from torch import nn

from tmd.errors import check_choice, check_flag, check_number
from tmd.models.registry import GENERATORS, complete_options

SCALES = (1, 2, 3, 4, 8)
NORMS = ("batch", "none")
COMMON = ("scale", "channels", "n_blocks", "n_features", "norm", "spectral_norm", "global_skip")

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def create_generator(
    name: str = "srresnet",
    scale: int = 4,
    channels: int = 3,
    n_blocks: int = 16,
    n_features: int = 64,
    norm: str = "none",
    spectral_norm: bool = False,
    global_skip: bool = True,
    **options: Any,
) -> nn.Module:
    """A generator with freshly initialised weights.

    Args:
        name: a name in `GENERATORS`.
        scale: 2, 3, 4 or 8; 1 for restoration, without upsampling stages.
        channels: of the images.
        n_blocks: residual blocks.
        n_features: channels of the features between them.
        norm: ``"batch"`` or ``"none"``.
        spectral_norm: put spectral normalisation on every convolution but the output's.
        global_skip: let the network add to the bicubic upscaling, at scale 1 to the image
            itself, beginning with nothing.
        options: what only the architecture ``name`` takes.

    Returns:
        A module (N, C, H, W) in [0, 1] -> (N, C, scale·H, scale·W), not clamped, with the
        attributes ``scale``, ``channels``, ``receptive_field`` (radius in LR pixels: what is
        further away has no influence) and ``config`` (the arguments that build it again).

    Raises:
        UserError: an argument is out of range, or an option is not the architecture's.

    Example:
        >>> import torch
        >>> generator = create_generator(scale=2, n_blocks=1, n_features=8)
        >>> generator(torch.rand(1, 3, 5, 7)).shape
        torch.Size([1, 3, 10, 14])
    """
    check_choice("generator.name", name, list(GENERATORS))
    check_choice("scale", scale, SCALES)
    check_number("channels", channels, minimum=1, integer=True)
    check_number("generator.n_blocks", n_blocks, minimum=1, integer=True)
    check_number("generator.n_features", n_features, minimum=1, integer=True)
    check_choice("generator.norm", norm, NORMS)
    check_flag("generator.spectral_norm", spectral_norm)
    check_flag("generator.global_skip", global_skip)
    arguments = {
        "scale": scale,
        "channels": channels,
        "n_blocks": n_blocks,
        "n_features": n_features,
        "norm": norm,
        "spectral_norm": spectral_norm,
        "global_skip": global_skip,
        **complete_options(GENERATORS, name, COMMON, options),
    }
    generator: Any = GENERATORS[name](**arguments)
    generator.scale = scale
    generator.channels = channels
    generator.config = {"name": name, **arguments}
    return generator
