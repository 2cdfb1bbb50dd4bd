"""Pairs of HR and LR images, by the field's convention.

HR is cropped to a multiple of the scale; LR is its bicubic reduction as MATLAB makes it. At scale 1
a measurement makes the degraded image, or it is given.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tmd.data import DatasetOptions, settled
from tmd.data.pairing import common_part, common_size, pair_folder
from tmd.data.parts import PartsSource
from tmd.data.shifts import Look, look_at_pairs
from tmd.data.sources import FileSource
from tmd.errors import UserError
from tmd.evaluation.local import local_folder
from tmd.images import EIGHT_BITS, ImageKind, list_images, probe, read_native, read_size
from tmd.measurements import Measurement, create_measurement
from tmd.resize import imresize_uint8

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Sample:
    """An image of a benchmark; without ``lr`` its LR is made from ``hr``.

    Attributes:
        name: the file's, without its suffix.
        hr, lr: files.
        sr: another program's result, of an image of which there is nothing else.
    """

    name: str
    hr: Path | None
    lr: Path | None = None
    sr: Path | None = None

    @property
    def source(self) -> Path:
        """The file that stands for the image: HR, else LR, else SR."""
        path = self.hr or self.lr or self.sr
        assert path is not None, "a sample has a file"
        return path

    def size(self, scale: int) -> tuple[int, int]:
        """Height and width of what is compared."""
        height, width = read_size(self.source)
        if self.hr is not None:
            return height // scale * scale, width // scale * scale
        return (height * scale, width * scale) if self.lr is not None else (height, width)


@dataclass(frozen=True)
class Benchmark:
    """A set of images to upscale by ``scale``; made by `open_benchmark`.

    Attributes:
        name: its folder's.
        scale: the factor.
        samples: its images, sorted by name.
        lr_root: folder of the LR images, where there is one.
        cropped: how many pairs are read to a common size, as LR was rounded.
    """

    name: str
    scale: int
    samples: tuple[Sample, ...]
    lr_root: Path | None = None
    cropped: int = 0


def open_benchmark(root: PathLike, scale: int, lr_root: PathLike | None = None) -> Benchmark:
    """Images of a benchmark, every pair checked by its files' headers.

    Args:
        root: a folder of HR images; or one with ``HR/`` and perhaps ``LR_bicubic/X2``, ``X3``, ...
            whose files are called as `tmd.data.matching.match` knows. A tar or an address of such a
            folder is copied first.
        scale: the factor; the LR folder is chosen by it.
        lr_root: a folder of LR images, instead of the one within ``root``.

    Raises:
        UserError: an absent folder, one without images, or a pair that does not match, by name.
    """
    root = local_folder(root, "benchmark")
    lr_root = None if lr_root is None else local_folder(lr_root, "lr_root")
    hr_root = root / "HR" if (root / "HR").is_dir() else root
    files = _images(hr_root, "benchmark")
    if lr_root is None:
        within = root / "LR_bicubic" / f"X{scale}"
        lr_folder = within if within.is_dir() else None
    else:
        lr_folder = Path(lr_root)
    for file in files:
        if min(read_size(file)) < scale:
            raise UserError(f"{file}: smaller than scale={scale} pixels")
    partners: list[Path | None] = [None] * len(files)
    cropped = 0
    if lr_folder is not None:
        hr = FileSource([str(file) for file in files], EIGHT_BITS, str(hr_root))
        pairing = pair_folder(hr, str(lr_folder), scale, "lr_root")
        lr, _ = pairing.sides(hr)
        partners = [Path(lr.name(number)) for number in range(len(lr))]
        cropped = pairing.cropped
    samples = tuple(map(Sample, (file.stem for file in files), files, partners))
    named = Path(os.path.abspath(root))
    if named.name == "HR":  # `Set5/HR` is Set5, too
        named = named.parent
    return Benchmark(named.name, scale, samples, lr_folder, cropped)


def open_without_hr(root: PathLike, scale: int, key: str = "lr_root") -> Benchmark:
    """Images of which there is no HR: LR to upscale, or the results of another program.

    Args:
        root: their folder.
        key: ``lr_root`` or ``sr_root``.

    Raises:
        UserError: an absent folder, or one without images.
    """
    folder = local_folder(root, key)
    files = _images(folder, key)
    is_lr = key == "lr_root"
    samples = [Sample(f.stem, None, *((f, None) if is_lr else (None, f))) for f in files]
    name = Path(os.path.abspath(folder)).name
    return Benchmark(name, scale, tuple(samples), folder if is_lr else None)


def look_at_given_lr(benchmark: Benchmark, kind: ImageKind) -> Look | None:
    """Shifts of a benchmark's given LR, and how far it is from MATLAB's; None where it has none."""
    paths = [(s.lr, s.hr) for s in benchmark.samples if s.lr is not None and s.hr is not None]
    if not paths:
        return None
    lr, hr = (FileSource([str(path) for path in side], kind) for side in zip(*paths, strict=True))
    sizes = [common_size(hr.size(i), lr.size(i), benchmark.scale) or (0, 0) for i in range(len(hr))]
    windows = np.array([(0, 0, *size) for size in sizes])
    places = np.array([(0, i) for i in range(len(hr))])
    return look_at_pairs(
        PartsSource([lr], places, windows, {}),
        PartsSource([hr], places, windows * benchmark.scale, {}),
        benchmark.scale,
    )


def _images(folder: Path, key: str) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{key} {folder}: no such folder")
    files = list_images(folder, recursive=False)
    if not files:
        raise UserError(f"{key} {folder}: holds no images")
    stems = [file.stem for file in files]
    if twice := next((file for file in files if stems.count(file.stem) > 1), None):
        raise UserError(f"{key} {folder}: holds two images called {twice.stem}")
    return files


def pair_by_name(files: Sequence[Path], folder: Path, scale: int, key: str) -> dict[Path, Path]:
    """Each file's result by some program in ``folder``, which ``key`` names."""
    partners = {file.stem: file for file in _images(folder, key)}
    found = {}
    for file in files:
        names = partner_names(file.stem, partners, scale)
        if len(names) != 1:
            problem = f"{len(names)} of it ({', '.join(names)})" if names else "none of it"
            raise UserError(
                f"{file}: {key} {folder} has {problem}; expected one file called "
                f"{file.stem} or {file.stem}x{scale}"
            )
        found[file] = partners[names[0]]
    return found


