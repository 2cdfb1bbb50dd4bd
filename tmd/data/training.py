"""From what was asked for to endless batches and validation images."""

from __future__ import annotations

import hashlib
import logging
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tmd.data.framing import Framing, Unusable, centre
from tmd.data.loading import endless_batches
from tmd.data.numbers import is_settled, settled
from tmd.data.options import DatasetOptions
from tmd.data.sampling import Sampler
from tmd.data.sources import ImageSource, ShrunkSource
from tmd.data.splits import Split, split
from tmd.data.storage import (
    DeviceStorage,
    DiskStorage,
    MemoryStorage,
    Skips,
    Storage,
    available_cpus,
    available_memory,
    in_threads,
    is_far,
)
from tmd.data.trained_on import TrainedOn
from tmd.distributed import ALONE, Share, processes_here
from tmd.errors import UnreachableError, UserError

# Reading the headers of more images than this would delay the start; which are unusable is then
# found when they are drawn, and the size of the set is estimated from a few.
_HEADERS_AT_START = 20_000
_HEADERS_SAMPLED = 500

_log = logging.getLogger("tmd.data")


class TrainingData:
    """HR images to learn from, as endless batches, and others to validate on.

    Made by `create_dataset`.

    Attributes:
        train, validation: the two sets of images (`tmd.data.sources.ImageSource`).
        kind, channels: of every image.
        batch_size: images in a batch, those of all processes together.
        fingerprint: what the data is, JSON-able: counts and digests. Equal fingerprints, options
            and seeds give equal batches.
        resolved: what was left to us: storage, workers, patch size; JSON-able.
        summary: one line on what was found where, what is held out and what was left aside.
        skipped: [path, reason] of each image that can't be used. It grows while batches are made if
            images are decoded when drawn.
    """

    def __init__(
        self,
        train: Prepared,
        validation: Validation,
        sampler: Sampler,
        workers: int,
        strict: bool,
        apart: Split,
    ) -> None:
        self.train = train.source
        self.validation = validation.source
        self.kind = train.source.kind
        self.channels = train.source.channels
        self.fingerprint: dict[str, Any] = {
            "train": {"images": len(train.source), "digest": train.source.digest()},
            "validation": {"images": len(validation.images), "digest": validation.digest()},
            "channels": self.channels,
        }
        self.resolved: dict[str, Any] = {
            "storage": train.kind,
            "workers": workers,
            "patch": list(train.storage.framing.shape),
        }
        self.skipped: list[list[str]] = []
        self.batch_size = sampler.batch_size
        self._validation = validation
        self._train = train
        self._sampler = sampler
        self._strict = strict
        self._split = apart
        self.summary = apart.summary
        for doubt in apart.aside.doubts:
            _log.warning(doubt)
        self._streams: weakref.WeakSet[Generator] = weakref.WeakSet()
        if is_far(train.source):
            _ = apart.trained_on  # a checkpoint may be saved because the address is away
        self._report(validation.source, validation.skipped)
        self._report(train.source, train.storage.skipped)

    def batches(self, first: int = 0) -> Iterator[torch.Tensor]:
        """Batches ``first``, ``first`` + 1, ... without an end: (N, C, H, W) in the kind's dtype.

        Batch ``i`` is the same whatever ``first``, the storage and the number of workers. With
        storage ``device`` the batches are on the device, else on the CPU.
        """
        stream = self._stream(first)
        self._streams.add(stream)
        return stream

    def _stream(self, first: int) -> Generator[torch.Tensor, None, None]:
        for loaded in endless_batches(
            self._train.storage,
            self._sampler,
            first,
            self.resolved["workers"],
            self._train.pin_memory,
        ):
            self._report(self.train, loaded.skipped)
            if loaded.batch is None:
                raise UserError(loaded.error)
            yield loaded.batch

    def validation_images(self) -> list[tuple[str, torch.Tensor]]:
        """(name, (C, H, W)) of each image to validate on, of sizes that the scale divides."""
        return list(self._validation.images)

    @property
    def trained_on(self) -> dict[str, Any]:
        """The images learnt from, in this run and those before it, for `create_dataset`.

        Text and tensors, eight bytes an image; the first look at it takes a look at each.
        """
        return self._split.trained_on.state_dict()

    def validation_sizes(self) -> list[tuple[str, tuple[int, int]]]:
        """(name, (H, W)) of each image to validate on."""
        return [(n, (image.shape[-2], image.shape[-1])) for n, image in self._validation.images]

    def close(self) -> None:
        """End the worker processes of all streams of batches."""
        for stream in list(self._streams):
            stream.close()

    def _report(self, source: ImageSource, skips: Skips) -> None:
        if not skips:
            return
        known = {path for path, _ in self.skipped}
        new = [[source.name(i), why] for i, why in sorted(skips.items())]
        new = [[path, why.removeprefix(f"{path}: ")] for path, why in new if path not in known]
        listed = "; ".join(f"{path}: {why}" for path, why in new[:3])
        if self._strict:
            raise UserError(f"dataset.strict=True: {len(new)} images can't be used: {listed}")
        self.skipped += new
        if not new:
            return
        more = f"; and {len(new) - 3} more" if len(new) > 3 else ""
        _log.warning("Skipped %d images: %s%s", len(new), listed, more)


