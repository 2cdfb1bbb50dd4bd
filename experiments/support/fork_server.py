"""The process that forks trainings, one at a time; see `experiments.support.sweeping.starting`.

    python -m experiments.support.fork_server DESCRIPTOR EXPERIMENT

It imports what every training does, starts no thread and runs nothing. It lies where no training's
record, which has the code that was loaded, tells it from one typed by hand.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from experiments.support.sources import PACKAGES, ROOT
from tmd.later import files_of

#: What trainings import later than their script, and takes long.
LATER = ("torch.utils.tensorboard",)
LONGEST = 1 << 20

Stamp = dict[str, tuple[int, int]]


def serve(connection: socket.socket, script: ModuleType) -> list[str]:
    """Fork for each message; return in the training's process only, the words that it is given."""
    import torch

    for package in script.ex.needs:
        files_of(package)
    for name in LATER:
        with suppress(ImportError):
            importlib.import_module(name)
    files = code_files()
    code = stamps(files)
    connection.send(json.dumps({"threads": torch.get_num_threads()}).encode())
    child = None
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, LONGEST, 2)
        if child is not None:
            os.waitpid(child, 0)  # until then its number is nobody else's
        if not message or stamps(files) != code:
            sys.exit()
        child = os.fork()
        if child == 0:
            connection.close()
            return become_training(json.loads(message), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        connection.send(json.dumps({"pid": child}).encode())
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        sign = -1 if ended.si_code in (os.CLD_KILLED, os.CLD_DUMPED) else 1
        with suppress(OSError):  # the worker may be gone
            connection.send(json.dumps({"code": sign * ended.si_status}).encode())


def become_training(request: dict[str, object], stdin: int, log: int) -> list[str]:
    """Have this process's input, output and variables as the request says; return its words."""
    import numpy as np
    import torch

    for ours, theirs in ((stdin, 0), (log, 1), (log, 2)):
        os.dup2(ours, theirs)
    os.close(stdin)
    os.close(log)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(request["env"])  # type: ignore[call-overload]
    argv = [str(word) for word in request["argv"]]  # type: ignore[attr-defined]
    if torch.cuda._is_in_bad_fork():  # an import has met the GPU, which can't be met again
        os.execv(sys.executable, [sys.executable, *argv])
    random.seed()
    np.random.seed()  # noqa: NPY002  # as in a new interpreter: of nothing
    return argv


def code_files() -> list[str]:
    """Files of our code that are loaded."""
    modules = list(sys.modules.items())
    found = {getattr(m, "__file__", None) for n, m in modules if n.partition(".")[0] in PACKAGES}
    return sorted(name for name in found if name)


def stamps(files: list[str]) -> Stamp:
    """Times and sizes of files: a run's record names the code that it was made by."""
    found = {}
    for name in files:
        with suppress(OSError):
            about = Path(name).stat()
            found[name] = (about.st_mtime_ns, about.st_size)
    return found


def main() -> None:
    """Serve until the worker is gone, or be a training."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's; the worker ends this process
    sys.path[0] = str(ROOT / "experiments")  # as of a script that is typed
    script = importlib.import_module(f"experiments.{sys.argv[2]}")
    connection = socket.socket(fileno=int(sys.argv[1]))
    sys.argv = serve(connection, script)
    script.ex.run_commandline(sys.argv)


if __name__ == "__main__":
    main()
