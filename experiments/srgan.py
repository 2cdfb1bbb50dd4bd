"""Train a super-resolution network as SRGAN does (arXiv:1609.04802), and record the run.

    python experiments/srgan.py with scale=4 adv_weight=1e-2

The generator is pretrained by a pixel loss, then the discriminator alone, then both in turn.
`with smoke` does it all in a minute, `with paper` is the paper's setting, `print_config` shows
every key, `with resume=3` goes on where run 3 stopped.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from experiments import resuming
from experiments.devices import available_device
from experiments.experiment import Experiment
from experiments.session import (
    Model,
    Scoring,
    Session,
    fidelity_measures,
    measured_pairs,
    prepare_torch,
)
from ingredients import (
    HAS_GIT,
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
from tmd.errors import check_choice, check_flag, check_number
from tmd.training import Phases, create_srgan_trainer
from tmd.training.precision import PRECISIONS

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

ex = Experiment(
    "srgan",
    ingredients=[part.ingredient for part in PARTS],
    base_dir=str(Path(__file__).resolve().parents[1]),
    save_git_info=HAS_GIT,
)

SCALES = (2, 3, 4, 8)


@ex.config
def config():
    scale = 4  # 2, 3, 4, 8
    adv_weight = 1e-2  # weight of the adversarial loss, the highest where it is scheduled
    seed = 1  # of everything random
    device = "auto"  # cpu, cuda, cuda:1, ...; auto: a GPU if there is one
    deterministic = False  # the same bits again on a GPU, for some speed
    resume = None  # a run to continue: 3, runs/3, mongodb://host/db#3


@ex.named_config
def smoke():
    """Every phase in less than a minute, for tests and first looks."""
    generator = {"n_blocks": 2, "n_features": 16}
    discriminator = {"features": [16, 16, 32, 32], "strides": [1, 2, 1, 2]}
    dataset = {"batch_size": 4, "patch_size": 48}
    schedule = {"pretrain": 2, "warmup": "10it", "adversarial": 2}
    training = {"epoch_length": 30, "checkpoint_every": 20, "log_interval": 5}


@ex.named_config
def paper():
    """SRGAN as published: networks, losses, batches and iteration counts; meant for a GPU."""
    adv_weight = 1e-3
    dataset = {"batch_size": 16, "patch_size": 96}
    generator = published("generator")
    discriminator = published("discriminator")
    losses = published("losses")
    schedule = published("schedule")
    history = published("history")
    optimization = published("optimization")
    training = published("training")


def published(part: str) -> dict[str, Any]:
    """What the ingredient called ``part`` says of the paper's setting."""
    ingredient = next(p.ingredient for p in PARTS if p.ingredient.path == part)
    entries = ingredient.named_configs["paper"]()
    return {key: value for key, value in entries.items() if key != "__doc__"}


@ex.check
def check(
    scale: int,
    adv_weight: float,
    seed: int,
    device: str,
    deterministic: bool,
    resume: Any,
) -> None:
    check_choice("scale", scale, SCALES)
    check_number("adv_weight", adv_weight, 0)
    check_number("seed", seed, 0, integer=True)
    check_flag("deterministic", deterministic)
    device = available_device(device)
    dataset.check(scale=scale, device=device)
    measurement.check(scale=scale)
    channels = dataset.image_channels()
    generator.check(scale=scale, channels=channels)
    discriminator.check(scale=scale, channels=channels)
    losses.check()
    schedule.check(adv_weight=adv_weight)
    history.check()
    optimization.check()
    training.check()
    phases = schedule.phases(training.settings().epoch_length)
    if resume is not None:
        _, state = resume_point(resume, ex.store)
        with torch.device("meta"):
            configs = {
                "generator": generator.build(scale=scale, channels=channels).config,
                "discriminator": discriminator.build(channels=channels).config,
            }
        resuming.check_same_networks(resume, state, configs)
        resuming.check_unfinished(resume, state, phases.total)


@lru_cache(maxsize=1)
def resume_point(resume: Any, store: str) -> Any:
    """Read once, though both the check and the training need it."""
    return resuming.resume_point(resume, store, str(ex.path))


@ex.resolve
def resolve(device: str) -> dict[str, Any]:
    device = available_device(device)
    content = losses.resolve(device=device)
    print(content.message)
    return {
        "device": device,
        "losses.content": content.spec,
        "schedule.score": schedule.resolve_score(),
        "training.speed": training.resolve_speed(device=device),
    }


@ex.main
def train(
    _run: Any,
    scale: int,
    adv_weight: float,
    seed: int,
    device: str,
    deterministic: bool,
    resume: Any,
) -> dict[str, float]:
    place = prepare_torch(seed, device, deterministic)
    data = dataset.build(scale=scale, seed=seed, device=device)
    settings = training.settings()
    phases: Phases = schedule.phases(settings.epoch_length)
    precision = PRECISIONS[training.precision()]
    # Channels last is the layout that convolutions are fastest in, here 1.5 times.
    networks = tuple(
        network.to(place, memory_format=torch.channels_last)
        for network in (
            generator.build(scale=scale, channels=data.channels),
            discriminator.build(channels=data.channels),
        )
    )
    update_generator, update_discriminator = optimization.build_updaters(*networks)
    model = Model(
        generator=networks[0],
        discriminator=networks[1],
        update_generator=update_generator,
        update_discriminator=update_discriminator,
        measure=measurement.build(scale=scale, seed=seed),
        history=history.build(seed=seed, training_device=device),
    )
    trainer = create_srgan_trainer(
        model.generator,
        model.discriminator,
        model.update_generator,
        model.update_discriminator,
        model.measure,
        losses.build_content(channels=data.channels).to(place),
        losses.build_pixel(),
        losses.build_adversarial(),
        phases,
        content_weight=losses.content_weight(),
        history=model.history,
        seed=seed,
        device=place,
        autocast=precision,
    )
    session = Session(
        trainer,
        run=_run,
        experiment=str(ex.path),
        model=model,
        data=data,
        phases=phases,
        scale=scale,
        adv_weight=adv_weight,
        pairs=measured_pairs(data.validation_images(), model.measure, place),
        scoring=Scoring(
            {**fidelity_measures(scale), "score": schedule.build_score(scale=scale, device=place)},
            max_loss=schedule.allowed_psnr_loss(),
        ),
        device=place,
        autocast=precision,
        settings=settings,
        resumed=None if resume is None else resume_point(resume, ex.store),
    )
    resume_point.cache_clear()
    result = session.train()
    session.print_report()
    return result


if __name__ == "__main__":
    ex.run_commandline()
