"""Metrics of the generator on held-out images while it is trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from tmd.acceleration.speed import uncompiled
from tmd.data.measured import Pair
from tmd.distributed import ALONE, Share
from tmd.images import EIGHT_BITS, ImageKind
from tmd.metrics.fidelity import TooSmallError, is_flat
from tmd.metrics.functions import ImageMetric, MetricFunction, values_of
from tmd.metrics.registry import NONE, Needs, metric
from tmd.resize import imresize
from tmd.training.events import TrainingEvents
from tmd.training.phases import Phases
from tmd.training.steps import frozen
from tmd.upscale import super_resolve

SetMetric = Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]


def ceiling(kind: ImageKind) -> float:
    """The most that one image can add to a mean, in dB.

    SR is rounded, of 8 bits an error of 58.9 dB: beyond that, of an image with next to nothing in
    it, a level here or there would decide which state is best.

    Example:
        >>> ceiling(ImageKind()), ceiling(ImageKind.of_dtype(1, "uint16"))
        (60.0, 110.0)
    """
    if kind.levels is None:
        return math.inf
    rounding = 10 * math.log10(12 * kind.levels**2)
    return 10.0 * math.ceil(rounding / 10)


class Validation:
    """Fires `TrainingEvents.VALIDATED` with ``engine.state.validation``.

    After each epoch in which the generator was trained, and wherever a phase ends; before the
    first update if training is adversarial from the start, or if ``at_start`` is set.

    Args:
        generator: the network that is validated (the averaged one, usually).
        pairs: held-out images; those that are flat are left out of every mean.
        metrics: by name, functions (SR, HR) -> (N,), or `tmd.metrics.metric_function`'s, which may
            need no HR; SR has been rounded as a file holds it.
        phases: of the run.
        epoch_length: iterations between two validations.
        autocast: the precision of the generator's arithmetic.
        set_metrics: by name, functions (all SR, all LR) -> scalar that need no HR.
        share: of this process; each takes some of the images, all get the same means.
        kind: of the images.

    Attributes:
        rated: the pairs that are not flat.
    """

    def __init__(
        self,
        generator: nn.Module,
        pairs: Sequence[Pair],
        metrics: Mapping[str, ImageMetric],
        phases: Phases,
        epoch_length: int,
        autocast: torch.dtype | None = None,
        set_metrics: Mapping[str, SetMetric] | None = None,
        share: Share = ALONE,
        kind: ImageKind = EIGHT_BITS,
    ) -> None:
        self.kind = kind
        self.ceiling = ceiling(kind)
        self.generator = generator
        self.pairs = pairs
        self.rated = [p for p in pairs if not is_flat(p.lr if p.hr is None else p.hr, kind.step)]
        self.metrics = dict(metrics)
        self.phases = phases
        self.epoch_length = epoch_length
        self.autocast = autocast
        self.set_metrics = dict(set_metrics or {})
        self.share = share
        self.at_start = False

    @property
    def left_out(self) -> list[str]:
        """Names of the pairs that hold nothing and are in no mean."""
        rated = {id(pair) for pair in self.rated}
        return [pair.name for pair in self.pairs if id(pair) not in rated]

    def attach(self, trainer: Engine) -> None:
        """Attach after the handlers whose result is validated."""
        trainer.add_event_handler(Events.STARTED, self._before_the_first)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._if_due)

    def _before_the_first(self, trainer: Engine) -> None:
        adversarial_at_once = trainer.state.iteration == 0 and self.phases.start("adversarial") == 0
        if adversarial_at_once or self.at_start:
            self.validate(trainer)

    def _if_due(self, trainer: Engine) -> None:
        iteration = trainer.state.iteration
        epoch_ends = iteration % self.epoch_length == 0 and trainer.state.phase != "warmup"
        if epoch_ends or self.phases.is_end(iteration):
            self.validate(trainer)

    def validate(self, trainer: Engine) -> None:
        """Leave the metrics on the state and announce them."""
        trainer.state.validation = self.means(self.super_resolve)
        trainer.fire_event(TrainingEvents.VALIDATED)

    def super_resolve(self, lr: Tensor) -> Tensor:
        """G(LR) in evaluation mode, (N, C, scale·h, scale·w), rounded as a file holds it.

        A large image goes through in tiles where the network says how far it sees.
        """
        with (
            frozen(self.generator),
            # Held-out images have many sizes; compiling for each takes longer than it saves.
            uncompiled(),
            torch.autocast(lr.device.type, self.autocast, self.autocast is not None),
        ):
            if getattr(self.generator, "receptive_field", None) is None:
                return self.kind.rounded(self.generator(lr).float())
            return self.kind.rounded(super_resolve(self.generator, lr))

    def means(self, method: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """The metrics' means over the held-out images for any LR -> SR function.

        A metric that no image has, all being too small for it, is left out.
        """
        inputs = [pair.lr for pair in self.rated]
        of_sets = [f for f in self.metrics.values() if _needs(f).whole_set]
        if not (self.set_metrics or of_sets) or not inputs:
            return self._means(lambda index: method(inputs[index]))
        results = [method(lr) for lr in inputs]
        means = self._means(lambda index: results[index])
        means.update(self._of_sets(results))
        for name, function in self.set_metrics.items():
            value = torch.as_tensor(function(results, inputs), dtype=torch.float64)
            # A last bit that differs from process to process must not decide anything.
            means[name] = float(self.share.sent(value, 0))
        return means

    def _of_sets(self, results: Sequence[Tensor]) -> dict[str, float]:
        """Metrics of all images with HR at once."""
        images = [(sr, pair.hr) for sr, pair in zip(results, self.rated, strict=True)]
        found = {}
        for name, function in self.metrics.items():
            if _needs(function).whole_set and isinstance(function, MetricFunction):
                value = function.of_set((sr, hr) for sr, hr in images if hr is not None)
                if value is not None:
                    # A last bit that differs from process to process must not decide anything.
                    sent = self.share.sent(torch.tensor(value, dtype=torch.float64), 0)
                    found[name] = float(sent)
        return found

    def _means(self, result: Callable[[int], Tensor]) -> dict[str, float]:
        """Means over the images that have what a metric needs, each process computing some."""
        numbers = {id(pair): number for number, pair in enumerate(self.pairs)}
        functions = [(n, f) for n, f in self.metrics.items() if not _needs(f).whole_set]
        fit = [
            (index, pair)
            for index, pair in enumerate(self.rated)
            if any(_has_needed(pair, function) for _, function in functions)
        ]
        if not fit:
            return {}
        rows = [torch.zeros(len(functions), device=pair.lr.device) for _, pair in fit]
        for row in range(self.share.rank, len(rows), self.share.count):
            index, pair = fit[row]
            sr, number = result(index), numbers[id(pair)]
            rows[row] = torch.stack(
                [_of_image(n, f, sr, pair, number, self.ceiling) for n, f in functions]
            )
        table = self.share.total(torch.stack(rows)).cpu().double()  # not every device has it
        means = (table.mean(0) if table.isfinite().all() else table.nanmean(0)).tolist()
        named = zip(functions, means, strict=True)
        return {name: mean for (name, _), mean in named if mean == mean}

    def bicubic_means(self, scale: int) -> dict[str, float]:
        """The metrics' means for bicubic enlargement by ``scale``; by 1, for LR as it is."""
        return self.means(lambda lr: self.kind.rounded(imresize(lr, scale)))


def _has_needed(pair: Pair, function: ImageMetric) -> bool:
    return pair.hr is not None or not _needs(function).hr


def _needs(function: ImageMetric) -> Needs:
    return getattr(function, "needs", NONE)


def _of_image(
    name: str, function: ImageMetric, sr: Tensor, pair: Pair, number: int, ceiling: float
) -> Tensor:
    """One metric of one image, a scalar; NaN where it lacks HR or is too small for it."""
    if not _has_needed(pair, function):
        return torch.full((), torch.nan, device=sr.device)
    try:
        value = values_of(function, sr, pair.hr, pair.lr, number).mean().float()
    except TooSmallError:
        return torch.full((), torch.nan, device=sr.device)
    described = metric(name)
    is_ratio = described.unit == "dB" and described.higher_is_better
    return value.clamp(max=ceiling) if is_ratio else value
