"""Factors by which float16 losses are scaled, shown where scalars are."""

from __future__ import annotations

from collections.abc import Mapping

from ignite.engine import Engine

from tmd.training.events import TrainingEvents
from tmd.training.updates import LossScaling


class LossScale:
    """Adds ``loss_scale_g``, ``skipped_g``, ... to ``engine.state.scalars`` at each log point.

    Attach before whatever records `TrainingEvents.LOGGED`.

    Args:
        scalings: by the letter of the network.
    """

    def __init__(self, scalings: Mapping[str, LossScaling]) -> None:
        self.scalings = scalings

    def attach(self, trainer: Engine) -> None:
        """Add at each log point, where the device is waited for anyway."""
        trainer.add_event_handler(TrainingEvents.LOGGED, self)

    def __call__(self, trainer: Engine) -> None:
        for name, scaling in self.scalings.items():
            trainer.state.scalars[f"loss_scale_{name}"] = scaling.scaler.get_scale()
            trainer.state.scalars[f"skipped_{name}"] = float(scaling.skipped)
