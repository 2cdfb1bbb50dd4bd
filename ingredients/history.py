"""Old generated images shown again to the discriminator."""

from __future__ import annotations

from ingredients.base import Ingredient
from ingredients.options import capture_options
from tmd.session.options import HistoryOptions

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


options = capture_options(ingredient, HistoryOptions)
