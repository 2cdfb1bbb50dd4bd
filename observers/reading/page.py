"""One HTML file that shows the runs of a store: no server, no network, nothing but the file.

The data lie in the page as JSON that holds no markup, the script puts them there as text, and a
content policy lets no other script run.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import mimetypes
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from observers.journal import Metric
from observers.liveness import utc_now
from observers.plain import plain
from observers.reading.files import FileRecord
from observers.reading.groups import Group, by_config, by_study, importance, t_quantile
from observers.reading.index import list_runs
from observers.reading.listing import (
    KINDS,
    Listed,
    differing_keys,
    main_metrics,
    uncollected,
)
from observers.reading.look import Look
from observers.reading.records import RunRecord, Store
from tmd.files import write_bytes

_STATIC = Path(__file__).parent / "static"
# The gallery's zoom and slider are the page's too.
_ZOOM = Path(__file__).parents[2] / "tmd" / "evaluation" / "gallery" / "zoom.js"
_PARTS = ("table", "curves", "studies", "compare", "run", "begin")
_SCRIPTS = (_STATIC / "base.js", _ZOOM, *(_STATIC / f"{name}.js" for name in _PARTS))
_POINTS = 600_000  # of all curves together: what a browser opens in a moment
_CURVE_POINTS = (60, 500)
_DETAILED = 500  # runs, the newest, whose curves, output and artifacts are in the page
_OUTPUT = 20_000
_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
_EMBEDDED_IMAGE = 5 << 20
_EMBEDDED_IMAGES = 40 << 20


def write_page(store: Store, path: Path) -> int:
    """Write the page of ``store`` to ``path``; returns how many runs it shows.

    Every run is in its table; the newest also with curves, output and artifacts. Artifacts of a
    file store are linked to, relative to the page; of a database, the newest image of each run is
    put into the page.

    Raises:
        UserError: the store can't be read. What can't be read of a run is a warning in the page.
    """
    with uncollected():
        return _write_page(store, path)


def _write_page(store: Store, path: Path) -> int:
    runs = list_runs(store)
    # By their addresses: a number of a stranger's document may be anything.
    looks = {record.spec: Look(record) for record in store.records()[-_DETAILED:]}
    detailed = [index for index, run in enumerate(runs) if run.spec in looks]
    curves = sum(len(runs[index].metrics) for index in detailed)
    low, high = _CURVE_POINTS
    points = max(low, min(high, _POINTS // max(curves, 1)))
    room = _Room(_EMBEDDED_IMAGES)
    details = {
        index: _detail_of(looks[runs[index].spec], path.parent, points, room, runs[index])
        for index in detailed
    }
    page = _page(store.spec, runs, details)
    write_bytes(path, page.encode("utf-8", "replace"), durable=False)
    return len(runs)


class _Room:
    """How many bytes of images may still be put into the page."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, size: int) -> bool:
        if size > min(self.left, _EMBEDDED_IMAGE):
            return False
        self.left -= size
        return True


