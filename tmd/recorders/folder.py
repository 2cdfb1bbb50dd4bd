"""A run recorded in a plain folder: for notebooks, without Sacred."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from tmd.checkpoints import newest_checkpoint
from tmd.files import replacing, replacing_path, sweep_leftovers, write_json


class Folder:
    """Files that are whole or absent: ``info.json``, ``metrics.jsonl``, pictures, artifacts.

    A line of ``metrics.jsonl`` is ``{"iteration": 10, "group": "train", "pixel": 0.03, ...}``.
    Where a run goes on in its folder, the points from its first new iteration on are replaced.
    What can't be written (a full disk) is said once and tried again with the next point.

    Args:
        folder: made where it is absent.

    Example:
        >>> recorder = Folder("runs/first")
        >>> recorder.metrics("validation", {"psnr": 28.43}, 400)
    """

    keeps_artifacts = True

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep_leftovers(self.folder)
        self._points = self.folder / "metrics.jsonl"
        self._begun = False
        self._size = 0
        self._waiting: list[str] = []
        self._said = False

    def info(self, values: Mapping[str, Any]) -> None:
        """Merge into ``info.json``."""
        path = self.folder / "info.json"
        known = json.loads(path.read_text("utf-8")) if path.exists() else {}
        self._tried(lambda: write_json(path, {**known, **values}))

    def metrics(self, group: str, values: Mapping[str, float], iteration: int) -> None:
        """Append a line; NaN and infinities become null."""
        finite = {k: v if v - v == 0 else None for k, v in values.items()}
        point = {"iteration": iteration, "group": group, **finite}
        self._waiting.append(json.dumps(point) + "\n")
        self._tried(self._append)

    def image(self, name: str, image: Image.Image, iteration: int) -> None:
        """Write a picture as PNG."""
        self.artifact(name, image.save)

    def artifact(self, name: str, write: Callable[[Path], None]) -> bool:
        """Write a file; False if it could not be, and nothing is half written."""
        if name != Path(name).name:
            raise ValueError(f"artifact {name!r}: must be the name of a file, without folders")

        def keep() -> None:
            with replacing_path(self.folder / name) as path:
                write(path)

        return self._tried(keep)

    def remove(self, name: str) -> None:
        """Delete an artifact, if it is there."""
        (self.folder / name).unlink(missing_ok=True)

    def newest_checkpoint(self) -> dict[str, Any] | None:
        """The contents of the newest checkpoint in the folder, to go on from; None: there is none.

        Raises:
            UserError: none of them can be read.
        """
        names = [path.name for path in self.folder.iterdir()]
        return newest_checkpoint(names, lambda name: self.folder / name)

    def close(self) -> None:
        """Try once more to write what could not be written."""
        if self._waiting:
            self._tried(self._append)

    def _append(self) -> None:
        if not self._begun:
            self._keep_before(_iteration(self._waiting[0]))
            self._begun = True
        with open(self._points, "r+b") as file:
            file.seek(self._size)  # over a line that a full disk cut short
            file.write("".join(self._waiting).encode())
            file.flush()
            self._size = file.tell()
        self._waiting = []

    def _keep_before(self, iteration: float) -> None:
        """Leave what an earlier session recorded before ``iteration``."""
        lines = self._points.read_bytes().splitlines(keepends=True) if self._points.exists() else []
        kept = [line for line in lines if line.endswith(b"\n") and _iteration(line) < iteration]
        with replacing(self._points) as file:
            file.writelines(kept)
            self._size = file.tell()

    def _tried(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except (OSError, RuntimeError) as error:  # torch's writer raises both when a disk is full
            if not self._said:
                print(f"warning: {self.folder}: {error}; it is tried again", file=sys.stderr)
            self._said = True
            return False
        return True


def _iteration(line: str | bytes) -> float:
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, TypeError, KeyError):
        return float("inf")
