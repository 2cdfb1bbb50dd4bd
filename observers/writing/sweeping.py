"""Removing what killed processes have left half written."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from observers.scratch import sweep_scratch
from tmd.files import sweep_leftovers


def sweep_beside(store: Path) -> threading.Thread:
    """Sweep the run folders of ``store`` and the temporary file system, in a thread."""
    thread = threading.Thread(target=_sweep, args=(store,), name="observers.sweeping")
    thread.start()
    return thread


def _sweep(store: Path) -> None:
    sweep_scratch()
    with contextlib.suppress(OSError):
        for entry in [store, *os.scandir(store)]:
            if os.path.isdir(entry):
                sweep_leftovers(entry)
