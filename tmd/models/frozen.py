"""Layers of a network that do not learn for a while."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn


class FrozenLayers:
    """All of a network but some parameters, kept from changing until they are thawed.

    A frozen parameter gets no gradient, so an optimizer that was given all parameters skips it and
    keeps no state for it; what it keeps for the others outlives the thaw. Frozen batch
    normalisations work with their running statistics and leave them, and frozen spectral
    normalisations their estimates, also when the network is put in training mode.

    Args:
        network: the network.
        trainable: names of the parameters that go on learning.
    """

    def __init__(self, network: nn.Module, trainable: Collection[str]) -> None:
        self.network = network
        self.names = [
            name
            for name, parameter in network.named_parameters()
            if parameter.requires_grad and name not in set(trainable)
        ]
        self._hooks: list[Any] = []

    @property
    def frozen(self) -> bool:
        """The layers are frozen now."""
        return bool(self._hooks)

    def freeze(self) -> None:
        """Freeze; without effect when they are frozen."""
        if self.frozen:
            return
        parameters = dict(self.network.named_parameters())
        for name in self.names:
            parameters[name].requires_grad_(False)
            parameters[name].grad = None
        for layer in self._layers():
            self._hooks.append(layer.register_forward_pre_hook(_use_evaluation_mode))

    def thaw(self) -> None:
        """Let all learn; without effect when they do."""
        if not self.frozen:
            return
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        parameters = dict(self.network.named_parameters())
        for name in self.names:
            parameters[name].requires_grad_(True)
        self.network.train(self.network.training)

    def _layers(self) -> list[nn.Module]:
        """The largest modules of which every parameter is frozen."""
        names = set(self.names)
        layers: dict[str, nn.Module] = {}
        for prefix, module in self.network.named_modules():
            own = [f"{prefix}.{name}".lstrip(".") for name, _ in module.named_parameters()]
            within = any(prefix.startswith(f"{layer}.") for layer in layers)
            if own and names.issuperset(own) and not within:
                layers[prefix] = module
        return list(layers.values())


def _use_evaluation_mode(layer: nn.Module, _inputs: Any) -> None:
    # The trainer calls `train()` on the whole network after the freeze.
    if layer.training:
        layer.eval()
