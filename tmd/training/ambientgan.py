"""Training without HR of what the LR images show (AmbientGAN, ICLR 2018; UNIR, ICLR 2019).

The generator is held to the LR images by measuring its result again, and to the look of HR images
by discriminators: of images, against HR images of other scenes, and of measurements, against LR.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from tmd import seeding
from tmd.distributed import ALONE, Share
from tmd.losses.extra import Terms
from tmd.resize import imresize
from tmd.training.accumulation import Averages, Group, joined, parts_of, standing
from tmd.training.phases import Phases
from tmd.training.steps import (
    NO_TERMS,
    discriminator_part_losses,
    frozen,
    generator_adversarial_loss,
    losses_of_parts,
    precision,
    super_resolution,
    unlearnt_sr,
    with_terms,
)
from tmd.training.updates import Updater, descend

if TYPE_CHECKING:
    from ignite.engine import Engine

Scalars = dict[str, Tensor]
Side = tuple[Tensor, Tensor]

#: What a discriminator may judge: SR against unpaired HR, re-measured SR against LR.
SIDES = ("images", "measured")
#: What a training batch is measured for; each has draws of its own.
PURPOSES = ("content", "discriminators", "generator")


class Numbered(NamedTuple):
    """A batch with its number in the run."""

    number: int
    lr: Tensor
    hr: Tensor


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

    Both are float in [0, 1], on the networks' device; no HR of what LR shows gets here. In the
    place of such a pair may be several that stand for one batch; see `tmd.training.accumulation`.

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
    from tmd.training.engines import phased_engine  # Ignite, for which its options need not wait

    shown = view or (lambda images: images)

    def numbered(engine: Engine, groups: Sequence[Group]) -> list[list[Numbered]]:
        """Each update's parts, batches counted through from the run's start."""
        updates = [parts_of(group) for group in groups]
        first = (engine.state.iteration - 1) * sum(map(len, updates))
        numbers = itertools.count(first)
        return [[Numbered(next(numbers), lr, hr) for lr, hr in parts] for parts in updates]

    def measured(sr: Tensor, index: int, purpose: str) -> Tensor:
        return measure(sr, len(PURPOSES) * index + PURPOSES.index(purpose))

    def sides(sr: Tensor, remeasured: Tensor, part: Numbered) -> dict[str, Side]:
        """By discriminator: what is real to it, and what is generated."""
        result: dict[str, Side] = {}
        if "images" in discriminators:
            result["images"] = (shown(part.hr), shown(sr))
        if "measured" in discriminators:
            result["measured"] = (part.lr, remeasured)
        return result

    def generate(lr: Tensor) -> Tensor:
        return super_resolution(generator, lr, autocast)

    def train_discriminators(
        engine: Engine, srs: Sequence[Tensor], parts: Sequence[Numbered]
    ) -> Scalars:
        fakes: Sequence[Tensor] = [sr.detach() for sr in srs]
        if history is not None:
            fakes = joined(history.mix, fakes)
        pairs = [
            sides(fake, measured(fake, part.number, "discriminators"), part)
            for fake, part in zip(fakes, parts, strict=True)
        ]
        logs = {name: Averages() for name in pairs[0]}
        by_network = [
            discriminator_part_losses(
                discriminators[name],
                adversarial_loss,
                [pair[name][0] for pair in pairs],
                [pair[name][1] for pair in pairs],
                partial(seeding.generator, seed, "penalty", engine.state.iteration, name),
                share,
                autocast,
                log,
            )
            for name, log in logs.items()
        ]

        def losses() -> Iterator[Tensor]:
            for _ in parts:
                yield sum(map(next, by_network), torch.zeros((), device=srs[0].device))

        descend(update_discriminators, losses(), len(parts))
        return {
            f"{key}{'' if name == 'images' else f'_{name}'}": value
            for name, log in logs.items()
            for key, value in log.means().items()
        }

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

    def pretrain(engine: Engine, groups: Sequence[Group]) -> Scalars:
        parts, log = numbered(engine, groups)[-1], Averages()

        def losses() -> Iterator[Tensor]:
            for number, (index, lr, _) in enumerate(parts):
                with standing(generator, number > 0):
                    sr = generate(lr)
                    loss = pixel_loss(measured(sr, index, "content"), lr)
                    row = {"pixel": loss.detach()}
                    if weights.reconstruction:
                        again = reconstruction_loss(engine, index, sr, lr)
                        loss = loss + weights.reconstruction * again
                        row["reconstruction"] = again.detach()
                loss, of_terms = with_terms(loss, terms, "pretrain", sr=sr, lr=lr)
                log.add({**row, **of_terms})
                yield loss

        descend(update_generator, losses(), len(parts))
        return log.means()

    def warm_up(engine: Engine, parts: Sequence[Numbered]) -> Scalars:
        with frozen(generator):
            srs = [generate(part.lr) for part in parts]
        return train_discriminators(engine, srs, parts)

    def warmup(engine: Engine, groups: Sequence[Group]) -> Scalars:
        log: Scalars = {}
        for parts in numbered(engine, groups):
            log = warm_up(engine, parts)
        return log

    def train_generator(
        engine: Engine, srs: Sequence[Tensor], parts: Sequence[Numbered]
    ) -> Scalars:
        fooling_losses = {}
        pairs = [
            sides(sr, measured(sr, part.number, "generator"), part)
            for sr, part in zip(srs, parts, strict=True)
        ]
        for name in pairs[0]:
            reals, fakes = ([pair[name][kind] for pair in pairs] for kind in (0, 1))
            fooling_losses[name] = losses_of_parts(
                "generator", discriminators[name], adversarial_loss, reals, fakes, autocast
            )
        log = Averages()

        def part_losses(number: int, sr: Tensor, pairs: Mapping[str, Side]) -> dict[str, Tensor]:
            index, lr, _ = parts[number]
            result = {}
            with precision(sr, autocast):
                result["content"] = content_loss(measured(sr, index, "content"), lr).float()
                for name, (real, generated) in pairs.items():
                    of_parts, stands = fooling_losses[name]
                    with standing(discriminators[name], stands or number > 0):
                        result[name] = generator_adversarial_loss(
                            discriminators[name], of_parts[number], generated, real
                        )
            if weights.reconstruction:
                with standing(generator, number > 0):
                    result["reconstruction"] = reconstruction_loss(engine, index, sr, lr)
            return result

        def losses() -> Iterator[Tensor]:
            for number, (index, lr, _) in enumerate(parts):
                sr, sides_of_part = srs[0], pairs[0]
                if len(parts) > 1:
                    with standing(generator):
                        sr = generate(lr)
                    remeasured = measured(sr, index, "generator")
                    sides_of_part = sides(sr, remeasured, parts[number])
                each = part_losses(number, sr, sides_of_part)
                loss = _total(each, weights, engine.state.adv_weight)
                loss, of_terms = with_terms(loss, terms, "adversarial", sr=sr, lr=lr)
                log.add({"loss_g": loss.detach(), **_as_logged(each), **of_terms})
                yield loss

        descend(update_generator, losses(), len(parts))
        return log.means()

    def adversarial(engine: Engine, groups: Sequence[Group]) -> Scalars:
        *extra, parts = numbered(engine, groups)
        for each in extra:
            warm_up(engine, each)
        if len(parts) == 1:
            srs = [generate(parts[0].lr)]
        else:
            srs = unlearnt_sr(generator, [(part.lr, part.hr) for part in parts], autocast)
        log = train_discriminators(engine, srs, parts)
        return {**train_generator(engine, srs, parts), **log}

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
