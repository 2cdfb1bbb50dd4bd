"""The sheet LR SR HR UR of a few held-out images, after each validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ignite.engine import Engine
from PIL import Image

from tmd.figures import picture_sheet, preview_sheet, views
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
        kind = self.validation.kind
        names = [pair.name for pair in self.pairs]
        lr = [pair.lr[0] for pair in self.pairs]
        hr = [pair.hr[0] for pair in self.pairs if pair.hr is not None]
        if len(hr) == len(lr):
            resolve = self.validation.super_resolve
            sheet = preview_sheet(resolve, lr, hr, names=names, kind=kind)
        else:
            sr = [self.validation.super_resolve(pair.lr)[0] for pair in self.pairs]
            seen = [views(kind, x, (x, y)) for x, y in zip(lr, sr, strict=True)]
            sheet = picture_sheet([x for x, _ in seen], [y for _, y in seen], names=names)
        self.save(trainer.state.iteration, sheet)
