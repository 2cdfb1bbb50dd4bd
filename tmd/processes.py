"""Descriptions of processes by which others on their machine tell whether they still run."""

from __future__ import annotations

import functools
import hashlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any


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
    """Description of this process that another process can look it up by."""
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


def _start_ticks(pid: int) -> int | None:
    try:
        # The command's name, in parentheses, may hold spaces: count from behind it.
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        # One that ended stays listed until it is waited for, in a container perhaps for ever.
        return None if state in "ZX" else int(rest[18])
    except (OSError, ValueError, IndexError):
        return None
