"""Checkpoint files: written whole or not at all, read back strictly and without running code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tmd.checkpoints.contents import FORMAT, VERSION, NotOursError
from tmd.checkpoints.names import checkpoints_in
from tmd.checkpoints.reading import read_torch_file
from tmd.checkpoints.safetensors import read_safetensors
from tmd.errors import UserError
from tmd.files import replacing
from tmd.models import create_generator
from tmd.models.generators import renamed_config
from tmd.models.weights import load_weights


def save_checkpoint(path: str | os.PathLike[str], state: dict[str, Any]) -> None:
    """Write a checkpoint so that ``path`` holds all of it or is untouched, even if the power goes.

    Args:
        path: folders that are missing on the way to it are made.
        state: tensors, numbers, texts, and lists and dicts of them.

    Raises:
        OSError, RuntimeError: it can't be written; torch's writer raises both.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        torch.save({"format": FORMAT, "version": VERSION, **state}, file)


def load_checkpoint(
    path: str | os.PathLike[str], device: str | torch.device = "cpu"
) -> dict[str, Any]:
    """The contents of a checkpoint of ours, or of weights that `tmd.export` wrote as safetensors.

    Raises:
        UserError: the file is absent, truncated, not a checkpoint, not one of ours, or would run
            code.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return _with_todays_names(read_safetensors(path, device))
    state = read_torch_file(path, device)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise NotOursError(
            f"checkpoint {path}: not written by this framework (tmd.checkpoints.load_weights "
            "puts plain weights into a network)"
        )
    version = state.get("version")
    if not isinstance(version, int):
        raise UserError(f"checkpoint {path}: says no version of its format")
    if version > VERSION:
        raise UserError(
            f"checkpoint {path}: format version {version}, this code reads up to {VERSION}"
        )
    return _with_todays_names(state)


def _with_todays_names(state: dict[str, Any]) -> dict[str, Any]:
    config = state.get("generator_config")
    if not isinstance(config, dict):
        return state
    return {**state, "generator_config": renamed_config(config)}


def newest_checkpoint(names: Iterable[str], locate: Callable[[str], Path]) -> dict[str, Any] | None:
    """The contents of the newest checkpoint that can be read; None where there is none.

    Args:
        names: of files, checkpoints among them.
        locate: the file of a name.

    Raises:
        UserError: none of them can be read.
    """
    newest_first = checkpoints_in(names)[::-1]
    for name in newest_first:
        try:
            return load_checkpoint(locate(name))
        except UserError as problem:
            if name == newest_first[-1]:
                raise
            print(f"warning: {problem}; taking the one before it", file=sys.stderr)
    return None


def load_generator(
    checkpoint: str | os.PathLike[str] | dict[str, Any],
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
    source = "checkpoint" if isinstance(checkpoint, dict) else f"checkpoint {checkpoint}"
    state = checkpoint if isinstance(checkpoint, dict) else load_checkpoint(checkpoint, device)
    try:
        config = state["generator_config"]
        weights = state["ema"] if averaged and state.get("ema") is not None else state["generator"]
    except KeyError as missing:
        raise UserError(f"{source}: holds no {missing.args[0]}") from None
    try:
        module = create_generator(**config)
    except UserError as problem:
        raise UserError(f"{source}: describes no generator of ours ({problem})") from None
    except TypeError:  # nothing that `**` takes
        raise UserError(f"{source}: its generator_config is no config") from None
    load_weights(module, weights, source)
    return module.to(device).eval()
