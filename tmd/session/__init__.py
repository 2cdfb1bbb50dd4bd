"""A training run as a room of the library: it trains, records, stops anywhere and goes on."""

from tmd.session.optimization import OptimizationOptions
from tmd.session.options import (
    HistoryOptions,
    ScheduleOptions,
    SessionOptions,
    TrainingOptions,
)
from tmd.session.session import Data, Scoring, TrainingSession, validated_metrics

__all__ = [
    "Data",
    "HistoryOptions",
    "OptimizationOptions",
    "ScheduleOptions",
    "Scoring",
    "SessionOptions",
    "TrainingOptions",
    "TrainingSession",
    "validated_metrics",
]
