"""Checks of all training scripts before a run exists, and what they resolve into its config."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from experiments.support.devices import available_device
from experiments.support.fitting import fitted_operators
from ingredients import dataset, history, losses, measurement, optimization, schedule, training
from tmd.acceleration.threads import AUTO, MOST, choose_threads
from tmd.data import DatasetOptions, create_dataset, create_paired_data, pair_up, settled
from tmd.data.sources import ImageSource, ShrunkSource
from tmd.distributed import started_share
from tmd.errors import UserError, check_choice, check_flag, check_number
from tmd.evaluation import check_metrics
from tmd.images import ImageKind
from tmd.losses.extra import IMAGES
from tmd.metrics import MetricSettings
from tmd.models.contract import contract_of
from tmd.models.generators import SCALES


def check_experiment(
    scale: int, adv_weight: float, seed: int, device: str, deterministic: bool
) -> str:
    """Raise `UserError` for the experiment's own keys that can't be; the device, resolved."""
    check_choice("scale", scale, SCALES)
    check_number("adv_weight", adv_weight, 0)
    check_number("seed", seed, 0, integer=True)
    check_flag("deterministic", deterministic)
    return available_device(device)


def check_dataset(options: DatasetOptions, scale: int) -> ImageKind:
    """Raise `UserError` for what is wrong with the images, as far as it can be seen at a glance.

    With ``strict``, every image is decoded: what is wrong with one must be known before the run.

    Returns:
        The kind of every image.
    """
    options.check(scale)
    found = settled_dataset(options)
    found.check(scale)
    decoded = {**vars(found), "storage": "disk"}
    if options.lr_root is None:
        if options.strict:
            create_dataset(**decoded, scale=scale).close()
    elif options.strict:
        create_paired_data(decoded, scale).close()
    else:
        pair_up(found, scale)
    return found.image_kind


def check_measurement(
    options: DatasetOptions, scale: int, kind: ImageKind, resume: Any = None
) -> None:
    """Raise `UserError` for a measurement that can't be, or that makes no LR of this dataset."""
    given = options.lr_root is not None
    if (fit := measurement.options().fit) is not None and resume is not None:
        raise UserError(f"measurement.fit={fit}: run {resume} goes on with the list that it has")
    if given:
        measurement.options().check_given(options.made)
    if not given or options.made:
        measurement.options().check(scale, kind)


def resolved_measurement(scale: int, seed: int) -> dict[str, Any]:
    """Config entries where all LR is given, or where its list is fitted to a folder.

    Raises:
        UserError: the fit can't be made, or does not come near.
    """
    images, options = dataset.options(), measurement.options()
    if images.lr_root is not None and not images.made:
        return {"measurement.operators": ["given"]}
    if options.fit is None:
        return {}
    found = settled_dataset(images)
    operators = fitted_operators(options, training_images(found), scale, seed)
    # The list is what is trained with, and typed again; how it was found is in the run's info.
    return {"measurement.operators": operators, "measurement.fit": None}


def training_images(options: DatasetOptions) -> ImageSource:
    """The images of a set that was settled, as training sees them."""
    images = options.kind.pools(options.request).train
    return images if options.factors == [1] else ShrunkSource(images, options.factors)


def settled_dataset(options: DatasetOptions) -> DatasetOptions:
    """`tmd.data.settled`, for which the images are looked at once."""
    return _settled(json.dumps(vars(options)))


@lru_cache(maxsize=2)
def _settled(options: str) -> DatasetOptions:
    return settled(DatasetOptions(**json.loads(options)))


def check_training(
    adv_weight: float, device: str, given: Collection[str] = IMAGES, scale: int | None = None
) -> int:
    """Raise `UserError` for what can't be in the parts that every trainer has.

    Args:
        given: the images that losses are given, of `IMAGES`.
        scale: the experiment's, where losses depend on it.

    Returns:
        The run's last iteration.
    """
    _check_processes()
    options = training.options()
    images = dataset.options()
    if not optimization.options().averages:
        given = [image for image in given if image != "averaged"]
    losses.options().check(given, images.image_channels, images.patch_side, scale)
    schedule.options().check(adv_weight)
    history.options().check()
    optimization.options().check()
    options.check(device)
    _check_metrics(scale)
    if options.compiles:
        losses.options().check_compilation()
    return schedule.options().phases(options.epoch_length).total


def _check_metrics(scale: int | None) -> None:
    """Raise `UserError` for a metric that can't be had here, by the key that a training has."""
    kind = settled_dataset(dataset.options()).image_kind
    settings = MetricSettings(
        0,
        lpips_weights=schedule.options().lpips_weights,
        kind=kind,
        scale=scale or 1,
        iqa_weights=schedule.options().iqa_weights,
        measurement=(lambda hr, index: hr) if scale in (1, None) else None,
    )
    try:
        check_metrics(training.options().metrics, settings, "training.metrics")
    except UserError as problem:
        said = re.sub(r"\b(lpips|iqa)_weights=", r"schedule.\1_weights=", str(problem))
        raise UserError(said) from None


def check_patches(generator: nn.Module, options: DatasetOptions, scale: int) -> None:
    """Raise `UserError` for patches or batches that a generator can't be trained on.

    Args:
        generator: without weights, of `GeneratorOptions.check`.
    """
    contract = contract_of(generator)
    name = getattr(generator, "config", {}).get("name")
    least = contract.minimum_size * scale
    if options.mode == "patches" and options.patch_side < least:
        raise UserError(
            f"dataset.patch_size={options.patch_side}: {name} is trained on "
            f"{contract.minimum_size} LR pixels a side or more, "
            f"so that it must be at least {least} at scale={scale}"
        )
    if options.batch_size // started_share().count < contract.minimum_batch:
        raise UserError(
            f"dataset.batch_size={options.batch_size}: {name} normalises over a batch, "
            f"must be at least {contract.minimum_batch} for each process"
        )


def _check_processes() -> None:
    count, batch_size = started_share().count, dataset.options().batch_size
    if batch_size % count:
        raise UserError(
            f"dataset.batch_size={batch_size}: must be a multiple of the {count} processes, "
            "which share each batch"
        )


def resolved(device: str, resumed: bool) -> dict[str, Any]:
    """Values that ``auto`` stands for on this machine, by the config's keys.

    Args:
        resumed: whether a run goes on, to the same bits.
    """
    device = available_device(device)
    threads = training.options().threads
    chosen = choose_threads(threads, device, resumed)
    if chosen.message:
        print(chosen.message)
    torch.set_num_threads(chosen.number)  # the fastest arithmetic depends on it
    if threads == AUTO and chosen.number < MOST:
        threads = chosen.number  # the bits depend on it: a run that goes on from this one keeps it
    images = settled_dataset(dataset.options())
    if not images.image_kind.is_photo:
        print(f"images: {images.image_kind.described()}")
    content = losses.options().resolve_content(device)
    speed = training.options().resolved_speed(device)
    print(content.message)
    print(speed.message)
    return {
        "dataset.channels": images.channels,
        "dataset.dtype": images.dtype,
        "dataset.value_range": images.value_range,
        "device": device,
        "losses.content": content.spec,
        "schedule.score": schedule.options().resolved_score(),
        "training.speed": speed.speed,
        "training.threads": threads,
    }
