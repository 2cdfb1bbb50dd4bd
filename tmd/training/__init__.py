"""Update steps, and the functions that turn them into an Ignite engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tmd.later import names_later

if TYPE_CHECKING:
    from tmd.training.ambientgan import Discriminators, create_ambientgan_trainer
    from tmd.training.events import TrainingEvents
    from tmd.training.phases import PHASES, Phases, parse_length
    from tmd.training.srgan import create_srgan_trainer
    from tmd.training.steps import Updater
    from tmd.training.supervised import create_supervised_trainer

__all__ = [
    "PHASES",
    "Discriminators",
    "Phases",
    "TrainingEvents",
    "Updater",
    "create_ambientgan_trainer",
    "create_srgan_trainer",
    "create_supervised_trainer",
    "parse_length",
]

__getattr__, __dir__ = names_later(__name__, __all__)
