"""Engines as the scripts know them: they start workers somewhere, and workers are processes."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

#: Tells a worker its number, from 1.
NUMBER_VARIABLE = "TMD_WORKER"


class Worker(Protocol):
    """Process of ours that was started somewhere.

    Attributes:
        number: from 1.
        place: for people, ``pid 4711`` say.
        output: file that has what it prints.
    """

    number: int
    place: str
    output: Path

    def poll(self) -> int | None:
        """Exit code, negative for the number of the signal that ended it; None while it runs."""

    def terminate(self) -> None:
        """Ask it to end, by SIGTERM; nothing where it has ended."""

    def kill(self) -> None:
        """End it and what it started; nothing where it has ended."""


class Engine(Protocol):
    """Means by which workers are started; checked where it is made, connected when it starts."""

    def start(
        self, command: Sequence[str], count: int, env: Mapping[str, str], folder: Path
    ) -> list[Worker]:
        """Start ``count`` workers.

        Args:
            command: of each; all it needs are paths and addresses that its machine reaches.
            env: variables for each, beside those of the place where it runs.
            folder: for what they print; made where it is not there.

        Raises:
            UserError: they can't be started.
        """

    def close(self) -> None:
        """Part from the cluster; workers that are left are ended by it."""


def travelling(env: Mapping[str, str], number: int) -> dict[str, str]:
    """Variables for a worker elsewhere: ``env``, its number, and this process's own of the project.

    Args:
        env: given for the worker.
        number: the worker's.
    """
    ours = {k: v for k, v in os.environ.items() if k.startswith("TMD_") or k == "PYTHONPATH"}
    return {**ours, NUMBER_VARIABLE: str(number), **env}


def output_file(folder: Path, starter: int, number: int) -> Path:
    """File for what a worker prints; another for each that any machine starts.

    Args:
        folder: made where it is not there.
        starter: the process that starts it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve() / f"{socket.gethostname()}-{starter}-{number}.txt"
