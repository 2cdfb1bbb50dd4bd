"""Life signs of the process that writes a run, so that a killed run is seen as dead."""

from __future__ import annotations

import datetime
import re
from typing import Any

from observers.names import printable
from tmd.processes import is_alive

STALE_SECONDS = 120.0  # what Omniboard calls probably dead; a beat comes every 10 s
DEAD = "DEAD"


def true_status(entry: dict[str, Any], now: datetime.datetime | None = None) -> str:
    """The status a run was left with, or ``DEAD`` if it says RUNNING and nobody runs it.

    Args:
        entry: a run as Sacred records it, of any writer; times as ISO text or datetime (UTC).
    """
    status = printable(entry.get("status", "UNKNOWN"))
    if status != "RUNNING":
        return status
    alive = is_alive(entry.get("process"))
    if alive is None:
        beat = parse_time(entry.get("heartbeat") or entry.get("start_time"))
        alive = beat is not None and (
            (now or utc_now()) - beat < datetime.timedelta(seconds=STALE_SECONDS)
        )
    return status if alive else DEAD


def utc_now() -> datetime.datetime:
    """The time as Sacred writes it: UTC, without a time zone."""
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)


def parse_time(value: Any) -> datetime.datetime | None:
    """A recorded time in UTC, without a zone, as Sacred writes it; `None` if it is none.

    Args:
        value: ISO text or a datetime, with a zone or in UTC.
    """
    try:
        if not isinstance(value, datetime.datetime):
            value = datetime.datetime.fromisoformat(re.sub("[zZ]$", "+00:00", str(value)))
        if value.tzinfo is not None:
            value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return value
