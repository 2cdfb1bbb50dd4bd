"""Folders for a process's own files, which the next process sweeps if this one is killed."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from pathlib import Path

from observers.liveness import is_alive, this_process

PREFIX = "tmd-"
_OWNER = ".owner.json"


class Scratch:
    """A folder of files on the temporary file system; made when first asked for.

    What lies in it when its process is killed was meant to be kept: only an empty folder, or one
    with nothing but half-written files, is swept.

    Args:
        keep: leave files that are whole to the next process as well, rather than delete them.
    """

    def __init__(self, keep: bool = False) -> None:
        self.keep = keep
        self._path: Path | None = None

    @property
    def path(self) -> Path:
        """The folder; raises `OSError` where there is no room for it."""
        if self._path is None:
            sweep()
            path = Path(tempfile.mkdtemp(prefix=PREFIX))
            owner = {**this_process(), "keep": self.keep}
            (path / _OWNER).write_text(json.dumps(owner), "utf-8")
            self._path = path
        return self._path

    def close(self) -> None:
        """Delete the folder, unless it is to keep what is in it."""
        if self._path is not None and not (self.keep and _files(self._path)):
            shutil.rmtree(self._path, ignore_errors=True)
            self._path = None


def sweep() -> list[Path]:
    """Delete the folders whose processes, on this machine, have ended; returns them."""
    swept = []
    for owner in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{_OWNER}"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            said = json.loads(owner.read_bytes())
            if is_alive(said) is False and not (said["keep"] and _files(owner.parent)):
                shutil.rmtree(owner.parent)
                swept.append(owner.parent)
    return swept


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".")]
