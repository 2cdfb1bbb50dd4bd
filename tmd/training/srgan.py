"""SRGAN's trainer (arXiv:1609.04802): a generator, a discriminator and three phases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from ignite.engine import Engine
from torch import Tensor, nn

from tmd import seeding
from tmd.distributed import ALONE, Share
from tmd.losses.extra import Terms
from tmd.training.accumulation import (
    Averages,
    Batch,
    Group,
    joined,
    parts_of,
    standing,
)
from tmd.training.engines import phased_engine
from tmd.training.phases import Phases
from tmd.training.steps import (
    NO_TERMS,
    averaged_sr,
    discriminator_part_losses,
    frozen,
    generator_adversarial_loss,
    losses_of_parts,
    precision,
    super_resolution,
    unlearnt_sr,
    with_terms,
)
from tmd.training.supervised import pixel_step
from tmd.training.updates import Updater, descend

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

    LR (N, C, h, w) and HR (N, C, scale·h, scale·w) are float in [0, 1], on the networks' device. In
    the place of an (LR, HR) may be several that stand for one batch; see
    `tmd.training.accumulation`.

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

    def train_discriminator(
        engine: Engine, srs: Sequence[Tensor], parts: Sequence[Batch]
    ) -> Scalars:
        fakes: Sequence[Tensor] = [sr.detach() for sr in srs]
        if history is not None:
            fakes = joined(history.mix, fakes)
        log = Averages()
        losses = discriminator_part_losses(
            discriminator,
            adversarial_loss,
            [hr for _, hr in parts],
            fakes,
            lambda: seeding.generator(seed, "penalty", engine.state.iteration),
            share,
            autocast,
            log,
        )
        descend(update_discriminator, losses, len(parts))
        return log.means()

    def train_generator(engine: Engine, srs: Sequence[Tensor], parts: Sequence[Batch]) -> Scalars:
        hrs, log = [hr for _, hr in parts], Averages()
        fooling_losses, stands = losses_of_parts(
            "generator", discriminator, adversarial_loss, hrs, srs, autocast
        )

        def losses() -> Iterator[Tensor]:
            for part, (lr, hr) in enumerate(parts):
                sr = srs[0]
                if len(parts) > 1:
                    with standing(generator):
                        sr = super_resolution(generator, lr, autocast)
                with precision(hr, autocast), standing(discriminator, stands or part > 0):
                    content = content_loss(sr, hr)
                    fooling = generator_adversarial_loss(
                        discriminator, fooling_losses[part], sr, hr
                    )
                loss = content_weight * content.float() + engine.state.adv_weight * fooling
                averaged = averaged_sr(engine, lr, autocast)
                loss, of_terms = with_terms(
                    loss, terms, "adversarial", sr=sr, hr=hr, lr=lr, averaged=averaged
                )
                log.add(
                    {
                        "loss_g": loss.detach(),
                        "content": content.detach().float(),
                        "adversarial": fooling.detach(),
                        **of_terms,
                    }
                )
                yield loss

        descend(update_generator, losses(), len(parts))
        return log.means()

    def warm_up(engine: Engine, parts: Sequence[Batch]) -> Scalars:
        with frozen(generator):
            srs = [super_resolution(generator, lr, autocast) for lr, _ in parts]
        return train_discriminator(engine, srs, parts)

    def warmup(engine: Engine, groups: Sequence[Group]) -> Scalars:
        log: Scalars = {}
        for group in groups:
            log = warm_up(engine, parts_of(group))
        return log

    def adversarial(engine: Engine, groups: Sequence[Group]) -> Scalars:
        *extra, parts = map(parts_of, groups)
        for each in extra:
            warm_up(engine, each)
        if len(parts) == 1:
            srs = [super_resolution(generator, parts[0][0], autocast)]
        else:
            srs = unlearnt_sr(generator, parts, autocast)
        log = train_discriminator(engine, srs, parts)
        return {**train_generator(engine, srs, parts), **log}

    pretrain = pixel_step(generator, update_generator, pixel_loss, terms, autocast)
    return phased_engine(
        {"pretrain": pretrain, "warmup": warmup, "adversarial": adversarial}, phases
    )
