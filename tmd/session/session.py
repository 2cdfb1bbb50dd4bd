"""A training run that can be stopped anywhere and goes on to the same bits, recorded or not."""

from __future__ import annotations

import itertools
import math
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import ignite
import torch
import torchvision
from ignite.engine import Engine, Events
from PIL import Image
from torch import nn

from tmd.acceleration.threads import ADAPTIVE
from tmd.checkpoints import load_weights, save_checkpoint, sheet_name
from tmd.checkpoints.contents import about, best_contents, training_contents
from tmd.data.measured import Pair
from tmd.distributed import Share, disconnect, equalise_buffers
from tmd.handlers import (
    Background,
    Best,
    Checkpoints,
    FollowLoad,
    Interruption,
    LearningRate,
    NonFiniteError,
    Preview,
    Progress,
    Recording,
    ScalarLog,
    Throughput,
    Validation,
    WeightAverage,
)
from tmd.handlers.validation import SetMetric
from tmd.hardware import device_name
from tmd.metrics import described
from tmd.metrics.functions import MetricFunction, MetricSettings, metric_function
from tmd.metrics.registry import INFO_KEY
from tmd.recorders import Recorder, recording
from tmd.session.options import SessionOptions
from tmd.training import Updater
from tmd.training.place import Place
from tmd.training.state import Stateful, TrainingState
from tmd.training.steps import all_finite

#: What every session has a network of.
GENERATOR = "generator"


