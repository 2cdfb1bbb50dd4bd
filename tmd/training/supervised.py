"""Training by a pixel loss alone: a generator, and no network that judges it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from ignite.engine import Engine
from torch import Tensor, nn

from tmd.losses.extra import Terms
from tmd.training.accumulation import Averages, Group, parts_of, standing
from tmd.training.engines import Step, phased_engine
from tmd.training.phases import Phases
from tmd.training.steps import (
    NO_TERMS,
    averaged_sr,
    super_resolution,
    with_terms,
)
from tmd.training.updates import Updater, descend


def pixel_step(
    generator: nn.Module,
    update_generator: Updater,
    pixel_loss: Callable[[Tensor, Tensor], Tensor],
    terms: Terms = NO_TERMS,
    autocast: torch.dtype | None = None,
) -> Step:
    """The step of phase ``pretrain``: one update of the generator by ``pixel_loss`` and ``terms``.

    The arguments are `create_supervised_trainer`'s. Of several groups the last one is used.
    """

    def pretrain(engine: Engine, groups: Sequence[Group]) -> dict[str, Tensor]:
        parts, log = parts_of(groups[-1]), Averages()

        def losses() -> Iterator[Tensor]:
            for part, (lr, hr) in enumerate(parts):
                with standing(generator, part > 0):
                    sr = super_resolution(generator, lr, autocast)
                pixel = pixel_loss(sr, hr)
                averaged = averaged_sr(engine, lr, autocast)
                loss, of_terms = with_terms(
                    pixel, terms, "pretrain", sr=sr, hr=hr, lr=lr, averaged=averaged
                )
                log.add({"pixel": pixel.detach(), **of_terms})
                yield loss

        descend(update_generator, losses(), len(parts))
        return log.means()

    return pretrain


def create_supervised_trainer(
    generator: nn.Module,
    update_generator: Updater,
    pixel_loss: Callable[[Tensor, Tensor], Tensor],
    iterations: int,
    *,
    terms: Terms = NO_TERMS,
    autocast: torch.dtype | None = None,
) -> Engine:
    """An engine that trains a generator by a pixel loss; its data are sequences of (LR, HR).

    In the place of an (LR, HR) may be several that stand for one batch; see
    `tmd.training.accumulation`.

    Args:
        generator: LR (N, C, h, w) in [0, 1] -> SR (N, C, scale·h, scale·w).
        update_generator: its optimiser's step.
        pixel_loss: (SR, HR) -> scalar.
        iterations: of the run, all of them of phase ``pretrain``.
        terms: further terms of the loss.
        autocast: the reduced precision of the network's arithmetic, or None for float32.

    Returns:
        An engine with ``state.phase``; its output is a dictionary of detached scalars.
    """
    step = pixel_step(generator, update_generator, pixel_loss, terms, autocast)
    return phased_engine({"pretrain": step}, Phases(iterations, 0, 0))
