"""The generator."""

from __future__ import annotations

from ingredients.base import Ingredient
from ingredients.options import capture_options
from tmd.models.options import GeneratorOptions

ingredient = Ingredient("generator")


@ingredient.config
def config():
    name = "srresnet"  # srresnet, rrdb, compact
    n_blocks = 8  # residual blocks
    n_features = 32  # channels between them
    norm = "none"  # batch, none
    spectral_norm = False  # spectral normalisation of every convolution but the last
    global_skip = True  # add to the bicubic upscaling, beginning with nothing
    options = {}  # what only this architecture takes


@ingredient.named_config
def paper():
    """SRResNet as published (arXiv:1609.04802)."""
    name = "srresnet"
    n_blocks = 16
    n_features = 64
    norm = "batch"
    spectral_norm = False
    global_skip = False


@ingredient.named_config
def rrdb():
    """ESRGAN's generator as published (arXiv:1809.00219)."""
    name = "rrdb"
    n_blocks = 23
    n_features = 64
    norm = "none"
    spectral_norm = False
    global_skip = False


options = capture_options(ingredient, GeneratorOptions)
