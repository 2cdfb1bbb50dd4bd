"""A training run that can be stopped anywhere and goes on to the same bits, recorded or not."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from ignite.engine import Engine
from PIL import Image
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tmd.acceleration.recompute import recompute_blocks
from tmd.acceleration.threads import ADAPTIVE
from tmd.checkpoints import sheet_name
from tmd.distributed import disconnect, equalise_buffers
from tmd.errors import UserError
from tmd.handlers import (
    AtIterationsEnd,
    Background,
    Best,
    Checkpoints,
    Draws,
    FollowLoad,
    Interruption,
    LossScale,
    NonFiniteError,
    OptimizersAverage,
    Preview,
    Progress,
    Recording,
    ScalarLog,
    Throughput,
    Underway,
    Validation,
    WeightAverage,
)
from tmd.hardware import is_out_of_memory
from tmd.metrics import described
from tmd.metrics.registry import INFO_KEY
from tmd.recorders import Recorder, recording
from tmd.resize import baseline_name
from tmd.session.capture import LastGood, made_again
from tmd.session.contents import Contents
from tmd.session.data import Data, grouped
from tmd.session.description import described_run
from tmd.session.keeping import Keeping
from tmd.session.options import SessionOptions
from tmd.session.scoring import Scoring, default_scoring
from tmd.training import Updater
from tmd.training.place import Place
from tmd.training.state import Stateful, TrainingState
from tmd.training.updates import LossScaling

#: What every session has a network of.
GENERATOR = "generator"


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
        scoring: of held-out images; by default `default_scoring`.
        place: device, share of each batch and arithmetic of this process.
        handlers: more of them, by the name of their state in a checkpoint; those that have
            ``attach`` are attached before validation.
        frame: what every checkpoint says of itself besides.
        config: that an update which breaks is captured with, to be made again; plain values.

    Example:
        See `docs/howto/notebook.md`.
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
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.trainer = trainer
        self.networks = dict(networks)
        if options.training.recompute:  # before it is copied, for its average
            recompute_blocks(self.networks[GENERATOR])
        self.optimizers = {name: updater.optimizer for name, updater in updaters.items()}
        self.scalings = self._scalings(updaters, place or Place())
        self.data = data
        self.options = options
        self.recorders = list(recorders)
        self.place = place or Place()
        self.config = dict(config or {})
        self.phases = options.phases
        self.background = Background()
        self.pairs = data.held_out()
        extra = dict(handlers or {})
        measure = getattr(data, "measure", None)
        self._create_validation(
            scoring or default_scoring(options, self.place.device, data.kind, measure)
        )
        self._create_schedules()
        self.state = TrainingState(self._parts(extra))
        self.last_good = self._last_good()
        self._create_keeping(frame or {})
        seed = self.place.seed
        draws = None if seed is None else Draws(seed, self.place.share, self.place.device)
        # Handlers of one event are called in the order in which they are attached.
        self.handlers = (
            self.underway,
            draws,
            self._equal_buffers(),
            self.throughput,
            self.scalars,
            LossScale(self.scalings),
            Recording(self.recorders),
            self.average,
            *extra.values(),
            self.best,
            self.learning_rate,
            self.weight,
            self.progress if self.place.share.is_main else None,
            self._follow_load(),
            self._preview(),
            self.validation,
            self.checkpoints,
            self.interruption,
            AtIterationsEnd(self._stop_at_the_end),
            self.last_good,
            AtIterationsEnd(self.underway.over),
        )
        #: Those that change the state, or what a step finds on the engine.
        self.changing = (
            draws,
            self.average,
            *extra.values(),
            self.best,
            self.learning_rate,
            self.weight,
            self.validation,
        )
        for handler in self.handlers:
            if hasattr(handler, "attach"):
                handler.attach(trainer)
        self._say(self._note_of_validation())
        for recorder in self.recorders:
            recorder.info(self.description())

    def _create_validation(self, scoring: Scoring) -> None:
        """What is averaged, validated and called the best, and what a person watches."""
        training, share = self.options.training, self.place.share
        generator, decay = self.networks[GENERATOR], self.options.optimization.ema
        images = self.data.batch_size * self.options.optimization.accumulate
        self.throughput = Throughput(images)
        self.scalars = ScalarLog(training.log_interval, share)
        self.average = self._average(generator, decay)
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
            self.data.kind,
        )
        self.bicubic = self.validation.bicubic_means(self.options.scale)
        if self.phases.adversarial and scoring.guard in self.bicubic:
            scoring.check_decides(self.bicubic, self.options.schedule.score)
        self.best = Best(self.handed_over, self.phases, scoring.max_loss, scoring.guard)
        self.progress = Progress(
            self.phases,
            training.epoch_length,
            images,
            self.bicubic,
            baseline=baseline_name(self.options.scale),
        )

    @staticmethod
    def _scalings(updaters: Mapping[str, Updater], place: Place) -> dict[str, LossScaling]:
        """Scalings of the losses, by the letter of the network, where it works in float16."""
        if place.speed.autocast is not torch.float16:
            return {}
        for updater in updaters.values():
            updater.scaling = LossScaling(place.device.type)
        return {name: updater.scaling for name, updater in updaters.items() if updater.scaling}

    def _average(
        self, generator: nn.Module, decay: float
    ) -> WeightAverage | OptimizersAverage | None:
        """Average of the generator's weights: its optimiser's where that has one, else ours."""
        optimizer = self.optimizers.get("g")
        if callable(getattr(optimizer, "eval", None)):
            batch = any(isinstance(each, _BatchNorm) for each in generator.modules())
            self._say(
                f"note: {type(optimizer).__name__} has an average of the generator's weights, which"
                " is validated and handed over; optimization.ema has no part in it"
                f"{', and its batch statistics are those of the trained weights' if batch else ''}"
            )
            return OptimizersAverage(generator, optimizer)
        return WeightAverage(generator, decay) if decay else None

    def _create_schedules(self) -> None:
        options = self.options
        self.learning_rate = options.optimization.learning_rate(
            {f"lr_{name}": each for name, each in self.optimizers.items()},
            self.phases,
            options.training.epoch_length,
        )
        self.weight = options.schedule.adversarial_weight(
            options.adv_weight,
            self.phases,
            capture=lambda: self.state.snapshot(*self.trained),
            restore=lambda state: self.state.load(state),
        )

    def _create_keeping(self, frame: Mapping[str, Any]) -> None:
        """What is saved, when, and by whom; the end by a signal."""
        training = self.options.training
        described = {
            **frame,
            "scale": self.options.scale,
            "channels": self.data.kind.channels,
            "image_kind": self.data.kind.state_dict(),
            "data": self.data.fingerprint,
        }
        self.contents = Contents(
            self.networks, self.state, self.best, self.phases, described, self._judged_by()
        )
        self.keeping = Keeping(
            self.contents, self.recorders, self.trainer, self.scalars, self.data, self._say
        )
        self.checkpoints = Checkpoints(
            self.keeping.training,
            self.keeping.best,
            self.keeping.save,
            self.keeping.remove,
            training.checkpoint_every,
            self.phases.total,
            background=self.background,
        )
        self.interruption = Interruption(
            self.checkpoints.save, self.place.share, training.log_interval
        )
        self.underway = Underway()

    def _note_of_validation(self) -> str:
        flat = self.validation.left_out
        listed = f"held out, but of one level and so in no mean: {', '.join(flat)}"
        if self.validation.rated:
            return f"note: {listed}" if flat else ""
        return (
            f"note: {listed if flat else 'no image is held out'}; nothing is validated, best.pt "
            "is the newest state, and an adaptive weight only rises"
        )

    def _judged_by(self) -> dict[str, Any]:
        held_out = self.data.fingerprint.get("validation", {})
        return {"held_out": held_out.get("digest"), "score": self.options.schedule.score}

    def _parts(self, extra: Mapping[str, Any]) -> dict[str, Stateful]:
        """Everything that changes in training, by its name in a checkpoint."""
        parts: dict[str, Stateful] = dict(self.networks)
        parts.update((f"optimizer_{name}", each) for name, each in self.optimizers.items())
        parts.update((f"scaling_{name}", each) for name, each in self.scalings.items())
        if self.average:
            parts["average"] = self.average.averaged
        self.trained = tuple(parts)
        parts.update(scalars=self.scalars, **extra)
        parts.update(best=self.best, adversarial_weight=self.weight)
        return parts

    def _equal_buffers(self) -> AtIterationsEnd | None:
        share = self.place.share
        if share.count == 1:
            return None
        return AtIterationsEnd(lambda engine: equalise_buffers(share, *self.networks.values()))

    def _stop_at_the_end(self, trainer: Engine) -> None:
        if trainer.state.iteration >= self.phases.total:
            trainer.terminate()

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
            UserError: there is no memory left; a checkpoint has been saved.
            Exception: any other error; where the weights are sound, a checkpoint has been saved.
        """
        batches = self._groups(self.trainer.state.iteration)
        with ExitStack() as stack:
            stack.enter_context(recording(self.recorders))
            stack.callback(self.data.close)
            stack.callback(self.progress.close)
            stack.enter_context(self.interruption)
            stack.callback(self.background.close)
            try:
                self.trainer.run(
                    batches,
                    max_epochs=self._epochs(),
                    epoch_length=self.options.training.epoch_length,
                )
                self.scalars.flush(self.trainer)
            except NonFiniteError as error:
                raise self._captured(error) from None
            except Exception as error:
                if self.place.share.count == 1:
                    # The others, whose averages are in a checkpoint, may not be where this one is.
                    self.keeping.rescue(self.checkpoints, self.background, self.underway.completed)
                if is_out_of_memory(error):
                    raise UserError(
                        f"training stopped: not enough memory ({_first_line(error)}); a smaller "
                        "dataset.batch_size, dataset.patch_size or network needs less"
                    ) from error
                raise
        disconnect(self.place.share)
        return self.result()

    def _groups(self, first: int) -> Iterator[tuple[Any, ...]]:
        """Batches of the updates from iteration ``first`` + 1 on, as trainers take them."""
        d_steps, accumulate = (
            getattr(self.options.optimization, key) for key in ("d_steps", "accumulate")
        )
        batches = self.data.batches(first * d_steps * accumulate)
        return grouped(grouped(batches, accumulate) if accumulate > 1 else batches, d_steps)

    def _last_good(self) -> LastGood | None:
        """States to find a broken update from, where it would be kept."""
        keeps = any(each.keeps_artifacts for each in self.recorders)
        wanted = self.options.training.capture and keeps and self.place.share.count == 1
        if not wanted or not hasattr(self.trainer, "steps"):
            return None
        return LastGood(self.state, self.options.training.log_interval)

    def _captured(self, error: NonFiniteError) -> NonFiniteError:
        """``error`` with the name of the file that the update which broke was captured in."""
        good = self.last_good
        if good is None or good.iteration is None:
            return error
        now = self.trainer.state.iteration
        self._say(f"{error}\nmaking the updates since {good.iteration} again, to capture it")
        broken = made_again(
            self.trainer,
            self.changing,
            good,
            self._groups(good.iteration),
            now,
            lambda: self.interruption.requested is not None,
        )
        if broken is None:
            return NonFiniteError(f"{error}; made again, the updates are finite: none is captured")
        kept = self.keeping.keep_broken(
            broken,
            config=json.dumps(self.config),
            speed=str(self.place.speed),
            device=str(self.place.device),
            threads=torch.get_num_threads(),
        )
        return NonFiniteError(f"{error}; update {broken.iteration} is kept: tmd replay {kept}")

    def _epochs(self) -> int:
        return math.ceil(self.phases.total / self.options.training.epoch_length)

    def result(self) -> dict[str, float]:
        """The best state's metrics, bicubic's, and the iteration after which it was reached."""
        result = {name: float(value) for name, value in (self.best.metrics or {}).items()}
        result.update({f"bicubic_{name}": float(v) for name, v in self.bicubic.items()})
        result["best_iteration"] = self.best.iteration
        return result

    def table(self) -> dict[str, dict[str, float]]:
        """Metrics on the held-out images, by what they are of, for a report."""
        rows = {baseline_name(self.options.scale): self.bicubic}
        if self.best.pretrained and self.phases.pretrain:
            rows["pretrained"] = self.best.pretrained
        if self.best.metrics:
            rows[f"best (iteration {self.best.iteration})"] = self.best.metrics
        if last := getattr(self.trainer.state, "validation", None):
            rows[f"last (iteration {self.phases.total})"] = last
        return rows

    # The record -----------------------------------------------------------------------------------

    def description(self) -> dict[str, Any]:
        """Description of what was resolved at run time, JSON-able."""
        names = [*self.validation.metrics, *self.validation.set_metrics]
        return {
            "data": self.data.fingerprint,
            "image_kind": self.data.kind.state_dict(),
            "skipped": self.data.skipped,
            "bicubic": self.bicubic,
            "baseline": baseline_name(self.options.scale),
            "left_out": self.validation.left_out,
            INFO_KEY: described(names),
            **described_run(self.networks, self.phases, self.place),
        }

    def _save_sheet(self, iteration: int, sheet: Image.Image) -> None:
        self.background(self._write_sheet, iteration, sheet)

    def _write_sheet(self, iteration: int, sheet: Image.Image) -> None:
        for recorder in self.recorders:
            recorder.image(sheet_name(iteration), sheet, iteration)

    def _say(self, message: str) -> None:
        if message and self.place.share.is_main:
            print(message, file=sys.stderr)

    # A run that goes on --------------------------------------------------------------------------

    def load(self, checkpoint: Mapping[str, Any]) -> None:
        """Go on where ``checkpoint`` was saved.

        Raises:
            UserError: it is of other networks, or the last one of a run of this length.
        """
        if checkpoint["iteration"] >= self.phases.total:
            raise UserError(
                f"the checkpoint is finished: iteration {checkpoint['iteration']} of "
                f"{self.phases.total}; give the schedule more"
            )
        for note in self.contents.load(checkpoint):
            self._say(note)
        self.validation.at_start = not self.contents.is_comparable(checkpoint)
        # The lengths are this run's: a stored one would silently win over a changed config.
        self.trainer.load_state_dict(
            {
                "iteration": checkpoint["iteration"],
                "epoch_length": self.options.training.epoch_length,
                "max_epochs": self._epochs(),
            }
        )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
