"""The exponential moving average of the generator's weights."""

from __future__ import annotations

import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def average_weights(trainer: Engine, generator: nn.Module, decay: float) -> AveragedModel:
    """Keep the average of ``generator``'s weights over the updates that change them.

    Buffers (batch statistics, spectral norms) are averages already and are copied. The first
    update copies the weights, so the average never contains the random initialisation.

    Args:
        decay: share of the old average that stays at each update, in [0, 1).

    Returns:
        torch's `AveragedModel`; the averaged network is its ``module``.
    """
    averaged = AveragedModel(generator)
    averaged.requires_grad_(False)
    averaged.eval()
    # `AveragedModel.update_parameters` walks through both networks at each update, which takes
    # longer than the arithmetic, and makes a GPU wait for the count.
    move = get_ema_multi_avg_fn(decay)
    own, new = ([p.detach() for p in network.parameters()] for network in (averaged, generator))
    own_buffers, new_buffers = (list(m.buffers()) for m in (averaged.module, generator))

    @trainer.on(Events.ITERATION_COMPLETED)
    @torch.no_grad()
    def update(trainer: Engine) -> None:
        if trainer.state.phase == "warmup":  # the generator stood still
            return
        if averaged.n_averaged:
            move(own, new, averaged.n_averaged)
        else:
            torch._foreach_copy_(own, new)
        if own_buffers:
            torch._foreach_copy_(own_buffers, new_buffers)
        averaged.n_averaged += 1

    return averaged
