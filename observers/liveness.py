"""Life signs of the process that writes a run, so that a killed run is seen as dead."""

from __future__ import annotations

import datetime
import functools
import hashlib
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from observers.names import printable

STALE_SECONDS = 120.0  # what Omniboard calls probably dead; a beat comes every 10 s
DEAD = "DEAD"


@functools.cache
def machine() -> str:
    """The same for two processes exactly when one can look up the other's process id."""
    parts = [socket.gethostname()]
    for read in (
        lambda: Path("/proc/sys/kernel/random/boot_id").read_text(),
        lambda: os.readlink("/proc/self/ns/pid"),
    ):
        try:
            parts.append(read())
        except OSError:
            parts.append("")
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def this_process() -> dict[str, Any]:
    """Description of this process for the record of a run that it writes."""
    return {
        "host": socket.gethostname(),
        "machine": machine(),
        "pid": os.getpid(),
        "started": _start_ticks(os.getpid()),
    }


def is_alive(process: Any) -> bool | None:
    """Return whether ``process`` runs; `None` if that can't be seen from this machine.

    Args:
        process: what `this_process` returned, as it was read back.
    """
    if not isinstance(process, Mapping) or process.get("machine") != machine():
        return None
    pid = process.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    # A number that is in use again belongs to a process that began at another moment.
    return _start_ticks(pid) == process.get("started")


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


def _start_ticks(pid: int) -> int | None:
    try:
        # The command's name, in parentheses, may hold spaces: count from behind it.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
