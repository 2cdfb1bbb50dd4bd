"""Curves of recorded runs, and what to call each run among others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from observers import RunRecord
from observers.reading.listing import differing_keys, flattened, short
from tmd.errors import UserError

if TYPE_CHECKING:
    from tmd.figures.curves import Curve

KEYS_IN_LEGEND = 2


def curves_of(record: RunRecord, words: Sequence[str]) -> dict[str, Curve]:
    """Recorded metrics with one of ``words`` in their names, or all where there are none.

    Raises:
        UserError: nothing.
    """
    from tmd.figures.curves import Curve

    metrics = record.metrics()
    if not metrics:
        raise UserError(f"run {record.spec}: has measured nothing yet (status {record.status})")
    names = ", ".join(metrics)
    if words:
        metrics = {k: v for k, v in metrics.items() if any(word in k for word in words)}
    if not metrics:
        raise UserError(f"metrics={','.join(words)}: run {record.spec} has {names}")
    return {name: Curve(metric.steps, metric.values) for name, metric in metrics.items()}


def labels(records: Sequence[RunRecord]) -> list[str]:
    """Each run's number and what its config has of the keys in which the runs differ."""
    configs = [flattened(record.config) for record in records]
    keys = [key for key in differing_keys(configs) if key not in ("resume", "grow_from")]
    values = [[f"{key}={short(config.get(key), 60)}" for key in keys] for config in configs]
    ids = [record.id for record in records]
    # Runs of several stores may have one number.
    names = ids if len(set(ids)) == len(ids) else [record.spec for record in records]
    return [
        ", ".join([f"run {name}", *shown[:KEYS_IN_LEGEND]])
        for name, shown in zip(names, values, strict=True)
    ]
