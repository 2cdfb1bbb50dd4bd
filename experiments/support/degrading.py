"""Images degraded as a measurement does it: on a sheet, or as files of pairs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.support.outputs import Job
from tmd.errors import UserError
from tmd.figures import telling_regions
from tmd.figures.degraded import Degraded, Drawn
from tmd.images import ImageKind, Probe, probe, read_native, write_native
from tmd.measurements import Measurement
from tmd.measurements.draws import Log
from tmd.resize import imresize

#: What was drawn, beside the images.
RECORD = "drawn.json"
HR, LR = "HR", "LR"


@dataclass(frozen=True)
class Degrader:
    """A measurement that is applied to one image after the other.

    Version v of image k, of n images, is drawn as batch v · n + k of one image, so that the first
    versions are the LR of a training that holds out these images.
    """

    measure: Measurement
    kind: ImageKind
    versions: int
    images: int
    device: str = "cpu"

    def read(self, file: Path) -> Tensor:
        """HR (C, H, W) in [0, 1], its sides multiples of the scale.

        Raises:
            UserError: it can't be read, or is smaller than one LR pixel.
        """
        hr = self.kind.to_float(read_native(file, self.kind))
        scale = self.measure.scale
        height, width = (side // scale * scale for side in hr.shape[-2:])
        if not height or not width:
            raise UserError(f"{file}: smaller than one LR pixel at scale={scale}")
        return hr[:, :height, :width].contiguous().to(self.device)

    def __call__(self, hr: Tensor, number: int) -> Iterator[tuple[Tensor, list[Drawn]]]:
        """Each version's LR (C, h, w) in [0, 1], and what was drawn for it."""
        for version in range(self.versions):
            log = Log()
            with torch.no_grad():
                lr, _ = self.measure.pair(hr[None], version * self.images + number, log)
            yield lr[0], [*log.of_images(1)[0]]


def kind_of(files: Sequence[Path], channels: int | None, bands: Any, value_range: Any) -> ImageKind:
    """Kind of images by the header of the first that has one, and by what is said of them.

    Args:
        files: at least one.
        channels: of photos, 1 or 3; None: 3.
        bands: which, counted from 1; None: all.
        value_range: the numbers that stand for 0 and 1; None: all levels.

    Raises:
        UserError: none of them can be read.
    """
    found = _first_header(files)
    is_photo = found.dtype == "uint8" and found.bands <= 4 and bands is None
    chosen = None if bands is None else tuple(bands)
    count = len(chosen) if chosen else (channels or 3) if is_photo else channels or found.bands
    kind = ImageKind.of_dtype(count, found.dtype, chosen)
    if value_range is None:
        return kind
    low, high = value_range
    return ImageKind(kind.channels, kind.dtype, (low, high), kind.bands)


def _first_header(files: Sequence[Path]) -> Probe:
    problem = None
    for file in files:
        try:
            return probe(file)
        except UserError as unreadable:
            problem = problem or unreadable
    assert problem is not None
    raise problem


def shown_part(degrader: Degrader, file: Path, title: str, number: int, region: int) -> Degraded:
    """Part of an image that a sheet shows: that of ``region`` HR pixels with most detail.

    That part alone is degraded, as training degrades patches.
    """
    hr = degrader.read(file)
    scale = degrader.measure.scale
    side = max(1, region // scale) * scale
    height, width = hr.shape[-2:]
    soft = imresize(imresize(hr[None], (max(1, height // 4), max(1, width // 4))), (height, width))
    ((top, left, rows, columns),) = telling_regions(soft[0], hr, side, 1, scale)
    part = hr[:, top : top + rows, left : left + columns].contiguous()
    versions = list(degrader(part, number))
    lr, drawn = [each for each, _ in versions], [said for _, said in versions]
    return Degraded(title, part.cpu(), [each.cpu() for each in lr], drawn)


def lr_folder(version: int, versions: int) -> str:
    """Folder of a version's LR images, counted from 0."""
    return LR if versions == 1 else f"{LR}_{version + 1}"


def suffix_of(kind: ImageKind) -> str:
    """Suffix of a format that holds such images without loss."""
    return ".png" if kind.dtype != "float32" and kind.channels <= 4 else ".tif"


def targets(job: Job, output: Path, versions: int) -> tuple[Path, list[Path]]:
    """The HR file, and the LR file of each version, of an image.

    Args:
        job: whose target is its place below the output folder.
    """
    lr = [output / lr_folder(version, versions) / job.target for version in range(versions)]
    return output / HR / job.target, lr


def write_versions(degrader: Degrader, job: Job, output: Path, number: int) -> dict[str, Any]:
    """Write HR and all LR of an image; its entry of the record.

    Raises:
        UserError: it can't be read, or a file can't be written.
    """
    hr_file, lr_files = targets(job, output, degrader.versions)
    hr = degrader.read(job.source)
    kind = degrader.kind
    entry: dict[str, Any] = {"hr": str(hr_file.relative_to(output)), "lr": []}
    try:
        for path, (lr, drawn) in zip(lr_files, degrader(hr, number), strict=True):
            write_native(path, kind.to_native(lr), kind)
            entry["lr"].append({"file": str(path.relative_to(output)), "drawn": plain(drawn)})
        write_native(hr_file, kind.to_native(hr), kind)
    except OSError as problem:
        raise UserError(f"{hr_file}: {problem.strerror or problem}") from None
    return entry


def plain(drawn: Sequence[Drawn]) -> list[list[Any]]:
    """Draws as JSON can hold them."""
    return [[name, {key: _plain(value) for key, value in values.items()}] for name, values in drawn]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)
