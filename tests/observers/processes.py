"""Waiting for what a process says."""

from __future__ import annotations

import subprocess


def wait_for_save(process: subprocess.Popen[str]) -> str:
    """All that ``process`` has said when it has saved its first checkpoint."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if "SAVED" in line:
            return said
    raise AssertionError(f"it ended before: {said}")
