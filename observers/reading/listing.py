"""Runs side by side: what differs in their configs, last and best metrics, durations.

Knows neither terminals nor pages.
"""

from __future__ import annotations

import contextlib
import gc
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from observers.reading.look import UNREADABLE, Look
from observers.reading.records import RunRecord

_VALIDATION = re.compile(r"^(val|valid|validation|test)\b", re.IGNORECASE)
_QUALITY = re.compile(r"psnr|ssim|lpips|score|fid", re.IGNORECASE)
_NOT_COMPARED = ("__doc__",)
KINDS = ("training", "evaluation", "other")


class LastAndBest(NamedTuple):
    """One metric of one run.

    Attributes:
        last, last_step: `None` where nothing was measured, or nothing finite.
        best, best_step: `None` also where neither direction is better.
    """

    last: float | None
    last_step: float | None
    best: float | None
    best_step: float | None


@dataclass(frozen=True)
class Listed:
    """One run of a list.

    Attributes:
        study: name, trial, repeat and params, where the run is a trial of a study.
        given: keys of the config that somebody set; `None` where the record doesn't tell.
        spec: what `observers.open_run` finds it by.
        warnings: what of its record can't be read as it should be.
    """

    id: int | str
    status: str
    experiment: str = ""
    started: str = ""
    seconds: float | None = None
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, LastAndBest] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    study: dict[str, Any] | None = None
    given: tuple[str, ...] | None = None
    spec: str = ""

    @property
    def kind(self) -> str:
        """One of `KINDS`: an evaluation measures on a benchmark, what takes an input trains not."""
        if self.experiment == "evaluate" or "benchmark" in self.config:
            return "evaluation"
        return "other" if "input" in self.config else "training"

    @property
    def duration(self) -> str:
        """The seconds as days and a clock; "" if they are not known."""
        if self.seconds is None or self.seconds < 0:
            return ""
        whole = round(self.seconds)
        days, hours = divmod(whole // 3600, 24)
        clock = f"{hours}:{whole // 60 % 60:02}:{whole % 60:02}"
        return f"{days}d {clock}" if days else clock


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """A block without garbage collection, for lists of thousands of runs.

    Of their millions of small objects none is garbage, but the collector would look at all of
    them again and again: more than half of the time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def listed(record: RunRecord | Look) -> Listed:
    """A run as far as it can be read; never raises for what is in its record."""
    look = record if isinstance(record, Look) else Look(record)
    id = look.record.id if isinstance(look.record.id, int) else str(look.record.id)
    nothing = Listed(id, UNREADABLE, spec=look.record.spec)
    found = look.part("it", lambda: _listed(look, id), nothing)
    found.warnings[:] = look.warnings
    return found


def _listed(look: Look, id: int | str) -> Listed:
    begin = look.begin
    return Listed(
        id=id,
        status=look.status,
        experiment=look.experiment,
        started=f"{begin:%Y-%m-%d %H:%M}" if begin else "",
        seconds=look.seconds,
        config=look.part("its config", lambda: flattened(look.config), {}),
        metrics={
            name: _mean_in(look.result, name)
            or _last_and_best(summary, look.higher_is_better(name))
            for name, summary in look.summary.items()
        },
        study=look.study,
        given=look.given,
        spec=look.record.spec,
    )


def flattened(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"dataset": {"name": "demo"}}`` as ``{"dataset.name": "demo"}``."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        path = f"{prefix}{key}"
        if value and (type(value) is dict or isinstance(value, Mapping)):
            flat.update(flattened(value, f"{path}."))
        elif key not in _NOT_COMPARED:
            flat[path] = value
    return flat


def differing_keys(
    configs: Sequence[Mapping[str, Any]], experiments: Sequence[str] | None = None
) -> list[str]:
    """The keys whose values are not the same everywhere; ``seed``, rarely of interest, last.

    An empty config, of a run whose config can't be read, differs from none, and neither does one
    of an experiment that has no such key: an evaluation is not another training.

    Args:
        configs: flattened, of each run.
        experiments: the name of each run's experiment; None: they are of one.
    """
    alike: dict[tuple[str, tuple[str, ...]], list[Mapping[str, Any]]] = {}
    for config, experiment in zip(configs, experiments or [""] * len(configs), strict=True):
        if config:
            alike.setdefault((experiment, tuple(config)), []).append(config)
    known: dict[str, dict[str, None]] = {}
    values: dict[str, list[Any]] = {}
    for (experiment, keys), those in alike.items():
        known.setdefault(experiment, {}).update(dict.fromkeys(keys))
        columns = zip(*(config.values() for config in those), strict=True)
        for key, column in zip(keys, columns, strict=True):
            # Of runs from an index most values are one object.
            one = len(set(map(id, column))) == 1
            values.setdefault(key, []).extend(column[:1] if one else column)
    for experiment, keys in alike:
        for key in known[experiment].keys() - keys:
            values[key].append(KeyError)
    different = [key for key, found in values.items() if _differ(found)]
    return sorted(different, key=lambda key: key == "seed")


def _differ(values: Sequence[Any]) -> bool:
    first = values[0]
    kind, text = type(first), repr(first)
    # Of a scalar, `==` is the short way; 1 and True, in lists too, differ by their text only.
    scalar = kind in (str, int, float, bool)
    return any(
        not (scalar and type(value) is kind and value == first) and repr(value) != text
        for value in values
    )


def main_metrics(runs: Iterable[Listed], count: int = 3) -> list[str]:
    """The metrics to show first: of validation and quality, then those that most runs have."""
    seen = Counter(name for run in runs for name in run.metrics)

    def rank(name: str) -> tuple[bool, bool, int]:
        return (not _VALIDATION.search(name), not _QUALITY.search(name), -seen[name])

    return sorted(seen, key=rank)[:count]


def short(value: Any, width: int = 24) -> str:
    """A value of a config or a metric on one line, without characters that steer a terminal."""
    if type(value) is float:
        return f"{value:.5g}"
    if isinstance(value, (list, tuple)):
        shown = (str(x) if isinstance(x, (list, tuple)) else short(x, width) for x in value[:width])
        text = f"[{', '.join(shown)}]"
    else:
        text = "" if value is None else str(value)
    text = text[: width + 1]
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= width else text[: width - 1] + "…"


def _mean_in(result: Any, name: str) -> LastAndBest | None:
    """The mean that an evaluation's result has of a series, whose points are images; else None."""
    value = result
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if "." not in name or isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return LastAndBest(last=float(value), last_step=None, best=None, best_step=None)


def _last_and_best(summary: Mapping[str, Any], higher_is_better: bool | None) -> LastAndBest:
    best = {True: "max", False: "min", None: ""}[higher_is_better]
    return LastAndBest(
        last=summary.get("last"),
        last_step=summary.get("last_step"),
        best=summary.get(best),
        best_step=summary.get(f"{best}_step"),
    )
