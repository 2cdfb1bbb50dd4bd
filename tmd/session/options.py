"""Options of a session: lengths, schedules, how often it logs, validates and saves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tmd.acceleration import autotune
from tmd.acceleration.recompute import check_recompute
from tmd.acceleration.speed import Speed
from tmd.acceleration.threads import check_threads
from tmd.distributed import ALONE, Share, started_share
from tmd.errors import UserError, check_choice, check_flag, check_number
from tmd.handlers.adversarial_weight import (
    ADVERSARIAL_WEIGHTS,
    AdversarialWeight,
    create_adversarial_weight,
)
from tmd.handlers.image_history import ImageHistory
from tmd.images import EIGHT_BITS, ImageKind
from tmd.metrics import (
    LPIPS,
    MetricSettings,
    default_border,
    find_lpips_weights,
    metric,
    metric_function,
    spectral_distance,
)
from tmd.metrics.consistency import Measure
from tmd.metrics.functions import MetricFunction
from tmd.metrics.registry import FUNCTIONS, scores
from tmd.recorders import check_trackers
from tmd.registry import as_names
from tmd.session.optimization import OptimizationOptions
from tmd.training.phases import Phases, parse_length

Score = Callable[..., Tensor]


class ResolvedSpeed(NamedTuple):
    """Speed that ``training.speed`` stands for on a machine, and the line that says so."""

    speed: str
    message: str


@dataclass(frozen=True)
class TrainingOptions:
    """Options of a run's course: epochs, log points, checkpoints, arithmetic.

    Attributes:
        epoch_length: iterations; the held-out images are validated on after each epoch.
        log_interval: iterations over which scalars are averaged.
        checkpoint_every: iterations.
        metrics: registered ones that the held-out images are validated by; PSNR always is.
        preview_images: held-out images on the sheet that is drawn after each validation.
        tensorboard: whether TensorBoard's events are written.
        trackers: further names in `tmd.recorders.TRACKERS`, in whose form the run is recorded too.
        recompute: whether the generator's blocks are computed again for their gradients, which
            saves memory; see `tmd.acceleration.recompute`.
        capture: whether an update whose loss is not finite is written to a file, to be made again.
        sync_batch_norm: whether batch statistics are taken over all GPUs.
        speed: see `tmd.acceleration.speed.Speed`, or ``auto``.
        threads: see `tmd.acceleration.threads`.
    """

    epoch_length: int = 400
    log_interval: int = 10
    checkpoint_every: int = 400
    metrics: Sequence[str] = ("psnr", "ssim")
    preview_images: int = 2
    tensorboard: bool = False
    trackers: Sequence[str] = ()
    recompute: bool = False
    capture: bool = True
    sync_batch_norm: bool = False
    speed: str = "float32"
    threads: int | str = "auto"

    def __post_init__(self) -> None:
        for key in ("metrics", "trackers"):
            object.__setattr__(self, key, as_names(getattr(self, key)))

    def check(self, device: str = "cpu") -> None:
        """Raise `UserError` for values that can't be."""
        check_number("training.epoch_length", self.epoch_length, 1, integer=True)
        check_number("training.log_interval", self.log_interval, 1, integer=True)
        check_number("training.checkpoint_every", self.checkpoint_every, 1, integer=True)
        check_number("training.preview_images", self.preview_images, 0, integer=True)
        for name in self.metrics:
            check_choice("training.metrics", name, list(FUNCTIONS))
        check_flag("training.tensorboard", self.tensorboard)
        check_trackers(self.trackers)
        check_flag("training.capture", self.capture)
        check_flag("training.recompute", self.recompute)
        if self.recompute and self.compiles:
            raise UserError("training.recompute=True: not with training.speed=…+compile, …+graphs")
        check_flag("training.sync_batch_norm", self.sync_batch_norm)
        if self.sync_batch_norm and device == "cpu":
            raise UserError("training.sync_batch_norm=True: needs GPUs, the device is cpu")
        check_threads(self.threads)
        if self.speed != "auto":
            Speed.parse(self.speed)

    def check_generator(self, network: nn.Module) -> None:
        """Raise `UserError` for a generator that can't be trained so; it needs no weights."""
        if self.recompute:
            check_recompute(network)

    @property
    def compiles(self) -> bool:
        """True where the networks are compiled; ``auto`` never does."""
        return self.speed != "auto" and Speed.parse(self.speed).compiles

    def resolved_speed(self, device: str) -> ResolvedSpeed:
        """Speed that ``speed=auto`` stands for on ``device``."""
        if self.speed != "auto":
            return ResolvedSpeed(str(Speed.parse(self.speed)), f"speed: {self.speed}, as asked for")
        # The other processes train as the first one does; see `tmd.training.place`.
        is_main = started_share().is_main
        chosen = str(autotune.fastest(torch.device(device)) if is_main else Speed())
        until = ", as busy as it is (timed again at the next start)"
        return ResolvedSpeed(
            chosen,
            f"speed: auto chose {chosen}, the fastest on this machine"
            f"{until if autotune.is_provisional(torch.device(device)) else ''}; "
            "choose with training.speed=float32, ...",
        )


