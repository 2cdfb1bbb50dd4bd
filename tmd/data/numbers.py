"""Bands, bits and range of a set of images: as its user says, else as its files have them."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tmd.data.files import find_files
from tmd.data.options import DatasetOptions
from tmd.data.roots import folders, lr_folders
from tmd.data.sources import FileSource, ProbedSource
from tmd.data.storage import in_threads
from tmd.errors import UnreachableError, UserError
from tmd.images import ImageKind, Probe
from tmd.images.native import counted

# Images of a set whose headers are looked at, and those whose numbers are, if they matter.
_HEADERS = 2_000
_DECODED, _BYTES_DECODED = 64, 1 << 29
_NUMBERS_OF_AN_IMAGE = 1 << 18
# Of floats in [0, 1], as reflectance is, a few may lie outside.
_MOST_OUTSIDE = 0.01
_NAMED = 3

_log = logging.getLogger("tmd.data")


def settled(chosen: DatasetOptions) -> DatasetOptions:
    """The same choices with ``channels``, ``dtype`` and ``value_range`` said in numbers.

    The headers of up to 2,000 images are read; of other images than photos of 8 bits, up to 64 are
    decoded, too.

    Raises:
        UserError: images of several numbers of bands or types, bands that they have not, numbers
            that are NaN, infinite or far from the range, and images without data; by name.
    """
    sources = _sources(chosen)
    if not sources:
        return replace(chosen, **_said(replace(chosen, dtype="uint8").image_kind))
    found = [(source, *named) for source in sources for named in headers(source)]
    dtype = chosen.dtype or _common_dtype([(name, probe) for _, _, name, probe in found])
    kind = replace(chosen, dtype=dtype, value_range=None).image_kind
    if found and kind.is_photo and all(probe.dtype == "float32" for *_, probe in found):
        raise UserError(
            f"dataset.dtype=uint8: the images hold float32 ({found[0][2]}), which is no photo's"
        )
    if kind.is_photo and not isinstance(chosen.value_range, Mapping):
        return replace(chosen, **_said(_with_range(chosen, kind, [])))
    if not kind.is_photo:
        _check_headers(chosen, kind, [(name, probe) for _, _, name, probe in found])
    values = _numbers([(source, index, probe) for source, index, _, probe in found], kind)
    return replace(chosen, **_said(_with_range(chosen, kind, values)))


def is_settled(chosen: DatasetOptions) -> bool:
    """Return whether nothing is left that the files would have to say."""
    given = isinstance(chosen.value_range, (list, tuple))
    default = chosen.value_range is None and chosen.dtype != "float32"
    return chosen.dtype is not None and (given or default)


def _said(kind: ImageKind) -> dict[str, Any]:
    return {
        "channels": kind.channels,
        "dtype": kind.dtype,
        "value_range": list(kind.value_range),
    }


def _sources(chosen: DatasetOptions) -> list[ProbedSource]:
    """The set, and the one to validate on, as far as files could be of other than 8 bits."""
    if not chosen.kind.of_any_numbers or chosen.download:
        return []
    sources = [chosen.kind.pools(chosen.request).train]
    if chosen.val_root is not None:
        kind = chosen.request.kind
        sources.append(find_files(folders(chosen.val_root), kind, key="dataset.val_root"))
    sources += _lr_sources(chosen)
    return [source for source in sources if isinstance(source, ProbedSource)]


def _lr_sources(chosen: DatasetOptions) -> list[FileSource]:
    """Given LR images, which are of the kind of HR."""
    given = [("dataset.lr_root", chosen.request.roots, chosen.lr_root)]
    if chosen.val_root is not None:
        given.append(("dataset.val_lr_root", folders(chosen.val_root), chosen.val_lr_root))
    return [
        find_files([folder], chosen.request.kind, key=key, copies=True)
        for key, roots, value in given
        if value is not None
        for versions in lr_folders(roots, value, key)
        for folder in versions
    ]


def headers(source: ProbedSource) -> list[tuple[int, str, Probe]]:
    """(number, name, header) of up to 2,000 images through a set; those that can't be read lack."""
    numbers: Sequence[int] = range(len(source))
    if len(source) > _HEADERS:
        numbers = np.linspace(0, len(source) - 1, _HEADERS).astype(int).tolist()

    def probed(index: int) -> Probe | None:
        try:
            return source.probe(index)
        except UnreachableError:
            raise
        except UserError:
            return None

    headers = in_threads(probed, numbers, "Kinds of images")
    pairs = zip(numbers, headers, strict=True)
    return [(i, source.name(i), probe) for i, probe in pairs if probe is not None]


def mixed_bits(found: list[tuple[str, Probe]]) -> str:
    """Line on images of several types, given as (name, header); empty: all are of one."""
    by_type: dict[str, list[str]] = defaultdict(list)
    for name, probe in found:
        by_type[probe.dtype].append(name)
    return f"mixed bits: {_listed(by_type)}" if len(by_type) > 1 else ""


def mixed_bands(found: list[tuple[str, Probe]]) -> str:
    """Line on images of several numbers of bands, given as (name, header); empty: of one."""
    by_bands: dict[int, list[str]] = defaultdict(list)
    for name, probe in found:
        by_bands[probe.bands].append(name)
    return f"mixed bands: {_listed(by_bands, 'bands')}" if len(by_bands) > 1 else ""


def _common_dtype(found: list[tuple[str, Probe]]) -> str:
    if said := mixed_bits(found):
        way = (
            "dataset.list_file names those to use"
            if any(probe.dtype == "float32" for _, probe in found)
            else "dataset.dtype=uint8 takes all as photos of 8 bits"
        )
        raise UserError(f"dataset: {said}; {way}")
    return found[0][1].dtype if found else "uint8"


