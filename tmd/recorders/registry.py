"""Trackers by name. A new one is a file of this folder with `register_tracker` in it."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from PIL import Image

from tmd.errors import UserError, check_choice
from tmd.registry import Registry


class Recorder(Protocol):
    """A record of a run in the making: Sacred's, TensorBoard's, a folder's."""

    @property
    def keeps_artifacts(self) -> bool:
        """Do checkpoints have to be made for this one?"""

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


class TrackedRun(NamedTuple):
    """A run for those who track it.

    Attributes:
        folder: of the run's own; what a tracker keeps of all runs lies beside it.
        name: as people are shown it.
        config: of the run, without secrets.
    """

    folder: Path
    name: str
    config: Mapping[str, Any]


F = TypeVar("F", bound=Callable[[TrackedRun], Recorder])


class Tracker(NamedTuple):
    """A kind of recorder beside the run's own record.

    Attributes:
        create: opens nothing that could fail; that waits for the first point.
        package: must be importable.
        extra: of this project, which brings the package.
        artifacts: it keeps files.
    """

    create: Callable[[TrackedRun], Recorder]
    package: str
    extra: str
    artifacts: bool


TRACKERS: Registry[Any] = Registry("training.trackers")


def register_tracker(
    name: str, package: str, extra: str = "", artifacts: bool = True
) -> Callable[[F], F]:
    """Make a function of a `TrackedRun` the tracker called ``name``; see `Tracker`."""

    def add(create: F) -> F:
        TRACKERS.register(name)(Tracker(create, package, extra, artifacts))
        return create

    return add


def check_trackers(names: Collection[str]) -> None:
    """Raise `UserError` for a tracker that does not exist or whose package is not installed."""
    for name in names:
        check_choice("training.trackers", name, list(TRACKERS))
        tracker = TRACKERS[name]
        if importlib.util.find_spec(tracker.package) is None:
            raise UserError(
                f"training.trackers={name}: the package {tracker.package} is not installed; "
                f"pip install 'tmd[{tracker.extra}]' brings it"
            )


def series(name: str) -> str:
    """Name that the pictures of a series have in common.

    Example:
        >>> series("sheet_00000400.png")
        'sheet'
    """
    return re.sub(r"_\d+(?=\.|$)", "", Path(name).stem)


def replaces_itself(name: str) -> bool:
    """Is an artifact the newest of its kind (``best.pt``), not one of many by number?"""
    return series(name) == Path(name).stem
