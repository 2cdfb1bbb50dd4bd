"""The exponential moving average of the generator's weights."""

from __future__ import annotations

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
    averaged = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(decay))
    averaged.requires_grad_(False)
    averaged.eval()

    @trainer.on(Events.ITERATION_COMPLETED)
    def update(trainer: Engine) -> None:
        if trainer.state.phase != "warmup":  # the generator stood still
            averaged.update_parameters(generator)

    return averaged
