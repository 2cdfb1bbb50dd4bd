"""Training without HR of what the LR images show (AmbientGAN, ICLR 2018; UNIR, ICLR 2019).

The generator is held to the LR images by measuring its result again, and to the look of HR images
by discriminators: of images, against HR images of other scenes, and of measurements, against LR.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from ignite.engine import Engine
from torch import Tensor, nn

from tmd import seeding
from tmd.distributed import ALONE, Share
from tmd.losses.extra import Terms
from tmd.resize import imresize
from tmd.training.engines import phased_engine
from tmd.training.phases import Phases
from tmd.training.steps import (
    NO_TERMS,
    Batch,
    Updater,
    discriminator_losses,
    frozen,
    generator_adversarial_loss,
    precision,
    super_resolution,
    with_terms,
)

Scalars = dict[str, Tensor]
Side = tuple[Tensor, Tensor]

#: What a discriminator may judge: SR against unpaired HR, re-measured SR against LR.
SIDES = ("images", "measured")
#: What a training batch is measured for; each has draws of its own.
PURPOSES = ("content", "discriminators", "generator")


class Discriminators(nn.ModuleDict):
    """One network for each of `SIDES` that is judged; trained together, by one optimiser."""

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that build each of them again."""
        return {name: discriminator.config for name, discriminator in self.items()}


class Weights(NamedTuple):
    """Factors of the generator's losses.

    Attributes:
        content: of the content loss between re-measured SR and LR.
        images: of the loss by D on images, times the adversarial weight.
        measured: of the loss by D on measurements, times the adversarial weight.
        reconstruction: of the loss between SR and what G makes of re-measured SR (UNIR, section 3).
    """

    content: float = 1.0
    images: float = 1.0
    measured: float = 1.0
    reconstruction: float = 0.0


