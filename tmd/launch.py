"""This process among those that `torchrun` started. Imports no torch: a list of runs needs none."""

from __future__ import annotations

import os

#: Variables by which `torchrun` tells a process its place.
ENVIRONMENT = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def launched() -> tuple[int, int]:
    """This process's number, and how many there are: 0 and 1 without `torchrun`."""
    if any(name not in os.environ for name in ENVIRONMENT):
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


def is_main_process() -> bool:
    """Return whether this process writes: the record, checkpoints, what a person reads."""
    return launched()[0] == 0