def _page(spec: str, runs: Sequence[Listed], details: Mapping[int, str]) -> str:
    template = (_STATIC / "page.html").read_text("utf-8")
    script = "\n".join(file.read_text("utf-8") for file in _SCRIPTS)
    blocks = "\n".join(
        f'<script type="application/json" id="run-{index}">{detail}</script>'
        for index, detail in details.items()
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = template.replace("@SCRIPT_HASH@", digest).replace("@STORE@", html.escape(spec))
    # The data last: they may hold what looks like one of these marks.
    before, rest = page.split("@DATA@")
    between, after = rest.split("@CURVES@")
    after = after.replace("@SCRIPT@", script)
    return "".join([before, _safe_json(plain(_table(spec, runs))), between, blocks, after])


def _table(spec: str, runs: Sequence[Listed]) -> dict[str, Any]:
    """What the page knows of every run; what is the same in all stands there once."""
    names = sorted({name for run in runs for name in run.metrics})
    number = {name: index for index, name in enumerate(names)}
    common = _common(runs)
    given: dict[tuple[str, ...] | None, int] = {}
    kinds = [kind for kind in KINDS if any(run.kind == kind for run in runs)] or list(KINDS[:1])
    return {
        "store": spec,
        "made": utc_now().strftime("%Y-%m-%d %H:%M"),
        "kinds": [_kind(kind, [run for run in runs if run.kind == kind]) for kind in kinds],
        "common": common,
        "metrics": names,
        "t": [t_quantile(freedom) for freedom in range(1, 31)],
        "studies": _studies(runs),
        "repeats": _repeats(runs),
        "runs": [
            {
                "index": index,
                "id": run.id,
                "spec": run.spec,
                "status": run.status,
                "experiment": run.experiment,
                "kind": kinds.index(run.kind),
                "started": run.started,
                "seconds": run.seconds,
                "duration": run.duration,
                "warnings": run.warnings,
                "study": (run.study or {}).get("name"),
                "given": given.setdefault(run.given, len(given)),
                "config": {
                    key: value
                    for key, value in run.config.items()
                    if key not in common[run.experiment]
                },
                # [number of the name, last, its step, best, its step]
                "metrics": [
                    [
                        *(number[name], _rounded(each.last), each.last_step),
                        *(_rounded(each.best), each.best_step),
                    ]
                    for name, each in run.metrics.items()
                ],
            }
            for index, run in enumerate(runs)
        ],
        "given": list(given),
    }


def _common(runs: Sequence[Listed]) -> dict[str, dict[str, Any]]:
    """By experiment, the entries that stand in the configs of all of its runs."""
    groups: dict[str, list[Listed]] = {}
    for run in runs:
        groups.setdefault(run.experiment, []).append(run)
    common = {}
    for experiment, those in groups.items():
        differs = set(differing_keys([run.config for run in those]))
        # One that can't be read has none, and would be shown the others'.
        first = those[0].config if all(run.config for run in those) else {}
        common[experiment] = {key: value for key, value in first.items() if key not in differs}
    return common


def _kind(kind: str, runs: Sequence[Listed]) -> dict[str, Any]:
    """A kind of runs and the columns of its table.

    Keys that differ without anybody having set them are apart: what was resolved, say, or is new.
    """
    differing = differing_keys([run.config for run in runs], [run.experiment for run in runs])
    told = {run.given for run in runs}
    somebody: set[str] = set().union(*(each for each in told if each is not None))
    silent = None in told
    having = {key for run in runs if run.given is None for key in run.config} if silent else set()
    unset = [key for key in differing if key not in somebody and key not in having]
    return {
        "name": {"training": "trainings", "evaluation": "evaluations"}.get(kind, kind),
        "experiments": len({run.experiment for run in runs}),
        "differing": [key for key in differing if key not in unset],
        "unset": unset,
        "main_metrics": main_metrics(runs),
    }


def _studies(runs: Sequence[Listed]) -> list[dict[str, Any]]:
    """Each study's trials over their repeats, and how much each parameter explains."""
    place = {id(run): index for index, run in enumerate(runs)}
    studies: dict[tuple[str, str], list[Group]] = {}
    for group in by_study(runs):
        studies.setdefault((group.study, group.experiment), []).append(group)
    found = []
    for (name, experiment), groups in studies.items():
        trials: list[list[Any]] = []
        metrics = main_metrics(run for group in groups for run in group.runs)
        spreads = [[group.spread(metric) for metric in metrics] for group in groups]
        for group, spread in zip(groups, spreads, strict=True):
            # [trial, its params, [mean, half, n] of each objective, its runs, how many besides]
            measured = [[_rounded(x) for x in each] if each else None for each in spread]
            members = [place[id(run)] for run in group.runs]
            trials.append(
                [group.trial, group.values, measured, members, sum(group.others.values())]
            )
        found.append(
            {
                "name": name,
                "experiment": experiment,
                "params": list(dict.fromkeys(key for group in groups for key in group.values)),
                "objectives": list(metrics),
                "importance": [
                    importance(
                        [
                            (group.values, found_at.mean)
                            for group, each in zip(groups, spreads, strict=True)
                            if (found_at := each[at]) is not None
                        ]
                    )
                    for at in range(len(metrics))
                ],
                "trials": trials,
            }
        )
    return found


def _repeats(runs: Sequence[Listed]) -> list[list[int]]:
    """Places of runs that differ in nothing but their seeds, where there are several."""
    place = {id(run): index for index, run in enumerate(runs)}
    groups = [[place[id(run)] for run in group.runs] for group in by_config(runs)]
    return [group for group in groups if len(group) > 1]


def _safe_json(value: Any) -> str:
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _detail_of(look: Look, folder: Path, points: int, room: _Room, run: Listed) -> str:
    """A run's details as JSON; those of a run that can't be read at all are empty."""
    detail = look.part("it", lambda: _safe_json(plain(_detail(look, folder, points, room))), "{}")
    run.warnings[:] = dict.fromkeys([*run.warnings, *look.warnings])
    return detail


def _detail(look: Look, folder: Path, points: int, room: _Room) -> dict[str, Any]:
    record, names, output = look.record, look.artifacts, look.output
    images = [name for name in names if name.lower().endswith(_IMAGES)]
    none: list[dict[str, str | None]] = []
    return {
        "curves": {name: _curve(metric, points) for name, metric in look.metrics.items()},
        "info": look.info,
        "about": {key: value for key, value in look.about.items() if value not in (None, "", {})},
        "output": output[-_OUTPUT:],
        "output_link": _link(record, "cout.txt", folder) if len(output) > _OUTPUT else None,
        "trace": look.trace,
        "artifacts": [
            {"name": name, "link": _link(record, name, folder), "size": _size(record, name)}
            for name in names
        ],
        "sheets": look.part("its images", lambda: _sheets(record, images, folder, room), none),
    }


def _sheets(
    record: RunRecord, names: list[str], folder: Path, room: _Room
) -> list[dict[str, str | None]]:
    if isinstance(record, FileRecord):
        return [{"name": name, "source": _link(record, name, folder)} for name in names[::-1]]
    for name in names[-1:]:
        with record.open(name) as file:
            content = file.read(_EMBEDDED_IMAGE + 1)
        if room.take(len(content)):
            kind = mimetypes.guess_type(name)[0]
            source = f"data:{kind};base64,{base64.b64encode(content).decode()}"
            return [{"name": name, "source": source}]
    return []


def _link(record: RunRecord, name: str, folder: Path) -> str | None:
    if not isinstance(record, FileRecord):
        return None
    relative = Path(os.path.relpath(record.folder / name, folder)).as_posix()
    # A first segment with a colon would pass for a scheme: javascript:…, say.
    return "./" + quote(os.fsencode(relative))


def _size(record: RunRecord, name: str) -> str:
    if not isinstance(record, FileRecord):
        return ""
    try:
        size = float((record.folder / name).stat().st_size)
    except OSError:  # pruned a moment ago
        return ""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _curve(metric: Metric, points: int) -> list[list]:
    """Steps and values with at most ``points`` of them, extremes and ends kept."""
    kept = _kept(metric.values, points)
    return [
        [metric.steps[index] for index in kept],
        [_rounded(metric.values[index]) for index in kept],
    ]


def _kept(values: Sequence[float], points: int) -> list[int]:
    count = len(values)
    if count <= points:
        return list(range(count))
    buckets = (points - 2) // 2
    kept = {0, count - 1}
    for bucket in range(buckets):
        span = range(bucket * count // buckets, (bucket + 1) * count // buckets)
        finite = [index for index in span if values[index] - values[index] == 0]
        if finite:
            kept.add(min(finite, key=values.__getitem__))
            kept.add(max(finite, key=values.__getitem__))
        else:
            kept.add(span.start)  # a gap stays a gap
    return sorted(kept)


def _rounded(value: float | None) -> float | None:
    return float(f"{value:.6g}") if value is not None and value - value == 0 else None
