"""Where a run is recorded: one protocol, one tracker a file, made by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from PIL import Image


class Recorder(Protocol):
    """A record of a run in the making: Sacred's, TensorBoard's, a folder's."""

    def info(self, values: Mapping[str, Any]) -> None:
        """Add what was resolved at run time; a key that comes again replaces the former one."""

    def metrics(self, group: str, values: Mapping[str, float], iteration: int) -> None:
        """Add one point to the curve of each of ``values``; ``group``: train or validation."""

    def image(self, name: str, image: Image.Image, iteration: int) -> None:
        """Keep a picture; ``name`` is a file's (``sheet_00000400.png``), another each time."""

    def artifact(self, name: str, write: Callable[[Path], None]) -> bool:
        """Keep a file that ``write`` makes at the path it is given; is it durable now?"""

    def remove(self, name: str) -> None:
        """Forget the artifact ``name``, if there is one."""

    def close(self) -> None:
        """Finish: all that was handed over is written, or said not to be."""
