"""What a person watches: a bar an epoch, a line a validation."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from ignite.engine import Engine, Events
from tqdm import tqdm

from tmd.training.events import TrainingEvents
from tmd.training.phases import Phases

#: Scalars that the bar shows, with the short names it has room for.
SHOWN = {
    "pixel": "pixel",
    "loss_g": "G",
    "content": "content",
    "loss_d": "D",
    "d_real": "D(real)",
    "d_fake": "D(fake)",
}

#: Validation's figures that are ratios in dB.
IN_DECIBELS = ("psnr", "consistency")


def duration(seconds: float) -> str:
    """`4:05` or `1:02:03`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def as_text(name: str, value: float) -> str:
    """A figure of validation with the digits that mean something."""
    return f"{value:.{2 if name in IN_DECIBELS else 4}f}"


class Progress:
    """A bar on stderr for each epoch; a line on stdout after each validation.

    The bar's numbers are the last interval's averages: it never waits for the device itself.

    Args:
        phases: of the run.
        epoch_length: iterations an epoch.
        batch_size: images an iteration.
        bicubic: bicubic's figures, to be shown beside the generator's.
        stream: where the bar goes.
    """

    def __init__(
        self,
        phases: Phases,
        epoch_length: int,
        batch_size: int,
        bicubic: dict[str, float],
        stream: TextIO | None = None,
    ) -> None:
        self.phases = phases
        self.epoch_length = epoch_length
        self.batch_size = batch_size
        self.bicubic = bicubic
        self.stream = stream
        self.bar: tqdm | None = None
        self.images_per_second: float | None = None

    def attach(self, trainer: Engine) -> None:
        trainer.add_event_handler(Events.STARTED, self._start)
        trainer.add_event_handler(Events.ITERATION_STARTED, self._open)
        trainer.add_event_handler(TrainingEvents.LOGGED, self._show)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._advance)
        trainer.add_event_handler(TrainingEvents.VALIDATED, self._report)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _start(self, trainer: Engine) -> None:
        self._mark = (trainer.state.iteration, time.perf_counter())

    def _open(self, trainer: Engine) -> None:
        if self.bar is not None:
            return
        done = trainer.state.iteration - 1
        epoch, within = divmod(done, self.epoch_length)
        epochs = -(-self.phases.total // self.epoch_length)
        stream = self.stream or sys.stderr
        self.bar = tqdm(
            desc=f"epoch {epoch + 1}/{epochs} {trainer.state.phase}",
            total=min(self.epoch_length, self.phases.total - epoch * self.epoch_length),
            initial=within,
            unit="it",
            file=stream,
            dynamic_ncols=True,
            # A log file gets a line now and then, a terminal a moving bar.
            mininterval=0.2 if stream.isatty() else 10,
            bar_format="{desc} {percentage:3.0f}%|{bar:10}| {n_fmt}/{total_fmt}{postfix}",
        )

    def _show(self, trainer: Engine) -> None:
        iteration, then = self._mark
        now = time.perf_counter()
        made = trainer.state.iteration - iteration
        if made:
            self.images_per_second = made * self.batch_size / max(1e-9, now - then)
            self._mark = (trainer.state.iteration, now)
        if self.bar is None:
            return
        words = [
            f"{short} {trainer.state.scalars[name]:.3g}"
            for name, short in SHOWN.items()
            if name in trainer.state.scalars
        ]
        if self.images_per_second:
            left = (self.phases.total - trainer.state.iteration) * self.batch_size
            words.append(f"{self.images_per_second:.1f} images/s")
            words.append(f"left {duration(left / self.images_per_second)}")
        self.bar.set_postfix_str(", ".join(words), refresh=False)

    def _advance(self, trainer: Engine) -> None:
        if self.bar is None:
            return
        self.bar.update()
        iteration = trainer.state.iteration
        if iteration % self.epoch_length == 0 or iteration == self.phases.total:
            self.bar.refresh()
            self.close()

    def _report(self, trainer: Engine) -> None:
        parts = []
        for name, value in trainer.state.validation.items():
            label = name.upper() if name in ("psnr", "ssim") else name
            unit = " dB" if name in IN_DECIBELS else ""
            bicubic = as_text(name, self.bicubic[name])
            parts.append(f"{label} {as_text(name, value)}{unit} (bicubic {bicubic})")
        self.close()
        print(f"iteration {trainer.state.iteration}: {', '.join(parts)}", flush=True)
        # Validation is not training: it doesn't count in images/s.
        self._mark = (trainer.state.iteration, time.perf_counter())