def create_dataset(
    name: str = "demo",
    root: str | Sequence[str] | None = None,
    *,
    scale: int = 1,
    seed: int = 0,
    device: torch.device | str = "cpu",
    choose: Callable[[ImageSource], ImageSource] | None = None,
    share: Share = ALONE,
    trained_on: Mapping[str, Any] | None = None,
    **options: Any,
) -> TrainingData:
    """Find, check and prepare a dataset.

    Args:
        name: a kind of dataset, a key of `tmd.data.DATASETS`.
        root: folder or folders of the images.
        scale: patches, and images to validate on, are multiples of it.
        seed: what the split and every batch are drawn from.
        device: where batches will be used.
        choose: narrows the images to learn from, those to validate on having been set apart.
        share: which rows of each batch are made: those of this process.
        trained_on: `TrainingData.trained_on` of the run that this one goes on from: none of its
            images is held out.
        options: see `DatasetOptions`.

    Raises:
        UserError: an option that makes no sense, or no images that can be used.

    Example:
        >>> data = create_dataset("demo", batch_size=4, patch_size=48)
        >>> next(data.batches()).shape
        torch.Size([4, 3, 48, 48])
        >>> data.close()
    """
    chosen = DatasetOptions(name, root, **options)
    chosen.check(scale)
    if not is_settled(chosen):
        chosen = settled(chosen)
    before = None if trained_on is None else TrainedOn.of_state(trained_on)
    apart = split(chosen, seed, before)
    train, held_out = apart.train, apart.validation
    if choose is not None:
        train = choose(train)
    if chosen.factors != [1]:
        train = ShrunkSource(train, chosen.factors)
        held_out = ShrunkSource(held_out, chosen.factors[:1])
    framing = common_framing(chosen, train, scale)
    validation = read_validation(held_out, framing.crop, scale)
    prepared = prepared_images(chosen, train, framing, torch.device(device))
    return assembled(chosen, prepared, validation, apart, seed, share)


def assembled(
    chosen: DatasetOptions,
    prepared: Prepared,
    validation: Validation,
    apart: Split,
    seed: int,
    share: Share,
) -> TrainingData:
    """Training data of its parts, and a line in the log on what they are."""
    turns = 1 if not chosen.augment else 2 if prepared.storage.framing.whole else 8
    sampler = Sampler(len(prepared.source), chosen.batch_size, seed, turns, share)
    workers = _workers(chosen, prepared)
    _log.info("%s: %s", chosen.name, apart.summary)
    return TrainingData(prepared, validation, sampler, workers, chosen.strict, apart)


@dataclass(frozen=True)
class Prepared:
    """The images to learn from, where batches can be cut from them."""

    source: ImageSource
    storage: Storage
    kind: str
    pin_memory: bool


@dataclass(frozen=True)
class Validation:
    """The images to validate on, decoded."""

    source: ImageSource
    images: list[tuple[str, torch.Tensor]]
    skipped: Skips

    def digest(self) -> str:
        """Of the pixels."""
        sum_ = hashlib.blake2b(digest_size=8)
        for _, image in self.images:
            sum_.update(repr(tuple(image.shape)).encode())
            sum_.update(image.numpy().data)
        return sum_.hexdigest()


def common_framing(chosen: DatasetOptions, source: ImageSource, scale: int) -> Framing:
    """The framing that the first usable image asks for."""
    problem = ""
    for index in range(len(source)):
        try:
            return chosen.framing(scale, *source.size(index))
        except UnreachableError:
            raise
        except UserError as bad_file:
            problem = problem or str(bad_file)
        except Unusable as bad_size:
            problem = problem or f"{source.name(index)}: {bad_size}"
    raise _none_usable(len(source), problem)


