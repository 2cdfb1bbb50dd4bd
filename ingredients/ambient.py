"""Stand-ins for HR: the measurement of results, the discriminators, the terms' weights."""

from __future__ import annotations

from ingredients.base import Ingredient
from ingredients.options import capture_options
from tmd.training.ambient_options import AmbientOptions

ingredient = Ingredient("ambient")


@ingredient.config
def config():
    # How results are measured in training, a list like measurement.operators; None: the same.
    # Options with two ends are drawn anew each time: [{"name": "blur", "sigma": [0.5, 2]}, ...]
    operators = None
    images_weight = 1.0  # D on images, SR against unpaired HR: factor of adv_weight; 0: none
    measured_weight = 0.1  # D on measurements, re-measured SR against LR, likewise
    reconstruction_weight = 0.0  # of UNIR's term: G of the re-measured SR gives SR again
    equivariant = True  # for that, SR is moved by part of an LR pixel before it is measured
    view = "image"  # what D on images sees; detail: what lies beyond the image's own LR version
    measured_features = [32, 64, 64]  # D on measurements: channels after each convolution
    measured_strides = [1, 2, 1]  # of each
    max_consistency_loss = 6.0  # dB of consistency with LR that a better score may cost


options = capture_options(ingredient, AmbientOptions)
