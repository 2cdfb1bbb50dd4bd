"""Weights & Biases, through Ignite's logger."""

from __future__ import annotations

import netrc
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from tmd.recorders.registry import Recorder, TrackedRun, register_tracker, series

HOST = "api.wandb.ai"


class WandB:
    """A run of Weights & Biases: config, scalars, pictures, files.

    Online where there is a login, else offline, to be sent by ``wandb sync`` later;
    ``WANDB_MODE`` decides otherwise. The project is ``WANDB_PROJECT``, else tmd.

    Args:
        folder: below which wandb keeps its files.
        name: of the run.
        config: of the run.
    """

    keeps_artifacts = True

    def __init__(self, folder: Path, name: str, config: Mapping[str, Any]) -> None:
        self.folder = folder
        self.name = name
        self.config = config
        self.status = "COMPLETED"
        self._opened: Any = None

    def info(self, values: Mapping[str, Any]) -> None:
        """Put what was resolved into the config, under ``info``; ``status``: how the run ended."""
        values = dict(values)
        self.status = values.pop("status", self.status)
        if values:
            known = dict(self._logger().run.config.get("info", {}))
            self._logger().run.config.update({"info": {**known, **values}}, allow_val_change=True)

    def metrics(self, group: str, values: Mapping[str, float], iteration: int) -> None:
        """Log as ``group/name``, over ``iteration``."""
        tagged = {f"{group}/{name}": value for name, value in values.items()}
        self._logger().log({**tagged, "iteration": iteration})

    def image(self, name: str, image: Image.Image, iteration: int) -> None:
        """Log a picture, called as its series."""
        logger = self._logger()
        logger.log({series(name): logger.Image(image), "iteration": iteration})

    def artifact(self, name: str, write: Callable[[Path], None]) -> bool:
        """Keep a file as an artifact of kind model."""
        logger = self._logger()
        with tempfile.TemporaryDirectory(prefix="tmd-") as scratch:
            path = Path(scratch) / name
            write(path)
            artifact = logger.Artifact(f"{Path(name).stem}-{logger.run.id}", type="model")
            artifact.add_file(str(path))  # which copies it
            logger.run.log_artifact(artifact)
        return True

    def remove(self, name: str) -> None:
        """Nothing: wandb keeps what it was given."""

    def close(self) -> None:
        """End the run, with exit code 1 unless it was completed."""
        if self._opened is not None:
            self._opened.run.finish(exit_code=0 if self.status == "COMPLETED" else 1)

    def _logger(self) -> Any:
        """Ignite's logger of a run of our own, begun at the first call."""
        if self._opened is None:
            import wandb
            from ignite.handlers import WandBLogger

            self.folder.mkdir(parents=True, exist_ok=True)
            logger = WandBLogger(
                project=os.environ.get("WANDB_PROJECT") or "tmd",
                name=self.name,
                config=dict(self.config),
                dir=str(self.folder),
                mode=os.environ.get("WANDB_MODE") or ("online" if _has_login() else "offline"),
                # The console is the training's, and already recorded by it.
                settings=wandb.Settings(console="off", silent=True),
            )
            # Pictures come later than the points of their iteration: steps need not rise.
            logger.run.define_metric("iteration")
            logger.run.define_metric("*", step_metric="iteration")
            self._opened = logger
        return self._opened


def _has_login() -> bool:
    """Is a key at hand, without asking anybody?"""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        path = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
        return netrc.netrc(path).authenticators(HOST) is not None
    except (OSError, netrc.NetrcParseError):
        return False


@register_tracker("wandb", package="wandb", extra="wandb")
def create_wandb(run: TrackedRun) -> Recorder:
    """Runs in ``wandb`` beside the run's folder."""
    return WandB(run.folder.parent, run.name, run.config)
