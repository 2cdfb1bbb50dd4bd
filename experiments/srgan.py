"""Train a super-resolution network as SRGAN does (arXiv:1609.04802), and record the run.

    python experiments/srgan.py with scale=4 adv_weight=1e-2

The generator is pretrained by a pixel loss, then the discriminator alone, then both in turn.
`with smoke` does it all in a minute, `with paper` is the paper's setting, `print_config` shows
every key, `with resume=3` goes on where run 3 stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

from torch import nn

import tmd.handlers
import tmd.session
import tmd.training
from experiments.support import configs
from experiments.support.beginning import (
    Beginning,
    begin,
    check_beginning,
    inherited_config,
    learnt_from,
)
from experiments.support.checks import (
    check_dataset,
    check_experiment,
    check_measurement,
    check_patches,
    check_training,
    resolved,
    resolved_measurement,
)
from experiments.support.experiment import Experiment
from experiments.support.renamed import sizes_of_others
from experiments.support.resume import (
    Resumed,
    check_same_networks,
    check_unfinished,
    find_resume_point,
)
from experiments.support.training import metrics_with_hr, start, train_and_report
from experiments.support.weights import weights_config
from ingredients import (
    dataset,
    discriminator,
    generator,
    history,
    losses,
    measurement,
    optimization,
    schedule,
    training,
)
from tmd.data import create_data
from tmd.images import ImageKind
from tmd.training.place import Place

PARTS = (
    dataset,
    measurement,
    generator,
    discriminator,
    losses,
    schedule,
    history,
    optimization,
    training,
)

ex = Experiment("srgan", ingredients=[part.ingredient for part in PARTS])

ex.needs = ("tmd.session", "tmd.handlers", "tmd.training")
ex.validates = ("score",)
ex.bases = {"start_from": inherited_config, "generator.weights": weights_config}


@ex.config
def config():
    scale = 4  # 2, 3, 4, 8; 1: restoration, with measurement.operators that degrade
    adv_weight = 1e-2  # weight of the adversarial loss, the highest where it is scheduled
    seed = 1  # of everything random
    device = "auto"  # cpu, cuda, cuda:1, mps, xpu, ...; auto: a CUDA GPU if there is one
    deterministic = False  # the same bits again on a GPU, for some speed
    resume = None  # a run to continue: 3, runs/3, mongodb://host/db#3; elastic: torchrun's own
    start_from = None  # networks to begin with: a run, a checkpoint's file, photos_x4; their config
    grow_from = None  # a run, or a checkpoint's file, of half the scale to begin with


for named_config in configs.NAMED_CONFIGS:
    ex.named_config(named_config)
ex.named_configs["srgan_paper"] = ex.named_configs["paper"]


ex.adapt(sizes_of_others)


@ex.check
def check(
    scale: int,
    adv_weight: float,
    seed: int,
    device: str,
    deterministic: bool,
    resume: Any,
    start_from: Any,
    grow_from: Any,
) -> None:
    device = check_experiment(scale, adv_weight, seed, device, deterministic)
    images = dataset.options()
    kind = check_dataset(images, scale)
    check_measurement(images, scale, kind, resume)
    networks = {
        "generator": generator.options().check(scale, kind.channels),
        "discriminator": discriminator.options().check(kind.channels),
    }
    check_patches(networks["generator"], images, scale)
    total = check_training(adv_weight, device, scale=scale)
    losses.options().check_discriminator(networks["discriminator"])
    training.options().check_generator(networks["generator"])
    optimization.options().check_parts({name[0]: each for name, each in networks.items()})
    wanted: Any = {name: network.config for name, network in networks.items()}
    if resume is not None:
        _, state = resume_point(resume, ex.store)
        check_same_networks(resume, state, wanted)
        check_unfinished(resume, state, total)
    else:
        check_beginning(start_from, grow_from, ex.store, networks, given_weights())


def given_weights() -> dict[str, Any]:
    """Files or runs whose weights the networks begin with, by the networks' names."""
    return {
        "generator": generator.options().weights,
        "discriminator": discriminator.options().weights,
    }


