"""Train a super-resolution network without HR of what its LR images show, and record the run.

    python experiments/ambientgan.py with scale=2
    python experiments/ambientgan.py with faces_x2 dataset.root=FACES unpaired.root=OTHER_FACES
    python experiments/ambientgan.py with dataset.root=HR dataset.lr_root=LR_OF_OTHER_SCENES

The generator's result is measured again and compared with LR; discriminators compare it with HR
images of other scenes, and its measurements with LR images. Without `unpaired.root` the images of
`dataset` are split in two halves: one gives LR only, the other HR only. `with smoke` does it all in
a minute, `print_config` shows every key, `with resume=3` goes on where run 3 stopped.

Held-out images may have HR: PSNR, SSIM and LPIPS are then reported, and steer nothing. What is best
is decided by `score`, the distance between the spectra of results and unpaired HR, among states
whose `consistency` (PSNR of re-measured SR to LR) is near the pretrained generator's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

import tmd.session
import tmd.training
from experiments.support.beginning import (
    Beginning,
    begin,
    check_beginning,
    inherited_config,
    learnt_from,
)
from experiments.support.checks import (
    check_experiment,
    check_patches,
    check_training,
    resolved,
    settled_dataset,
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
from tmd.data.unpaired import UnpairedData, create_unpaired_data, said_as_typed, two_sides
from tmd.errors import UserError
from tmd.images import ImageKind
from tmd.measurements import Measurement
from tmd.metrics import UnpairedSpectrum, psnr
from tmd.metrics.functions import ImageMetric, MetricFunction
from tmd.training.ambient_options import check_sizes
from tmd.training.place import Place

if TYPE_CHECKING:
    from tmd.handlers.validation import SetMetric

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
ex.needs = ("tmd.session", "tmd.handlers", "tmd.training")
ex.validates = ("score", "consistency")
ex.bases = {"start_from": inherited_config, "generator.weights": weights_config}

#: What a loss can be a function of here: nobody has HR of what LR shows.
GIVEN = ("sr", "lr")
#: Unpaired images that the score knows the look of HR from.
REFERENCES = 64
#: Equal images have no finite PSNR; above this nobody sees or needs a difference.
MOST_CONSISTENT = 80.0


@ex.config
def config():
    scale = 2  # 2, 3, 4, 8; 1: restoration, with measurement.operators that degrade
    adv_weight = 1e-2  # weight of the adversarial losses, the highest where it is scheduled
    seed = 1  # of everything random
    device = "auto"  # cpu, cuda, cuda:1, mps, xpu, ...; auto: a CUDA GPU if there is one
    deterministic = False  # the same bits again on a GPU, for some speed
    resume = None  # a run to continue: 3, runs/3, mongodb://host/db#3; elastic: torchrun's own
    start_from = None  # networks to begin with: a run, a checkpoint's file, photos_x4; their config


@ex.named_config
def unsupervised():
    """Defaults of this experiment that differ from its parts'; every run begins with it."""
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
) -> None:
    device = check_experiment(scale, adv_weight, seed, device, deterministic)
    model = ambient.options()
    chosen = dataset.options()
    images, other = two_sides(chosen, unpaired.options())
    with said_as_typed(chosen):
        other.check(vars(images), scale)
        found = settled_dataset(images)
        other.check_numbers(vars(found))
    kind = found.image_kind
    measurement.options().check(scale, kind)
    if (folder := measurement.options().fit) is not None:
        raise UserError(
            f"measurement.fit={folder}: here the list is typed; tmd degrade fit {folder} with "
            "input=HR prints it"
        )
    model.check(scale, kind)
    network = generator.options().check(scale, kind.channels)
    check_patches(network, images, scale)
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        discriminators = model.discriminators(discriminator.options(), kind.channels)
    if images.mode == "patches":
        check_sizes(discriminators, scale, images.patch_side)
    total = check_training(adv_weight, device, GIVEN, scale)
    for each in discriminators.values():
        losses.options().check_discriminator(each)
    optimization.options().check_parts({"g": network, "d": discriminators})
    training.options().check_generator(network)
    networks = {"generator": network, "discriminator": discriminators}
    configs: Any = {name: each.config for name, each in networks.items()}
    if resume is not None:
        _, state = resume_point(resume, ex.store)
        check_same_networks(resume, state, configs)
        check_unfinished(resume, state, total)
    else:
        check_beginning(start_from, None, ex.store, networks, given_weights())


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
def resolve(device: str, resume: Any) -> dict[str, Any]:
    return resolved(device, resume is not None)


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
) -> dict[str, float]:
    resumed = None if resume is None else resume_point(resume, ex.store)
    place = start(seed, device, deterministic)
    share = place.share
    model = ambient.options()
    images, other = two_sides(dataset.options(), unpaired.options())
    begun_with = given_weights()["generator"]
    data = create_unpaired_data(
        vars(images),
        other.own,
        measurement.options().create(scale, seed, kind=images.image_kind),
        scale,
        seed,
        place.device,
        other.lr_given,
        share,
        learnt_from(resumed, start_from or begun_with, ex.store),
    )
    begin_with = None
    if resume is None:
        begin_with = partial(begin, start_from, None, ex.store, weights=given_weights())
    assembled, info = assemble(place, data.kind, _run.config, begin_with)
    _run.info.update(info)
    return train_and_report(
        _run,
        str(ex.path),
        assembled,
        data,
        scale=scale,
        adv_weight=adv_weight,
        scoring=tmd.session.Scoring(
            metrics_to_look_at(scale, data, place.device),
            metrics_without_hr(data, scale, seed),
            guard="consistency",
            max_loss=model.max_consistency_loss,
        ),
        place=place,
        measurement=measurement.options().create(scale, seed, kind=data.kind).spec,
        resumed=resumed,
        validate_first=resumed is None and begun_with is not None,
    )