#: Settings of `ScheduleOptions.adv`, and what each may be; None means the schedule's own default.
_ADV_BOUNDS: dict[str, dict[str, Any]] = {
    "start": {"above": 0, "maximum": 1},
    "length": {"above": 0, "maximum": 1},
    "raise_by": {"minimum": 1},
    "lower_by": {"above": 0, "below": 1},
    "patience": {"minimum": 1, "integer": True},
}


@dataclass(frozen=True)
class ScheduleOptions:
    """The phases' lengths, how the adversarial weight changes, and what decides which is the best.

    Lengths are numbers of epochs, or iterations as text (``"500it"``).

    Attributes:
        pretrain: G alone, by a pixel loss.
        warmup: D alone, against the frozen G.
        adversarial: both.
        adv: a name in `tmd.handlers.adversarial_weight.ADVERSARIAL_WEIGHTS`, or its settings with
            its ``name`` among them.
        freeze: how long, from the start, only what is new in a grown network learns.
        freeze_output: whether the carried output layer, too, is frozen so long.
        score: a registered metric; of one where higher is better, its negative counts. ``auto``:
            lpips where it can be had, else spectral.
        lpips_weights: folder with AlexNet's weights and LPIPS's heads; None: torch's cache.
        iqa_weights: folder of the other metrics' weights; None: pyiqa's cache.
        max_psnr_loss: dB below the pretrained G that a better score may cost.
    """

    pretrain: Any = 6
    warmup: Any = "200it"
    adversarial: Any = 5
    adv: Any = "adaptive"
    freeze: Any = "100it"
    freeze_output: bool = True
    score: str = "auto"
    lpips_weights: str | None = None
    iqa_weights: str | None = None
    max_psnr_loss: float = 1.5

    def phases(self, epoch_length: int) -> Phases:
        """The phases in iterations.

        Raises:
            UserError: a length that is none, or all of them 0.
        """
        lengths = {name: getattr(self, name) for name in ("pretrain", "warmup", "adversarial")}
        phases = Phases(
            **{k: parse_length(f"schedule.{k}", v, epoch_length) for k, v in lengths.items()}
        )
        if not phases.total:
            raise UserError(
                "schedule: pretrain, warmup and adversarial are all 0; at least one must be longer"
            )
        return phases

    def check(self, adv_weight: float) -> None:
        """Raise `UserError` for values that can't be."""
        parse_length("schedule.freeze", self.freeze, 1)
        check_flag("schedule.freeze_output", self.freeze_output)
        if not isinstance(self.adv, (dict, str)):
            raise UserError(
                f"schedule.adv={self.adv!r}: must be a name ({', '.join(ADVERSARIAL_WEIGHTS)}) "
                "or settings with one"
            )
        _, settings = self._named_adv()
        for key, bounds in _ADV_BOUNDS.items():
            if settings.get(key) is not None:
                check_number(f"schedule.adv.{key}", settings[key], **bounds)
        if unknown := set(settings) - set(_ADV_BOUNDS):
            raise UserError(
                f"schedule.adv.{unknown.pop()}: no such setting; there are name, "
                f"{', '.join(_ADV_BOUNDS)}"
            )
        self.adversarial_weight(adv_weight, Phases(0, 0, 1), dict, lambda state: None)
        check_choice("schedule.score", self.score, ("auto", *scores()))
        check_number("schedule.max_psnr_loss", self.max_psnr_loss, 0)

    def _named_adv(self) -> tuple[str, dict[str, Any]]:
        """``schedule.adv=constant`` says the same as ``schedule.adv.name=constant``."""
        settings = {"name": self.adv} if isinstance(self.adv, str) else dict(self.adv)
        return settings.pop("name", "constant"), settings

    def adversarial_weight(
        self,
        target: float,
        phases: Phases,
        capture: Callable[[], Any],
        restore: Callable[[Any], Any],
    ) -> AdversarialWeight:
        """The schedule of the adversarial weight up to ``target``; see `AdaptiveWeight`."""
        name, settings = self._named_adv()
        return create_adversarial_weight(name, target, phases, capture, restore, **settings)

    def freeze_length(self, epoch_length: int) -> int:
        """Iterations for which a grown network's carried layers are frozen."""
        return parse_length("schedule.freeze", self.freeze, epoch_length)

    def resolved_score(self) -> str:
        """The score that ``auto`` stands for on this machine.

        Raises:
            UserError: the one asked for can't be had.
        """
        if self.score not in ("auto", "lpips"):
            function = self._metric(self.score, 2)
            try:
                function.check_images()
            except UserError as problem:
                said = str(problem).removeprefix(f"{self.score}: ")
                said = re.sub(r"\b(lpips|iqa)_weights=", r"schedule.\1_weights=", said)
                raise UserError(f"schedule.score={self.score}: {said}") from None
            return self.score
        at_hand = find_lpips_weights("alex", self.lpips_weights) is not None
        if not at_hand and self.score == "lpips":
            raise UserError(
                "schedule.score=lpips: AlexNet's weights or LPIPS's heads are not at hand; ways "
                "out: schedule.lpips_weights=FOLDER, or schedule.score=spectral"
            )
        return "lpips" if at_hand else "spectral"

    def _metric(
        self,
        name: str,
        scale: int,
        device: torch.device | str = "cpu",
        kind: ImageKind = EIGHT_BITS,
        measurement: Measure | None = None,
    ) -> MetricFunction:
        """A registered metric as the schedule has it."""
        channel = "y" if kind.is_rgb else "rgb"
        folders = self.lpips_weights, self.iqa_weights
        settings = MetricSettings(
            default_border(scale), channel, folders[0], device, kind, scale, folders[1], measurement
        )
        try:
            return metric_function(name, settings)
        except UserError as problem:
            raise UserError(f"schedule.score={problem}") from None

    def scoring_function(
        self,
        scale: int,
        device: torch.device,
        sizes: Iterable[tuple[str, tuple[int, int]]] = (),
        kind: ImageKind = EIGHT_BITS,
        measurement: Measure | None = None,
    ) -> Score:
        """(SR, HR) -> (N,), lower is better: of a metric where higher is, its negative.

        Args:
            scale: decides on the border that is left out of the spectral distance.
            sizes: (name, (H, W)) of the images that are scored.
            kind: of the images; LPIPS sees the channels that are shown.
            measurement: how LR is made.

        Raises:
            UserError: one of them is too small for the score.
        """
        name = self.resolved_score()
        if name not in ("lpips", "spectral"):
            function = self._metric(name, scale, device, kind, measurement)
            function.sign = -1 if metric(name).higher_is_better else 1
            _check_sizes(function, sizes)
            return function
        if name == "spectral":
            border, channel = default_border(scale), "y" if kind.is_rgb else "rgb"
            return lambda sr, hr: spectral_distance(sr, hr, border=border, channel=channel)
        weights = find_lpips_weights("alex", self.lpips_weights)
        assert weights is not None, "resolved_score has found them"
        score = LPIPS(weights).to(device)
        for name, (height, width) in sizes:
            if min(height, width) < score.minimum_size:
                raise UserError(
                    f"schedule.score=lpips: needs images of at least {score.minimum_size} pixels, "
                    f"{name} is {width}×{height}; schedule.score=spectral"
                )
        return lambda sr, hr: score(kind.visible(sr), kind.visible(hr))


