"""The phases' lengths, and how the adversarial weight changes."""

from __future__ import annotations

from ingredients.base import Ingredient
from ingredients.options import capture_options
from tmd.session.options import ScheduleOptions

ingredient = Ingredient("schedule")


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
    # what is better: lpips, spectral, dists, niqe, ... (evaluate with metrics=? lists them)
    score = "auto"  # auto: lpips where its weights are at hand, else spectral
    lpips_weights = None  # folder with AlexNet's weights and LPIPS's heads; None: torch's cache
    iqa_weights = None  # folder of other metrics' weights (NIQE's, ...); None: pyiqa's cache
    max_psnr_loss = 1.5  # dB below the pretrained G that a better score may cost


@ingredient.named_config
def paper():
    """SRGAN's schedule as published: 10^6 updates by MSE, then 2·10^5 adversarial ones."""
    pretrain = "1000000it"
    warmup = "0it"
    adversarial = "200000it"
    adv = {"name": "constant"}


options = capture_options(ingredient, ScheduleOptions)