def assemble(
    place: Place,
    kind: ImageKind,
    config: Mapping[str, Any],
    begin_with: Callable[[dict[str, nn.Module]], Beginning] | None = None,
) -> tuple[tmd.session.Assembled, dict[str, Any]]:
    """Networks, what they learn by, and the trainer; see `experiments.srgan.assemble`."""
    scale, seed, share, loss = config["scale"], config["seed"], place.share, losses.options()
    model = ambient.options()
    # In this order: both draw their weights from one stream.
    discriminators = model.discriminators(discriminator.options(), kind.channels)
    built = generator.options().create(scale, kind.channels)
    networks: dict[str, nn.Module] = {"generator": built, "discriminator": discriminators}
    info: dict[str, Any] = {}
    if begin_with is not None:
        begun = begin_with(networks)
        info, networks = begun.info, begun.networks
    networks = {name: place.prepared(network) for name, network in networks.items()}
    updaters = optimization.options().updaters(
        {"g": networks["generator"], "d": networks["discriminator"]}
    )
    kept = history.options().create(seed, place.device, share)
    trainer = tmd.training.create_ambientgan_trainer(
        place.trained(networks["generator"]),
        {name: place.trained(network) for name, network in discriminators.items()},
        updaters["g"],
        updaters["d"],
        remeasurement(scale, seed, "training", kind).of_share(share),
        place.prepared(loss.create_content(kind)),
        loss.create_pixel(),
        loss.create_adversarial(),
        schedule.options().phases(training.options().epoch_length),
        weights=model.weights(loss.content_weight),
        terms=loss.create_extra(GIVEN),
        view=model.shown(scale),
        equivariant=model.equivariant,
        history=kept,
        seed=seed,
        autocast=place.speed.autocast,
        share=share,
    )
    handlers = {} if kept is None else {"history": kept}
    return tmd.session.Assembled(trainer, networks, updaters, handlers), info


def remeasurement(scale: int, seed: int, stream: str, kind: ImageKind) -> Measurement:
    """The measurement of results, with draws of its own in each ``stream``."""
    operators = measurement.options().operators
    return ambient.options().measurement(operators, scale, seed, stream, kind)


def metrics_to_look_at(
    scale: int, data: UnpairedData, device: torch.device
) -> dict[str, ImageMetric]:
    """Metrics that are only looked at."""
    options = schedule.options()
    score = options.scoring_function(scale, device, data.lr.validation_sizes(), data.kind)
    if isinstance(score, MetricFunction):
        score.sign = 1  # it is looked at under its own name
    return {**metrics_with_hr(scale, device, data.kind), options.score: score}


def metrics_without_hr(data: UnpairedData, scale: int, seed: int) -> dict[str, SetMetric]:
    """Metrics that decide which state is the best."""
    measure = remeasurement(scale, seed, "validation", data.kind)
    channel = "y" if data.kind.is_rgb else "rgb"
    spectrum = UnpairedSpectrum(data.reference_images(REFERENCES, seed), scale, channel)

    def consistency(results: Sequence[Tensor], inputs: Sequence[Tensor]) -> Tensor:
        values = [
            psnr(measure(sr, index), lr, channel=channel).clamp(max=MOST_CONSISTENT)
            for index, (sr, lr) in enumerate(zip(results, inputs, strict=True))
        ]
        return torch.cat(values).double().mean()

    return {"consistency": consistency, "score": lambda results, inputs: spectrum(results)}


if __name__ == "__main__":
    ex.run_commandline()
