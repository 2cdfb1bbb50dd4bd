"""Records of a run: one protocol, one tracker a file, made by name.

A session calls every recorder alike. The run's own record, Sacred's or a `Folder`, comes first and
must not fail; trackers are `Guarded`, and may.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tmd.recorders.folder import Folder
from tmd.recorders.guarded import Guarded
from tmd.recorders.registry import (
    TRACKERS,
    Recorder,
    TrackedRun,
    check_trackers,
    register_tracker,
    series,
)

__all__ = [
    "TRACKERS",
    "Folder",
    "Guarded",
    "Recorder",
    "TrackedRun",
    "check_trackers",
    "create_recorder",
    "recording",
    "register_tracker",
    "series",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def create_recorder(
    name: str, folder: Path, run_name: str, config: Mapping[str, Any] | None = None
) -> Guarded:
    """The tracker called ``name``, guarded; opened at its first call.

    Args:
        name: of `TRACKERS`.
        folder: of the run's own; what a tracker keeps of all runs together lies beside it.
        run_name: as the tracker shows it.
        config: of the run, without secrets.

    Raises:
        UserError: there is no such tracker, or its package is not installed.
    """
    check_trackers([name])
    tracker = TRACKERS[name]
    created = tracker.create(TrackedRun(Path(folder), run_name, config or {}))
    return Guarded(created, name, tracker.artifacts)


@contextmanager
def recording(recorders: Sequence[Recorder]) -> Iterator[None]:
    """Close the recorders at the block's end, whatever ends it; trackers are told how it ended.

    Trackers come first: what failed in them goes into the info of the others, as ``trackers``.
    """
    status = "FAILED"
    try:
        yield
        status = "COMPLETED"
    except KeyboardInterrupt:
        status = "INTERRUPTED"
        raise
    finally:
        trackers = [each for each in recorders if isinstance(each, Guarded)]
        others = [each for each in recorders if not isinstance(each, Guarded)]
        for tracker in trackers:
            tracker.info({"status": status})
            tracker.close()
        reports = {tracker.name: tracker.report for tracker in trackers if tracker.report}
        for recorder in others:
            if reports:
                recorder.info({"trackers": reports})
            recorder.close()
