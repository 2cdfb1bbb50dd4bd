"""Old generated images shown again to the discriminator."""

from __future__ import annotations

import torch

from ingredients.base import Ingredient
from tmd.distributed import ALONE, Share
from tmd.errors import check_choice, check_number
from tmd.handlers.image_history import ImageHistory

ingredient = Ingredient("history")


@ingredient.config
def config():
    capacity = 64  # images kept; 0: off
    every = 5  # iterations between two stored images
    ratio = 0.25  # share of D's generated images that come from the history
    device = "auto"  # auto: where the training is; cpu


@ingredient.named_config
def paper():
    """SRGAN as published shows D new images only."""
    capacity = 0


@ingredient.capture
def check(capacity: int, every: int, ratio: float, device: str) -> None:
    """Raise `UserError` for values that can't be."""
    check_number("history.capacity", capacity, 0, integer=True)
    check_number("history.every", every, 1, integer=True)
    check_number("history.ratio", ratio, 0, 1)
    check_choice("history.device", device, ("auto", "cpu"))


@ingredient.capture
def build(
    seed: int,
    training_device: str | torch.device,
    capacity: int,
    every: int,
    ratio: float,
    device: str,
    share: Share = ALONE,
) -> ImageHistory | None:
    """The history, or None where it is off."""
    if not capacity or not ratio:
        return None
    place = training_device if device == "auto" else device
    return ImageHistory(capacity, every, ratio, seed, place, share)
