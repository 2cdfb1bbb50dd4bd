"""Starts of trainings: a process that has imported all that they need forks one after another.

A training typed by hand spends seconds of its processor's time on imports; one that is forked has
them. Nothing is ever run in the process that forks, so that each training begins as a new
interpreter would, and ends as one.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from experiments.support.sources import ROOT

#: Where a process that has imported torch may be forked.
CAN_FORK = sys.platform == "linux"
SERVER = "experiments.support.fork_server"
#: Bytes of the longest message.
LONGEST = 1 << 20
POLL = 0.05  # seconds between two looks at a process that is nobody's child here


class TrainingProcess(Protocol):
    """A training that was started; its standard input ends when this process does."""

    def wait(self, seconds: float) -> int | None:
        """Exit code, negative for a signal's number; None if it still runs after ``seconds``."""

    def send_signal(self, number: int) -> None:
        """Send it a signal; nothing where it has ended."""

    def tell(self, line: str) -> None:
        """Send it a line; nothing where it has ended."""

    def close(self) -> None:
        """End its standard input."""


class Starter:
    """Start of one training at a time, for a worker.

    Args:
        experiment: the script's name.
    """

    def __init__(self, experiment: str) -> None:
        self.experiment = experiment
        self._server: ForkServer | None = None

    def threads(self) -> int:
        """Number of threads that torch takes here."""
        if server := self._server_of(None):
            return server.threads
        import torch

        return torch.get_num_threads()

    def start(
        self, words: Sequence[str], threads: int, env: Mapping[str, str], log: Path
    ) -> TrainingProcess:
        """Start a training.

        Args:
            words: what follows the script's name.
            threads: that torch takes unless the config says another number.
            env: variables beside this process's own.
            log: file that gets what it prints.

        Raises:
            OSError: it can't be started.
        """
        argv = [str(ROOT / "experiments" / f"{self.experiment}.py"), *words]
        with open(log, "wb") as file:
            for _ in range(2):  # the first one may have found that the code is another by now
                server = self._server_of(threads)
                if server and (started := server.fork(argv, env, file.fileno())):
                    return started
            return Fresh(argv, {**_threads(threads), **env}, file.fileno())

    def close(self) -> None:
        """End the process that forks, if there is one."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _server_of(self, threads: int | None) -> ForkServer | None:
        """The process that forks trainings of so many threads; None where there can't be one."""
        found = self._server
        if found is None or found.has_ended or threads not in (None, found.threads):
            self.close()
            if CAN_FORK:  # else what is wrong is said by the training itself
                with contextlib.suppress(OSError):
                    self._server = ForkServer(self.experiment, threads)
        return self._server


class Fresh:
    """A training in an interpreter of its own; see `TrainingProcess`."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], log: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *argv],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
        )

    def wait(self, seconds: float) -> int | None:
        """See `TrainingProcess`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.poll()

    def send_signal(self, number: int) -> None:
        """See `TrainingProcess`."""
        self._process.send_signal(number)

    def tell(self, line: str) -> None:
        """See `TrainingProcess`."""
        assert self._process.stdin is not None
        _write_line(self._process.stdin.fileno(), line)

    def close(self) -> None:
        """See `TrainingProcess`."""
        assert self._process.stdin is not None
        self._process.stdin.close()


class ForkServer:
    """The process that forks, and the way to it.

    Args:
        experiment: that it imports.
        threads: of torch; None: as many as it takes by itself.

    Attributes:
        threads: of torch.
        has_ended: it was found to be gone.

    Raises:
        OSError: it ended before it was ready.
    """

    def __init__(self, experiment: str, threads: int | None) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", SERVER, str(theirs.fileno()), experiment],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **_threads(threads)},
                pass_fds=[theirs.fileno()],
            )
        self._socket = ours
        self.has_ended = False
        said = self.hear(None)
        if said is None:
            self.close()
            raise OSError(f"the process that forks trainings ended with {self._process.returncode}")
        self.threads = int(said["threads"])

    def fork(self, argv: Sequence[str], env: Mapping[str, str], log: int) -> Forked | None:
        """A training in a process of its own; None where no more are to be had from this one.

        Args:
            argv: script and words.
            env: variables beside the server's own.
            log: descriptor of the file for what it prints.
        """
        read, write = os.pipe()
        request = json.dumps({"argv": list(argv), "env": dict(env)}).encode()
        try:
            with contextlib.suppress(OSError):
                socket.send_fds(self._socket, [request], [read, log])
        finally:
            os.close(read)
        said = self.hear(None)
        if said is None or "pid" not in said:
            os.close(write)
            return None
        return Forked(self, int(said["pid"]), write)

    def hear(self, seconds: float | None) -> dict[str, Any] | None:
        """The next message; None where there is none in time, or the server is gone."""
        if not select.select([self._socket], [], [], seconds)[0]:
            return None
        try:
            message = self._socket.recv(LONGEST)
        except OSError:
            message = b""
        self.has_ended = not message
        return json.loads(message) if message else None

    def close(self) -> None:
        """End it."""
        self._socket.close()
        self._process.terminate()
        self._process.wait()


class Forked:
    """A training that was forked; see `TrainingProcess`."""

    def __init__(self, server: ForkServer, pid: int, stdin: int) -> None:
        self.pid = pid
        self._server = server
        self._stdin = stdin
        self._code: int | None = None

    def wait(self, seconds: float) -> int | None:
        """See `TrainingProcess`."""
        if self._code is not None:
            return self._code
        said = None if self._server.has_ended else self._server.hear(seconds)
        if said is not None:
            self._code = int(said["code"])
        elif self._server.has_ended:
            self._code = self._left_behind(seconds)
        return self._code

    def _left_behind(self, seconds: float) -> int | None:
        """Ask it to end, for nobody is left who would see how it does; killed, once it has."""
        self.close()
        self.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while _is_there(self.pid):
            if time.monotonic() > deadline:
                return None
            time.sleep(POLL)
        return -signal.SIGKILL

    def send_signal(self, number: int) -> None:
        """See `TrainingProcess`."""
        # Its number stays its own until the server is asked for the next one.
        if self._code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def tell(self, line: str) -> None:
        """See `TrainingProcess`."""
        _write_line(self._stdin, line)

    def close(self) -> None:
        """See `TrainingProcess`."""
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1


def _threads(number: int | None) -> dict[str, str]:
    return {} if number is None else {"OMP_NUM_THREADS": str(number)}


def _write_line(descriptor: int, line: str) -> None:
    with contextlib.suppress(OSError):
        os.write(descriptor, f"{line}\n".encode())


def _is_there(pid: int) -> bool:
    """Is there a process of that number that still does something?"""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")
