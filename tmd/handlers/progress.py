"""Progress for people: a bar an epoch, a line a validation."""

from __future__ import annotations

import sys
from typing import TextIO

from ignite.engine import Engine, Events
from tqdm import tqdm

from tmd.metrics.registry import metric
from tmd.training.events import TrainingEvents
from tmd.training.phases import Phases

#: Scalars that the bar has room for.
SHOWN = ("pixel", "loss_g", "content", "loss_d", "d_real", "d_fake")


def duration(seconds: float) -> str:
    """Text of a duration: ``4:05`` or ``1:02:03``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class Progress:
    """A bar on stderr for each epoch; a line on stdout after each validation.

    The bar's numbers are the last interval's averages, its speed is `Throughput`'s: it never waits
    for the device itself.

    Args:
        phases: of the run.
        epoch_length: iterations an epoch.
        batch_size: images an iteration.
        bicubic: bicubic's metrics, to be shown beside the generator's.
        stream: where the bar goes.
        baseline: name of what has those metrics.
    """

    def __init__(
        self,
        phases: Phases,
        epoch_length: int,
        batch_size: int,
        bicubic: dict[str, float],
        stream: TextIO | None = None,
        baseline: str = "bicubic",
    ) -> None:
        self.phases = phases
        self.epoch_length = epoch_length
        self.batch_size = batch_size
        self.bicubic = bicubic
        self.baseline = baseline
        self.stream = stream
        self.bar: tqdm | None = None

    def attach(self, trainer: Engine) -> None:
        """Attach after what leaves scalars on the state."""
        trainer.add_event_handler(Events.ITERATION_STARTED, self._open)
        trainer.add_event_handler(TrainingEvents.LOGGED, self._show)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._advance)
        trainer.add_event_handler(TrainingEvents.VALIDATED, self._report)

    def close(self) -> None:
        """End the bar of an epoch, if one is open."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

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
        if self.bar is None:
            return
        scalars = trainer.state.scalars
        words = [f"{metric(name).short} {scalars[name]:.3g}" for name in SHOWN if name in scalars]
        if speed := scalars.get("images_per_second"):
            left = (self.phases.total - trainer.state.iteration) * self.batch_size
            words.append(metric("images_per_second").text(speed, unit=True))
            words.append(f"left {duration(left / speed)}")
        self.bar.set_postfix_str(", ".join(words), refresh=False)

    def _advance(self, trainer: Engine) -> None:
        if self.bar is None:
            return
        self.bar.update()
        iteration = trainer.state.iteration
        if iteration % self.epoch_length == 0 or iteration == self.phases.total:
            self.close()

    def _report(self, trainer: Engine) -> None:
        parts = []
        for name, value in trainer.state.validation.items():
            described = metric(name)
            beside = self.bicubic.get(name)
            known = "" if beside is None else f" ({self.baseline} {described.text(beside)})"
            parts.append(f"{described.label} {described.text(value, unit=True)}{known}")
        self.close()
        if parts:
            print(f"iteration {trainer.state.iteration}: {', '.join(parts)}", flush=True)
