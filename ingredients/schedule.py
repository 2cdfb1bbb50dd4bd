"""The phases' lengths, and how the adversarial weight changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ingredients.base import Ingredient
from tmd.errors import UserError, check_choice, check_flag, check_number
from tmd.handlers.adversarial_weight import (
    ADVERSARIAL_WEIGHTS,
    AdversarialWeight,
    create_adversarial_weight,
)
from tmd.metrics import LPIPS, find_lpips_weights, spectral_distance
from tmd.training import Phases, parse_length

ingredient = Ingredient("schedule")

#: What `schedule.adv` holds; a setting of None means the schedule's own default.
SETTINGS = ("start", "length", "raise_by", "lower_by", "patience")


@ingredient.config
def config():
    pretrain = 6  # epochs, or iterations as 500it: G alone, pixel loss
    warmup = "200it"  # D alone against the frozen G
    adversarial = 5  # both
    adv = {
        "name": "adaptive",  # constant, linear, exponential, adaptive
        "start": None,  # first weight over adv_weight
        "length": None,  # ramps: share of the phase
        "raise_by": None,  # adaptive: factor after a better validation
        "lower_by": None,  # adaptive: factor when going back
        "patience": None,  # adaptive: validations without a better one before going back
    }
    freeze = "100it"  # with grow_from: how long, from the start, only what is new learns
    freeze_output = True  # whether the carried output layer, too, is frozen so long
    score = "auto"  # what is better: lpips, spectral; auto: lpips where its weights are at hand
    lpips_weights = None  # folder with AlexNet's weights and LPIPS's heads; None: torch's cache
    max_psnr_loss = 1.5  # dB below the pretrained G that a better score may cost


@ingredient.named_config
def paper():
    """SRGAN's schedule as published: 10^6 updates by MSE, then 2·10^5 adversarial ones."""
    pretrain = "1000000it"
    warmup = "0it"
    adversarial = "200000it"
    adv = {"name": "constant"}


def named(adv: dict[str, Any] | str) -> dict[str, Any]:
    """``schedule.adv=constant`` says the same as ``schedule.adv.name=constant``."""
    return {"name": adv} if isinstance(adv, str) else dict(adv)


@ingredient.capture
def phases(epoch_length: int, pretrain: Any, warmup: Any, adversarial: Any) -> Phases:
    """The phases in iterations."""
    lengths = {"pretrain": pretrain, "warmup": warmup, "adversarial": adversarial}
    result = Phases(
        **{k: parse_length(f"schedule.{k}", v, epoch_length) for k, v in lengths.items()}
    )
    if not result.total:
        raise UserError(
            "schedule: pretrain, warmup and adversarial are all 0; at least one must be longer"
        )
    return result


@ingredient.capture
def check(
    adv_weight: float,
    adv: Any,
    freeze: Any,
    freeze_output: bool,
    score: str,
    max_psnr_loss: float,
) -> None:
    """Raise `UserError` for values that can't be."""
    parse_length("schedule.freeze", freeze, 1)
    check_flag("schedule.freeze_output", freeze_output)
    if not isinstance(adv, (dict, str)):
        raise UserError(
            f"schedule.adv={adv!r}: must be a name ({', '.join(ADVERSARIAL_WEIGHTS)}) "
            "or settings with one"
        )
    settings = named(adv)
    for key, bounds in {
        "start": {"above": 0, "maximum": 1},
        "length": {"above": 0, "maximum": 1},
        "raise_by": {"minimum": 1},
        "lower_by": {"above": 0, "below": 1},
        "patience": {"minimum": 1, "integer": True},
    }.items():
        if settings.get(key) is not None:
            check_number(f"schedule.adv.{key}", settings[key], **bounds)  # type: ignore[arg-type]
    if unknown := set(settings) - {"name", *SETTINGS}:
        raise UserError(
            f"schedule.adv.{unknown.pop()}: no such setting; there are name, {', '.join(SETTINGS)}"
        )
    name = settings.pop("name", "constant")
    create_adversarial_weight(
        name, adv_weight, Phases(0, 0, 1), dict, lambda state: None, **settings
    )
    check_choice("schedule.score", score, ("auto", "lpips", "spectral"))
    check_number("schedule.max_psnr_loss", max_psnr_loss, 0)


@ingredient.capture
def build_weight(
    adv_weight: float,
    phases: Phases,
    capture: Callable[[], Any],
    restore: Callable[[Any], None],
    adv: Any,
) -> AdversarialWeight:
    """The schedule of the adversarial weight up to ``adv_weight``."""
    settings = named(adv)
    name = settings.pop("name", "constant")
    return create_adversarial_weight(name, adv_weight, phases, capture, restore, **settings)


@ingredient.capture
def freeze_length(epoch_length: int, freeze: Any) -> int:
    """Iterations for which a grown network's carried layers are frozen."""
    return parse_length("schedule.freeze", freeze, epoch_length)


@ingredient.capture
def trains_output_after_growth(freeze_output: bool) -> bool:
    """Whether a grown network's output layer learns while the rest is frozen."""
    return not freeze_output


@ingredient.capture
def allowed_psnr_loss(max_psnr_loss: float) -> float:
    """How many dB below the pretrained generator the best state may be."""
    return max_psnr_loss


@ingredient.capture
def resolve_score(score: str, lpips_weights: str | None) -> str:
    """What ``score=auto`` stands for on this machine.

    Raises:
        UserError: ``lpips`` was asked for and can't be had.
    """
    if score == "spectral":
        return score
    at_hand = find_lpips_weights("alex", lpips_weights) is not None
    if not at_hand and score == "lpips":
        raise UserError(
            "schedule.score=lpips: AlexNet's weights or LPIPS's heads are not at hand; ways out: "
            "schedule.lpips_weights=FOLDER, or schedule.score=spectral"
        )
    return "lpips" if at_hand else "spectral"


@ingredient.capture
def reference_score(score: str) -> str:
    """The name of what `build_score` builds, resolved."""
    return score


@ingredient.capture
def build_score(
    scale: int,
    device: torch.device,
    images: Iterable[tuple[str, Tensor]],
    score: str,
    lpips_weights: str | None,
) -> Callable[[Tensor, Tensor], Tensor]:
    """(SR, HR) -> (N,); lower is better.

    Args:
        images: those that are scored: (name, (C, H, W)).

    Raises:
        UserError: one of them is too small for the score.
    """
    if score == "spectral":
        return lambda sr, hr: spectral_distance(sr, hr, border=scale)
    weights = find_lpips_weights("alex", lpips_weights)
    assert weights is not None, "resolve_score has found them"
    measure = LPIPS(weights).to(device)
    for name, image in images:
        if min(image.shape[-2:]) < measure.minimum_size:
            raise UserError(
                f"schedule.score=lpips: needs images of at least {measure.minimum_size} pixels, "
                f"{name} is {image.shape[-1]}×{image.shape[-2]}; schedule.score=spectral"
            )
    return measure
