"""Servers on this machine that images come from: real ones, and one that fails as it is told."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ACCESS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "a-secret-that-nobody-sees",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def served(command: list[str], port: int, folder: Path) -> Iterator[subprocess.Popen]:
    """A server's process, once it answers; ended with the block."""
    with open(folder / f"server-{port}.log", "w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None, (folder / f"server-{port}.log").read_text()
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def file_server(folder: Path) -> Iterator[str]:
    """The address of ``python -m http.server``, whose pages are listings; it sends no parts."""
    port = free_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    with served(command, port, folder):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def s3_server(folder: Path, port: int | None = None) -> Iterator[tuple[str, subprocess.Popen]]:
    """The address and the process of a server that speaks as S3 does, all in its memory."""
    port = port or free_port()
    command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with served(command, port, folder) as process:
        yield f"http://127.0.0.1:{port}", process


def upload(endpoint: str, bucket: str, folder: Path, below: str = "") -> None:
    """Put the files of a folder into a new bucket."""
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=ACCESS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ACCESS["AWS_SECRET_ACCESS_KEY"],
        region_name=ACCESS["AWS_DEFAULT_REGION"],
    )
    client.create_bucket(Bucket=bucket)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            client.upload_file(str(path), bucket, f"{below}{path.relative_to(folder)}")


class Failing(SimpleHTTPRequestHandler):
    """Files of a folder, parts of them too, and whatever else the server's ``answer`` makes."""

    server: FailingServer

    def do_GET(self) -> None:
        self.server.asked.append((self.command, self.path, self.headers.get("Range")))
        if not self.server.answer(self):
            self._answer()

    do_HEAD = do_GET

    def _answer(self) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        path = Path(self.translate_path(self.path))
        if asked is None or not self.server.sends_parts or not path.is_file():
            super().do_GET() if self.command == "GET" else super().do_HEAD()
            return
        first, last = int(asked[1]), min(int(asked[2]), path.stat().st_size - 1)
        self.send_response(206)
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Content-Range", f"bytes {first}-{last}/{path.stat().st_size}")
        self.end_headers()
        with open(path, "rb") as file:
            file.seek(first)
            self.wfile.write(file.read(last - first + 1))

    def log_message(self, *_: object) -> None:
        pass

    # What a test has the server do instead.

    def status(self, number: int) -> bool:
        self.send_error(number)
        return True

    def break_off(self) -> bool:
        """Promise a file, send a part of it, and hang up."""
        content = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True
        return True


class FailingServer(ThreadingHTTPServer):
    """A web server in this process.

    Attributes:
        answer: called with the handler of each request; True: it has answered.
        sends_parts: whether parts of files are sent.
        asked: (method, path, range) of each request.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.answer: Callable[[Failing], bool] = lambda handler: False
        self.sends_parts = True
        self.asked: list[tuple[str, str, str | None]] = []

        def handler(*args: object) -> Failing:
            return Failing(*args, directory=os.fspath(folder))

        super().__init__(("127.0.0.1", 0), handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> FailingServer:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
