"""Places where decoded images are kept, and batches cut from them.

All three give the same batches. `DiskStorage` decodes on demand and holds nothing, so that a set
may be larger than memory; `MemoryStorage` decodes once into one block that worker processes share;
`DeviceStorage` holds that block on the device and cuts there. A batch is made in two steps: its
images are loaded, which finds those that can't be used, and cut where the draw says; of images that
lie uncompressed in their files, only what is cut is read. `PairStorage`
takes both steps on both sides.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from tmd.data.framing import Framing, Unusable
from tmd.data.progress import progress
from tmd.data.sampling import Draw, Sampler
from tmd.data.sources import ImageSource
from tmd.data.windows import Window
from tmd.errors import UnreachableError, UserError

T = TypeVar("T")

_THREADS = 16

Skips = dict[int, str]
"""Numbers of the images that can't be used, with the reasons."""


class Storage(Protocol):
    """Images of one source, ready to be cut."""

    framing: Framing

    @property
    def skipped(self) -> Skips:
        """Images that can't be used, as far as that is known yet."""

    def load(self, image: int) -> Any:
        """An image as `cut` takes it; None for one that can't be used."""

    def cut(self, loaded: list[Any], draw: Draw) -> Any:
        """Crops of loaded images where ``draw`` says: (N, C, h, w) in the dtype of their kind."""

    def batch(self, sampler: Sampler, index: int) -> Any:
        """Batch ``index``, of this process's rows."""


class _LoadsAndCuts:
    """A storage's batches by its two steps."""

    def batch(self: Storage, sampler: Sampler, index: int) -> Any:
        """Batch ``index``: (N, C, h, w), of this process's rows."""
        return self.cut(sampler.load(index, self.load), sampler.draw(index))


class DiskStorage(_LoadsAndCuts):
    """Decodes an image each time it is drawn."""

    def __init__(self, source: ImageSource, framing: Framing, skipped: Skips) -> None:
        self.source = source
        self.framing = framing
        self.skipped = dict(skipped)
        self._fetch = getattr(source, "fetch", None)
        self._window = getattr(source, "window", None)

    def batch(self, sampler: Sampler, index: int) -> torch.Tensor:
        """Batch ``index``: (N, C, h, w), of this process's rows."""
        if self._fetch is not None:
            self._fetch(sampler.images(index))
        return super().batch(sampler, index)

    def cut(self, loaded: list[np.ndarray | Window], draw: Draw) -> torch.Tensor:
        """Crops of loaded images: (N, C, h, w)."""
        return _cut(loaded, draw, self.framing)

    def load_all(self) -> None:
        """Decode every image once, to learn which can't be used."""
        for _ in in_threads(self.load, range(len(self.source)), "Checking images"):
            pass

    def load(self, image: int) -> np.ndarray | Window | None:
        """The image, framed, (C, H, W), read now or in part; None for one that can't be used."""
        if image in self.skipped:
            return None
        try:
            window = None if self._window is None else self._window(image)
            whole = self.source.read(image).numpy() if window is None else window
            return self.framing.apply(whole)
        except UnreachableError:
            raise
        except (UserError, Unusable) as problem:
            self.skipped[image] = str(problem)
            return None