def _check_sizes(function: MetricFunction, sizes: Iterable[tuple[str, tuple[int, int]]]) -> None:
    least = function.needs.minimum + 2 * function.settings.border * function.needs.border
    for name, (height, width) in sizes:
        if min(height, width) < least:
            raise UserError(
                f"schedule.score={function.name}: needs images of at least {least} pixels, "
                f"{name} is {width}×{height}; schedule.score=spectral"
            )


@dataclass(frozen=True)
class HistoryOptions:
    """Old generated images shown again to the discriminator; see `ImageHistory`.

    Attributes:
        capacity: images kept; 0: off.
        every: iterations between two stored images.
        ratio: share of D's generated images that come from the history.
        device: ``auto``, where the training is, or ``cpu``.
    """

    capacity: int = 64
    every: int = 5
    ratio: float = 0.25
    device: str = "auto"

    def check(self) -> None:
        """Raise `UserError` for values that can't be."""
        check_number("history.capacity", self.capacity, 0, integer=True)
        check_number("history.every", self.every, 1, integer=True)
        check_number("history.ratio", self.ratio, 0, 1)
        check_choice("history.device", self.device, ("auto", "cpu"))

    def create(
        self, seed: int, training_device: str | torch.device, share: Share = ALONE
    ) -> ImageHistory | None:
        """The history, or None where it is off."""
        if not self.capacity or not self.ratio:
            return None
        place = training_device if self.device == "auto" else self.device
        return ImageHistory(self.capacity, self.every, self.ratio, seed, place, share)


@dataclass(frozen=True)
class SessionOptions:
    """All that a `TrainingSession` is told.

    Attributes:
        scale: between LR and HR.
        adv_weight: weight of the adversarial loss, the highest where it is scheduled.
        schedule, optimization, training: see there.
    """

    scale: int
    adv_weight: float = 0.0
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    optimization: OptimizationOptions = field(default_factory=OptimizationOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)

    @property
    def phases(self) -> Phases:
        """The phases in iterations."""
        return self.schedule.phases(self.training.epoch_length)
