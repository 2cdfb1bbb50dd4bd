"""The exponential moving average of the generator's weights."""

from __future__ import annotations

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


def average_weights(trainer: Engine, generator: nn.Module, decay: float) -> AveragedModel:
    """Attach a `WeightAverage` of ``generator`` to ``trainer`` and return what it averages into."""
    average = WeightAverage(generator, decay)
    average.attach(trainer)
    return average.averaged
