"""Learning rates that differ between the parts of a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


def scale_rates(
    optimizer: torch.optim.Optimizer, network: nn.Module, factors: Mapping[str, float]
) -> None:
    """Split an optimiser's groups so that parameters learn at rates of their own.

    Args:
        optimizer: of the network's parameters, before its first step.
        factors: by parameters' names, of the rate; 1 of the others.
    """
    by_parameter = {
        id(parameter): factors[name]
        for name, parameter in network.named_parameters()
        if name in factors
    }
    groups: list[dict[str, Any]] = []
    for group in optimizer.param_groups:
        parts: dict[float, list[Any]] = {}
        for parameter in group["params"]:
            parts.setdefault(by_parameter.get(id(parameter), 1.0), []).append(parameter)
        for factor, parameters in sorted(parts.items()):
            scaled = {"lr": factor * group["lr"], "lr_scale": factor} if factor != 1 else {}
            groups.append({**group, "params": parameters, **scaled})
    optimizer.param_groups[:] = groups
