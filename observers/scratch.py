"""Folders for a process's own files, which the next process sweeps if this one is killed."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import weakref
from pathlib import Path

from tmd.processes import is_alive, this_process

PREFIX = "tmd-"
_OWNER = ".owner.json"


class Scratch:
    """A folder on the temporary file system; made when first asked for, gone with this object.

    Args:
        keep: the files in it outlive this process, and the folder while there are any.
    """

    def __init__(self, keep: bool = False) -> None:
        self.keep = keep
        self._path: Path | None = None
        self._remove: weakref.finalize | None = None

    @property
    def path(self) -> Path:
        """The folder; raises `OSError` where there is no room for it."""
        if self._path is None:
            sweep_scratch()
            path = Path(tempfile.mkdtemp(prefix=PREFIX))
            self._remove = weakref.finalize(self, _remove, path, self.keep)
            self._path = path
            owner = {**this_process(), "keep": self.keep}
            (path / _OWNER).write_text(json.dumps(owner), "utf-8")
        return self._path

    def close(self) -> None:
        """Delete the folder, unless it is to keep what is in it."""
        if self._remove is not None:
            self._remove()
            self._path = self._remove = None


def sweep_scratch() -> list[Path]:
    """Delete the folders whose processes, on this machine, have ended; returns them."""
    swept = []
    for owner in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{_OWNER}"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            said = json.loads(owner.read_bytes())
            if is_alive(said) is False and _remove(owner.parent, said["keep"]):
                swept.append(owner.parent)
    return swept


def _remove(folder: Path, keep: bool) -> bool:
    try:
        if keep and any(not path.name.startswith(".") for path in folder.iterdir()):
            return False
    except OSError:
        return False  # somebody else's doing
    shutil.rmtree(folder, ignore_errors=True)
    return True
