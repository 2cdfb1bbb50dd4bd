"""A real MongoDB wire-protocol server in a process of its own, to be killed and started again."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pymongo
from pymongo.errors import PyMongoError


class MongoServer:
    """`secantusd-py` on 127.0.0.1; the same port and data over any number of starts."""

    def __init__(self, folder: Path, auth: bool = False) -> None:
        self.folder = folder
        self.auth = auth
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def program() -> str | None:
        beside = Path(sys.executable).with_name("secantusd-py")
        return str(beside) if beside.exists() else shutil.which("secantusd-py")

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}"

    def start(self) -> None:
        program = self.program()
        assert program is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "log.txt", "ab") as log:
            self.process = subprocess.Popen(
                [
                    program,
                    "--standalone",
                    *(["--auth"] if self.auth else []),
                    *("--host", "127.0.0.1", "--port", str(self.port)),
                    *("--storage-path", str(self.folder / "data")),
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 180
        with pymongo.MongoClient(self.url, serverSelectionTimeoutMS=500) as client:
            while True:
                try:
                    client.admin.command("ping")
                    return
                except PyMongoError:
                    assert self.process.poll() is None, (self.folder / "log.txt").read_text()
                    assert time.monotonic() < deadline
                    time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL: no goodbye to clients, no orderly shutdown."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
