"""The exponential moving average of the generator's weights."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class WeightAverage:
    """Average of a network's weights over the updates that change them.

    Buffers (batch statistics, spectral norms) are averages already and are copied. The first
    update copies the weights, so the average never contains the random initialisation.

    Args:
        network: the network.
        decay: share of the old average that stays at each update, in [0, 1).

    Attributes:
        averaged: torch's `AveragedModel`; the averaged network is its ``module``.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.averaged = AveragedModel(network)
        self.averaged.requires_grad_(False)
        self.averaged.eval()
        # `AveragedModel.update_parameters` walks through both networks at each update, which takes
        # longer than the arithmetic, and makes a GPU wait for the count.
        self._move = get_ema_multi_avg_fn(decay)
        self._own, self._new = (
            [p.detach() for p in each.parameters()] for each in (self.averaged, network)
        )
        self._own_buffers, self._new_buffers = (
            list(each.buffers()) for each in (self.averaged.module, network)
        )

    def attach(self, trainer: Engine) -> None:
        """Average after each update; ``engine.state.averaged`` is the averaged network."""
        trainer.state.averaged = self.averaged.module
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self)

    @torch.no_grad()
    def __call__(self, trainer: Engine) -> None:
        """Take the weights of an update in; in ``warmup`` the generator stood still."""
        if trainer.state.phase == "warmup":
            return
        if self.averaged.n_averaged:
            self._move(self._own, self._new, self.averaged.n_averaged)
        else:
            torch._foreach_copy_(self._own, self._new)
        if self._own_buffers:
            torch._foreach_copy_(self._own_buffers, self._new_buffers)
        self.averaged.n_averaged += 1


class OptimizersAverage:
    """Weights that an optimiser means to be used, which are others than it trains (schedule-free).

    The optimiser can put them in the place of those that it trains, and back, to rounding; here
    they are put into a network of their own, when it is used or saved, and those that are trained
    keep their bits. Buffers are copied.

    Args:
        network: the network.
        optimizer: of its parameters, with ``train`` and ``eval``.

    Attributes:
        averaged: as of `WeightAverage`.
    """

    def __init__(self, network: nn.Module, optimizer: Any) -> None:
        self.network = network
        self.optimizer = optimizer
        self.averaged = AveragedModel(network)
        self.averaged.requires_grad_(False)
        self.averaged.eval()
        self._stale = True
        self.averaged.module.register_forward_pre_hook(lambda *_: self.refresh())
        for module in (self.averaged, self.averaged.module):
            module.register_state_dict_pre_hook(lambda *_: self.refresh())
        self.averaged.register_load_state_dict_post_hook(lambda *_: self._become_stale())

    def attach(self, trainer: Engine) -> None:
        """``engine.state.averaged`` is the network with the weights to be used."""
        trainer.state.averaged = self.averaged.module
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._become_stale)

    def _become_stale(self) -> None:
        self._stale = True

    @torch.no_grad()
    def refresh(self) -> None:
        """Take over what the optimiser has to offer, if anything has changed."""
        if not self._stale:
            return
        self._stale = False
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        kept = [p.clone() for p in trained]
        self.optimizer.eval()
        own = self.averaged.module
        torch._foreach_copy_(list(own.parameters()), list(self.network.parameters()))
        for buffer, value in zip(own.buffers(), self.network.buffers(), strict=True):
            buffer.copy_(value)
        self.optimizer.train()
        torch._foreach_copy_(trained, kept)


def average_weights(trainer: Engine, generator: nn.Module, decay: float) -> AveragedModel:
    """Attach a `WeightAverage` of ``generator`` to ``trainer`` and return what it averages into."""
    average = WeightAverage(generator, decay)
    average.attach(trainer)
    return average.averaged
