"""Weights as safetensors, with the network's description in the file's metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tmd.checkpoints.contents import FORMAT, VERSION
from tmd.errors import UserError
from tmd.files import write_bytes

WEIGHTS_VERSION = 1


def write_safetensors(generator: nn.Module, described: Mapping[str, Any], path: Path) -> None:
    """Write a generator's weights; ``described`` becomes the metadata ``tmd``, as JSON."""
    from safetensors.torch import save

    weights = {name: tensor.contiguous() for name, tensor in generator.state_dict().items()}
    text = json.dumps({**described, "weights_version": WEIGHTS_VERSION})
    write_bytes(path, save(weights, {"tmd": text}))


def read_safetensors(
    path: str | os.PathLike[str], device: str | torch.device = "cpu"
) -> dict[str, Any]:
    """Contents of a safetensors file of ours, as `tmd.checkpoints.load_checkpoint` returns them.

    Raises:
        UserError: it is no safetensors file, or none of ours.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise UserError(
            f"checkpoint {path}: needs safetensors; pip install -e '.[export]' brings it"
        ) from None
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            text = (file.metadata() or {}).get("tmd")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError):
        raise UserError(f"checkpoint {path}: truncated, or not a safetensors file") from None
    if text is None:
        raise UserError(
            f"checkpoint {path}: says nothing of its architecture (tmd.checkpoints."
            "load_weights puts plain weights into a network)"
        )
    try:
        described = dict(json.loads(text))
    except (ValueError, TypeError):
        raise UserError(f"checkpoint {path}: its description is not JSON of ours") from None
    return {
        "format": FORMAT,
        "version": VERSION,
        "phase": None,
        "discriminator_config": None,
        "ema": None,
        "discriminator": None,
        "trainer": {},
        **described,
        "generator": weights,
    }