def partner_names(stem: str, names: Mapping[str, Path] | Sequence[str], scale: int) -> list[str]:
    """Those of ``names`` that belong to the image ``stem``, by the best kind of match there is.

    Example:
        >>> partner_names("img_1", ["img_1x4", "img_10x4", "img_1_final"], 4)
        ['img_1x4']
        >>> partner_names("img_1", ["img_1_SRResNet", "img_10_SRResNet"], 4)
        ['img_1_SRResNet']
    """
    kinds = (
        re.escape(stem),
        rf"{re.escape(stem)}[-_]?[xX]{scale}",
        rf"{re.escape(stem)}[-_.][^\d].*",
    )
    for kind in kinds:
        if found := [name for name in names if re.fullmatch(kind, name)]:
            return found
    return []


def size_text(path: Path) -> str:
    """Height and width of a file's image as text, ``48×60``."""
    return "×".join(str(side) for side in read_size(path))


def benchmark_kind(
    root: PathLike,
    bands: Sequence[int] | None = None,
    dtype: str | None = None,
    value_range: Any = None,
    shown: Sequence[int] | None = None,
) -> ImageKind:
    """Kind of a benchmark's HR images: RGB of 8 bits where they are photos of 8 bits.

    Args:
        root: as for `open_benchmark`.
        bands, dtype, value_range, shown: as in `tmd.data.DatasetOptions`.

    Raises:
        UserError: they are not of one kind.
    """
    root = local_folder(root, "benchmark")
    folder = root / "HR" if (root / "HR").is_dir() else root
    first = probe(_images(folder, "benchmark")[0])
    if bands is not None:
        channels = None
    else:
        photo = "uint8" in (dtype, first.dtype) and first.bands <= 4
        channels = 3 if photo else first.bands
    chosen = DatasetOptions(
        "folder",
        str(folder),
        patch_size=1,
        channels=channels,
        bands=bands,
        dtype=dtype,
        value_range=value_range,
        shown=shown,
    )
    chosen.check()
    return settled(chosen).image_kind


def read_sample(
    sample: Sample,
    scale: int,
    kind: ImageKind,
    measurement: Measurement | None = None,
    index: int = 0,
) -> tuple[Tensor | None, Tensor | None]:
    """LR and HR as far as there are; see `read_pair`."""
    if sample.hr is not None:
        return read_pair(sample, scale, kind, measurement, index)
    return None if sample.lr is None else _read(sample.lr, kind), None


def read_pair(
    sample: Sample,
    scale: int,
    kind: ImageKind | int = EIGHT_BITS,
    measurement: Measurement | None = None,
    index: int = 0,
) -> tuple[Tensor, Tensor]:
    """LR and HR as numbers of their kind, (C, h, w) and (C, scale·h, scale·w).

    Args:
        kind: of the images, or the channels of photos of 8 bits.
        measurement: makes LR even where the sample has one; by default, bicubic as MATLAB has it.
        index: what random parameters of the measurement are drawn for.
    """
    kind = ImageKind.of(kind)
    assert sample.hr is not None, "see read_sample"
    hr = _read(sample.hr, kind)
    height, width = (side // scale * scale for side in hr.shape[-2:])
    hr = hr[:, :height, :width]
    if measurement is not None:
        return kind.to_native(measurement(kind.to_float(hr)[None], index)[0]), hr
    if sample.lr is not None:
        return common_part(_read(sample.lr, kind), hr, scale)
    if scale == 1:
        raise UserError(f"{sample.hr}: at scale=1 LR comes from a measurement or a file")
    if kind.is_eight_bit:
        return imresize_uint8(hr, 1 / scale), hr
    bicubic = create_measurement(["bicubic"], scale, kind=kind)
    return kind.to_native(bicubic(kind.to_float(hr)[None])[0]), hr


def _read(path: Path, kind: ImageKind) -> Tensor:
    """(C, H, W), each channel in one piece, which numpy makes faster than torch."""
    return torch.from_numpy(np.ascontiguousarray(read_native(path, kind).numpy()))
