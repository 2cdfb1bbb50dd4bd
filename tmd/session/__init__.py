"""A training run as a room of the library: it trains, records, stops anywhere and goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tmd.later import names_later

if TYPE_CHECKING:
    from tmd.session.data import Data
    from tmd.session.optimization import OptimizationOptions
    from tmd.session.options import (
        HistoryOptions,
        ScheduleOptions,
        SessionOptions,
        TrainingOptions,
    )
    from tmd.session.replaying import Assembled, Replayed, replay
    from tmd.session.scoring import Scoring, default_scoring, validated_metrics
    from tmd.session.session import TrainingSession

__all__ = [
    "Assembled",
    "Data",
    "HistoryOptions",
    "OptimizationOptions",
    "Replayed",
    "ScheduleOptions",
    "Scoring",
    "SessionOptions",
    "TrainingOptions",
    "TrainingSession",
    "default_scoring",
    "replay",
    "validated_metrics",
]

__getattr__, __dir__ = names_later(__name__, __all__)
