"""A recorded training run: the handlers that every trainer gets, its record, its report.

`srgan.py` and whatever trains other models bring a trainer; this brings all that serves them alike.
"""

from __future__ import annotations

import itertools
import math
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import ignite
import torch
import torchvision
from ignite.engine import Engine, Events
from PIL import Image
from sacred.run import Run
from torch import Tensor, nn

from experiments.support.resume import note_of_place
from experiments.support.start import Place
from ingredients import dataset, optimization, schedule, training
from observers import RunArtifacts, RunRecord, run_folder
from tmd.checkpoints import load_weights, save_checkpoint, sheet_name
from tmd.checkpoints.contents import NETWORKS, about, best_contents, training_contents
from tmd.distributed import disconnect, equalise_buffers
from tmd.handlers import (
    Background,
    Best,
    Checkpoints,
    ImageHistory,
    Interruption,
    NonFiniteError,
    Preview,
    Progress,
    ScalarLog,
    TensorBoard,
    Validation,
    average_weights,
)
from tmd.handlers.progress import as_text
from tmd.handlers.validation import Measure, Pair, SetMeasure
from tmd.hardware import device_name
from tmd.measurements import Measurement
from tmd.metrics import psnr, ssim
from tmd.training import Phases, TrainingEvents, Updater
from tmd.training.state import TrainingState
from tmd.training.steps import all_finite


@dataclass
class Model:
    """What is trained: two networks, their updates, and the measurement that makes LR images."""

    generator: nn.Module
    discriminator: nn.Module
    update_generator: Updater
    update_discriminator: Updater
    measure: Measurement
    history: ImageHistory | None


class Data(Protocol):
    """What is trained on: endless batches, of which the trainer knows what they hold."""

    channels: int
    fingerprint: dict[str, Any]
    skipped: list[list[str]]

    def batches(self, first: int = 0) -> Iterator[Any]: ...

    def close(self) -> None: ...


@dataclass
class Scoring:
    """What is measured on held-out images, and what decides which state is the best.

    Attributes:
        measures: by name, (SR, HR) -> (N,).
        without_hr: by name, (all SR, all LR) -> scalar. One of the two has ``score``, of which
            lower is better once training is adversarial.
        guard: the figure in dB that a better score may cost ...
        max_loss: ... so much of.
    """

    measures: dict[str, Measure]
    without_hr: dict[str, SetMeasure] = field(default_factory=dict)
    guard: str = "psnr"
    max_loss: float = 0.0


def fidelity_measures(scale: int) -> dict[str, Measure]:
    """PSNR and SSIM by the field's convention."""
    return {
        "psnr": lambda sr, hr: psnr(sr, hr, border=scale),
        "ssim": lambda sr, hr: ssim(sr, hr, border=scale),
    }


def measured_pairs(
    images: Sequence[tuple[str, Tensor]], measure: Measurement, device: torch.device
) -> list[Pair]:
    """Held-out HR images (C, H, W), uint8, with the LR images that ``measure`` makes of them."""
    pairs = []
    for index, (name, image) in enumerate(images):
        height, width = (side - side % measure.scale for side in image.shape[-2:])
        hr = image[None, :, :height, :width].to(device).float().div(255)
        pairs.append(Pair(name, measure(hr, index), hr))
    return pairs


