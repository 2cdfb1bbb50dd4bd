"""Named configs of `srgan.py`: whole settings that are one word on the command line."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ingredients import discriminator as discriminator_ingredient
from ingredients import generator as generator_ingredient
from ingredients import history as history_ingredient
from ingredients import losses as losses_ingredient
from ingredients import optimization as optimization_ingredient
from ingredients import schedule as schedule_ingredient
from ingredients import training as training_ingredient


def part(ingredient: ModuleType, name: str) -> dict[str, Any]:
    """Entries of the ingredient's own named config ``name``."""
    entries = ingredient.ingredient.named_configs[name]()
    return {key: value for key, value in entries.items() if key != "__doc__"}


def smoke():
    """Every phase in less than a minute, for tests and first looks."""
    generator = {"n_blocks": 2, "n_features": 16}
    discriminator = {
        "features": [16, 16, 32, 32],
        "strides": [1, 2, 1, 2],
        "options": {"hidden": 32},
    }
    dataset = {"batch_size": 4, "patch_size": 48}
    schedule = {"pretrain": 2, "warmup": "10it", "adversarial": 2}
    training = {"epoch_length": 30, "checkpoint_every": 20, "log_interval": 5}


def paper():
    """SRGAN as published (arXiv:1609.04802): networks, losses, batches, iterations; for a GPU."""
    adv_weight = 1e-3
    dataset = {"batch_size": 16, "patch_size": 96}
    generator = part(generator_ingredient, "paper")
    discriminator = part(discriminator_ingredient, "paper")
    losses = part(losses_ingredient, "paper")
    schedule = part(schedule_ingredient, "paper")
    history = part(history_ingredient, "paper")
    optimization = part(optimization_ingredient, "paper")
    training = part(training_ingredient, "paper")


def esrgan_paper():
    """ESRGAN as published (arXiv:1809.00219), but VGG features are compared by MSE, not L1."""
    adv_weight = 5e-3  # lambda of eq. 3
    dataset = {"batch_size": 16, "patch_size": 128}
    generator = part(generator_ingredient, "rrdb")
    discriminator = {
        "features": [64, 64, 128, 128, 256, 256, 512, 512, 512, 512],
        "strides": [1, 2, 1, 2, 1, 2, 1, 2, 1, 2],
        "norm": "batch",
        "options": {"grid": 4, "hidden": 100},
    }
    losses = {
        "pixel": "l1",
        "content": "vgg54+0.01*l1",  # eta of eq. 3
        "before_activation": True,
        "adversarial": "relativistic",
        "real_label": 1.0,
    }
    schedule = {
        "pretrain": "1000000it",
        "warmup": "0it",
        "adversarial": "400000it",
        "adv": {"name": "constant"},
    }
    history = {"capacity": 0}
    optimization = {
        "lr_g": 2e-4,
        "lr_d": 1e-4,
        "adversarial_lr": 0.5,
        "decay": "steps",
        "decay_ratio": 0.5,
        "decay_over": "phase",
        "decay_steps": [
            "200000it",
            "400000it",
            "600000it",
            "800000it",
            "1050000it",
            "1100000it",
            "1200000it",
            "1300000it",
        ],
        "ema": 0,
    }
    training = part(training_ingredient, "paper")


#: What suits tens of thousands of updates, with high learning rates and small batches.
LONG_RUN = {"clip": 0.1, "decay_ratio": 0.01, "ema": 0.999}


def bsds500():
    """For some hundred photos, BSDS500's say, on two CPU cores in 45 minutes; ×4."""
    adv_weight = 1e-2
    # The photos at three sizes are more to learn from.
    dataset = {"batch_size": 4, "patch_size": 72, "shrink": [1, 1.25, 1.6], "validation": 10}
    generator = {"name": "subpixel", "n_blocks": 16, "n_features": 64}
    schedule = {"pretrain": "36000it", "warmup": "200it", "adversarial": "2000it"}
    optimization = {"optimizer_g": "muon", "lr_g": 6e-4, "lr_rise": "1000it", **LONG_RUN}
    training = {"epoch_length": 500, "checkpoint_every": 2000, "log_interval": 50}


