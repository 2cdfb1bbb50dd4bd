"""Checkpoint files: what is in them, written atomically, read back strictly and safely."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tmd.errors import UserError
from tmd.files import replacing

FORMAT = "tmd-checkpoint"
VERSION = 1


def save_checkpoint(path: str | os.PathLike[str], state: dict[str, Any]) -> None:
    """Write ``state`` so that ``path`` holds all of it or is untouched, even if the power goes."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        torch.save({"format": FORMAT, "version": VERSION, **state}, file)


def load_checkpoint(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> dict:
    """Read a checkpoint of ours, or the weights that `tmd.export` wrote as safetensors.

    Raises:
        UserError: the file is absent, truncated, not a checkpoint, or not one of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"checkpoint {path}: no such file")
    if path.suffix == ".safetensors":
        from tmd.export import read_weights  # export loads generators

        return read_weights(path, device)
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception:  # bytes of another kind can raise anything in the unpickler
        raise UserError(f"checkpoint {path}: truncated, or not a PyTorch checkpoint") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(
            f"checkpoint {path}: not written by this framework (tmd.checkpoints.load_weights "
            "puts plain weights into a network)"
        )
    if state["version"] > VERSION:
        raise UserError(
            f"checkpoint {path}: format version {state['version']}, this code reads up to {VERSION}"
        )
    return state


def load_weights(module: nn.Module, weights: dict[str, torch.Tensor], source: str) -> None:
    """Load ``weights`` into ``module``; every name and shape must match.

    Raises:
        UserError: names what is missing, unexpected or of another shape (the first few of each).
    """
    own = module.state_dict()

    def listed(names: list[str]) -> str:
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    problems = []
    if missing := [name for name in own if name not in weights]:
        problems.append(f"missing {listed(missing)}")
    if unexpected := [name for name in weights if name not in own]:
        problems.append(f"unexpected {listed(unexpected)}")
    if reshaped := [
        f"{name} {tuple(weights[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in weights and own[name].shape != weights[name].shape
    ]:
        problems.append(f"of another shape {listed(reshaped)}")
    if problems:
        raise UserError(f"{source}: another architecture: {'; '.join(problems)}")
    module.load_state_dict(weights, strict=True)


def load_generator(
    checkpoint: str | os.PathLike[str] | dict,
    device: str | torch.device = "cpu",
    averaged: bool = True,
) -> nn.Module:
    """The generator of a checkpoint, in evaluation mode.

    Args:
        checkpoint: a file, or what `load_checkpoint` returned.
        averaged: take the exponential moving average of the weights where there is one.

    Returns:
        A module (N, C, H, W) in [0, 1] -> (N, C, scale·H, scale·W); its ``scale`` and ``channels``
        are attributes.
    """
    from tmd.models import create_generator  # models import checkpoints for growth

    source = "checkpoint" if isinstance(checkpoint, dict) else f"checkpoint {checkpoint}"
    state = checkpoint if isinstance(checkpoint, dict) else load_checkpoint(checkpoint, device)
    try:
        module = create_generator(**state["generator_config"])
        weights = state["ema"] if averaged and state.get("ema") else state["generator"]
    except KeyError as missing:
        raise UserError(f"{source}: holds no {missing.args[0]}") from None
    load_weights(module, weights, source)
    return module.to(device).eval()
