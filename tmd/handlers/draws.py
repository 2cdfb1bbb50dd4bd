"""Draws of networks that are random in training (stochastic depth, dropout), by iteration."""

from __future__ import annotations

import torch
from ignite.engine import Engine, Events

from tmd.distributed import Share
from tmd.seeding import derive_seed


class Draws:
    """Seeds torch's own generators, from which layers draw, before each update.

    What an update draws is a pure function of (seed, iteration, process): there is no state to
    save, and a run that goes on draws what it would have drawn.

    Args:
        seed: of everything random.
        share: of this process; each draws numbers of its own.
        device: that the networks are on.
    """

    def __init__(self, seed: int, share: Share, device: torch.device) -> None:
        self.path = (seed, "networks", share.rank)
        self.on_cpu = device.type == "cpu"

    def attach(self, trainer: Engine) -> None:
        """Seed before each update."""
        trainer.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, trainer: Engine) -> None:
        seed = derive_seed(*self.path, trainer.state.iteration)
        # Where no other device draws, none is asked.
        seeded = torch.default_generator.manual_seed if self.on_cpu else torch.manual_seed
        seeded(seed)
