"""Weights put into a network, every name and shape of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tmd.errors import UserError


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Load ``weights`` into ``module``; every name and shape must match.

    Args:
        source: where they are from, for the message.

    Raises:
        UserError: names what is missing, unexpected, of another shape, or no numbers of its kind
            (the first few of each); nothing is loaded.
    """
    if not isinstance(weights, Mapping):
        raise UserError(f"{source}: holds no weights by name")
    own = module.state_dict()

    def listed(names: list[str]) -> str:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return ", ".join(map(str, names[:3])) + more

    problems = []
    if missing := [name for name in own if name not in weights]:
        problems.append(f"missing {listed(missing)}")
    if unexpected := [name for name in weights if name not in own]:
        problems.append(f"unexpected {listed(unexpected)}")
    if unusable := [n for n in own if n in weights and not _is_usable(weights[n], own[n])]:
        problems.append(f"no numbers of its kind {listed(unusable)}")
    elif reshaped := [
        f"{name} {tuple(weights[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in weights and own[name].shape != weights[name].shape
    ]:
        problems.append(f"of another shape {listed(reshaped)}")
    if problems:
        raise UserError(f"{source}: another architecture: {'; '.join(problems)}")
    module.load_state_dict(weights, strict=True)


def _is_usable(value: Any, own: Tensor) -> bool:
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not value.is_meta
        and value.is_floating_point() == own.is_floating_point()
    )
