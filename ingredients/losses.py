"""Losses that the networks are trained to minimise."""

from __future__ import annotations

from ingredients.base import Ingredient
from ingredients.options import capture_options
from tmd.losses.options import LossOptions

ingredient = Ingredient("losses")


@ingredient.config
def config():
    pixel = "l1"  # mse, l1, charbonnier: pretrains G, and is what `pixel` means in content
    content = "auto"  # auto, pixel, vgg54, 0.5*vgg22+vgg54+0.01*l1, ...
    content_weights = None  # file of ImageNet weights (VGG16 or VGG19); None: torch's cache
    content_weight = 1.0  # factor of the content loss
    before_activation = True  # VGG features before the ReLU
    adversarial = "bce"  # bce, relativistic, least-squares, hinge, wgan-gp
    real_label = 0.9  # one-sided label smoothing
    options = {}  # what only this adversarial loss takes
    # further terms of G's loss with their weights: dists, ffl, gradient, ldl, lr_consistency, luma,
    # ms_ssim, oklab, ssim
    extra = {}
    dists_weights = None  # folder with VGG16's weights and DISTS's own; None: torch's cache


@ingredient.named_config
def paper():
    """SRGAN's losses as published; VGG19's weights are needed."""
    pixel = "mse"
    content = "vgg54"
    content_weight = 0.006  # feature maps scaled by 1/12.75, section 3.2
    before_activation = False  # section 2.2.1: "after activation"
    real_label = 1.0


options = capture_options(ingredient, LossOptions)
