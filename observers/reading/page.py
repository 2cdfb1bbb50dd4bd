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
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from observers.journal import Metric
from observers.liveness import utc_now
from observers.plain import plain
from observers.reading.files import FileRecord
from observers.reading.listing import Listed, differing_keys, listed, main_metrics
from observers.reading.records import RunRecord, Store
from tmd.files import write_bytes

_POINTS = 600_000  # of all curves together: what a browser opens in a moment
_CURVE_POINTS = (60, 500)
_OUTPUT = 20_000
_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
_EMBEDDED_IMAGE = 5 << 20
_EMBEDDED_IMAGES = 40 << 20


def write_page(store: Store, path: Path) -> int:
    """Write the page of ``store`` to ``path``; returns how many runs it shows.

    Artifacts of a file store are linked to, relative to the page; of a database, the newest image
    of each run is put into the page.
    """
    records = store.records()
    runs = [listed(record) for record in records]
    curves = sum(len(run.figures) for run in runs)
    low, high = _CURVE_POINTS
    points = max(low, min(high, _POINTS // max(curves, 1)))
    room = _Room(_EMBEDDED_IMAGES)
    details = [_detail(record, path.parent, points, room) for record in records]
    write_bytes(path, _page(store.spec, records, runs, details).encode("utf-8", "replace"))
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


def _page(
    spec: str, records: Sequence[RunRecord], runs: Sequence[Listed], details: Sequence[dict]
) -> str:
    data = {
        "store": spec,
        "made": utc_now().strftime("%Y-%m-%d %H:%M"),
        "differing": differing_keys([run.config for run in runs]),
        "main_metrics": main_metrics(runs),
        "metrics": sorted({name for run in runs for name in run.figures}),
        "runs": [
            {**asdict(run), "index": index, "spec": record.spec, "duration": run.duration}
            for index, (record, run) in enumerate(zip(records, runs, strict=True))
        ],
    }
    folder = Path(__file__).parent
    template = (folder / "page.html").read_text("utf-8")
    script = (folder / "page.js").read_text("utf-8")
    blocks = "\n".join(
        f'<script type="application/json" id="run-{index}">{_safe_json(detail)}</script>'
        for index, detail in enumerate(details)
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = template.replace("@SCRIPT_HASH@", digest).replace("@STORE@", html.escape(spec))
    # The data last: they may hold what looks like one of these marks.
    before, rest = page.split("@DATA@")
    between, after = rest.split("@CURVES@")
    after = after.replace("@SCRIPT@", script)
    return "".join([before, _safe_json(data), between, blocks, after])


def _safe_json(value: Any) -> str:
    text = json.dumps(plain(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _detail(record: RunRecord, folder: Path, points: int, room: _Room) -> dict[str, Any]:
    entry = record.entry
    names = record.artifacts()
    output = record.captured_out
    about = {
        "result": record.result,
        "host": (entry.get("host") or {}).get("hostname"),
        "command": (entry.get("meta") or {}).get("command_line") or entry.get("command"),
    }
    failures = entry.get("observer_failures") or {}
    if failures.get("count"):
        about["failures while recording"] = failures
    return {
        "curves": {name: _curve(metric, points) for name, metric in record.metrics().items()},
        "info": record.info,
        "about": {key: value for key, value in about.items() if value not in (None, "", {})},
        "output": output[-_OUTPUT:],
        "output_link": _link(record, "cout.txt", folder) if len(output) > _OUTPUT else None,
        "trace": "".join(entry.get("fail_trace") or []),
        "artifacts": [
            {"name": name, "link": _link(record, name, folder), "size": _size(record, name)}
            for name in names
        ],
        "sheets": _sheets(record, [n for n in names if n.lower().endswith(_IMAGES)], folder, room),
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
    return "./" + quote(relative)


def _size(record: RunRecord, name: str) -> str:
    if not isinstance(record, FileRecord):
        return ""
    size = float((record.folder / name).stat().st_size)
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


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if value - value == 0 else None
