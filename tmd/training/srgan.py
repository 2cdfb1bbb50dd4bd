"""SRGAN's trainer (arXiv:1609.04802): a generator, a discriminator and three phases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from ignite.engine import Engine
from torch import Tensor, nn

from tmd import seeding
from tmd.distributed import ALONE, Share
from tmd.training.engines import phased_engine
from tmd.training.phases import Phases
from tmd.training.steps import (
    Updater,
    discriminator_losses,
    frozen,
    generator_adversarial_loss,
)

Scalars = dict[str, Tensor]


def create_srgan_trainer(
    generator: nn.Module,
    discriminator: nn.Module,
    update_generator: Updater,
    update_discriminator: Updater,
    measure: Callable[[Tensor, int], Tensor],
    content_loss: Callable[[Tensor, Tensor], Tensor],
    pixel_loss: Callable[[Tensor, Tensor], Tensor],
    adversarial_loss: Any,
    phases: Phases,
    *,
    content_weight: float = 1.0,
    history: Any = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    autocast: torch.dtype | None = None,
    share: Share = ALONE,
) -> Engine:
    """An engine whose data are sequences of uint8 HR batches, one for each discriminator update.

    Args:
        generator: LR (N, C, h, w) in [0, 1] -> SR (N, C, scale·h, scale·w).
        discriminator: images -> logits.
        update_generator, update_discriminator: their optimisers' steps.
        measure: (HR in [0, 1], index) -> LR.
        content_loss: (SR, HR) -> scalar, used in the adversarial phase (section 2.2.1).
        pixel_loss: (SR, HR) -> scalar, used in ``pretrain``.
        adversarial_loss: see `tmd.losses.adversarial` (section 2.2.2).
        phases: when which networks are trained.
        content_weight: the content loss's factor.
        history: an `ImageHistory`; some of its images take the place of new ones before D.
        seed: of the draws a gradient penalty makes.
        device: where the batches go; the networks are there already.
        autocast: the reduced precision of the networks' arithmetic, or None for float32.
        share: of this process, where several train together: batches, ``measure`` and ``history``
            are of its rows, and the networks `tmd.distributed.parallel`.

    Returns:
        An engine with ``state.phase`` and ``state.adv_weight`` (0 until a handler says otherwise).
        Its output is a dictionary of detached scalars on the device.

    Example:
        >>> # trainer.run(zip(data.batches()), max_epochs=3, epoch_length=100)
    """
    device = torch.device(device)

    def precision() -> AbstractContextManager:
        return torch.autocast(device.type, autocast) if autocast else nullcontext()

    def pairs(engine: Engine, batches: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        first = (engine.state.iteration - 1) * len(batches)
        result = []
        for index, batch in enumerate(batches, start=first):
            hr = batch.to(device, non_blocking=True).float().div_(255)
            result.append((measure(hr, index), hr))
        return result

    def train_discriminator(engine: Engine, sr: Tensor, hr: Tensor) -> Scalars:
        fake = sr.detach()
        if history is not None:
            fake = history.mix(fake)
        rng = seeding.generator(seed, "penalty", engine.state.iteration)
        with precision():
            loss, log = discriminator_losses(discriminator, adversarial_loss, hr, fake, rng, share)
        update_discriminator(loss)
        return log

    def generate(lr: Tensor) -> Tensor:
        with precision():
            return generator(lr).float()

    def pretrain(engine: Engine, batches: Sequence[Tensor]) -> Scalars:
        lr, hr = pairs(engine, batches)[-1]
        loss = pixel_loss(generate(lr), hr)
        update_generator(loss)
        return {"pixel": loss.detach()}

    def warmup(engine: Engine, batches: Sequence[Tensor]) -> Scalars:
        log: Scalars = {}
        for lr, hr in pairs(engine, batches):
            with frozen(generator):
                sr = generate(lr)
            log = train_discriminator(engine, sr, hr)
        return log

    def adversarial(engine: Engine, batches: Sequence[Tensor]) -> Scalars:
        *extra, (lr, hr) = pairs(engine, batches)
        for extra_lr, extra_hr in extra:
            with frozen(generator):
                extra_sr = generate(extra_lr)
            train_discriminator(engine, extra_sr, extra_hr)
        sr = generate(lr)
        log = train_discriminator(engine, sr, hr)
        with precision():
            content = content_loss(sr, hr)
            fooling = generator_adversarial_loss(discriminator, adversarial_loss, sr, hr)
        loss = content_weight * content.float() + engine.state.adv_weight * fooling
        update_generator(loss)
        return {
            "loss_g": loss.detach(),
            "content": content.detach().float(),
            "adversarial": fooling.detach(),
            **log,
        }

    return phased_engine(
        {"pretrain": pretrain, "warmup": warmup, "adversarial": adversarial}, phases
    )
