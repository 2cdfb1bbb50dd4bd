"""SRGAN's trainer (arXiv:1609.04802): a generator, a discriminator and three phases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from ignite.engine import Engine
from torch import Tensor, nn

from tmd import seeding
from tmd.distributed import ALONE, Share
from tmd.losses.extra import Terms
from tmd.training.engines import phased_engine
from tmd.training.phases import Phases
from tmd.training.steps import (
    NO_TERMS,
    Batch,
    Updater,
    averaged_sr,
    discriminator_losses,
    frozen,
    generator_adversarial_loss,
    precision,
    super_resolution,
    with_terms,
)
from tmd.training.supervised import pixel_step

Scalars = dict[str, Tensor]


def create_srgan_trainer(
    generator: nn.Module,
    discriminator: nn.Module,
    update_generator: Updater,
    update_discriminator: Updater,
    content_loss: Callable[[Tensor, Tensor], Tensor],
    pixel_loss: Callable[[Tensor, Tensor], Tensor],
    adversarial_loss: Any,
    phases: Phases,
    *,
    content_weight: float = 1.0,
    terms: Terms = NO_TERMS,
    history: Any = None,
    seed: int = 0,
    autocast: torch.dtype | None = None,
    share: Share = ALONE,
) -> Engine:
    """An engine whose data are sequences of (LR, HR) batches, one for each discriminator update.

    LR (N, C, h, w) and HR (N, C, scale·h, scale·w) are float in [0, 1], on the networks' device.

    Args:
        generator: LR -> SR (N, C, scale·h, scale·w).
        discriminator: images -> logits.
        update_generator, update_discriminator: their optimisers' steps.
        content_loss: (SR, HR) -> scalar, used in the adversarial phase (section 2.2.1).
        pixel_loss: (SR, HR) -> scalar, used in ``pretrain``.
        adversarial_loss: see `tmd.losses.adversarial` (section 2.2.2).
        phases: when which networks are trained.
        content_weight: the content loss's factor.
        terms: further terms of the generator's loss, in ``pretrain`` and the adversarial phase.
        history: an `ImageHistory`; some of its images take the place of new ones before D.
        seed: of the draws a gradient penalty makes.
        autocast: the reduced precision of the networks' arithmetic, or None for float32.
        share: of this process, where several train together: batches and ``history`` are of its
            rows, and the networks `tmd.distributed.parallel`.

    Returns:
        An engine with ``state.phase`` and ``state.adv_weight`` (0 until a handler says otherwise).
        Its output is a dictionary of detached scalars on the device.

    Example:
        >>> # trainer.run(zip(measured_batches(images, measure)), max_epochs=3, epoch_length=100)
    """

    def train_discriminator(engine: Engine, sr: Tensor, hr: Tensor) -> Scalars:
        fake = sr.detach()
        if history is not None:
            fake = history.mix(fake)
        rng = seeding.generator(seed, "penalty", engine.state.iteration)
        with precision(hr, autocast):
            loss, log = discriminator_losses(discriminator, adversarial_loss, hr, fake, rng, share)
        update_discriminator(loss)
        return log

    def warmup(engine: Engine, batches: Sequence[Batch]) -> Scalars:
        log: Scalars = {}
        for lr, hr in batches:
            with frozen(generator):
                sr = super_resolution(generator, lr, autocast)
            log = train_discriminator(engine, sr, hr)
        return log

    def adversarial(engine: Engine, batches: Sequence[Batch]) -> Scalars:
        *extra, (lr, hr) = batches
        for extra_lr, extra_hr in extra:
            with frozen(generator):
                extra_sr = super_resolution(generator, extra_lr, autocast)
            train_discriminator(engine, extra_sr, extra_hr)
        sr = super_resolution(generator, lr, autocast)
        log = train_discriminator(engine, sr, hr)
        with precision(hr, autocast):
            content = content_loss(sr, hr)
            fooling = generator_adversarial_loss(discriminator, adversarial_loss, sr, hr)
        loss = content_weight * content.float() + engine.state.adv_weight * fooling
        averaged = averaged_sr(engine, lr, autocast)
        loss, of_terms = with_terms(
            loss, terms, "adversarial", sr=sr, hr=hr, lr=lr, averaged=averaged
        )
        update_generator(loss)
        return {
            "loss_g": loss.detach(),
            "content": content.detach().float(),
            "adversarial": fooling.detach(),
            **of_terms,
            **log,
        }

    pretrain = pixel_step(generator, update_generator, pixel_loss, terms, autocast)
    return phased_engine(
        {"pretrain": pretrain, "warmup": warmup, "adversarial": adversarial}, phases
    )