def hour():
    """For photos in tiles (`tmd prepare`), first half of an hour on two CPU cores; ×4."""
    # Small tiles without the flat ones: a photo is drawn as often as it has detail.
    dataset = {"batch_size": 4, "patch_size": 72, "shrink": [1, 1.4, 2]}
    generator = {"name": "subpixel", "n_blocks": 16, "n_features": 64}
    schedule = {"pretrain": "40000it", "warmup": "0it", "adversarial": "0it"}
    optimization = {"optimizer_g": "muon", "lr_g": 6e-4, "lr_rise": "2000it", **LONG_RUN}
    optimization["decay_ratio"] = 0.69  # `hour_end` goes on
    training = {"epoch_length": 2000, "checkpoint_every": 2000, "log_interval": 50}


def hour_end():
    """The second half, `with hour_end start_from=RUN`: patches that all 16 blocks see whole; ×4."""
    dataset = {"batch_size": 2, "patch_size": 144, "shrink": [1, 1.4, 2]}
    losses = {"extra": {"luma": 1.0}}  # PSNR is of luma
    schedule = {"pretrain": "36000it", "warmup": "0it", "adversarial": "0it"}
    optimization = {"optimizer_g": "muon", "lr_g": 4e-4, "lr_rise": "300it", **LONG_RUN}
    training = {"epoch_length": 2000, "checkpoint_every": 2000, "log_interval": 50}


def hour_x2():
    """A ×2 network from the trunk of a ×4 one, `with hour_x2 generator.weights=BEST.pt`."""
    scale = 2
    dataset = {"batch_size": 2, "patch_size": 72, "shrink": [1, 1.4, 2]}
    generator = {"name": "subpixel", "n_blocks": 16, "n_features": 64}
    losses = {"extra": {"luma": 1.0}}
    schedule = {"pretrain": "16000it", "warmup": "0it", "adversarial": "0it"}
    optimization = {"optimizer_g": "muon", "lr_g": 5e-4, "lr_rise": "500it", **LONG_RUN}
    training = {"epoch_length": 2000, "checkpoint_every": 2000, "log_interval": 50}


def perceptual():
    """Sharp photos from a trained network, `with perceptual start_from=RUN`; VGG16 and DISTS."""
    adv_weight = 1e-2
    dataset = {"batch_size": 2, "patch_size": 144, "shrink": [1, 1.4, 2]}
    losses = {"content": "l1+0.0002*vgg33", "extra": {"dists": 0.3}}
    schedule = {
        "pretrain": "0it",
        "warmup": "200it",
        "adversarial": "1600it",
        "adv": {"name": "constant"},
    }
    history = {"capacity": 0}
    optimization = {"lr_g": 1.2e-4, "adversarial_lr": 1.0, "clip": 0.1, "decay_ratio": 0.02}
    training = {"epoch_length": 250, "checkpoint_every": 500, "log_interval": 50}


def df2k():
    """DIV2K's and Flickr2K's photos on a GPU; ×4, VGG19's weights are needed. Not tried yet."""
    adv_weight = 1e-3
    dataset = {"batch_size": 16, "patch_size": 192}
    generator = {"name": "srresnet", "n_blocks": 16, "n_features": 64}
    discriminator = {
        "features": [64, 64, 128, 128, 256, 256, 512, 512],
        "strides": [1, 2, 1, 2, 1, 2, 1, 2],
        "options": {"grid": 6, "hidden": 512},
    }
    losses = {"content": "vgg54", "content_weight": 0.006}
    schedule = {"pretrain": "300000it", "warmup": "1000it", "adversarial": "100000it"}
    optimization = {"lr_g": 5e-4, "lr_rise": "2000it", **LONG_RUN}
    training = {"epoch_length": 5000, "checkpoint_every": 5000, "log_interval": 100}


def logbook():
    """The setting that the laboratory's summer settled on; VGG19's weights are needed."""
    adv_weight = 1e-2
    discriminator = {"spectral_norm": True}
    losses = {
        "pixel": "mse",
        "content": "vgg22+vgg54",
        "before_activation": True,
        "adversarial": "bce",
        "real_label": 0.9,
    }
    schedule = {"adv": {"name": "adaptive"}}
    history = {"capacity": 64, "every": 5, "ratio": 0.25}


NAMED_CONFIGS = (
    smoke,
    bsds500,
    hour,
    hour_end,
    hour_x2,
    perceptual,
    df2k,
    paper,
    esrgan_paper,
    logbook,
)
