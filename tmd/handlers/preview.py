"""The sheet LR SR HR UR of a few held-out images, after each validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ignite.engine import Engine
from PIL import Image

from tmd.figures import picture_sheet, preview_sheet
from tmd.handlers.validation import Pair, Validation
from tmd.training.events import TrainingEvents


class Preview:
    """Draws the sheet and hands it on.

    Args:
        validation: whose generator and precision are used.
        pairs: the images to show.
        save: (iteration, picture) -> None.
    """

    def __init__(
        self,
        validation: Validation,
        pairs: Sequence[Pair],
        save: Callable[[int, Image.Image], None],
    ) -> None:
        self.validation = validation
        self.pairs = pairs
        self.save = save

    def attach(self, trainer: Engine) -> None:
        """Draw after each validation."""
        trainer.add_event_handler(TrainingEvents.VALIDATED, self)

    def __call__(self, trainer: Engine) -> None:
        names = [pair.name for pair in self.pairs]
        lr = [pair.lr[0] for pair in self.pairs]
        hr = [pair.hr[0] for pair in self.pairs if pair.hr is not None]
        if len(hr) == len(lr):
            sheet = preview_sheet(self.validation.super_resolve, lr, hr, names=names)
        else:
            sr = [self.validation.super_resolve(pair.lr)[0] for pair in self.pairs]
            sheet = picture_sheet(lr, sr, names=names)
        self.save(trainer.state.iteration, sheet)
