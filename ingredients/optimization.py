"""Optimisers, learning rates, gradient limits, and the average of the generator's weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ingredients.base import Ingredient
from tmd.errors import UserError, check_choice, check_number
from tmd.handlers.learning_rate import DECAYS, LearningRate
from tmd.optim.muon import Muon
from tmd.training import Phases, Updater, parse_length
from tmd.training.steps import GradientRule, clip_norm, clip_value, normalize

ingredient = Ingredient("optimization")


def adam(network: nn.Module, lr: float, betas: tuple[float, float]) -> torch.optim.Optimizer:
    """Adam in one fused kernel instead of dozens of small ones."""
    return torch.optim.Adam(network.parameters(), lr, betas, fused=True)


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {"adam": adam, "muon": Muon}

CLIPPING: dict[str, Callable[[float], GradientRule]] = {
    "norm": clip_norm,
    "value": clip_value,
    "normalize": normalize,
}


@ingredient.config
def config():
    optimizer_g = "adam"  # adam, muon (for the kernels; at the same rates it learns faster)
    lr_g = 1e-3  # learning rate of G
    lr_d = 1e-4  # learning rate of D
    adversarial_lr = 0.2  # factor of lr_g in the adversarial phase
    lr_rise = 0  # epochs, or 500it: the rates rise linearly at the start of the run
    betas = [0.9, 0.999]  # of Adam, for both
    decay = "cosine"  # off, exponential, cosine, halfway, steps
    decay_ratio = 0.1  # last learning rate over the first; with steps: factor at each
    decay_over = "phase"  # phase: anew in each; run: once over all
    decay_steps = []  # with steps: when, in epochs or as 500it
    clip = None  # limit of the gradients; None: no limit
    clip_by = "norm"  # norm, value, normalize (to exactly `clip`)
    d_steps = 1  # updates of D, each on a batch of its own, for one of G
    ema = 0.995  # decay of the average of G's weights; 0: off; 0.999 for runs of 10^5 updates


@ingredient.named_config
def paper():
    """SRGAN's learning rates as published: 1e-4, and 1e-5 for the last 10^5 updates."""
    optimizer_g = "adam"
    lr_g = 1e-4
    lr_d = 1e-4
    adversarial_lr = 1.0
    betas = [0.9, 0.999]
    decay = "steps"
    decay_ratio = 0.1
    decay_over = "run"
    decay_steps = ["1100000it"]
    clip = None
    d_steps = 1
    ema = 0


@ingredient.capture
def check(
    optimizer_g: str,
    lr_g: float,
    lr_d: float,
    adversarial_lr: float,
    lr_rise: Any,
    betas: list[float],
    decay: str,
    decay_ratio: float,
    decay_over: str,
    decay_steps: list[Any],
    clip: float | None,
    clip_by: str,
    d_steps: int,
    ema: float,
) -> None:
    """Raise `UserError` for values that can't be."""
    check_choice("optimization.optimizer_g", optimizer_g, OPTIMIZERS)
    check_number("optimization.lr_g", lr_g, above=0)
    check_number("optimization.lr_d", lr_d, above=0)
    check_number("optimization.adversarial_lr", adversarial_lr, above=0)
    parse_length("optimization.lr_rise", lr_rise, 1)
    if not isinstance(betas, (list, tuple)) or len(betas) != 2:
        raise UserError(f"optimization.betas={betas!r}: must be two numbers, like [0.9, 0.999]")
    for beta in betas:
        check_number("optimization.betas", beta, 0, below=1)
    check_choice("optimization.decay", decay, [*DECAYS, "steps"])
    check_number("optimization.decay_ratio", decay_ratio, above=0, maximum=1)
    check_choice("optimization.decay_over", decay_over, ("phase", "run"))
    if not isinstance(decay_steps, (list, tuple)):
        raise UserError(
            f"optimization.decay_steps={decay_steps!r}: must be a list, like [4, '500it']"
        )
    for step in decay_steps:
        parse_length("optimization.decay_steps", step, 1)
    if clip is not None:
        check_number("optimization.clip", clip, above=0)
    check_choice("optimization.clip_by", clip_by, CLIPPING)
    check_number("optimization.d_steps", d_steps, 1, integer=True)
    check_number("optimization.ema", ema, 0, below=1)


@ingredient.capture
def build_updaters(
    generator: nn.Module,
    discriminator: nn.Module,
    optimizer_g: str,
    lr_g: float,
    lr_d: float,
    betas: list[float],
    clip: float | None,
    clip_by: str,
) -> tuple[Updater, Updater]:
    """An optimiser for each network, Adam for D, with the gradients' limit."""
    rule = None if clip is None else CLIPPING[clip_by](clip)
    moments = (betas[0], betas[1])
    return (
        Updater(generator, OPTIMIZERS[optimizer_g](generator, lr_g, moments), rule),
        Updater(discriminator, adam(discriminator, lr_d, moments), rule),
    )


@ingredient.capture
def build_learning_rate(
    optimizers: dict[str, torch.optim.Optimizer],
    phases: Phases,
    epoch_length: int,
    adversarial_lr: float,
    lr_rise: Any,
    decay: str,
    decay_ratio: float,
    decay_over: str,
    decay_steps: list[Any],
) -> LearningRate:
    """The handler that decays the learning rates of ``optimizers``."""
    steps = [parse_length("optimization.decay_steps", step, epoch_length) for step in decay_steps]
    adversarial = {"lr_g": adversarial_lr}
    rise = parse_length("optimization.lr_rise", lr_rise, epoch_length)
    return LearningRate(
        optimizers, decay, decay_ratio, phases, decay_over, steps, adversarial, rise
    )


@ingredient.capture
def discriminator_updates(d_steps: int) -> int:
    """Updates of D for one of G."""
    return d_steps


@ingredient.capture
def average_decay(ema: float) -> float:
    """The decay of the average of G's weights; 0: there is none."""
    return ema