class MemoryStorage(_LoadsAndCuts):
    """All images decoded, one after the other in one block.

    Worker processes that are forked share the block, as nothing ever writes to it again.

    Args:
        source: the images.
        framing: what is kept of each.
        sizes: (n, 2), the framed height and width of each image; zeros where it can't be used.
        skipped: the others; those that prove unusable when decoded are added.
    """

    def __init__(
        self,
        source: ImageSource,
        framing: Framing,
        sizes: np.ndarray,
        skipped: Skips,
    ) -> None:
        self.framing = framing
        self.skipped = dict(skipped)
        self.channels = source.channels
        self.heights, self.widths = sizes.astype(np.int64).T
        lengths = self.channels * self.heights * self.widths
        self.starts = np.cumsum(lengths) - lengths
        self.pixels = torch.empty(int(lengths.sum()), dtype=source.kind.torch_dtype)

        def decode(image: int) -> str | None:
            try:
                pixels = framing.apply(source.read(image).numpy())
                view = self._view(image)
                if pixels.shape != view.shape:
                    raise Unusable(
                        f"{pixels.shape[2]}×{pixels.shape[1]} is not what its header says"
                    )
                view[:] = pixels
            except UnreachableError:
                raise
            except (UserError, Unusable) as problem:
                return str(problem)
            return None

        usable = np.flatnonzero(lengths).tolist()
        problems = in_threads(decode, usable, "Decoding images", is_far(source))
        for image, problem in zip(usable, problems, strict=True):
            if problem is not None:
                self.skipped[image] = problem

    def cut(self, loaded: list[np.ndarray], draw: Draw) -> torch.Tensor:
        """Crops of loaded images: (N, C, h, w)."""
        return _cut(loaded, draw, self.framing)

    def load(self, image: int) -> np.ndarray | None:
        """The image, framed, (C, H, W), a view; None for one that can't be used."""
        return None if image in self.skipped else self._view(image)

    def _view(self, image: int) -> np.ndarray:
        height, width = int(self.heights[image]), int(self.widths[image])
        start = int(self.starts[image])
        flat = self.pixels.numpy()[start : start + self.channels * height * width]
        return flat.reshape(self.channels, height, width)


class DeviceStorage(_LoadsAndCuts):
    """The block of a `MemoryStorage`, moved to the device; crops are gathered there."""

    def __init__(self, memory: MemoryStorage, device: torch.device | str) -> None:
        self.framing = memory.framing
        self.skipped = memory.skipped
        self.heights, self.widths, self.starts = memory.heights, memory.widths, memory.starts
        self.dtype = memory.pixels.dtype
        # Not every torch gathers unsigned 16 bits on every device; signed ones have the same bytes.
        by_bytes = self.dtype == torch.uint16
        self.pixels = (memory.pixels.view(torch.int16) if by_bytes else memory.pixels).to(device)
        height, width = self.framing.shape
        self._channel, self._row, self._column = (
            torch.arange(n, device=device).reshape(shape)
            for n, shape in (
                (memory.channels, (1, -1, 1, 1)),
                (height, (1, 1, -1, 1)),
                (width, (1, 1, 1, -1)),
            )
        )

    def load(self, image: int) -> int | None:
        """The image's number; None for one that can't be used."""
        return None if image in self.skipped else image

    def cut(self, loaded: list[int], draw: Draw) -> torch.Tensor:
        """Crops of loaded images: (N, C, h, w), on the device."""
        images = np.array(loaded)
        heights, widths = self.heights[images], self.widths[images]
        tops, lefts = _corners(draw, heights, widths, self.framing)
        mirrored, upturned, transposed = (draw.turns >> bit & 1 for bit in range(3))
        # A flip starts at the far end and steps back; a transposition swaps the two steps.
        height, width = self.framing.shape
        starts = (
            self.starts[images]
            + (tops + upturned * (height - 1)) * widths
            + lefts
            + mirrored * (width - 1)
        )
        down, right = widths * (1 - 2 * upturned), 1 - 2 * mirrored
        steps = [
            starts,
            heights * widths,
            np.where(transposed, right, down),
            np.where(transposed, down, right),
        ]
        start, channel, row, column = (
            torch.from_numpy(np.stack(steps))
            .to(self.pixels.device, non_blocking=True)
            .reshape(4, -1, 1, 1, 1)
        )
        place = start + channel * self._channel + row * self._row + column * self._column
        return self.pixels[place].view(self.dtype)


