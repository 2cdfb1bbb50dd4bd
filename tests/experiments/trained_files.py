"""Small networks in files, as a training run would leave them."""

from __future__ import annotations

from pathlib import Path

import torch

from tmd.checkpoints import save_checkpoint
from tmd.models import create_generator


def checkpoint(path: Path, seed: int = 0, iteration: int = 7, **changes) -> Path:
    """A generator that changes what it sees by a little, so that results look like photos."""
    torch.manual_seed(seed)
    config = {"scale": 2, "n_blocks": 1, "n_features": 8, **changes}
    generator = create_generator(**config)
    if generator.config["global_skip"]:
        torch.nn.init.normal_(generator.output.weight, std=0.01)
    state = {
        "experiment": "srgan",
        "iteration": iteration,
        "phase": "pretrain",
        "scale": generator.scale,
        "channels": generator.channels,
        "generator_config": generator.config,
        "discriminator_config": None,
        "measurement": [{"name": "bicubic"}, {"name": "quantize"}],
        "generator": generator.state_dict(),
        "ema": None,
        "discriminator": None,
        "trainer": {},
    }
    save_checkpoint(path, state)
    return path
