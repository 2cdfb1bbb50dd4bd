"""A worker on this machine. Also what engines run on others: it imports nothing of ours."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

#: Seconds that a process asked to end may take, a training that saves a checkpoint say.
GRACE = 60.0


class Process:
    """Process in a group of its own, whose group ends with it.

    Its group keeps a terminal's Ctrl-C from it: who started it ends it. Threads may share it.

    Args:
        command: program and words.
        env: variables beside this process's own.
        output: file to which what it prints is appended.
        folder: to run in; None: this process's.

    Raises:
        OSError: the program or the file can't be had.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        output: Path,
        folder: Path | None = None,
    ) -> None:
        with open(output, "ab") as file:
            self._process = subprocess.Popen(
                list(command),
                cwd=folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._looking = threading.Lock()

    def poll(self) -> int | None:
        """Exit code, negative for the number of a signal; None while it runs."""
        with self._looking:
            if self._process.returncode is None:
                # Its number is its own until it is waited for; what it left behind is ended first.
                if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                    return None
                self._signal_group(signal.SIGTERM)
            return self._process.poll()

    def terminate(self) -> None:
        """Ask it to end, by SIGTERM."""
        if self.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it and all processes that it started."""
        if self.poll() is None:
            self._signal_group(signal.SIGKILL)
            while self.poll() is None:
                time.sleep(0.01)

    def end(self, grace: float = GRACE) -> int:
        """Ask it to end, and kill it where it has not ended after ``grace`` seconds.

        Returns:
            Its exit code.
        """
        self.terminate()
        deadline = time.monotonic() + grace
        while self.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        self.kill()
        return int(self._process.returncode)

    def _signal_group(self, number: signal.Signals) -> None:
        # Nobody may be left; macOS answers a group of ended processes by the latter.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