class PairStorage(_LoadsAndCuts):
    """LR and HR images of equal numbers, cut at the same places in the same turns.

    Args:
        lr, hr: storages whose framings differ by the scale; the grid of ``hr`` is the scale.

    Attributes:
        framing: of HR.
        skipped: the numbers of the pairs of which an image can't be used.
    """

    def __init__(self, lr: Storage, hr: Storage) -> None:
        self.lr = lr
        self.hr = hr
        self.framing = hr.framing

    @property
    def skipped(self) -> Skips:
        """Numbers of the pairs that can't be used, with the reasons."""
        return {**self.lr.skipped, **self.hr.skipped}

    def load(self, image: int) -> tuple[Any, Any] | None:
        """Both sides of a pair; None where one can't be used."""
        if (hr := self.hr.load(image)) is None or (lr := self.lr.load(image)) is None:
            return None
        return lr, hr

    def cut(self, loaded: list[Any], draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:
        """(LR, HR): crops (N, C, h, w) and (N, C, H, W) of loaded pairs."""
        lr, hr = zip(*loaded, strict=True)
        return self.lr.cut(list(lr), draw), self.hr.cut(list(hr), draw)


def _corners(
    draw: Draw, heights: np.ndarray, widths: np.ndarray, framing: Framing
) -> tuple[np.ndarray, np.ndarray]:
    (height, width), grid = framing.shape, framing.grid
    room = np.stack([(heights - height) // grid + 1, (widths - width) // grid + 1], axis=1)
    top, left = (draw.places * room).astype(np.int64).T * grid
    return top, left


def _cut(images: Sequence[np.ndarray | Window], draw: Draw, framing: Framing) -> torch.Tensor:
    heights, widths = (np.array([image.shape[axis] for image in images]) for axis in (1, 2))
    height, width = framing.shape
    batch = np.empty((len(images), images[0].shape[0], height, width), dtype=images[0].dtype)
    tops, lefts = _corners(draw, heights, widths, framing)
    for slot, (image, top, left, turn) in enumerate(
        zip(images, tops, lefts, draw.turns, strict=True)
    ):
        patch = np.asarray(image[:, top : top + height, left : left + width])
        if turn & 1:
            patch = patch[:, :, ::-1]
        if turn & 2:
            patch = patch[:, ::-1]
        batch[slot] = patch.transpose(0, 2, 1) if turn & 4 else patch
    return torch.from_numpy(batch)


def in_threads(
    function: Callable[[int], T], items: Sequence[int], description: str, far: bool = False
) -> Iterator[T]:
    """``map`` in threads (decoders release the interpreter), with a bar if it takes a while.

    Args:
        function: called with each item.
        items: numbers of images, mostly.
        description: the bar's.
        far: whether a call mostly waits for an answer.
    """
    threads = _THREADS if far else min(_THREADS, available_cpus())
    return iter(progress(_in_threads(function, items, threads), len(items), description))


def _in_threads(function: Callable[[int], T], items: Sequence[int], threads: int) -> Iterator[T]:
    # Handing over one by one costs more than to read a small image.
    chunk = max(1, min(64, len(items) // (8 * threads)))

    def several(first: int) -> list[T]:
        return [function(item) for item in items[first : first + chunk]]

    with ThreadPoolExecutor(threads) as pool:
        starts = range(0, len(items), chunk)
        # All at once, a million tasks would take more memory than many a set of images.
        for some in range(0, len(starts), 64):
            for results in pool.map(several, starts[some : some + 64]):
                yield from results


def is_far(source: ImageSource) -> bool:
    """Return whether each look at an image of the source takes a while."""
    return getattr(source, "is_far", False)


def available_cpus() -> int:
    """The CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory() -> int:
    """Bytes of main memory that can still be taken, within the limit of a container."""
    amounts = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        amounts += [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable")]
    except OSError:
        pass
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            # What files are cached in counts as used, but goes when memory is wanted.
            used = int((group / "memory.current").read_text()) - int(stat["inactive_file"])
            amounts.append(int(limit) - used)
    except (OSError, ValueError, KeyError):
        pass
    return max(0, min(amounts, default=4 << 30))
