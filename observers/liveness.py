"""Whether the process that writes a run still lives, so that a killed run is seen as dead."""

from __future__ import annotations

import datetime
import hashlib
import os
import socket
from pathlib import Path
from typing import Any

STALE_SECONDS = 120.0  # what Omniboard calls probably dead; a beat comes every 10 s
DEAD = "DEAD"


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
    """What a run records about who writes it."""
    return {
        "host": socket.gethostname(),
        "machine": machine(),
        "pid": os.getpid(),
        "started": _start_ticks(os.getpid()),
    }


def is_alive(process: dict[str, Any]) -> bool | None:
    """Whether ``process`` runs; `None` if it can't be seen from this machine."""
    if process.get("machine") != machine():
        return None
    pid = int(process["pid"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
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
    status = str(entry.get("status", "UNKNOWN"))
    if status != "RUNNING":
        return status
    alive = is_alive(entry["process"]) if entry.get("process") else None
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
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None)
    try:
        return datetime.datetime.fromisoformat(str(value))
    except ValueError:
        return None


def _start_ticks(pid: int) -> int | None:
    try:
        # The command's name, in parentheses, may hold spaces: count from behind it.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
