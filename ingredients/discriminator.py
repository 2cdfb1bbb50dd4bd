"""The discriminator."""

from __future__ import annotations

from ingredients.base import Ingredient
from ingredients.options import capture_options
from tmd.models.options import DiscriminatorOptions

ingredient = Ingredient("discriminator")


@ingredient.config
def config():
    name = "srgan"  # srgan, unet, patch
    features = [32, 64, 64, 128, 128, 256]  # channels after each convolution
    strides = [2, 2, 1, 2, 1, 2]  # of each convolution
    norm = "auto"  # batch, none, auto: as published, and none with spectral normalisation
    spectral_norm = False  # spectral normalisation of its layers
    # What only this architecture takes; the defaults suit patches of 72 pixels.
    options = {"grid": 4, "hidden": 128} if name == "srgan" else {}
    weights = None  # begin with what fits of a file's weights, or of a run's


@ingredient.named_config
def paper():
    """SRGAN's discriminator as published (arXiv:1609.04802)."""
    name = "srgan"
    features = [64, 64, 128, 128, 256, 256, 512, 512]
    strides = [1, 2, 1, 2, 1, 2, 1, 2]
    norm = "batch"
    spectral_norm = False
    options = {"grid": 6, "hidden": 1024}


@ingredient.named_config
def unet():
    """Real-ESRGAN's discriminator as published (arXiv:2107.10833)."""
    name = "unet"
    features = [64, 128, 256, 512]
    strides = [1, 2, 2, 2]
    norm = "none"
    spectral_norm = True


@ingredient.named_config
def patch():
    """pix2pix's 70 x 70 discriminator as published (arXiv:1611.07004)."""
    name = "patch"
    features = [64, 128, 256, 512]
    strides = [2, 2, 2, 1]
    norm = "batch"
    spectral_norm = False


options = capture_options(ingredient, DiscriminatorOptions)
