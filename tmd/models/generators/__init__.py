"""Generators by name. A new architecture is one file in this folder that registers itself."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

from torch import nn

from tmd.errors import UserError, check_choice, check_flag, check_number
from tmd.models.contract import contract_of
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
        options: what only the architecture ``name`` takes. The networks of the field take these
            alone, and the arguments from ``n_blocks`` to ``global_skip`` keep their defaults.

    Returns:
        A module (N, C, H, W) in [0, 1] -> (N, C, scale·H, scale·W), not clamped, with the
        attributes ``contract`` (a `GeneratorContract`), ``scale``, ``channels`` and
        ``receptive_field`` of it, and ``config`` (the arguments that build it again).

    Raises:
        UserError: an argument is out of range, or an option is not the architecture's.

    Example:
        >>> import torch
        >>> generator = create_generator(scale=2, n_blocks=1, n_features=8)
        >>> generator(torch.rand(1, 3, 5, 7)).shape
        torch.Size([1, 3, 10, 14])
    """
    check_choice("generator.name", name, list(GENERATORS))
    builder: Any = GENERATORS[name]
    check_choice("scale", scale, SCALES)
    check_number("channels", channels, minimum=1, integer=True)
    check_number("generator.n_blocks", n_blocks, minimum=1, integer=True)
    check_number("generator.n_features", n_features, minimum=1, integer=True)
    check_choice("generator.norm", norm, NORMS)
    check_flag("generator.spectral_norm", spectral_norm)
    check_flag("generator.global_skip", global_skip)
    sizes = {
        "n_blocks": n_blocks,
        "n_features": n_features,
        "norm": norm,
        "spectral_norm": spectral_norm,
        "global_skip": global_skip,
    }
    if has_own_sizes(name):
        check_own_sizes(name, sizes, SIZES)
        sizes = {}
    arguments = {
        "scale": scale,
        "channels": channels,
        **sizes,
        **complete_options(GENERATORS, name, COMMON, options),
    }
    generator: Any = builder(**arguments)
    generator.scale = scale
    generator.channels = channels
    generator.config = {"name": name, **arguments}
    if not hasattr(generator, "contract"):
        generator.contract = contract_of(generator)
    generator.receptive_field = generator.contract.receptive_field
    return generator


#: Defaults of the arguments that describe the networks of our own.
SIZES = {
    key: parameter.default
    for key, parameter in inspect.signature(create_generator).parameters.items()
    if key in COMMON[2:]
}


def has_own_sizes(name: str) -> bool:
    """Tell if the generator ``name`` is described by its options alone."""
    return getattr(GENERATORS[name], "has_sizes_of_its_own", False)


def check_own_sizes(name: str, sizes: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raise `UserError` for a size that is given to a generator described by its options alone.

    Args:
        name: the generator's.
        sizes: the values of the arguments that it does not have.
        defaults: values that nobody has given.
    """
    for key, value in sizes.items():
        if value != defaults[key]:
            takes = ", ".join(k for k in GENERATORS.parameters(name) if k not in COMMON)
            told = RENAMED.get(name, "")
            raise UserError(
                f"generator.{key}={value!r}: {name} has no such size, its generator.options are "
                f"{takes}" + (f"; {told}" if told else "")
            )


#: Names that meant another network once, and where that is now.
RENAMED = {"compact": "the network that was called compact before is generator.name=subpixel"}


def renamed_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` of a generator with the name that it has today.

    SRResNet's trunk with a sub-pixel output was ``compact`` before that name was given to the
    network that the field calls so; it has ``n_blocks``, which that has not.
    """
    if config.get("name") == "compact" and "n_blocks" in config:
        return {**config, "name": "subpixel"}
    return dict(config)
