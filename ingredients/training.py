"""How a run proceeds: epochs, log points, checkpoints, arithmetic."""

from __future__ import annotations

from typing import NamedTuple

import torch

from ingredients.base import Ingredient
from tmd.acceleration.autotune import fastest, is_provisional
from tmd.acceleration.speed import Speed
from tmd.distributed import started_share
from tmd.errors import UserError, check_flag, check_number

ingredient = Ingredient("training")


@ingredient.config
def config():
    epoch_length = 400  # iterations; after each epoch the held-out images are measured
    log_interval = 10  # iterations over which scalars are averaged
    checkpoint_every = 400  # iterations
    preview_images = 2  # held-out images on the sheet
    tensorboard = True  # also write events for TensorBoard
    sync_batch_norm = False  # batch statistics over all GPUs; False: over each one's images
    # float32 or bfloat16, then any of +channels_last +compile +keep_memory +rows +tf32 +winograd;
    # auto: what is the fastest on this machine, which is timed once
    speed = "auto"


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
    sync_batch_norm: bool,
    speed: str,
    device: str,
) -> None:
    """Raise `UserError` for values that can't be."""
    check_number("training.epoch_length", epoch_length, 1, integer=True)
    check_number("training.log_interval", log_interval, 1, integer=True)
    check_number("training.checkpoint_every", checkpoint_every, 1, integer=True)
    check_number("training.preview_images", preview_images, 0, integer=True)
    check_flag("training.tensorboard", tensorboard)
    check_flag("training.sync_batch_norm", sync_batch_norm)
    if sync_batch_norm and device == "cpu":
        raise UserError("training.sync_batch_norm=True: needs GPUs, the device is cpu")
    if speed != "auto":
        Speed.parse(speed)


class ResolvedSpeed(NamedTuple):
    """What ``training.speed`` stands for on this machine, and the line that says so."""

    speed: str
    message: str


@ingredient.capture
def resolve_speed(device: str, speed: str) -> ResolvedSpeed:
    """What ``speed=auto`` stands for on ``device``."""
    if speed != "auto":
        return ResolvedSpeed(str(Speed.parse(speed)), f"speed: {speed}, as asked for")
    # The other processes train as the first one does; see `experiments.support.start`.
    chosen = str(fastest(torch.device(device)) if started_share().is_main else Speed())
    until = ", as busy as it is (timed again at the next start)"
    return ResolvedSpeed(
        chosen,
        f"speed: auto chose {chosen}, the fastest on this machine"
        f"{until if is_provisional(torch.device(device)) else ''}; "
        "choose with training.speed=float32, ...",
    )


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
def synchronises_batch_norm(sync_batch_norm: bool) -> bool:
    """Whether batch statistics are taken over the images of all processes."""
    return sync_batch_norm


@ingredient.capture
def compiles(speed: str) -> bool:
    """Whether the networks are compiled; ``auto`` never does."""
    return speed != "auto" and Speed.parse(speed).compile


@ingredient.capture
def speed_to_use(speed: str) -> str:
    """How the arithmetic is done, resolved."""
    return speed
