"""Train a super-resolution network by a pixel loss alone, without a discriminator.

    python tests/experiments/supervised.py with scale=2 losses.extra.gradient=0.1

A third experiment, as somebody would write it: it has the checks, the record, the validation and
the exact resume of the others. `test_supervised.py` kills it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from experiments.support import resume as resuming
from experiments.support.beginning import learnt_from
from experiments.support.checks import check_dataset, check_experiment, check_training, resolved
from experiments.support.experiment import Experiment
from experiments.support.training import metrics_with_hr, start, train_and_report
from ingredients import (
    dataset,
    generator,
    history,
    losses,
    measurement,
    optimization,
    schedule,
    training,
)
from tmd.data import MeasuredData, create_dataset
from tmd.session import Assembled, Scoring
from tmd.training.supervised import create_supervised_trainer

PARTS = (dataset, measurement, generator, losses, schedule, history, optimization, training)

ex = Experiment("supervised", ingredients=[part.ingredient for part in PARTS])
ex.starting_point = "one_phase"


@ex.config
def config():
    scale = 2  # 1, 2, 3, 4, 8
    seed = 1  # of everything random
    device = "auto"  # cpu, cuda, cuda:1, ...; auto: a GPU if there is one
    resume = None  # a run to continue: 3, runs/3, mongodb://host/db#3


# Nothing is adversarial.
ONE_PHASE = {"schedule": {"warmup": 0, "adversarial": 0}, "losses": {"content": "pixel"}}
ex.add_named_config("one_phase", ONE_PHASE)


@ex.check
def check(scale: int, seed: int, device: str, resume: Any) -> None:
    device = check_experiment(scale, 0.0, seed, device, False)
    check_dataset(dataset.options(), scale)
    measurement.options().check(scale)
    config = generator.options().check(scale, dataset.options().image_channels).config
    total = check_training(0.0, device)
    if resume is not None:
        _, state = resume_point(resume, ex.store)
        resuming.check_same_networks(resume, state, {"generator": config})
        resuming.check_unfinished(resume, state, total)


@lru_cache(maxsize=1)
def resume_point(resume: Any, store: str) -> resuming.Resumed:
    return resuming.find_resume_point(resume, store, "supervised")


@ex.resolve
def resolve(device: str, resume: Any) -> dict[str, Any]:
    return resolved(device, resume is not None)


@ex.main
def train(_run: Any, scale: int, seed: int, device: str, resume: Any) -> dict[str, float]:
    resumed = None if resume is None else resume_point(resume, ex.store)
    place = start(seed, device, False)
    images = create_dataset(
        **vars(dataset.options()),
        scale=scale,
        seed=seed,
        device=place.device,
        share=place.share,
        trained_on=learnt_from(resumed, None, ex.store),
    )
    measure = measurement.options().create(scale, seed)
    data = MeasuredData(images, measure, place.device, place.share)
    network = place.prepared(generator.options().create(scale, data.channels))
    updaters = optimization.options().updaters({"g": network})
    trainer = create_supervised_trainer(
        place.trained(network),
        updaters["g"],
        losses.options().create_pixel(),
        schedule.options().phases(training.options().epoch_length).total,
        terms=losses.options().create_extra(),
        autocast=place.speed.autocast,
    )
    return train_and_report(
        _run,
        str(ex.path),
        Assembled(trainer, {"generator": network}, updaters, {}),
        data,
        scale=scale,
        adv_weight=0.0,
        scoring=Scoring(metrics_with_hr(scale, place.device)),
        place=place,
        measurement=measure.spec,
        resumed=resumed,
    )


if __name__ == "__main__":
    ex.run_commandline()
