"""Weights put into a network: every name and shape of them, or what fits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
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


@dataclass
class FitReport:
    """Fate of the entries of two state dicts when a network took over what fits it of the other.

    Attributes:
        carried: names whose values are the other's.
        new: names the other does not have.
        reinitialised: names the other has in another shape.
        dropped: names only the other has.
        carried_parameters: how many of the network's parameters are the other's.
        new_parameters: how many are not.
    """

    carried: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    reinitialised: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    carried_parameters: int = 0
    new_parameters: int = 0

    @property
    def carried_share(self) -> float:
        """The share of the network's parameters that are the other's, in [0, 1]."""
        return self.carried_parameters / max(1, self.carried_parameters + self.new_parameters)

    def summary(self) -> str:
        """One to three lines for people."""
        total = self.carried_parameters + self.new_parameters
        lines = [
            f"carried over {self.carried_parameters:,} of {total:,} parameters "
            f"({self.carried_share:.0%})" + (f"; new: {_layers(self.new)}" if self.new else "")
        ]
        if self.reinitialised:
            lines.append(f"initialised afresh, of another shape: {_layers(self.reinitialised)}")
        if self.dropped:
            lines.append(f"not needed any more: {_layers(self.dropped)}")
        return "\n".join(lines)


def _layers(names: Collection[str]) -> str:
    layers = list(dict.fromkeys(".".join(name.split(".")[:2]) for name in names))
    return ", ".join(layers[:6]) + (f" and {len(layers) - 6} more" if len(layers) > 6 else "")


def compare_weights(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> FitReport:
    """Names of a state dict ``own`` that ``weights`` has in the same shape, and all others."""
    report = FitReport(dropped=[name for name in weights if name not in own])
    for name, value in own.items():
        if name not in weights:
            report.new.append(name)
        elif not _is_usable(weights[name], value) or weights[name].shape != value.shape:
            report.reinitialised.append(name)
        else:
            report.carried.append(name)
    return report


def fit_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> FitReport:
    """Load every entry of ``weights`` whose name and shape ``module`` has; the rest stays.

    Returns:
        What was taken over, is new, and is left.
    """
    own = module.state_dict()
    report = compare_weights(own, weights)
    module.load_state_dict({**own, **{name: weights[name] for name in report.carried}}, strict=True)
    carried = set(report.carried)
    for name, parameter in module.named_parameters():
        if name in carried:
            report.carried_parameters += parameter.numel()
        else:
            report.new_parameters += parameter.numel()
    return report


def _is_usable(value: Any, own: Tensor) -> bool:
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not value.is_meta
        and value.is_floating_point() == own.is_floating_point()
    )
