"""Weights as safetensors, with the network's description in the file's metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tmd.checkpoints.contents import FORMAT, VERSION, NotOursError
from tmd.errors import UserError
from tmd.files import write_bytes

WEIGHTS_VERSION = 1


def write_safetensors(generator: nn.Module, described: Mapping[str, Any], path: Path) -> None:
    """Write a generator's weights; ``described`` becomes the metadata ``tmd``, as JSON."""
    from safetensors.torch import save

    weights = {name: tensor.contiguous() for name, tensor in generator.state_dict().items()}
    text = json.dumps({**described, "weights_version": WEIGHTS_VERSION})
    write_bytes(path, save(weights, {"tmd": text}))


def read_tensors(
    path: str | os.PathLike[str], device: str | torch.device = "cpu", kind: str = "checkpoint"
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file by name, and its metadata.

    Args:
        kind: what to call the file in messages.

    Raises:
        UserError: it is absent, or no safetensors file.
    """
    if not Path(path).is_file():
        raise UserError(f"{kind} {path}: no such file")
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise UserError(
            f"{kind} {path}: needs safetensors; pip install -e '.[export]' brings it"
        ) from None
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, OSError):
        raise UserError(f"{kind} {path}: truncated, or not a safetensors file") from None


def read_safetensors(
    path: str | os.PathLike[str], device: str | torch.device = "cpu"
) -> dict[str, Any]:
    """Contents of a safetensors file of ours, as `tmd.checkpoints.load_checkpoint` returns them.

    Raises:
        UserError: it is no safetensors file, or none of ours.
    """
    weights, metadata = read_tensors(path, device)
    text = metadata.get("tmd")
    if text is None:
        raise NotOursError(
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
