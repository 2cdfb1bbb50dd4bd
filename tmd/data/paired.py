"""Pairs on the way to the trainer: HR images of a set, and LR images that are given with them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tmd.data.framing import Framing
from tmd.data.measured import MeasuredData, Pair, on_device
from tmd.data.numbers import is_settled, settled
from tmd.data.options import DatasetOptions
from tmd.data.pairing import Pairing, pair_up
from tmd.data.parts import PartsSource
from tmd.data.shifts import aligned, look_at_pairs
from tmd.data.sources import ImageSource
from tmd.data.splits import split
from tmd.data.storage import PairStorage
from tmd.data.trained_on import TrainedOn
from tmd.data.training import (
    Prepared,
    TrainingData,
    Validation,
    assembled,
    common_framing,
    create_dataset,
    prepared_images,
    read_validation,
)
from tmd.distributed import ALONE, Share
from tmd.images import ImageKind
from tmd.measurements import GIVEN, Measurement
from tmd.seeding import generator

_log = logging.getLogger("tmd.data")


class PairedData:
    """Endless batches of (LR, HR), both given; made by `create_paired_data`.

    Args:
        images: HR to learn from and to validate on; its batches are (LR, HR).
        held_out: (name, LR, HR) of each pair to validate on, (C, h, w) and (C, H, W) as in files.
        facts: what is known of the pairs, for a record; JSON-able.
        measure: makes the share ``made`` of the LR images; None: all are given.
        made: the probability of each LR image to be made.
        seed: which ones are is drawn from it.
        device: of the batches.
        share: of this process.

    Attributes:
        images, facts: as given.
    """

    def __init__(
        self,
        images: TrainingData,
        held_out: list[tuple[str, Tensor, Tensor]],
        facts: Mapping[str, Any],
        measure: Measurement | None = None,
        made: float = 0,
        seed: int = 0,
        device: torch.device | str = "cpu",
        share: Share = ALONE,
    ) -> None:
        self.images = images
        self.facts = dict(facts)
        self.device = torch.device(device)
        self._held_out = held_out
        self._measure_rows = None if measure is None else measure.of_share(share)
        self._made = made
        self._seed = seed
        self._rows = share.rows(images.batch_size)

    @property
    def kind(self) -> ImageKind:
        """Kind of every image, LR and HR."""
        return self.images.kind

    @property
    def channels(self) -> int:
        """Channels of every image."""
        return self.images.channels

    @property
    def batch_size(self) -> int:
        """Pairs in a batch, those of all processes together."""
        return self.images.batch_size

    @property
    def measurement(self) -> list[dict[str, Any]]:
        """Spec of how LR comes about, for a checkpoint."""
        return [dict(entry) for entry in GIVEN]

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Counts and digests of both sides, and what is known of the pairs."""
        sum_ = hashlib.blake2b(digest_size=8)
        for _, lr, _ in self._held_out:
            sum_.update(lr.contiguous().numpy().data)
        validation: dict[str, Any] = self.images.fingerprint["validation"]
        both = f"{validation['digest']}{sum_.hexdigest()}".encode()
        digest = hashlib.blake2b(both, digest_size=8).hexdigest()
        return {
            **self.images.fingerprint,
            "validation": {**validation, "digest": digest},
            "pairs": self.facts,
        }

    @property
    def skipped(self) -> list[list[str]]:
        """[path of HR, reason] of each pair that can't be used."""
        return self.images.skipped

    @property
    def trained_on(self) -> dict[str, Any]:
        """The HR images learnt from, in this run and those before it; see `create_dataset`."""
        return self.images.trained_on

    def batches(self, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """(LR, HR) of the batches ``first``, ``first`` + 1, ... without an end."""
        for index, (lr, hr) in enumerate(self.images.batches(first), start=first):
            given, truth = (on_device(side, self.device, self.kind) for side in (lr, hr))
            yield self._mixed(given, truth, index)

    def _mixed(self, lr: Tensor, hr: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """(LR, HR), of which some LR are made instead; which, depends on (seed, ``index``) alone.

        HR is changed for those alone, where the measurement changes it.
        """
        if self._measure_rows is None:
            return lr, hr
        numbers = torch.rand(self.batch_size, generator=generator(self._seed, "made", index))
        rows = (numbers[self._rows] < self._made).to(self.device, non_blocking=True)
        rows = rows[:, None, None, None]
        made, target = self._measure_rows.pair(hr, index)
        return torch.where(rows, made, lr), torch.where(rows, target, hr)

    def held_out(self) -> list[Pair]:
        """The pairs to validate on."""
        return [
            Pair(name, *(on_device(side[None], self.device, self.kind) for side in (lr, hr)))
            for name, lr, hr in self._held_out
        ]

    def close(self) -> None:
        """End the worker processes of all streams of batches."""
        self.images.close()


def create_paired_data(
    options: Mapping[str, Any],
    scale: int,
    seed: int = 0,
    device: torch.device | str = "cpu",
    measurement: Callable[[ImageKind], Measurement] | None = None,
    share: Share = ALONE,
    trained_on: Mapping[str, Any] | None = None,
) -> PairedData:
    """Find, check and prepare pairs.

    Args:
        options: see `tmd.data.DatasetOptions`; ``lr_root`` says where LR is.
        scale: between LR and HR.
        seed: what the split and every batch are drawn from.
        device: of the batches.
        measurement: of the kind of image that the set has; needed where ``made`` asks for some.
        share: which rows of each batch are made: those of this process.
        trained_on: of a run that this one goes on from; see `create_dataset`.

    Raises:
        UserError: an option that makes no sense, pairs that are none, or none that can be used.
    """
    chosen = DatasetOptions(**options)
    chosen.check(scale)
    if not is_settled(chosen):
        chosen = settled(chosen)
    pairing = pair_up(chosen, scale)
    before = None if trained_on is None else TrainedOn.of_state(trained_on)
    apart = split(chosen, seed, before)
    lr, hr, moved = _sides(chosen, pairing, apart.train, scale)
    lr_held_out, hr_held_out, _ = _sides(chosen, pairing, apart.validation, scale, versions=1)
    uncropped = replace(chosen, crop=None)
    validation, held_out = _read_held_out(lr_held_out, hr_held_out, scale)
    prepared = _prepared(uncropped, lr, hr, scale, torch.device(device))
    images = assembled(chosen, prepared, validation, apart, seed, share)
    look = look_at_pairs(lr, hr, scale)
    facts = {
        "count": len(hr),
        "lr": lr.digest(),
        "cropped": pairing.cropped,
        "left_out": pairing.left_out,
        "made": chosen.made,
        **look.described(),
        **moved,
    }
    if share.is_main:
        _log.info("pairs: %s", _summary(facts, scale))
        for line in (look.warning(), look.note(scale)):
            if line:
                _log.warning(line)
    measure = measurement(images.kind) if measurement is not None and chosen.made else None
    return PairedData(images, held_out, facts, measure, chosen.made, seed, device, share)


def create_data(
    options: Mapping[str, Any],
    measurement: Callable[[ImageKind], Measurement],
    scale: int,
    seed: int = 0,
    device: torch.device | str = "cpu",
    share: Share = ALONE,
    trained_on: Mapping[str, Any] | None = None,
) -> MeasuredData | PairedData:
    """(LR, HR) to train on: given where ``options`` have an ``lr_root``, else made.

    Args:
        options: see `tmd.data.DatasetOptions`.
        measurement: of the kind of image that the set has, where LR is made.
        The rest, and errors: see `create_paired_data`, `tmd.data.create_dataset`.
    """
    if options.get("lr_root") is not None:
        return create_paired_data(options, scale, seed, device, measurement, share, trained_on)
    images = create_dataset(
        **options, scale=scale, seed=seed, device=device, share=share, trained_on=trained_on
    )
    return MeasuredData(images, measurement(images.kind), device, share)


def _sides(
    chosen: DatasetOptions,
    pairing: Pairing,
    images: ImageSource,
    scale: int,
    versions: int | None = None,
) -> tuple[PartsSource, PartsSource, dict[str, Any]]:
    """LR and HR of some images, aligned and cropped as the user says, and what was done."""
    lr, hr = pairing.sides(images, versions)
    moved: dict[str, Any] = {}
    if chosen.align:
        lr, hr, moved = aligned(lr, hr, scale)
    if chosen.crop_size is not None:
        # The crop begins where an LR pixel does.
        lr = lr.centred([side // scale for side in chosen.crop_size])
        hr = hr.centred([side // scale * scale for side in chosen.crop_size], scale)
    return lr, hr, moved


def _prepared(
    chosen: DatasetOptions, lr: PartsSource, hr: PartsSource, scale: int, device: torch.device
) -> Prepared:
    framing = replace(common_framing(chosen, hr, scale), grid=scale)
    height, width = framing.shape
    small = Framing((height // scale, width // scale), None, framing.whole)
    large = prepared_images(chosen, hr, framing, device)
    chosen = replace(chosen, storage=large.kind)
    storage = PairStorage(prepared_images(chosen, lr, small, device).storage, large.storage)
    return Prepared(hr, storage, large.kind, large.pin_memory)


def _read_held_out(
    lr: PartsSource, hr: PartsSource, scale: int
) -> tuple[Validation, list[tuple[str, Tensor, Tensor]]]:
    """HR to validate on, and the pairs; those that lack a readable side are left out."""
    sides = [read_validation(lr, None, 1), read_validation(hr, None, scale)]
    skipped = {**sides[0].skipped, **sides[1].skipped}
    images = []
    for side in sides:
        kept = [i for i in range(len(hr)) if i not in side.skipped]
        images.append(dict(zip(kept, side.images, strict=True)))
    both = [i for i in range(len(hr)) if i not in skipped]
    pairs = [(images[1][i][0], images[0][i][1], images[1][i][1]) for i in both]
    return Validation(hr, [images[1][i] for i in both], skipped), pairs


def _summary(facts: Mapping[str, Any], scale: int) -> str:
    parts = [f"{facts['count']} to learn from"]
    if facts["cropped"]:
        parts.append(f"{facts['cropped']} cropped to sizes that scale={scale} explains")
    parts += [f"left out {reason}: {count}" for reason, count in facts["left_out"].items()]
    if "moved" in facts:
        parts.append(
            f"{facts['moved']} moved by up to {facts['largest_move']:g} LR pixels (dataset.align)"
        )
    if facts["shift"] is not None:
        parts.append(
            f"shifted by {facts['largest_shift']:.2f} LR pixels at most of {facts['looked_at']} "
            "looked at"
        )
    return ", ".join(parts)
