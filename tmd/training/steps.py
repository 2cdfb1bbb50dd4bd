"""The update steps that trainers are composed of: one network, one loss, one step.

Nothing here waits for the device: what a step returns are detached scalars on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tmd.distributed import ALONE, Share, unwrapped
from tmd.losses.extra import Terms
from tmd.training.accumulation import Averages, Batch, OfPart, linearised, standing
from tmd.training.updates import Updater

if TYPE_CHECKING:
    from ignite.engine import Engine

__all__ = ["Batch", "Updater"]

NO_TERMS: Terms = {}


def with_terms(
    loss: Tensor, terms: Terms, phase: str, **images: Tensor | Callable[[], Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """``loss`` with the terms that are added in ``phase``, and what to log of each.

    Args:
        images: ``sr``, ``lr``, ``averaged`` and, where there is one, ``hr``; or what makes them.
    """
    log = {}
    for name, (weight, term) in terms.items():
        if phase in term.phases:
            value = term(**images)
            loss = loss + weight * value
            log[name] = value.detach().float()
    return loss, log


def precision(images: Tensor, autocast: torch.dtype | None) -> AbstractContextManager:
    """The context in which networks work on ``images``: ``autocast``, or float32 for None."""
    return torch.autocast(images.device.type, autocast) if autocast else nullcontext()


def unlearnt_sr(
    generator: nn.Module, parts: Sequence[Batch], autocast: torch.dtype | None
) -> list[Tensor]:
    """SR of each part of an update as it is learnt from, without the memory of a gradient."""
    results = []
    for part, (lr, *_) in enumerate(parts):
        with torch.no_grad(), standing(generator, part > 0):
            results.append(super_resolution(generator, lr, autocast))
    return results


def super_resolution(generator: nn.Module, lr: Tensor, autocast: torch.dtype | None) -> Tensor:
    """SR = G(LR), float32: (N, C, h, w) -> (N, C, scale·h, scale·w)."""
    with precision(lr, autocast):
        return generator(lr).float()


def averaged_sr(engine: Engine, lr: Tensor, autocast: torch.dtype | None) -> Callable[[], Tensor]:
    """A function that makes SR by the average of the generator's weights, for terms that ask."""

    def make() -> Tensor:
        with frozen(engine.state.averaged):
            return super_resolution(engine.state.averaged, lr, autocast)

    return make


@contextmanager
def without_gradients(*modules: nn.Module) -> Iterator[None]:
    """No gradient is computed for the parameters of ``modules``; it still flows through them."""
    switched = [p for m in modules for p in m.parameters() if p.requires_grad]
    for parameter in switched:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in switched:
            parameter.requires_grad_(True)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """``module`` is used, not trained: no gradients, its buffers (batch statistics) stay put."""
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(was_training)


def discriminate(discriminator: nn.Module, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of real and of generated images, in one batch unless batch statistics forbid it."""
    if getattr(unwrapped(discriminator), "batch_statistics", False):
        return discriminator(real).float(), discriminator(fake).float()
    # The sizes differ where a history or an unpaired batch takes part.
    both = discriminator(torch.cat([real, fake])).float()
    real_logits, fake_logits = both.split([len(real), len(fake)])
    return real_logits, fake_logits


def discriminator_losses(
    discriminator: nn.Module,
    adversarial_loss: Any,
    real: Tensor,
    fake: Tensor,
    penalty_generator: torch.Generator | None = None,
    share: Share = ALONE,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The discriminator's loss on (N, C, H, W) images, and what to log of it.

    Args:
        adversarial_loss: has ``discriminator(real_logits, fake_logits)`` and ``penalty``.
        fake: generated images; no gradient flows into them.
        penalty_generator: draws the points at which a gradient penalty is taken.
        share: the rows of the batch that ``real`` and ``fake`` are.
    """
    fake = fake.detach()
    real_logits, fake_logits = discriminate(discriminator, real, fake)
    loss = adversarial_loss.discriminator(real_logits, fake_logits)
    log = {
        "loss_d": loss.detach(),
        "d_real": real_logits.detach().sigmoid().mean(),
        "d_fake": fake_logits.detach().sigmoid().mean(),
    }
    penalty = adversarial_loss.penalty(
        unwrapped(discriminator), real, fake, penalty_generator, share
    )
    if penalty is not None:
        loss = loss + penalty
        log["penalty"] = penalty.detach()
    return loss, log


def discriminator_part_losses(
    discriminator: nn.Module,
    adversarial_loss: Any,
    reals: Sequence[Tensor],
    fakes: Sequence[Tensor],
    draws: Callable[[], torch.Generator],
    share: Share,
    autocast: torch.dtype | None,
    log: Averages,
) -> Iterator[Tensor]:
    """The discriminator's loss of each part of an update, made when it is asked for.

    Args:
        draws: makes the generator of a gradient penalty's points, the same for each part.
        log: gets what is to be logged.
        The rest: of each part, see `discriminator_losses`.
    """
    losses, stands = losses_of_parts(
        "discriminator", discriminator, adversarial_loss, reals, fakes, autocast
    )
    for part, (loss, real, fake) in enumerate(zip(losses, reals, fakes, strict=True)):
        rows = share.within(part, len(reals))
        with precision(real, autocast), standing(discriminator, stands or part > 0):
            value, entries = discriminator_losses(discriminator, loss, real, fake, draws(), rows)
        log.add(entries)
        yield value


def losses_of_parts(
    role: str,
    discriminator: nn.Module,
    adversarial_loss: Any,
    reals: Sequence[Tensor],
    fakes: Sequence[Tensor],
    autocast: torch.dtype | None,
) -> tuple[list[Any], bool]:
    """Adversarial loss of each part of an update, and whether the discriminator has been used.

    Args:
        role: ``discriminator`` or ``generator``, the one whose loss it is.
    """
    if len(reals) == 1 or not getattr(adversarial_loss, "compares_images", False):
        return [adversarial_loss] * len(reals), False
    logits = []
    for part, images in enumerate(zip(reals, fakes, strict=True)):
        with torch.no_grad(), precision(reals[part], autocast), standing(discriminator, part > 0):
            real, fake = discriminate(unwrapped(discriminator), *images)
        logits.append((real, fake) if role == "discriminator" else (fake, real))
    functions = linearised(getattr(adversarial_loss, role), logits)
    return [OfPart(adversarial_loss, **{role: function}) for function in functions], True


def generator_adversarial_loss(
    discriminator: nn.Module, adversarial_loss: Any, fake: Tensor, real: Tensor
) -> Tensor:
    """The adversarial loss of generated images; the discriminator gets no gradient from it."""
    discriminator = unwrapped(discriminator)
    with without_gradients(discriminator):
        if not adversarial_loss.generator_needs_real:
            return adversarial_loss.generator(discriminator(fake).float())
        real_logits, fake_logits = discriminate(discriminator, real, fake)
        return adversarial_loss.generator(fake_logits, real_logits)


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """True where every number of a network is finite (waits for the device, once)."""
    tensors = [t for t in tensors if t.is_floating_point()]
    return not tensors or bool(torch.stack([t.isfinite().all() for t in tensors]).all())
