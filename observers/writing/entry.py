"""The first ``run.json`` of a run, and the numbers that runs have."""

from __future__ import annotations

import datetime
import os
import uuid
from pathlib import Path
from typing import Any

from observers.plain import plain
from tmd.errors import UserError
from tmd.processes import this_process


def run_entry(
    ex_info: dict,
    command: str,
    host_info: dict,
    meta_info: dict,
    start_time: datetime.datetime | None,
) -> dict[str, Any]:
    """The ``run.json`` of a run that starts (or, without ``start_time``, is queued)."""
    entry: dict[str, Any] = {
        "uid": uuid.uuid4().hex,
        "format": "tmd-1",
        "experiment": plain(ex_info),
        "command": command,
        "host": plain(host_info),
        "meta": plain(meta_info),
        "status": "QUEUED",
        "resources": [],
        "artifacts": [],
        "metric_summary": [],
        "heartbeat": None,
        "result": None,
        "observer_failures": {"count": 0, "messages": []},
        "process": this_process(),
    }
    if start_time is not None:
        entry.update(status="RUNNING", start_time=start_time.isoformat())
    return entry


def whole_number(_id: int | str) -> int:
    """Sacred's ``--id`` as the number it has to be: text ids break the numbering after them."""
    if not str(_id).isdigit():
        raise UserError(f"--id {_id}: must be a whole number")
    return int(_id)


def highest_id(root: Path) -> int:
    """The greatest number a run under ``root`` has; 0 without runs."""
    with os.scandir(root) as entries:
        return max((int(e.name) for e in entries if e.name.isdigit()), default=0)