@lru_cache(maxsize=1)
def resume_point(resume: Any, store: str) -> Resumed:
    """The run to continue, read once, though both the check and the training need it."""
    return find_resume_point(resume, store, str(ex.path))


@ex.resolve
def resolve(scale: int, seed: int, device: str, resume: Any) -> dict[str, Any]:
    return {**resolved(device, resume is not None), **resolved_measurement(scale, seed)}


@ex.main
def train(
    _run: Any,
    scale: int,
    adv_weight: float,
    seed: int,
    device: str,
    deterministic: bool,
    resume: Any,
    start_from: Any,
    grow_from: Any,
) -> dict[str, float]:
    resumed = None if resume is None else resume_point(resume, ex.store)
    place = start(seed, device, deterministic)
    share = place.share
    begun_with = given_weights()["generator"]
    data = create_data(
        vars(dataset.options()),
        lambda kind: measurement.options().create(scale, seed, kind=kind),
        scale,
        seed,
        place.device,
        share,
        learnt_from(resumed, start_from or grow_from or begun_with, ex.store),
    )
    begin_with = None
    if resume is None:  # else the checkpoint has the weights, and says which are trained
        begin_with = partial(begin, start_from, grow_from, ex.store, weights=given_weights())
    assembled, info = assemble(place, data.kind, _run.config, begin_with)
    _run.info.update(info)
    measure = getattr(data, "measure", None)
    score = schedule.options().scoring_function(
        scale, place.device, data.images.validation_sizes(), data.kind, measure
    )
    return train_and_report(
        _run,
        str(ex.path),
        assembled,
        data,
        scale=scale,
        adv_weight=adv_weight,
        scoring=tmd.session.Scoring(
            {**metrics_with_hr(scale, place.device, data.kind, measure), "score": score},
            max_loss=schedule.options().max_psnr_loss,
        ),
        place=place,
        measurement=data.measurement,
        resumed=resumed,
        validate_first=resumed is None and begun_with is not None,
    )


def assemble(
    place: Place,
    kind: ImageKind,
    config: Mapping[str, Any],
    begin_with: Callable[[dict[str, nn.Module]], Beginning] | None = None,
) -> tuple[tmd.session.Assembled, dict[str, Any]]:
    """Networks, what they learn by, and the trainer; and what is to be recorded of them.

    Args:
        config: the experiment's.
        begin_with: fresh networks -> those to begin with; None: a checkpoint will say.
    """
    scale, seed, share, loss = config["scale"], config["seed"], place.share, losses.options()
    networks = {
        "generator": generator.options().create(scale, kind.channels),
        "discriminator": discriminator.options().create(kind.channels),
    }
    handlers: dict[str, Any] = {}
    info: dict[str, Any] = {}
    trainable: list[str] = []
    if begin_with is not None:
        begun = begin_with(networks)
        info, networks = begun.info, begun.networks
        trainable = begun.trainable(schedule.options().freeze_output)
    if config["grow_from"] is not None:
        length = schedule.options().freeze_length(training.options().epoch_length)
        handlers["freezing"] = tmd.handlers.Freezing(networks["generator"], trainable, length)
    networks = {name: place.prepared(network) for name, network in networks.items()}
    updaters = optimization.options().updaters(
        {"g": networks["generator"], "d": networks["discriminator"]}
    )
    kept = history.options().create(seed, place.device, share)
    trainer = tmd.training.create_srgan_trainer(
        place.trained(networks["generator"], some_unused=bool(handlers)),
        place.trained(networks["discriminator"]),
        updaters["g"],
        updaters["d"],
        place.prepared(loss.create_content(kind)),
        loss.create_pixel(),
        loss.create_adversarial(),
        schedule.options().phases(training.options().epoch_length),
        content_weight=loss.content_weight,
        terms=loss.create_extra(),
        history=kept,
        seed=seed,
        autocast=place.speed.autocast,
        share=share,
    )
    if kept is not None:
        handlers["history"] = kept
    return tmd.session.Assembled(trainer, networks, updaters, handlers), info


if __name__ == "__main__":
    ex.run_commandline()
