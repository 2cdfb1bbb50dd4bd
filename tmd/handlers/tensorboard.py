"""Curves and sheets for TensorBoard."""

from __future__ import annotations

from pathlib import Path

import torchvision.transforms.functional as TF
from ignite.engine import Engine
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from tmd.training.events import TrainingEvents


class TensorBoard:
    """Writes ``engine.state.scalars`` and ``.validation`` as they are announced.

    Args:
        directory: the event file's folder.
    """

    def __init__(self, directory: str | Path) -> None:
        self.writer = SummaryWriter(str(directory))

    def attach(self, trainer: Engine) -> None:
        trainer.add_event_handler(TrainingEvents.LOGGED, self._write, "training", "scalars")
        trainer.add_event_handler(TrainingEvents.VALIDATED, self._write, "validation", "validation")

    def _write(self, trainer: Engine, group: str, attribute: str) -> None:
        for name, value in getattr(trainer.state, attribute).items():
            self.writer.add_scalar(f"{group}/{name}", value, trainer.state.iteration)

    def add_sheet(self, iteration: int, sheet: Image.Image) -> None:
        self.writer.add_image("sheet", TF.pil_to_tensor(sheet.convert("RGB")), iteration)

    def close(self) -> None:
        self.writer.close()
