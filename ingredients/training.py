"""How a run proceeds: epochs, log points, checkpoints, arithmetic."""

from __future__ import annotations

from typing import NamedTuple

import torch
from sacred import Ingredient

from tmd.errors import check_choice, check_flag, check_number
from tmd.training.precision import PRECISIONS, fastest_precision

ingredient = Ingredient("training")


@ingredient.config
def config():
    epoch_length = 400  # iterations; after each epoch the held-out images are measured
    log_interval = 10  # iterations over which scalars are averaged
    checkpoint_every = 400  # iterations
    preview_images = 2  # held-out images on the sheet
    tensorboard = True
    speed = "auto"  # float32, bfloat16; auto: what was measured faster on this kind of device


@ingredient.named_config
def paper():
    epoch_length = 1000
    checkpoint_every = 5000
    log_interval = 100


@ingredient.capture
def check(
    epoch_length: int,
    log_interval: int,
    checkpoint_every: int,
    preview_images: int,
    tensorboard: bool,
    speed: str,
) -> None:
    """Raise `UserError` for values that can't be."""
    check_number("training.epoch_length", epoch_length, 1, integer=True)
    check_number("training.log_interval", log_interval, 1, integer=True)
    check_number("training.checkpoint_every", checkpoint_every, 1, integer=True)
    check_number("training.preview_images", preview_images, 0, integer=True)
    check_flag("training.tensorboard", tensorboard)
    check_choice("training.speed", speed, ("auto", *PRECISIONS))


@ingredient.capture
def resolve_speed(device: str, speed: str) -> str:
    """What ``speed=auto`` stands for on ``device``."""
    return fastest_precision(torch.device(device)) if speed == "auto" else speed


class Settings(NamedTuple):
    """The config of this ingredient, checked."""

    epoch_length: int
    log_interval: int
    checkpoint_every: int
    preview_images: int
    tensorboard: bool


@ingredient.capture
def settings(
    epoch_length: int,
    log_interval: int,
    checkpoint_every: int,
    preview_images: int,
    tensorboard: bool,
) -> Settings:
    """What the handlers of a run are given."""
    return Settings(epoch_length, log_interval, checkpoint_every, preview_images, tensorboard)


@ingredient.capture
def precision(speed: str) -> str:
    """The arithmetic, resolved."""
    return speed
