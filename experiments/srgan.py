"""Train a super-resolution network as SRGAN does (arXiv:1609.04802), and record the run.

    python experiments/srgan.py with scale=4 adv_weight=1e-2

The generator is pretrained by a pixel loss, then the discriminator alone, then both in turn.
`with smoke` does it all in a minute, `with paper` is the paper's setting, `print_config` shows
every key, `with resume=3` goes on where run 3 stopped.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from torch import nn

from experiments.support import configs as srgan_configs
from experiments.support import growing
from experiments.support import resume as resuming
from experiments.support.checks import check_experiment, check_training, resolved
from experiments.support.experiment import Experiment
from experiments.support.session import (
    Model,
    Scoring,
    Session,
    fidelity_measures,
    measured_pairs,
)
from experiments.support.start import start
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
from tmd.handlers import Freezing
from tmd.models.growth import trained_after_growth
from tmd.training import Phases, create_srgan_trainer

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


@ex.config
def config():
    scale = 4  # 2, 3, 4, 8
    adv_weight = 1e-2  # weight of the adversarial loss, the highest where it is scheduled
    seed = 1  # of everything random
    device = "auto"  # cpu, cuda, cuda:1, ...; auto: a GPU if there is one
    deterministic = False  # the same bits again on a GPU, for some speed
    resume = None  # a run to continue: 3, runs/3, mongodb://host/db#3
    grow_from = None  # a run, or a checkpoint's file, of half the scale to begin with


for named_config in srgan_configs.NAMED_CONFIGS:
    ex.named_config(named_config)
ex.named_configs["srgan_paper"] = ex.named_configs["paper"]


@ex.check
def check(
    scale: int,
    adv_weight: float,
    seed: int,
    device: str,
    deterministic: bool,
    resume: Any,
    grow_from: Any,
) -> None:
    device = check_experiment(scale, adv_weight, seed, device, deterministic)
    dataset.check(scale=scale, device=device)
    measurement.check(scale=scale)
    channels = dataset.image_channels()
    generator.check(scale=scale, channels=channels)
    discriminator.check(scale=scale, channels=channels)
    total = check_training(adv_weight, device)
    losses.check_discriminator(discriminator.build(channels=channels))
    if resume is not None:
        _, state = resume_point(resume, ex.store)
        configs = {
            "generator": generator.build(scale=scale, channels=channels).config,
            "discriminator": discriminator.build(channels=channels).config,
        }
        resuming.check_same_networks(resume, state, configs)
        resuming.check_unfinished(resume, state, total)
    elif grow_from is not None:
        wanted = generator.build(scale=scale, channels=channels).config
        growing.check_parent(grow_from, parent(grow_from, ex.store), wanted)


# Read once, though both the check and the training need them.
@lru_cache(maxsize=1)
def resume_point(resume: Any, store: str) -> Any:
    return resuming.resume_point(resume, store, str(ex.path))


@lru_cache(maxsize=1)
def parent(grow_from: Any, store: str) -> growing.Parent:
    return growing.open_parent(grow_from, store)


@ex.resolve
def resolve(device: str) -> dict[str, Any]:
    return resolved(device)


@ex.main
def train(
    _run: Any,
    scale: int,
    adv_weight: float,
    seed: int,
    device: str,
    deterministic: bool,
    resume: Any,
    grow_from: Any,
) -> dict[str, float]:
    place = start(seed, device, deterministic)
    share = place.share
    data = dataset.build(scale=scale, seed=seed, device=place.device, share=share)
    settings = training.settings()
    phases: Phases = schedule.phases(settings.epoch_length)
    networks = (
        generator.build(scale=scale, channels=data.channels),
        discriminator.build(channels=data.channels),
    )
    handlers = {}
    if grow_from is not None:
        freeze = schedule.freeze_length(settings.epoch_length)
        if resume is None:
            networks, trainable = begin_grown(_run, parent(grow_from, ex.store), networks)
        else:  # the checkpoint has the weights, and says which are trained
            trainable = []
        handlers["freezing"] = Freezing(networks[0], trainable, freeze)
    networks = (place.prepared(networks[0]), place.prepared(networks[1]))
    update_generator, update_discriminator = optimization.build_updaters(*networks)
    model = Model(
        generator=networks[0],
        discriminator=networks[1],
        update_generator=update_generator,
        update_discriminator=update_discriminator,
        measure=measurement.build(scale=scale, seed=seed),
        history=history.build(seed=seed, training_device=place.device, share=share),
    )
    trainer = create_srgan_trainer(
        place.trained(model.generator, some_unused=bool(handlers)),
        place.trained(model.discriminator),
        model.update_generator,
        model.update_discriminator,
        model.measure.of_share(share),
        place.prepared(losses.build_content(channels=data.channels)),
        losses.build_pixel(),
        losses.build_adversarial(),
        phases,
        content_weight=losses.content_weight(),
        history=model.history,
        seed=seed,
        device=place.device,
        autocast=place.speed.autocast,
        share=share,
    )
    score = schedule.build_score(scale=scale, device=place.device, images=data.validation_images())
    session = Session(
        trainer,
        run=_run,
        experiment=str(ex.path),
        model=model,
        data=data,
        phases=phases,
        scale=scale,
        adv_weight=adv_weight,
        pairs=measured_pairs(data.validation_images(), model.measure, place.device),
        scoring=Scoring(
            {**fidelity_measures(scale), "score": score}, max_loss=schedule.allowed_psnr_loss()
        ),
        place=place,
        settings=settings,
        resumed=None if resume is None else resume_point(resume, ex.store),
        handlers=handlers,
    )
    resume_point.cache_clear()
    parent.cache_clear()
    result = session.train()
    session.print_report()
    return result


def begin_grown(
    run: Any, origin: growing.Parent, fresh: tuple[nn.Module, nn.Module]
) -> tuple[tuple[nn.Module, nn.Module], list[str]]:
    """The networks grown from ``origin``, and the generator's parameters that are always trained.

    Args:
        fresh: generator and discriminator of the config.
    """
    grown = growing.grow_networks(origin, *fresh)
    grown.print_summary(origin)
    run.info["growth"] = {"from": origin.name, **grown.record()}
    trainable = trained_after_growth(
        grown.generator, grown.reports["generator"], schedule.trains_output_after_growth()
    )
    return (grown.generator, grown.discriminator), trainable


if __name__ == "__main__":
    ex.run_commandline()
