"""Measures the generator on held-out images while it is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from tmd.distributed import ALONE, Share
from tmd.images import as_8_bit
from tmd.resize import imresize
from tmd.training.events import TrainingEvents
from tmd.training.phases import Phases
from tmd.training.steps import frozen

Measure = Callable[[Tensor, Tensor], Tensor]
SetMeasure = Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]


class Pair(NamedTuple):
    """A held-out image: ``lr`` (1, C, h, w) and ``hr`` (1, C, H, W), both in [0, 1].

    ``hr`` is None where nobody has it.
    """

    name: str
    lr: Tensor
    hr: Tensor | None


class Validation:
    """Fires `TrainingEvents.VALIDATED` with ``engine.state.validation``.

    After each epoch in which the generator was trained, and wherever a phase ends; before the
    first update if training is adversarial from the start.

    Args:
        generator: the network that is measured (the averaged one, usually).
        pairs: held-out images.
        measures: by name, functions (SR, HR) -> (N,); SR has been rounded to 8 bits.
        phases: of the run.
        epoch_length: iterations between two validations.
        autocast: the precision of the generator's arithmetic.
        without_hr: by name, functions (all SR, all LR) -> scalar that need no HR.
        share: of this process; each takes some of the images, all get the same figures.
    """

    def __init__(
        self,
        generator: nn.Module,
        pairs: Sequence[Pair],
        measures: dict[str, Measure],
        phases: Phases,
        epoch_length: int,
        autocast: torch.dtype | None = None,
        without_hr: Mapping[str, SetMeasure] | None = None,
        share: Share = ALONE,
    ) -> None:
        self.generator = generator
        self.pairs = pairs
        self.measures = measures
        self.phases = phases
        self.epoch_length = epoch_length
        self.autocast = autocast
        self.without_hr = dict(without_hr or {})
        self.share = share

    def attach(self, trainer: Engine) -> None:
        trainer.add_event_handler(Events.STARTED, self._before_the_first)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._if_due)

    def _before_the_first(self, trainer: Engine) -> None:
        if trainer.state.iteration == 0 and self.phases.start("adversarial") == 0:
            self.validate(trainer)

    def _if_due(self, trainer: Engine) -> None:
        iteration = trainer.state.iteration
        epoch_ends = iteration % self.epoch_length == 0 and trainer.state.phase != "warmup"
        if epoch_ends or self.phases.is_end(iteration):
            self.validate(trainer)

    def validate(self, trainer: Engine) -> None:
        trainer.state.validation = self.figures(self.super_resolve)
        trainer.fire_event(TrainingEvents.VALIDATED)

    def super_resolve(self, lr: Tensor) -> Tensor:
        """G(LR) in evaluation mode, (N, C, scale·h, scale·w), rounded to 8 bits."""
        with (
            frozen(self.generator),
            # Held-out images have many sizes; compiling for each takes longer than it saves.
            torch.compiler.set_stance("force_eager"),
            torch.autocast(lr.device.type, self.autocast, self.autocast is not None),
        ):
            return as_8_bit(self.generator(lr).float())

    def figures(self, method: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """The measures' means over the held-out images for any LR -> SR function."""
        inputs = [pair.lr for pair in self.pairs]
        if not self.without_hr:
            return self._means(lambda index: method(inputs[index]))
        results = [method(lr) for lr in inputs]
        figures = self._means(lambda index: results[index])
        for name, measure in self.without_hr.items():
            value = torch.as_tensor(measure(results, inputs), dtype=torch.float64)
            # A last bit that differs from process to process must not decide anything.
            figures[name] = float(self.share.sent(value, 0))
        return figures

    def _means(self, result: Callable[[int], Tensor]) -> dict[str, float]:
        """The measures' means over the images with HR, each process having measured some."""
        with_hr = [(i, pair.hr) for i, pair in enumerate(self.pairs) if pair.hr is not None]
        if not with_hr or not self.measures:
            return {}
        rows = [torch.zeros(len(self.measures), device=hr.device) for _, hr in with_hr]
        for row in range(self.share.rank, len(rows), self.share.count):
            index, hr = with_hr[row]
            sr = result(index)
            rows[row] = torch.stack([m(sr, hr).mean().float() for m in self.measures.values()])
        means = self.share.total(torch.stack(rows)).double().mean(0).tolist()
        return dict(zip(self.measures, means, strict=True))

    def bicubic_figures(self, scale: int) -> dict[str, float]:
        """The measures' means for bicubic enlargement by ``scale``."""
        return self.figures(lambda lr: as_8_bit(imresize(lr, scale)))
