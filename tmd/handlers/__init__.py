"""Ignite handlers, one a file: each is attached to a trainer and knows nothing of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tmd.later import names_later

if TYPE_CHECKING:
    from tmd.handlers.adversarial_weight import (
        AdaptiveWeight,
        AdversarialWeight,
        create_adversarial_weight,
    )
    from tmd.handlers.background import Background
    from tmd.handlers.best import Best
    from tmd.handlers.checkpoint import Checkpoints
    from tmd.handlers.draws import Draws
    from tmd.handlers.ema import OptimizersAverage, WeightAverage, average_weights
    from tmd.handlers.follow_load import FollowLoad
    from tmd.handlers.freezing import Freezing
    from tmd.handlers.image_history import ImageHistory
    from tmd.handlers.interruption import Interrupted, Interruption
    from tmd.handlers.learning_rate import LearningRate
    from tmd.handlers.loss_scale import LossScale
    from tmd.handlers.preview import Preview
    from tmd.handlers.progress import Progress
    from tmd.handlers.recording import Recording
    from tmd.handlers.scalars import NonFiniteError, ScalarLog
    from tmd.handlers.throughput import Throughput
    from tmd.handlers.underway import AtIterationsEnd, Underway
    from tmd.handlers.validation import Validation

__all__ = [
    "AdaptiveWeight",
    "AdversarialWeight",
    "AtIterationsEnd",
    "Background",
    "Best",
    "Checkpoints",
    "Draws",
    "FollowLoad",
    "Freezing",
    "ImageHistory",
    "Interrupted",
    "Interruption",
    "LearningRate",
    "LossScale",
    "NonFiniteError",
    "OptimizersAverage",
    "Preview",
    "Progress",
    "Recording",
    "ScalarLog",
    "Throughput",
    "Underway",
    "Validation",
    "WeightAverage",
    "average_weights",
    "create_adversarial_weight",
]

__getattr__, __dir__ = names_later(__name__, __all__)
