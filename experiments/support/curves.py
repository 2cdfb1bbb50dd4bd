"""Curves of recorded runs, and what to call each run among others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from observers import RunRecord
from observers.reading.groups import NOT_COMPARED
from observers.reading.listing import differing_keys, flattened, short
from tmd.errors import UserError

if TYPE_CHECKING:
    from tmd.figures.curves import Band, Curve

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


def labels(records: Sequence[RunRecord], without: Sequence[str] = ()) -> list[str]:
    """Each run's number and what its config has of the keys in which the runs differ.

    Args:
        without: keys to leave out.
    """
    configs = [flattened(record.config) for record in records]
    unsaid = ("resume", "grow_from", *without)
    keys = [key for key in differing_keys(configs) if key not in unsaid]
    # A key that an earlier version had not, and that a later one leaves at None, says nothing.
    keys = [key for key in keys if len({short(config.get(key), 60) for config in configs}) > 1]
    values = [[f"{key}={short(config.get(key), 60)}" for key in keys] for config in configs]
    ids = [record.id for record in records]
    # Runs of several stores may have one number.
    names = ids if len(set(ids)) == len(ids) else [record.spec for record in records]
    return [
        ", ".join([f"run {name}", *shown[:KEYS_IN_LEGEND]])
        for name, shown in zip(names, values, strict=True)
    ]


def bands_of(
    records: Sequence[RunRecord], measured: Sequence[Mapping[str, Curve]]
) -> dict[str, Mapping[str, Curve | Band]]:
    """Curves by label, of runs that differ in nothing but their seeds as one band.

    Args:
        records: the runs.
        measured: their curves; those that not all runs of a band have are left out of it.
    """
    from tmd.figures.curves import Band

    groups = repeats(records)
    banded = any(len(group) > 1 for group in groups)
    first = [records[group[0]] for group in groups]
    names = labels(first, without=("seed",) if banded else ())
    found: dict[str, Mapping[str, Curve | Band]] = {}
    for name, group in zip(names, groups, strict=True):
        curves = [measured[at] for at in group]
        if len(group) == 1:
            found[name] = curves[0]
            continue
        ids = ", ".join(str(records[at].id) for at in group)
        _, comma, differing = name.partition(", ")
        found[f"mean of runs {ids}{comma}{differing}"] = {
            key: Band.of([each[key] for each in curves])
            for key in curves[0]
            if all(key in each for each in curves)
        }
    return found


def repeats(records: Sequence[RunRecord]) -> list[list[int]]:
    """Places of runs, together where config and experiment differ in nothing but the seed."""
    groups: dict[str, dict[str, list[int]]] = {}
    for at, record in enumerate(records):
        config = flattened(record.config)
        rest = {key: value for key, value in config.items() if key not in NOT_COMPARED}
        key = repr((record.entry.get("experiment"), sorted(rest.items(), key=str)))
        groups.setdefault(key, {}).setdefault(repr(config.get("seed")), []).append(at)
    found = []
    for seeds in groups.values():
        # A seed twice is no second sample: such runs are shown as they are.
        alone = all(len(places) == 1 for places in seeds.values())
        places = sorted(at for same in seeds.values() for at in same)
        found += [places] if alone else [[at] for at in places]
    return sorted(found)