def detail(images: Tensor, scale: int) -> Tensor:
    """Detail of an image beyond its own bicubic LR version, around 0.5: (N, C, H, W)."""
    height, width = images.shape[-2:]
    smaller = imresize(images, (height // scale, width // scale))
    return images - imresize(smaller, (height, width)) + 0.5


def create_ambientgan_trainer(
    generator: nn.Module,
    discriminators: Mapping[str, nn.Module],
    update_generator: Updater,
    update_discriminators: Updater,
    measure: Callable[[Tensor, int], Tensor],
    content_loss: Callable[[Tensor, Tensor], Tensor],
    pixel_loss: Callable[[Tensor, Tensor], Tensor],
    adversarial_loss: Any,
    phases: Phases,
    *,
    weights: Weights = Weights(),  # noqa: B008  # immutable
    terms: Terms = NO_TERMS,
    view: Callable[[Tensor], Tensor] | None = None,
    equivariant: bool = False,
    history: Any = None,
    seed: int = 0,
    autocast: torch.dtype | None = None,
    share: Share = ALONE,
) -> Engine:
    """An engine whose data are sequences of (LR, unpaired HR), one for each discriminator update.

    Both are float in [0, 1], on the networks' device; no HR of what LR shows gets here.

    Args:
        generator: LR (N, C, h, w) in [0, 1] -> SR (N, C, scale·h, scale·w).
        discriminators: for either of `SIDES`, or both.
        update_generator, update_discriminators: their optimisers' steps.
        measure: (SR in [0, 1], index) -> LR, the measurement as far as it is known; what is random
            in it is drawn anew for each index.
        content_loss: (re-measured SR, LR) -> scalar, used in the adversarial phase.
        pixel_loss: likewise, used in ``pretrain``; also compares SR with its reconstruction.
        adversarial_loss: see `tmd.losses.adversarial`.
        phases: when which networks are trained.
        weights: the factors of the generator's losses.
        terms: further terms of the generator's loss, of ``sr`` and ``lr``.
        view: images -> what D on images is shown of them, for example their `detail`.
        equivariant: for the reconstruction, SR is moved by part of an LR pixel before it is
            measured again (equivariant imaging, arXiv:2103.14756, with UNIR's term): what SR shows
            beyond LR must then not depend on where the LR pixels lie.
        history: an `ImageHistory`; some of its images take the place of new ones before D.
        seed: of the draws a gradient penalty makes.
        autocast: the reduced precision of the networks' arithmetic, or None for float32.
        share: of this process, where several train together: batches, ``measure`` and ``history``
            are of its rows, and the networks `tmd.distributed.parallel`.

    Returns:
        An engine with ``state.phase`` and ``state.adv_weight`` (0 until a handler says otherwise).
        Its output is a dictionary of detached scalars on the device.
    """
    shown = view or (lambda images: images)

    def numbered(engine: Engine, batches: Sequence[Batch]) -> list[tuple[int, Tensor, Tensor]]:
        first = (engine.state.iteration - 1) * len(batches)
        return [(index, lr, hr) for index, (lr, hr) in enumerate(batches, start=first)]

    def measured(sr: Tensor, index: int, purpose: str) -> Tensor:
        return measure(sr, len(PURPOSES) * index + PURPOSES.index(purpose))

    def sides(sr: Tensor, remeasured: Tensor, lr: Tensor, hr: Tensor) -> dict[str, Side]:
        """By discriminator: what is real to it, and what is generated."""
        result: dict[str, Side] = {}
        if "images" in discriminators:
            result["images"] = (shown(hr), shown(sr))
        if "measured" in discriminators:
            result["measured"] = (lr, remeasured)
        return result

    def generate(lr: Tensor) -> Tensor:
        return super_resolution(generator, lr, autocast)

    def train_discriminators(
        engine: Engine, index: int, sr: Tensor, lr: Tensor, hr: Tensor
    ) -> Scalars:
        fake = sr.detach()
        if history is not None:
            fake = history.mix(fake)
        total, log = torch.zeros((), device=sr.device), {}
        pairs = sides(fake, measured(fake, index, "discriminators"), lr, hr)
        for name, (real, generated) in pairs.items():
            rng = seeding.generator(seed, "penalty", engine.state.iteration, name)
            with precision(sr, autocast):
                loss, entries = discriminator_losses(
                    discriminators[name], adversarial_loss, real, generated, rng, share
                )
            total = total + loss
            suffix = "" if name == "images" else f"_{name}"
            log.update({f"{key}{suffix}": value for key, value in entries.items()})
        update_discriminators(total)
        return log

    def generator_losses(
        engine: Engine, index: int, sr: Tensor, lr: Tensor, hr: Tensor
    ) -> dict[str, Tensor]:
        remeasured = measured(sr, index, "generator")
        losses = {}
        with precision(sr, autocast):
            losses["content"] = content_loss(measured(sr, index, "content"), lr).float()
            for name, (real, generated) in sides(sr, remeasured, lr, hr).items():
                losses[name] = generator_adversarial_loss(
                    discriminators[name], adversarial_loss, generated, real
                )
        if weights.reconstruction:
            losses["reconstruction"] = reconstruction_loss(engine, index, sr, lr)
        return losses

    def reconstruction_loss(engine: Engine, index: int, sr: Tensor, lr: Tensor) -> Tensor:
        scale = sr.shape[-1] // lr.shape[-1]
        seen = moved(sr, scale, engine.state.iteration) if equivariant else sr
        return pixel_loss(generate(measured(seen, index, "generator")), seen)

    def moved(sr: Tensor, scale: int, iteration: int) -> Tensor:
        """``sr`` but for its border, which begins up to ``scale`` - 1 pixels from the corner."""
        rng = seeding.generator(seed, "shift", iteration)
        top, left = torch.randint(scale, (2,), generator=rng).tolist()
        height, width = (side - scale for side in sr.shape[-2:])
        return sr[..., top : top + height, left : left + width]

    def pretrain(engine: Engine, batches: Sequence[Batch]) -> Scalars:
        index, lr, _ = numbered(engine, batches)[-1]
        sr = generate(lr)
        loss = pixel_loss(measured(sr, index, "content"), lr)
        log = {"pixel": loss.detach()}
        if weights.reconstruction:
            again = reconstruction_loss(engine, index, sr, lr)
            loss = loss + weights.reconstruction * again
            log["reconstruction"] = again.detach()
        loss, of_terms = with_terms(loss, terms, "pretrain", sr=sr, lr=lr)
        update_generator(loss)
        return {**log, **of_terms}

    def warmup(engine: Engine, batches: Sequence[Batch]) -> Scalars:
        log: Scalars = {}
        for index, lr, hr in numbered(engine, batches):
            with frozen(generator):
                sr = generate(lr)
            log = train_discriminators(engine, index, sr, lr, hr)
        return log

    def adversarial(engine: Engine, batches: Sequence[Batch]) -> Scalars:
        *extra, (index, lr, hr) = numbered(engine, batches)
        for extra_index, extra_lr, extra_hr in extra:
            with frozen(generator):
                extra_sr = generate(extra_lr)
            train_discriminators(engine, extra_index, extra_sr, extra_lr, extra_hr)
        sr = generate(lr)
        log = train_discriminators(engine, index, sr, lr, hr)
        losses = generator_losses(engine, index, sr, lr, hr)
        loss = _total(losses, weights, engine.state.adv_weight)
        loss, of_terms = with_terms(loss, terms, "adversarial", sr=sr, lr=lr)
        update_generator(loss)
        return {"loss_g": loss.detach(), **_as_logged(losses), **of_terms, **log}

    return phased_engine(
        {"pretrain": pretrain, "warmup": warmup, "adversarial": adversarial}, phases
    )


def _total(losses: Mapping[str, Tensor], weights: Weights, adv_weight: float) -> Tensor:
    factors = {
        "content": weights.content,
        "images": adv_weight * weights.images,
        "measured": adv_weight * weights.measured,
        "reconstruction": weights.reconstruction,
    }
    return torch.stack([factors[name] * loss for name, loss in losses.items()]).sum()


def _as_logged(losses: Mapping[str, Tensor]) -> Scalars:
    names = {"images": "adversarial", "measured": "adversarial_measured"}
    return {names.get(name, name): loss.detach() for name, loss in losses.items()}