class Data(Protocol):
    """Images to train on: endless batches of (LR, HR) on the device, and held-out pairs."""

    @property
    def channels(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def fingerprint(self) -> dict[str, Any]: ...

    @property
    def skipped(self) -> list[list[str]]: ...

    @property
    def trained_on(self) -> dict[str, Any]: ...

    def batches(self, first: int = 0) -> Iterator[Any]: ...

    def held_out(self) -> list[Pair]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Scoring:
    """Metrics of held-out images, and which of them decide which state is the best.

    Attributes:
        metrics: by name, (SR, HR) -> (N,).
        set_metrics: by name, (all SR, all LR) -> scalar. While training is adversarial, the lower
            ``score`` of either kind is better.
        guard: the metric in dB that a better score may cost ...
        max_loss: ... so much of.
    """

    metrics: Mapping[str, MetricFunction] = field(default_factory=dict)
    set_metrics: Mapping[str, SetMetric] = field(default_factory=dict)
    guard: str = "psnr"
    max_loss: float = 0.0


def validated_metrics(
    names: Iterable[str],
    scale: int,
    device: torch.device | str = "cpu",
    lpips_weights: str | None = None,
) -> dict[str, MetricFunction]:
    """Registered metrics by the field's convention: on Y, a border of ``scale`` pixels left out.

    PSNR is always one of them: it decides which state is the best while G is pretrained.
    """
    settings = MetricSettings(scale, lpips_weights=lpips_weights, device=device)
    return {name: metric_function(name, settings) for name in dict.fromkeys(["psnr", *names])}


class TrainingSession:
    """A trainer with its handlers, attached in the order that an exact resume needs.

    After each update: scalars, average of the weights, validation (best state, adversarial weight,
    sheet), and only then the checkpoint and the end by a signal.

    Args:
        trainer: an engine of `tmd.training`; its data are sequences of ``d_steps`` batches.
        networks: by name; ``generator`` is the one that is validated and handed over.
        updaters: by the letter that their learning rates are called by, ``{"g": ..., "d": ...}``.
        data: to train and to validate on.
        options: lengths, schedules, scale.
        recorders: of scalars, metrics, sheets and checkpoints.
        scoring: of held-out images; by default PSNR and SSIM.
        place: device, share of each batch and arithmetic of this process.
        handlers: more of them, by the name of their state in a checkpoint; those that have
            ``attach`` are attached before validation.
        frame: what every checkpoint says of itself besides.

    Example:
        See `docs/session.md`.
    """

    def __init__(
        self,
        trainer: Engine,
        networks: Mapping[str, nn.Module],
        updaters: Mapping[str, Updater],
        data: Data,
        options: SessionOptions,
        recorders: Sequence[Recorder] = (),
        *,
        scoring: Scoring | None = None,
        place: Place | None = None,
        handlers: Mapping[str, Any] | None = None,
        frame: Mapping[str, Any] | None = None,
    ) -> None:
        self.trainer = trainer
        self.networks = dict(networks)
        self.optimizers = {name: updater.optimizer for name, updater in updaters.items()}
        self.data = data
        self.options = options
        self.recorders = list(recorders)
        self._keeps = any(each.keeps_artifacts for each in recorders)
        self.place = place or Place()
        self.phases = options.phases
        self.frame = dict(frame or {})
        self.background = Background()
        self.pairs = data.held_out()
        scoring = scoring or Scoring(
            validated_metrics(options.training.metrics, options.scale, self.place.device)
        )

        training, optimization = options.training, options.optimization
        share, extra = self.place.share, dict(handlers or {})
        generator = self.networks[GENERATOR]
        self.throughput = Throughput(data.batch_size)
        self.scalars = ScalarLog(training.log_interval, share)
        self.average = WeightAverage(generator, optimization.ema) if optimization.ema else None
        self.handed_over: nn.Module = self.average.averaged.module if self.average else generator
        self.validation = Validation(
            self.handed_over,
            self.pairs,
            scoring.metrics,
            self.phases,
            training.epoch_length,
            self.place.speed.autocast,
            scoring.set_metrics,
            share,
        )
        self.bicubic = self.validation.bicubic_means(options.scale)
        self.best = Best(self.handed_over, self.phases, scoring.max_loss, scoring.guard)
        self.weight = options.schedule.adversarial_weight(
            options.adv_weight,
            self.phases,
            capture=lambda: self.state.snapshot(*self.trained),
            restore=lambda state: self.state.load(state),
        )
        self.progress = Progress(self.phases, training.epoch_length, data.batch_size, self.bicubic)
        self.checkpoints = Checkpoints(
            self._contents,
            self._best_contents,
            self._save_checkpoint,
            self._remove,
            training.checkpoint_every,
            self.phases.total,
            background=self.background,
        )
        self.interruption = Interruption(self.checkpoints.save, share, training.log_interval)
        self.state = TrainingState(self._parts(extra))
        self.underway = Underway()
        # Handlers of one event are called in the order in which they are attached.
        self.handlers = (
            self.underway,
            self._equal_buffers(share),
            self.throughput,
            self.scalars,
            Recording(self.recorders),
            self.average,
            *extra.values(),
            self.best,
            self._learning_rate(),
            self.weight,
            self.progress if share.is_main else None,
            self._follow_load(),
            self._preview(),
            self.validation,
            self.checkpoints,
            self.interruption,
            AtIterationsEnd(self._stop_at_the_end),
            AtIterationsEnd(self.underway.over),
        )
        for handler in self.handlers:
            if hasattr(handler, "attach"):
                handler.attach(trainer)
        for recorder in self.recorders:
            recorder.info(self.description())

    def _parts(self, extra: Mapping[str, Any]) -> dict[str, Stateful]:
        """Everything that changes in training, by its name in a checkpoint."""
        parts: dict[str, Stateful] = dict(self.networks)
        parts.update((f"optimizer_{name}", each) for name, each in self.optimizers.items())
        if self.average:
            parts["average"] = self.average.averaged
        self.trained = tuple(parts)
        parts.update(scalars=self.scalars, **extra)
        parts.update(best=self.best, adversarial_weight=self.weight)
        return parts

    def _equal_buffers(self, share: Share) -> AtIterationsEnd | None:
        if share.count == 1:
            return None
        return AtIterationsEnd(lambda engine: equalise_buffers(share, *self.networks.values()))

    def _stop_at_the_end(self, trainer: Engine) -> None:
        if trainer.state.iteration >= self.phases.total:
            trainer.terminate()

    def _learning_rate(self) -> LearningRate:
        optimizers = {f"lr_{name}": each for name, each in self.optimizers.items()}
        return self.options.optimization.learning_rate(
            optimizers, self.phases, self.options.training.epoch_length
        )

    def _follow_load(self) -> FollowLoad | None:
        threads, place = self.options.training.threads, self.place
        if place.device.type != "cpu" or place.share.count > 1:
            return None
        return FollowLoad(adaptive=threads == ADAPTIVE)

    def _preview(self) -> Preview | None:
        shown = self.pairs[: self.options.training.preview_images]
        if not shown or not self.place.share.is_main:
            return None
        return Preview(self.validation, shown, self._save_sheet)

    # What happens -------------------------------------------------------------------------------

    def train(self) -> dict[str, float]:
        """Train to the last iteration and return the metrics of what is handed over.

        Raises:
            Interrupted: a signal asked for the end; a checkpoint has been saved.
            NonFiniteError: a loss broke; the last good checkpoint is untouched.
            Exception: any other error; where the weights are sound, a checkpoint has been saved.
        """
        d_steps = self.options.optimization.d_steps
        batches = self.data.batches(self.trainer.state.iteration * d_steps)
        with ExitStack() as stack:
            stack.enter_context(recording(self.recorders))
            stack.callback(self.data.close)
            stack.callback(self.progress.close)
            stack.enter_context(self.interruption)
            stack.callback(self.background.close)
            try:
                self.trainer.run(
                    _grouped(batches, d_steps),
                    max_epochs=self._epochs(),
                    epoch_length=self.options.training.epoch_length,
                )
            except NonFiniteError:
                raise
            except Exception as error:
                self._rescue(error)
                raise
            self.scalars.flush(self.trainer)
        disconnect(self.place.share)
        return self.result()

    def _epochs(self) -> int:
        return math.ceil(self.phases.total / self.options.training.epoch_length)

    def _rescue(self, error: Exception) -> None:
        """Save what an error has left: exact between two updates, else near to it, and said so.

        One of several processes can't: the others, whose averages are in a checkpoint, may not be
        where it is.
        """
        if self.place.share.count > 1:
            return
        try:
            name = self.checkpoints.rescue(self.trainer, self.underway.completed)
            self.background.wait()
        except NonFiniteError:
            return
        except Exception as second:
            self._say(f"no checkpoint could be saved before the error below: {second}")
            return
        if name:
            self._say(f"saved {name} before the error below")

    def result(self) -> dict[str, float]:
        """The best state's metrics, bicubic's, and the iteration after which it was reached."""
        result = {name: float(value) for name, value in (self.best.metrics or {}).items()}
        result.update({f"bicubic_{name}": float(v) for name, v in self.bicubic.items()})
        result["best_iteration"] = self.best.iteration
        return result

    def table(self) -> dict[str, dict[str, float]]:
        """Metrics on the held-out images, by what they are of, for a report."""
        rows = {"bicubic": self.bicubic}
        if self.best.pretrained and self.phases.pretrain:
            rows["pretrained"] = self.best.pretrained
        if self.best.metrics:
            rows[f"best (iteration {self.best.iteration})"] = self.best.metrics
        if last := getattr(self.trainer.state, "validation", None):
            rows[f"last (iteration {self.phases.total})"] = last
        return rows

    # The record -----------------------------------------------------------------------------------

    def description(self) -> dict[str, Any]:
        """What was resolved at run time, JSON-able."""
        device = self.place.device
        return {
            "data": self.data.fingerprint,
            "skipped": self.data.skipped,
            "bicubic": self.bicubic,
            INFO_KEY: described([*self.validation.metrics, *self.validation.set_metrics]),
            "phases": {
                "pretrain": self.phases.pretrain,
                "warmup": self.phases.warmup,
                "adversarial": self.phases.adversarial,
            },
            "parameters": {
                name: sum(p.numel() for p in network.parameters())
                for name, network in self.networks.items()
            },
            "device": {
                "type": device.type,
                "name": device_name(device),
                "threads": torch.get_num_threads(),
                "processes": self.place.share.count,
            },
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "torchvision": torchvision.__version__,
                "ignite": ignite.__version__,
            },
        }

    def _save_sheet(self, iteration: int, sheet: Image.Image) -> None:
        self.background(self._write_sheet, iteration, sheet)

    def _write_sheet(self, iteration: int, sheet: Image.Image) -> None:
        for recorder in self.recorders:
            recorder.image(sheet_name(iteration), sheet, iteration)

    def _say(self, message: str) -> None:
        if message and self.place.share.is_main:
            print(message, file=sys.stderr)

    # Checkpoints ----------------------------------------------------------------------------------

    def _described(self) -> dict[str, Any]:
        """What every checkpoint says of itself."""
        configs = {name: getattr(n, "config", None) for name, n in self.networks.items()}
        return about(
            self.options.scale,
            self.data.channels,
            configs,
            data=self.data.fingerprint,
            judged_by=self.judged_by,
            **self.frame,
        )

    @property
    def judged_by(self) -> dict[str, Any]:
        """What the best state's metrics hang on: those of another can't be compared with them."""
        held_out = self.data.fingerprint.get("validation", {})
        return {"held_out": held_out.get("digest"), "score": self.options.schedule.score}

    def _contents(self, completed: int | None = None) -> dict[str, Any] | None:
        """Everything an exact resume needs, copied.

        Args:
            completed: updates made, where an error came during the next or after it, so that it
                is not exact; None: all is as after an iteration.

        Raises:
            NonFiniteError: weights are not finite.
        """
        self.scalars.check()
        iteration = self.trainer.state.iteration if completed is None else completed
        for name, network in self.networks.items():
            if not all_finite(network.state_dict().values()):
                raise NonFiniteError(
                    f"training stopped: the {name}'s weights are not finite after iteration "
                    f"{iteration} (lower the learning rate or adv_weight, or set optimization.clip)"
                )
        if not self._keeps:
            return None
        return training_contents(
            {**self._described(), "trained_on": self.data.trained_on},
            iteration,
            self.phases.at(max(1, iteration)),
            self.state.snapshot(),
            tuple(self.networks),
            exact=completed is None,
        )

    def _best_contents(self) -> dict[str, Any] | None:
        if self.best.weights is None or not self._keeps:
            return None
        return best_contents(
            self._described(),
            self.best.iteration,
            self.phases.at(max(1, self.best.iteration)),
            self.best.weights,
            self.best.metrics,
        )

    def _save_checkpoint(self, name: str, contents: dict[str, Any]) -> bool:
        """Hand a checkpoint to every recorder; is it durable in all of them?"""

        def write(path: Path) -> None:
            save_checkpoint(path, contents)

        return all([recorder.artifact(name, write) for recorder in self.recorders])

    def _remove(self, name: str) -> None:
        for recorder in self.recorders:
            recorder.remove(name)

    def load(self, checkpoint: Mapping[str, Any]) -> None:
        """Go on where ``checkpoint`` was saved.

        Raises:
            UserError: it is of other networks.
        """
        for name, network in self.networks.items():
            load_weights(network, checkpoint[name], f"resumed {name}")
        theirs, ours = dict(checkpoint["trainer"]), self.state.parts
        judged_by = checkpoint.get("judged_by")
        if judged_by is not None and judged_by != self.judged_by:
            theirs.pop("best", None)
            theirs.pop("adversarial_weight", None)
            self.validation.at_start = True
            self._say(
                "note: the resumed run was validated on other images or by another score: the best "
                "state, its metrics and the adversarial weight's memory begin anew"
            )
        for name in self.state.load({name: theirs[name] for name in theirs if name in ours}):
            self._say(f"note: the resumed run has another {name}; it begins anew")
        if not checkpoint.get("exact", True):
            self._say(
                f"note: an error during an update saved iteration {checkpoint['iteration']}: from "
                "there on, the run is not bit for bit the one it continues"
            )
        # The lengths are this run's: a stored one would silently win over a changed config.
        self.trainer.load_state_dict(
            {
                "iteration": checkpoint["iteration"],
                "epoch_length": self.options.training.epoch_length,
                "max_epochs": self._epochs(),
            }
        )


class Underway:
    """How far the trainer is in an update, for whoever has to save after an error.

    Attributes:
        completed: updates made when an update, or what follows one, is under way; None between two.
    """

    def __init__(self) -> None:
        self.completed: int | None = None

    def attach(self, trainer: Engine) -> None:
        """Attach first; `over` last."""
        trainer.add_event_handler(Events.ITERATION_STARTED, self._began)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._updated)

    def _began(self, trainer: Engine) -> None:
        self.completed = trainer.state.iteration - 1

    def _updated(self, trainer: Engine) -> None:
        self.completed = trainer.state.iteration

    def over(self, trainer: Engine) -> None:
        """All that follows an update is done."""
        self.completed = None


class AtIterationsEnd:
    """A function of the engine, called when an iteration is completed."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def attach(self, trainer: Engine) -> None:
        """Attach in the order in which it is to be called."""
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self.function)


def _grouped(batches: Iterator[Any], size: int) -> Iterator[tuple[Any, ...]]:
    while group := tuple(itertools.islice(batches, size)):
        yield group
