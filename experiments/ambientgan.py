"""Train a super-resolution network without HR of what its LR images show, and record the run.

    python experiments/ambientgan.py with scale=2
    python experiments/ambientgan.py with faces_x2 dataset.root=FACES unpaired.root=OTHER_FACES

The generator's result is measured again and compared with LR; discriminators compare it with HR
images of other scenes, and its measurements with LR images. Without `unpaired.root` the images of
`dataset` are split in two halves: one gives LR only, the other HR only. `with smoke` does it all in
a minute, `print_config` shows every key, `with resume=3` goes on where run 3 stopped.

Held-out images may have HR: PSNR, SSIM and LPIPS are then reported, and steer nothing. What is best
is decided by `score`, the distance between the spectra of results and unpaired HR, among states
whose `consistency` (PSNR of re-measured SR to LR) is near the pretrained generator's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

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
    ambient,
    dataset,
    discriminator,
    generator,
    history,
    losses,
    measurement,
    optimization,
    schedule,
    training,
    unpaired,
)
from tmd.data.unpaired import UnpairedData
from tmd.handlers.validation import Measure, Pair, SetMeasure
from tmd.measurements import Measurement
from tmd.metrics import UnpairedSpectrum, psnr
from tmd.training import Phases, create_ambientgan_trainer

PARTS = (
    dataset,
    unpaired,
    measurement,
    ambient,
    generator,
    discriminator,
    losses,
    schedule,
    history,
    optimization,
    training,
)

ex = Experiment("ambientgan", ingredients=[part.ingredient for part in PARTS])
ex.starting_point = "unsupervised"

#: Unpaired images that the score knows the look of HR from.
REFERENCES = 64
#: Equal images have no finite PSNR; above this nobody sees or needs a difference.
MOST_CONSISTENT = 80.0


@ex.config
def config():
    scale = 2  # 2, 3, 4, 8
    adv_weight = 1e-2  # weight of the adversarial losses, the highest where it is scheduled
    seed = 1  # of everything random
    device = "auto"  # cpu, cuda, cuda:1, ...; auto: a GPU if there is one
    deterministic = False  # the same bits again on a GPU, for some speed
    resume = None  # a run to continue: 3, runs/3, mongodb://host/db#3


@ex.named_config
def unsupervised():
    """Where this experiment's defaults differ from its parts'; every run begins with it."""
    losses = {"content": "pixel"}
    # Judging small patches, each bounded in slope, D neither learns the few scenes by heart nor
    # drags G away: at x2 this halved the LPIPS that SRGAN's discriminator leads to.
    discriminator = {
        "name": "patch",
        "features": [32, 64, 128],
        "strides": [2, 2, 1],
        "spectral_norm": True,
        "options": {},
    }
    # The LR side leaves much of SR open, and G filled it with a grid at the LR lattice, until what
    # it adds had to be the same wherever that lattice lies.
    ambient = {"reconstruction_weight": 0.1}
    # At 1e-3 pretraining broke after 450 to 800 updates.
    optimization = {"lr_g": 5e-4, "lr_d": 2e-4, "adversarial_lr": 0.6}
    schedule = {"pretrain": 1, "adversarial": 2, "adv": {"start": 0.5}}


@ex.named_config
def smoke():
    """Every phase in less than a minute, for tests and first looks."""
    generator = {"n_blocks": 2, "n_features": 16}
    discriminator = {"features": [16, 16, 32, 32], "strides": [1, 2, 1, 2]}
    ambient = {"measured_features": [16, 32], "measured_strides": [1, 2]}
    dataset = {"batch_size": 4, "patch_size": 48}
    schedule = {"pretrain": 2, "warmup": "10it", "adversarial": 2}
    training = {"epoch_length": 30, "checkpoint_every": 20, "log_interval": 5}


def brief(scale: int, patch_size: int, **dataset: Any) -> dict[str, Any]:
    """A run of some minutes on one core."""
    return {
        "scale": scale,
        "adv_weight": 2e-2,
        "dataset": {"patch_size": patch_size, **dataset},
        "generator": {"n_blocks": 4},
        "ambient": {"reconstruction_weight": 0.02},  # more holds back what so few updates can learn
        "optimization": {"lr_g": 1e-3, "lr_d": 4e-4, "adversarial_lr": 0.3},
        "schedule": {"pretrain": 2, "warmup": "50it", "adversarial": 6},
        "training": {"epoch_length": 100},
    }


# Named configs from here on: with dataset.root=FOLDER, what worked on the images they are called
# after (CelebA at half size, 89×109; BSDS500).
ex.add_named_config("faces_x2", brief(2, 48, name="celeba", validation=20))
ex.add_named_config("faces_x4", brief(4, 80, name="celeba", validation=20))
# Photos differ more than faces: with as strong a D it oscillated.
ex.add_named_config(
    "bsds_x2",
    {
        **brief(2, 48, validation=5),
        "adv_weight": 1e-2,
        "optimization": {"lr_g": 1e-3, "lr_d": 2e-4, "adversarial_lr": 0.3},
        "schedule": {"pretrain": 3, "warmup": "50it", "adversarial": 5},
    },
)
ex.add_named_config("bsds_x4", brief(4, 80, validation=5))


@ex.check
def check(
    scale: int,
    adv_weight: float,
    seed: int,
    device: str,
    deterministic: bool,
    resume: Any,
) -> None:
    device = check_experiment(scale, adv_weight, seed, device, deterministic)
    unpaired.check(options=dataset.chosen_options(), scale=scale)
    measurement.check(scale=scale)
    ambient.check(scale=scale)
    channels = dataset.image_channels()
    generator.check(scale=scale, channels=channels)
    with torch.random.fork_rng(devices=[]):
        networks = ambient.build_discriminators(build=discriminator.build, channels=channels)
    options = dataset.chosen_options()
    if options["mode"] == "patches":
        ambient.check_sizes(networks, scale, options["patch_size"])
    total = check_training(adv_weight, device)
    for network in networks.values():
        losses.check_discriminator(network)
    if resume is not None:
        _, state = resume_point(resume, ex.store)
        with torch.device("meta"):
            config = generator.build(scale=scale, channels=channels).config
        resuming.check_same_networks(
            resume, state, {"generator": config, "discriminator": networks.config}
        )
        resuming.check_unfinished(resume, state, total)


@lru_cache(maxsize=1)
def resume_point(resume: Any, store: str) -> Any:
    """Read once, though both the check and the training need it."""
    return resuming.resume_point(resume, store, str(ex.path))


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
) -> dict[str, float]:
    place = start(seed, device, deterministic)
    share = place.share
    measure = measurement.build(scale=scale, seed=seed)
    data = unpaired.build(
        options=dataset.chosen_options(),
        measure=measure.of_share(share),
        scale=scale,
        seed=seed,
        device=place.device,
        share=share,
    )
    settings = training.settings()
    phases: Phases = schedule.phases(settings.epoch_length)
    discriminators = ambient.build_discriminators(build=discriminator.build, channels=data.channels)
    networks = (
        place.prepared(generator.build(scale=scale, channels=data.channels)),
        place.prepared(discriminators),
    )
    update_generator, update_discriminators = optimization.build_updaters(*networks)
    model = Model(
        generator=networks[0],
        discriminator=networks[1],
        update_generator=update_generator,
        update_discriminator=update_discriminators,
        measure=measure,
        history=history.build(seed=seed, training_device=place.device, share=share),
    )
    trainer = create_ambientgan_trainer(
        place.trained(model.generator),
        {name: place.trained(network) for name, network in discriminators.items()},
        model.update_generator,
        model.update_discriminator,
        remeasurement(scale, seed, "training").of_share(share),
        place.prepared(losses.build_content(channels=data.channels)),
        losses.build_pixel(),
        losses.build_adversarial(),
        phases,
        weights=ambient.weights(content_weight=losses.content_weight()),
        view=ambient.build_view(scale=scale),
        equivariant=ambient.is_equivariant(),
        history=model.history,
        seed=seed,
        device=place.device,
        autocast=place.speed.autocast,
        share=share,
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
        pairs=held_out(data, measure, place.device),
        scoring=Scoring(
            measures_with_hr(scale, data, place.device),
            measures_without_hr(data, scale, seed),
            guard="consistency",
            max_loss=ambient.allowed_consistency_loss(),
        ),
        place=place,
        settings=settings,
        resumed=None if resume is None else resume_point(resume, ex.store),
    )
    resume_point.cache_clear()
    result = session.train()
    session.print_report()
    return result


def remeasurement(scale: int, seed: int, stream: str) -> Measurement:
    """What results are measured by, with draws of its own in each ``stream``."""
    return ambient.build_measurement(
        data_operators=measurement.operators(), scale=scale, seed=seed, stream=stream
    )


def held_out(data: UnpairedData, measure: Measurement, device: torch.device) -> list[Pair]:
    """Images to validate on, with HR where anybody has it."""
    images = data.validation_images()
    if data.measure is not None:
        return measured_pairs(images, measure, device)
    return [Pair(name, lr[None].to(device).float().div(255), None) for name, lr in images]


def measures_with_hr(scale: int, data: UnpairedData, device: torch.device) -> dict[str, Measure]:
    """What is only looked at."""
    name = schedule.reference_score()
    return {
        **fidelity_measures(scale),
        name: schedule.build_score(scale=scale, device=device, images=data.validation_images()),
    }


def measures_without_hr(data: UnpairedData, scale: int, seed: int) -> dict[str, SetMeasure]:
    """What decides which state is the best."""
    measure = remeasurement(scale, seed, "validation")
    spectrum = UnpairedSpectrum(data.reference_images(REFERENCES, seed), scale)

    def consistency(results: Sequence[Tensor], inputs: Sequence[Tensor]) -> Tensor:
        figures = [
            psnr(measure(sr, index), lr).clamp(max=MOST_CONSISTENT)
            for index, (sr, lr) in enumerate(zip(results, inputs, strict=True))
        ]
        return torch.cat(figures).double().mean()

    return {"consistency": consistency, "score": lambda results, inputs: spectrum(results)}


if __name__ == "__main__":
    ex.run_commandline()