def _check_headers(chosen: DatasetOptions, kind: ImageKind, found: list[tuple[str, Probe]]) -> None:
    """Raise `UserError` unless all images have the type and the bands."""
    others = [(name, probe) for name, probe in found if probe.dtype != kind.dtype]
    if others:
        listed = _several([f"{name} ({probe.dtype})" for name, probe in others])
        raise UserError(
            f"dataset.dtype={kind.dtype}: {len(others)} of {len(found)} images hold another type: "
            f"{listed}"
        )
    by_bands: dict[int, list[str]] = defaultdict(list)
    for name, probe in found:
        by_bands[probe.bands].append(name)
    if kind.bands is not None:
        lacking = {n: names for n, names in by_bands.items() if n < max(kind.bands)}
        if lacking:
            raise UserError(
                f"dataset.bands={list(kind.bands)}: not all images have {max(kind.bands)} bands: "
                f"{_listed(lacking, 'bands')}"
            )
    elif said := mixed_bands(found):
        raise UserError(f"dataset: {said}; {_ways(chosen, min(by_bands))}")
    elif by_bands and kind.channels not in by_bands:
        ((bands, names),) = by_bands.items()
        raise UserError(
            f"dataset.channels={kind.channels}: the images have {counted(bands)} ({names[0]}); "
            f"dataset.channels={bands} takes all, {_ways(chosen, bands)}"
        )


def _ways(chosen: DatasetOptions, bands: int) -> str:
    some = list(range(1, bands + 1))[:3]
    photos = chosen.dtype is None and bands <= 4
    return f"dataset.bands={some} chooses some" + (
        ", dataset.dtype=uint8 takes them as photos" if photos else ""
    )


def _numbers(
    found: list[tuple[ProbedSource, int, Probe]], kind: ImageKind
) -> list[tuple[str, np.ndarray]]:
    """(name, some of its numbers) of images through the set, decoded.

    Raises:
        UserError: one of them can't be used, for example for NaN in it.
    """
    size = max(
        (kind.itemsize * probe.bands * math.prod(probe.size) for *_, probe in found), default=1
    )
    most = max(1, min(_DECODED, _BYTES_DECODED // size, len(found)))
    places = np.linspace(0, len(found) - 1, most).astype(int).tolist() if found else []

    def read(place: int) -> tuple[str, np.ndarray] | str:
        source, index, _ = found[place]
        try:
            image = source.of_kind(kind).read(index)
        except UnreachableError:
            raise
        except UserError as problem:
            return str(problem)
        numbers = image.numpy().ravel()
        return source.name(index), numbers[:: max(1, numbers.size // _NUMBERS_OF_AN_IMAGE)].copy()

    values, problems = [], []
    for result in in_threads(read, places, "Numbers of images"):
        if isinstance(result, str):
            problems.append(result)
        else:
            values.append(result)
    if problems:
        count = f"{len(problems)} of {len(places)} images looked at can't be used"
        raise UserError(
            f"dataset: {count}: {_several(problems)}; dataset.list_file names those to use"
        )
    return values


def _with_range(
    chosen: DatasetOptions, kind: ImageKind, values: list[tuple[str, np.ndarray]]
) -> ImageKind:
    """The kind with the range that was given, or that the numbers have."""
    given = chosen.value_range
    if isinstance(given, (list, tuple)):
        return replace(kind, value_range=(given[0], given[1]))
    if isinstance(given, Mapping):
        if not values:
            raise UserError("dataset.value_range: there is no image to take percentiles of")
        return replace(kind, value_range=_percentiles(given["percentiles"], kind, values))
    if values:
        _check_default_range(kind, values)
    return kind


def _percentiles(
    ends: Sequence[float], kind: ImageKind, values: list[tuple[str, np.ndarray]]
) -> tuple[float, float]:
    # Of float16 and float32 alike, so that they don't depend on the machine.
    numbers = np.concatenate([some for _, some in values]).astype(np.float64)
    low, high = (float(end) for end in np.percentile(numbers, ends))
    if kind.levels is not None:
        low, high = math.floor(low), math.ceil(high)
    if not low < high:
        raise UserError(
            f"dataset.value_range: the percentiles {list(ends)} of the images are both {low:g}"
        )
    return low, high


def _check_default_range(kind: ImageKind, values: list[tuple[str, np.ndarray]]) -> None:
    lowest = min(float(some.min()) for _, some in values)
    highest = max(float(some.max()) for _, some in values)
    fits = "dataset.value_range={percentiles: [0.1, 99.9]} or [LOW, HIGH] says what 0 and 1 are"
    if kind.levels is None:
        counts = np.array([((some < 0) | (some > 1)).mean() for _, some in values])
        if counts.mean() > _MOST_OUTSIDE:
            name = values[int(counts.argmax())][0]
            raise UserError(
                f"dataset.value_range=None: stands for [0, 1], and the images hold {lowest:g} to "
                f"{highest:g} ({name}); {fits}"
            )
    elif highest < kind.value_range[1] / 8:
        _log.warning(
            "the images looked at hold %g to %g of %s; %s",
            *(lowest, highest, kind.dtype, fits),
        )


def _listed(names: Mapping[Any, list[str]], unit: str = "") -> str:
    parts = []
    for what, some in sorted(names.items(), key=lambda item: str(item[0])):
        count = f"{len(some)} image" + ("" if len(some) == 1 else "s")
        parts.append(f"{what}{' ' + unit if unit else ''} in {count} ({some[0]})")
    return ", ".join(parts)


def _several(texts: list[str]) -> str:
    more = f"; and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return "; ".join(texts[:_NAMED]) + more
