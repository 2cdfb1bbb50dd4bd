"""Session of a training script, made of what Sacred's config says, and its report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from sacred.run import Run

import tmd.session
from experiments.support.elastic import check_agreement
from experiments.support.fitting import fit_record
from experiments.support.membership import StudyReport, study_report
from experiments.support.recorder import SacredRecorder
from experiments.support.report import print_report
from experiments.support.resume import Resumed, note_of_place
from experiments.support.start import DEFAULT_STORE
from experiments.support.values import plain_config
from ingredients import measurement as measurement_ingredient
from ingredients import optimization, schedule, training
from observers import run_folder
from tmd.acceleration.threads import AUTO, choose_threads
from tmd.images import EIGHT_BITS, ImageKind
from tmd.metrics.consistency import Measure
from tmd.metrics.functions import ImageMetric
from tmd.recorders import Recorder, create_recorder
from tmd.training.place import Place, take_place


def start(seed: int, device: str, deterministic: bool) -> Place:
    """Meet the other processes, seed the weights' initialisation, choose the kernels."""
    options = training.options()
    if options.threads != AUTO:
        torch.set_num_threads(choose_threads(options.threads, device).number)
    return take_place(seed, device, deterministic, options.speed, options.sync_batch_norm)


def train_and_report(
    run: Run,
    script: str,
    assembled: tmd.session.Assembled,
    data: tmd.session.Data,
    *,
    scale: int,
    adv_weight: float,
    scoring: tmd.session.Scoring,
    place: Place,
    measurement: list[Any],
    resumed: Resumed | None,
    validate_first: bool = False,
) -> dict[str, float]:
    """Train to the end with everything recorded, print the report, return the best's metrics.

    Args:
        run: Sacred's ``_run``.
        script: the experiment's name, which a checkpoint remembers.
        assembled: the trainer and all that it trains.
        measurement: how LR is made, for the checkpoint.
        resumed: the run that this one continues, and its checkpoint.
        validate_first: before the first update, as what the run begins with may stay the best.
        The rest: see `TrainingSession`.
    """
    run.info.update(fit_record(measurement_ingredient.options().operators, place.share))
    told = recorders(run, place)
    session = tmd.session.TrainingSession(
        assembled.trainer,
        assembled.networks,
        assembled.updaters,
        data,
        session_options(scale, adv_weight),
        told,
        scoring=scoring,
        place=place,
        handlers=assembled.handlers,
        frame={"experiment": script, "measurement": measurement},
        config=plain_config(run.config, "config"),
    )
    session.validation.at_start = validate_first
    begun = (None, None) if resumed is None else (resumed[0].id, resumed[1]["iteration"])
    check_agreement(place.share, *begun)
    if resumed is not None:
        go_on(session, run, resumed, place)
    result = session.train()
    for each in told:
        if isinstance(each, StudyReport):
            each.result(result)
    print_report(session, run, script)
    return result


def session_options(scale: int, adv_weight: float) -> tmd.session.SessionOptions:
    """Options of a session, as the config says them."""
    return tmd.session.SessionOptions(
        scale, adv_weight, schedule.options(), optimization.options(), training.options()
    )


def metrics_with_hr(
    scale: int,
    device: torch.device,
    kind: ImageKind = EIGHT_BITS,
    measurement: Measure | None = None,
) -> dict[str, ImageMetric]:
    """The config's metrics of the held-out images."""
    lpips_weights, iqa_weights = schedule.options().lpips_weights, schedule.options().iqa_weights
    names = training.options().metrics
    return tmd.session.validated_metrics(
        names, scale, device, lpips_weights, kind, iqa_weights, measurement
    )


def recorders(run: Run, place: Place) -> list[Recorder]:
    """Sacred's record and, of the first process of a recorded run, the trackers of the config."""
    result: list[Recorder] = [SacredRecorder(run)]
    if run._id is None or not place.share.is_main:
        return result
    phases = schedule.options().phases(training.options().epoch_length)
    images = run.config["dataset"]["batch_size"] * optimization.options().accumulate
    if report := study_report(run, phases.total, images):
        result.append(report)
    options, folder = training.options(), run_folder(run)
    asked = list(options.trackers)
    if options.tensorboard and folder is not None and "tensorboard" not in asked:
        asked.append("tensorboard")
    # A run of a database alone has no folder of its own; what is sent later lies there too.
    place_of_files = folder or Path(DEFAULT_STORE) / "_trackers" / str(run._id)
    name = f"{run.experiment_info['name']} {run._id}"
    result += [create_recorder(each, place_of_files, name, run.config) for each in asked]
    return result


def go_on(session: tmd.session.TrainingSession, run: Run, resumed: Resumed, place: Place) -> None:
    """Load the checkpoint of the run that is continued, and say what is other here."""
    record, checkpoint = resumed
    session.load(checkpoint)
    run.info["resumed_from"] = {"run": record.spec, "iteration": checkpoint["iteration"]}
    if place.share.is_main:  # the others need not time what they train as
        began = record.info.get("device", {})
        note = note_of_place(began, place.device, place.speed, torch.cuda.is_available())
        if note:
            print(note, file=sys.stderr)