def _none_usable(count: int, example: str) -> UserError:
    return UserError(f"dataset: none of the {count} images can be used, for example {example}")


def _example(source: ImageSource, index: int, problem: str) -> str:
    """An image and what is wrong with it, which may begin with its name."""
    name = source.name(index)
    return f"{name}: {problem.removeprefix(f'{name}: ')}"


def read_validation(source: ImageSource, crop: tuple[int, int] | None, scale: int) -> Validation:
    """The images of ``source``, cropped, of sizes that the scale divides.

    Raises:
        UserError: none of them can be used.
    """
    images, skipped = [], {}

    def read(index: int) -> torch.Tensor | str:
        try:
            image = source.read(index)
        except UnreachableError:
            raise
        except UserError as problem:
            return str(problem)
        pixels = image.numpy() if crop is None else centre(image.numpy(), crop)
        height, width = (n // scale * scale for n in pixels.shape[1:])
        if not height or not width:
            return f"{image.shape[2]}×{image.shape[1]} is smaller than the scale"
        return torch.from_numpy(pixels[:, :height, :width].copy())

    for index, result in enumerate(
        in_threads(read, range(len(source)), "Validation images", is_far(source))
    ):
        if isinstance(result, str):
            skipped[index] = result
        else:
            images.append((source.label(index), result))
    if skipped and not images:
        raise _none_usable(len(source), _example(source, 0, skipped[0]))
    return Validation(source, images, skipped)


def prepared_images(
    chosen: DatasetOptions, source: ImageSource, framing: Framing, device: torch.device
) -> Prepared:
    """The images of ``source`` in the storage that is chosen, or that fits them.

    Raises:
        UserError: none of them can be used.
    """
    kind = chosen.storage
    surveyed: Sequence[int] = range(len(source))
    most = _HEADERS_SAMPLED if is_far(source) else _HEADERS_AT_START
    if len(source) > most and kind in ("auto", "disk"):
        surveyed = np.linspace(0, len(source) - 1, _HEADERS_SAMPLED).astype(int).tolist()
    sizes, skipped = _survey(source, framing, surveyed)
    if kind == "auto":
        pixels = sizes.prod(axis=1, dtype=np.int64).mean()
        kind = _fastest_with_room(
            int(pixels * len(source) * source.channels) * source.kind.itemsize, device
        )
    if kind == "disk":
        disk = DiskStorage(source, framing, skipped)
        if chosen.strict:
            disk.load_all()
        storage: Storage = disk
    else:
        if len(surveyed) < len(source):
            sizes, skipped = _survey(source, framing, range(len(source)))
        memory = MemoryStorage(source, framing, sizes, skipped)
        storage = memory if kind == "memory" else DeviceStorage(memory, device)
    if len(storage.skipped) == len(source):
        first = min(storage.skipped)
        raise _none_usable(len(source), _example(source, first, storage.skipped[first]))
    return Prepared(source, storage, kind, device.type == "cuda" and kind != "device")


def _survey(
    source: ImageSource, framing: Framing, indices: Sequence[int]
) -> tuple[np.ndarray, Skips]:
    """The framed (height, width) of these images; zeros, and a reason, for unusable ones."""

    def size(index: int) -> tuple[int, int] | str:
        try:
            return framing.framed_size(*source.size(index))
        except UnreachableError:
            raise
        except (UserError, Unusable) as problem:
            return str(problem)

    sizes = np.zeros((len(indices), 2), dtype=np.int32)
    skipped: Skips = {}
    for row, result in enumerate(in_threads(size, indices, "Image sizes", is_far(source))):
        if isinstance(result, str):
            skipped[indices[row]] = result
        else:
            sizes[row] = result
    return sizes, skipped


def _fastest_with_room(size: int, device: torch.device) -> str:
    """The storage for a set of ``size`` bytes that leaves most of each memory to others."""
    if 2 * size * processes_here() > available_memory():
        return "disk"
    if device.type == "cuda" and 4 * size < torch.cuda.mem_get_info(device)[0]:
        return "device"
    return "memory"


def _workers(chosen: DatasetOptions, prepared: Prepared) -> int:
    if prepared.kind == "device":
        return 0
    if chosen.workers is not None:
        return chosen.workers
    # Cutting from memory takes less time than handing a batch over from another process.
    return 0 if prepared.kind == "memory" else min(4, available_cpus())
