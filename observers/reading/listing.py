"""Runs side by side: what differs in their configs, last and best figures, durations.

Knows neither terminals nor pages.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from observers.liveness import parse_time, utc_now
from observers.reading.records import RunRecord

_HIGHER_IS_BETTER = re.compile(r"psnr|ssim|accuracy|images_per_second", re.IGNORECASE)
_VALIDATION = re.compile(r"^(val|valid|validation|test)\b", re.IGNORECASE)
_QUALITY = re.compile(r"psnr|ssim|lpips|score|fid", re.IGNORECASE)
_NOT_COMPARED = ("__doc__",)


@dataclass(frozen=True)
class Figure:
    """One metric of one run; `None` where nothing finite was measured."""

    last: float | None
    last_step: float | None
    best: float | None
    best_step: float | None


@dataclass(frozen=True)
class Listed:
    """One run of a list."""

    id: int | str
    status: str
    experiment: str
    started: str
    seconds: float | None
    config: dict[str, Any]
    figures: dict[str, Figure]

    @property
    def duration(self) -> str:
        if self.seconds is None:
            return ""
        whole = round(self.seconds)
        days, hours = divmod(whole // 3600, 24)
        clock = f"{hours}:{whole // 60 % 60:02}:{whole % 60:02}"
        return f"{days}d {clock}" if days else clock


def listed(record: RunRecord) -> Listed:
    entry = record.entry
    summaries = record.summary()
    begin = parse_time(entry.get("start_time"))
    end = parse_time(entry.get("stop_time"))
    if end is None:
        end = utc_now() if record.status == "RUNNING" else parse_time(entry.get("heartbeat"))
    return Listed(
        id=record.id,
        status=record.status,
        experiment=str((entry.get("experiment") or {}).get("name", "")),
        started=begin.strftime("%Y-%m-%d %H:%M") if begin else "",
        seconds=(end - begin) / datetime.timedelta(seconds=1) if begin and end else None,
        config=flattened(record.config),
        figures={name: _figure(name, summary) for name, summary in summaries.items()},
    )


def flattened(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"dataset": {"name": "demo"}}`` as ``{"dataset.name": "demo"}``."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flattened(value, f"{path}."))
        elif key not in _NOT_COMPARED:
            flat[path] = value
    return flat


def differing_keys(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys whose values are not the same everywhere; ``seed``, rarely of interest, last."""
    keys = dict.fromkeys(key for config in configs for key in config)
    different = [
        key for key in keys if len({repr(config.get(key, KeyError)) for config in configs}) > 1
    ]
    return sorted(different, key=lambda key: key == "seed")


def main_metrics(runs: Iterable[Listed], count: int = 3) -> list[str]:
    """The metrics to show first: of validation and quality, then those that most runs have."""
    seen: dict[str, int] = {}
    for run in runs:
        for name in run.figures:
            seen[name] = seen.get(name, 0) + 1

    def rank(name: str) -> tuple[bool, bool, int]:
        return (not _VALIDATION.search(name), not _QUALITY.search(name), -seen[name])

    return sorted(seen, key=rank)[:count]


def higher_is_better(metric: str) -> bool:
    return _HIGHER_IS_BETTER.search(metric) is not None


def short(value: Any, width: int = 24) -> str:
    """A value of a config or a metric on one line, without characters that steer a terminal."""
    if isinstance(value, float):
        text = f"{value:.5g}"
    elif isinstance(value, (list, tuple)):
        text = "[" + ", ".join(short(item, width) for item in value) + "]"
    else:
        text = "" if value is None else str(value)
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= width else text[: width - 1] + "…"


def _figure(name: str, summary: Mapping[str, Any]) -> Figure:
    best = "max" if higher_is_better(name) else "min"
    return Figure(
        last=summary.get("last"),
        last_step=summary.get("last_step"),
        best=summary.get(best),
        best_step=summary.get(f"{best}_step"),
    )
