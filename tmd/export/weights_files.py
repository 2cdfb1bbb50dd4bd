"""Files of weights alone: ours, in 32 and in 16 bits, and the field's, which spandrel opens."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tmd.checkpoints import load_generator, save_checkpoint
from tmd.checkpoints.foreign import read_weights
from tmd.checkpoints.safetensors import read_safetensors, write_safetensors
from tmd.errors import UserError
from tmd.export.kinds import How, Metadata, Run, quiet
from tmd.files import replacing
from tmd.models import create_generator
from tmd.models.generators import has_own_sizes
from tmd.models.generators.rrdb import SLOPE
from tmd.models.published.recognition import recognised

#: Key of the field for averaged weights, which its programs look for first.
KEY = "params_ema"


def is_published(generator: nn.Module) -> bool:
    """Tell a network of the field, whose weights have the field's names."""
    config: Any = generator.config
    return has_own_sizes(config["name"])


def write_ours(generator: nn.Module, metadata: Metadata, path: Path, how: How) -> None:
    """Write safetensors with our description in the metadata."""
    network = halved(generator) if how.is_half else generator
    write_safetensors(network, metadata, path)


def load_ours(path: Path) -> Run:
    """The network that `load_checkpoint` makes of the file."""
    return load_generator(read_safetensors(path))


def write_half(generator: nn.Module, metadata: Metadata, path: Path, how: How) -> None:
    """Write a checkpoint of ours with nothing but the weights, in 16 bits."""
    weights = halved(generator).state_dict()
    save_checkpoint(path, {**metadata, "ema": None, "generator": weights})


def halved(generator: nn.Module) -> nn.Module:
    """A copy whose weights are of 16 bits."""
    return copy.deepcopy(generator).half()


def unknown_elsewhere(generator: nn.Module) -> str:
    """A line on a generator that no other program has the architecture of; else empty."""
    if is_published(generator) or as_esrgan(generator) is not None:
        return ""
    name = generator.config["name"]  # type: ignore[index]
    return (
        f"no other program knows {name}; onnx, openvino and ncnn files hold its arithmetic, and "
        "generator.name=compact, span, esrgan, … is trained into weights that others open"
    )


def note_of_ours(path: Path, generator: nn.Module) -> str:
    """A line on who opens a safetensors file of ours."""
    if is_published(generator):
        return ""
    return f"checkpoint= takes it; {unknown_elsewhere(generator) or 'format=pth is for others'}"


def write_pth(generator: nn.Module, metadata: Metadata, path: Path, how: How) -> None:
    """Write the field's container of weights by the field's names, ``params_ema``."""
    network = as_esrgan(generator) or generator
    if how.is_half:
        network = halved(network)
    with replacing(path) as file:
        torch.save({KEY: dict(network.state_dict())}, file)


def load_published(path: Path) -> Run:
    """The network that spandrel makes of a file.

    Raises:
        UserError: it can't.
    """
    import spandrel

    try:
        with quiet():
            network = spandrel.ModelLoader().load_from_file(path).model
    except Exception as problem:  # of a network that it does not know, or misunderstands
        lines = str(problem).splitlines() or [type(problem).__name__]
        raise UserError(f"spandrel can't open it ({lines[0][:200]})") from None
    return network.float().eval()


def spandrels(path: Path, generator: nn.Module) -> Run | None:
    """Spandrel's network of a safetensors file of the field's; None for a generator of ours.

    Raises:
        UserError: it can't open it.
    """
    return load_published(path) if is_published(generator) else None


def misunderstood(path: Path, generator: nn.Module) -> str:
    """A line on a file that is recognised as another network than it holds; else empty."""
    if not is_published(generator):
        generator = as_esrgan(generator) or generator
    if not is_published(generator):
        return ""
    config: Any = generator.config
    found = recognised(read_weights(path).weights)[0]
    for key, theirs in (("name", found.name), ("scale", found.scale)):
        if theirs != config[key]:
            return f"it is taken for {key} {theirs}, not {config[key]}"
    return ""


def as_esrgan(generator: nn.Module) -> nn.Module | None:
    """The network of the field that an ``rrdb`` is, where its arithmetic is the same.

    That is so of the published sizes (``generator.rrdb``) as long as the stages' slopes are 0.2.
    """
    config: Any = generator.config
    published: dict[str, Any] = {"global_skip": False, "spectral_norm": False}
    published |= {"growth_channels": 32, "residual_scaling": SLOPE}
    if config["name"] != "rrdb" or any(config[key] != value for key, value in published.items()):
        return None
    stages: Any = generator.stages
    slope = torch.tensor(SLOPE)
    if config["scale"] == 3 or any(stage.activation.weight.cpu() != slope for stage in stages):
        return None
    network = create_generator(
        "esrgan",
        scale=config["scale"],
        channels=config["channels"],
        num_feat=config["n_features"],
        num_block=config["n_blocks"],
        unshuffle=False,
    )
    network.load_state_dict(
        {
            _name_in_esrgan(name, config["n_blocks"]): value
            for name, value in generator.state_dict().items()
            if "activation" not in name
        }
    )
    return network.to(next(generator.parameters()).dtype)


def _name_in_esrgan(name: str, blocks: int) -> str:
    for pattern, theirs in (
        (r"head\.", "conv_first."),
        (rf"body\.{blocks}\.", "conv_body."),
        (r"refinement\.", "conv_hr."),
        (r"output\.", "conv_last."),
    ):
        if re.match(pattern, name):
            return re.sub(f"^{pattern}", theirs, name)
    if inner := re.fullmatch(r"body\.(\d+)\.blocks\.(\d)\.convolutions\.(\d)\.(\w+)", name):
        return f"body.{inner[1]}.rdb{int(inner[2]) + 1}.conv{int(inner[3]) + 1}.{inner[4]}"
    stage, kind = re.fullmatch(r"stages\.(\d)\.conv\.(\w+)", name).groups()  # type: ignore[union-attr]
    return f"conv_up{int(stage) + 1}.{kind}"