class Session:
    """A trainer with its handlers, attached in the order that an exact resume needs.

    After each update: scalars, average of the weights, validation (best state, adversarial weight,
    sheet), and only then the checkpoint and the end by a signal.

    Args:
        trainer: from `tmd.training`; its data are sequences of ``d_steps`` batches.
        run: Sacred's.
        experiment: the script's name, which a checkpoint remembers.
        model: what is trained.
        data: what on.
        phases: of the run.
        scale, adv_weight: the experiment's.
        pairs: held-out images.
        scoring: what is measured on them.
        place: where and how the training is done.
        resumed: the run that this one continues, and its checkpoint.
        handlers: more of them, by the name of their state in a checkpoint.
    """

    def __init__(
        self,
        trainer: Engine,
        *,
        run: Run,
        experiment: str,
        model: Model,
        data: Data,
        phases: Phases,
        scale: int,
        adv_weight: float,
        pairs: Sequence[Pair],
        scoring: Scoring,
        place: Place,
        settings: training.Settings,
        resumed: tuple[RunRecord, dict[str, Any]] | None = None,
        handlers: dict[str, Any] | None = None,
    ) -> None:
        self.trainer = trainer
        self.run = run
        self.experiment = experiment
        self.model = model
        self.data = data
        self.phases = phases
        self.scale = scale
        self.settings = settings
        self.artifacts = RunArtifacts(run)
        self.resumed = resumed
        self.place = place
        self.background = Background()

        # Handlers of one event are called in the order in which they are attached.
        self._attach_what_is_trained(handlers or {})
        self._attach_scoring(pairs, scoring)
        self._attach_schedules(adv_weight)
        self._attach_display(pairs)
        self._attach_keeping()
        if resumed:
            record, checkpoint = resumed
            self._load(checkpoint)
            if place.share.is_main:  # the others need not time what they train as
                began = record.info.get("device", {})
                has_gpu = torch.cuda.is_available()
                self._say(note_of_place(began, place.device, place.speed, has_gpu))
        self._describe()

    def _attach_what_is_trained(self, handlers: dict[str, Any]) -> None:
        model, trainer, share = self.model, self.trainer, self.place.share
        if share.count > 1:
            networks = (model.generator, model.discriminator)
            trainer.add_event_handler(
                Events.ITERATION_COMPLETED, lambda: equalise_buffers(share, *networks)
            )
        self.optimizers = {
            "lr_g": model.update_generator.optimizer,
            "lr_d": model.update_discriminator.optimizer,
        }
        self.scalars = ScalarLog(self.settings.log_interval, share)
        self.scalars.attach(trainer)
        trainer.add_event_handler(TrainingEvents.LOGGED, self._record_scalars)

        decay = optimization.average_decay()
        averaged = average_weights(trainer, model.generator, decay) if decay else None
        self.handed_over = averaged.module if averaged else model.generator

        parts: dict[str, Any] = {
            "generator": model.generator,
            "discriminator": model.discriminator,
            "optimizer_g": self.optimizers["lr_g"],
            "optimizer_d": self.optimizers["lr_d"],
        }
        if averaged:
            parts["average"] = averaged
        self.trained = tuple(parts)
        for handler in handlers.values():
            handler.attach(trainer)
        parts.update(scalars=self.scalars, **handlers)
        if model.history is not None:
            parts["history"] = model.history
        self.state = TrainingState(parts)

    def _attach_scoring(self, pairs: Sequence[Pair], scoring: Scoring) -> None:
        self.validation = Validation(
            self.handed_over,
            pairs,
            scoring.measures,
            self.phases,
            self.settings.epoch_length,
            self.place.speed.autocast,
            scoring.without_hr,
            self.place.share,
        )
        self.bicubic = self.validation.bicubic_figures(self.scale)
        self.best = Best(self.handed_over, self.phases, scoring.max_loss, scoring.guard)
        self.best.attach(self.trainer)
        self.state.parts["best"] = self.best

    def _attach_schedules(self, adv_weight: float) -> None:
        epoch_length = self.settings.epoch_length
        optimization.build_learning_rate(self.optimizers, self.phases, epoch_length).attach(
            self.trainer
        )
        weight = schedule.build_weight(
            adv_weight,
            self.phases,
            capture=lambda: self.state.snapshot(*self.trained),
            restore=self.state.load,
        )
        weight.attach(self.trainer)
        self.state.parts["adversarial_weight"] = weight

    def _attach_display(self, pairs: Sequence[Pair]) -> None:
        trainer, settings = self.trainer, self.settings
        trainer.add_event_handler(TrainingEvents.VALIDATED, self._record_validation)
        batch_size = dataset.images_per_batch()
        self.progress = Progress(self.phases, settings.epoch_length, batch_size, self.bicubic)
        if self.place.share.is_main:
            self.progress.attach(trainer)
        self.tensorboard = self._tensorboard() if settings.tensorboard else None
        if self.tensorboard:
            self.tensorboard.attach(trainer)
        if settings.preview_images and self.place.share.is_main:
            shown = pairs[: settings.preview_images]
            Preview(self.validation, shown, self._save_sheet).attach(trainer)

    def _attach_keeping(self) -> None:
        trainer = self.trainer
        self.validation.attach(trainer)
        self.checkpoints = Checkpoints(
            self._contents,
            self._best_contents,
            self._save_checkpoint,
            self.artifacts.remove,
            self.settings.checkpoint_every,
            self.phases.total,
            background=self.background,
        )
        self.checkpoints.attach(trainer)
        self.interruption = Interruption(
            self.checkpoints.save, self.place.share, self.settings.log_interval
        )
        self.interruption.attach(trainer)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._stop_at_the_end)

    # What happens -------------------------------------------------------------------------------

    def train(self) -> dict[str, float]:
        """Train to the last iteration and return the figures of what is handed over.

        Raises:
            Interrupted: a signal asked for the end; a checkpoint has been saved.
            NonFiniteError: a loss broke; the last good checkpoint is untouched.
        """
        d_steps = optimization.discriminator_updates()
        batches = self.data.batches(self.trainer.state.iteration * d_steps)
        with ExitStack() as stack:
            stack.callback(self.data.close)
            stack.callback(self.progress.close)
            if self.tensorboard:
                stack.callback(self.tensorboard.close)
            stack.enter_context(self.interruption)
            stack.callback(self.background.close)
            self.trainer.run(
                _grouped(batches, d_steps),
                max_epochs=self._epochs(),
                epoch_length=self.settings.epoch_length,
            )
            self.scalars.flush(self.trainer)
        disconnect(self.place.share)
        return self._result()

    def _epochs(self) -> int:
        return math.ceil(self.phases.total / self.settings.epoch_length)

    def _stop_at_the_end(self, trainer: Engine) -> None:
        if trainer.state.iteration >= self.phases.total:
            trainer.terminate()

    # The record -----------------------------------------------------------------------------------

    def _describe(self) -> None:
        """Everything resolved at run time goes into the run's info."""
        device = self.place.device
        info = {
            "data": self.data.fingerprint,
            "skipped": self.data.skipped,
            "bicubic": self.bicubic,
            "phases": {
                "pretrain": self.phases.pretrain,
                "warmup": self.phases.warmup,
                "adversarial": self.phases.adversarial,
            },
            "parameters": {
                "generator": sum(p.numel() for p in self.model.generator.parameters()),
                "discriminator": sum(p.numel() for p in self.model.discriminator.parameters()),
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
        if self.resumed:
            record, state = self.resumed
            info["resumed_from"] = {"run": record.spec, "iteration": state["iteration"]}
        self.run.info.update(info)

    def _record_scalars(self, trainer: Engine) -> None:
        state = trainer.state
        values = {**state.scalars, "adv_weight": state.adv_weight}
        values.update(lr_g=state.lr_g, lr_d=state.lr_d)
        if self.progress.images_per_second:
            values["images_per_second"] = self.progress.images_per_second
        state.scalars = values
        self._log("train", values, state.iteration)

    def _record_validation(self, trainer: Engine) -> None:
        self._log("validation", trainer.state.validation, trainer.state.iteration)

    def _log(self, group: str, values: dict[str, float], iteration: int) -> None:
        for name, value in values.items():
            self.run.log_scalar(f"{group}.{name}", float(value), iteration)

    def _save_sheet(self, iteration: int, sheet: Image.Image) -> None:
        self.background(self._write_sheet, iteration, sheet)

    def _write_sheet(self, iteration: int, sheet: Image.Image) -> None:
        if self.tensorboard:
            self.tensorboard.add_sheet(iteration, sheet)
        self.artifacts.save(sheet_name(iteration), sheet.save)

    def folder(self) -> Path | None:
        """The folder in which the file store keeps this run, if it does."""
        return run_folder(self.run)

    def _tensorboard(self) -> TensorBoard | None:
        if self.run.unobserved or not self.run.observers:
            return None
        folder = self.folder() or Path("tensorboard") / str(self.run._id)
        return TensorBoard(folder / "tensorboard")

    # Checkpoints ----------------------------------------------------------------------------------

    def _about(self) -> dict[str, Any]:
        model = self.model
        configs = {name: getattr(model, name).config for name in NETWORKS}
        spec = model.measure.spec
        return about(self.experiment, self.scale, self.data.channels, configs, spec)

    def _contents(self) -> dict[str, Any] | None:
        self.scalars.check()
        iteration = self.trainer.state.iteration
        for name in ("generator", "discriminator"):
            if not all_finite(self.state.parts[name].state_dict().values()):
                raise NonFiniteError(
                    f"training stopped: the {name}'s weights are not finite after iteration "
                    f"{iteration} (lower the learning rate or adv_weight, or set optimization.clip)"
                )
        if not self.artifacts:
            return None
        phase = self.trainer.state.phase
        return training_contents(self._about(), iteration, phase, self.state.snapshot())

    def _best_contents(self) -> dict[str, Any] | None:
        if self.best.weights is None or not self.artifacts:
            return None
        return best_contents(
            self._about(),
            self.best.iteration,
            self.phases.at(max(1, self.best.iteration)),
            self.best.weights,
            self.best.figures,
        )

    def _save_checkpoint(self, name: str, contents: dict[str, Any]) -> bool:
        return self.artifacts.save(name, lambda path: save_checkpoint(path, contents))

    def _load(self, checkpoint: dict[str, Any]) -> None:
        for network in ("generator", "discriminator"):
            load_weights(getattr(self.model, network), checkpoint[network], f"resumed {network}")
        theirs, ours = checkpoint["trainer"], self.state.parts
        for name in self.state.load({name: theirs[name] for name in theirs if name in ours}):
            self._say(f"note: the resumed run has another {name}; it begins anew")
        # The lengths are this run's: a stored one would silently win over a changed config.
        self.trainer.load_state_dict(
            {
                "iteration": checkpoint["iteration"],
                "epoch_length": self.settings.epoch_length,
                "max_epochs": self._epochs(),
            }
        )

    def _say(self, message: str) -> None:
        if message and self.place.share.is_main:
            print(message, file=sys.stderr)

    # The report -----------------------------------------------------------------------------------

    def _result(self) -> dict[str, float]:
        figures = self.best.figures or {}
        result = {name: float(value) for name, value in figures.items()}
        result.update({f"bicubic_{name}": float(v) for name, v in self.bicubic.items()})
        result["best_iteration"] = self.best.iteration
        return result

    def print_report(self) -> None:
        """Where the run is, its figures against bicubic's, and what to type next."""
        rows = {"bicubic": self.bicubic}
        if self.best.pretrained and self.phases.pretrain:
            rows["pretrained"] = self.best.pretrained
        if self.best.figures:
            rows[f"best (iteration {self.best.iteration})"] = self.best.figures
        last = getattr(self.trainer.state, "validation", None)
        if last:
            rows[f"last (iteration {self.phases.total})"] = last
        heads = [name.upper() if name in ("psnr", "ssim") else name for name in self.bicubic]
        print(f"\n{'held-out images':24}" + "".join(f"{head:>13}" for head in heads))
        for title, row in rows.items():
            print(f"{title:24}" + "".join(f"{as_text(name, row[name]):>13}" for name in row))
        if self.run._id is None:
            return
        folder = self.folder()
        spec = folder if folder is not None else self.run._id
        longer = math.ceil(self.phases.adversarial / self.settings.epoch_length) + 4
        print(f"\nrun {self.run._id}" + (f" in {folder}" if folder else ""))
        script = f"python experiments/{self.experiment}.py"
        print(f"resume:       {script} with resume={spec} schedule.adversarial={longer}")
        print(f"evaluate:     python experiments/evaluate.py with run={spec} benchmark=FOLDER")
        if self.tensorboard:
            print(f"TensorBoard:  tensorboard --logdir {self.tensorboard.writer.log_dir}")


def _grouped(batches: Iterator[Any], size: int) -> Iterator[tuple[Any, ...]]:
    while group := tuple(itertools.islice(batches, size)):
        yield group


def warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)
