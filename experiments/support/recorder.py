"""Sacred as a recorder: scalars, info, and artifacts in every store that observes the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from sacred.run import Run

from observers import RunArtifacts, beat, run_folder
from tmd.checkpoints import is_checkpoint


class SacredRecorder:
    """See `tmd.recorders.Recorder`.

    Args:
        run: Sacred's ``_run``.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.artifacts = RunArtifacts(run)

    @property
    def folder(self) -> Path | None:
        """The run's folder, where one of its stores has folders."""
        return run_folder(self.run)

    @property
    def keeps_artifacts(self) -> bool:
        """Does a store of ours observe the run?"""
        return bool(self.artifacts)

    def info(self, values: Mapping[str, Any]) -> None:
        """Add to the run's info."""
        self.run.info.update(values)

    def metrics(self, group: str, values: Mapping[str, float], iteration: int) -> None:
        """Log each value as ``group.name``."""
        for name, value in values.items():
            self.run.log_scalar(f"{group}.{name}", value, iteration)

    def image(self, name: str, image: Image.Image, iteration: int) -> None:
        """Keep a picture as an artifact."""
        self.artifacts.save(name, image.save)

    def artifact(self, name: str, write: Callable[[Path], None]) -> bool:
        """Hand a file to the stores; one that is away or full gets it later.

        Before a checkpoint, the record is on disk up to there: who goes on from it, whatever ended
        this process, repeats nothing that was before.
        """
        if is_checkpoint(name):
            beat(self.run)
        return self.artifacts.save(name, write)

    def remove(self, name: str) -> None:
        """Drop an artifact from every store."""
        self.artifacts.remove(name)

    def close(self) -> None:
        """Nothing: Sacred ends the record."""
