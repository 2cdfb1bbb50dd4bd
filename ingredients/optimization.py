"""Optimisers, learning rates, gradient limits, and the average of the generator's weights."""

from __future__ import annotations

from ingredients.base import Ingredient
from ingredients.options import capture_options
from tmd.session.optimization import OptimizationOptions

ingredient = Ingredient("optimization")


@ingredient.config
def config():
    # adam, muon (for the kernels; at the same rates it learns faster), or a library's class:
    # torch.AdamW, pytorch_optimizer.Adan, schedulefree.AdamWScheduleFree, ...
    optimizer_g = "adam"
    optimizer_d = "adam"  # likewise
    options_g = {}  # what only this optimiser takes; a library's has its own defaults
    options_d = {}  # likewise
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
    accumulate = 1  # batches that an update is of, as if one held them all
    ema = 0.995  # decay of the average of G's weights; 0: off; 0.999 for runs of 10^5 updates
    freeze_g = []  # parts of G that don't learn: layers' names, or patterns like body.*
    freeze_d = []  # the same of D
    lr_scale_g = {}  # factors of the rates of parts of G: {"body.*": 0.1}
    lr_scale_d = {}  # the same of D


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


options = capture_options(ingredient, OptimizationOptions)
