"""Upscaling of one file after the other: photos, images of instruments, stacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from tqdm import tqdm

from experiments.support.outputs import Job
from tmd.errors import UserError
from tmd.hardware import is_out_of_memory
from tmd.images import images_in, probe, split_name
from tmd.images.formats import check_size
from tmd.images.nodata import with_nodata_again
from tmd.photos import (
    STACKS,
    Photo,
    Picture,
    Upscaler,
    check_output,
    check_suffix,
    exists,
    lost_in,
    write_photos,
)
from tmd.tiling import TileRule
from tmd.upscale import upscale_bands


@dataclass(frozen=True)
class Settings:
    """Options that all images of a run share."""

    overwrite: bool
    tile: int | None
    self_ensemble: bool
    amp: bool


def upscale_file(upscaler: Upscaler, job: Job, settings: Settings, bar: tqdm) -> str:
    """Upscale one image, or all of a stack; what the user should know of it, mostly nothing.

    Raises:
        UserError: it can't be read, or the result can't be written.
    """
    try:
        if job.target.exists() and not settings.overwrite:
            raise exists(job.target)
        check_suffix(job.target)
        is_stack = job.target.suffix.lower() in STACKS
        images = images_in(job.source) if is_stack else [str(job.source)]
        # The header tells what would be found out only when all is computed.
        sizes = [enlarged_size(upscaler, job, image) for image in images]
        notes: list[str] = []
        pictures = upscaled(upscaler, job, images, settings, bar, notes)
        write_photos(job.target, pictures, sizes, settings.overwrite)
    except OSError as problem:
        raise UserError(f"{job.target}: {problem.strerror or problem}") from None
    except (MemoryError, RuntimeError) as problem:
        if not is_out_of_memory(problem):
            raise
        raise UserError(f"{job.source}: not enough memory; give a smaller tile, tile=64") from None
    return f"{job.source}: {'; '.join(notes)}" if notes else ""


def enlarged_size(upscaler: Upscaler, job: Job, image: str) -> tuple[int, int, int]:
    """(C, H, W) of the result by the image's header.

    Raises:
        UserError: it can't be read, or the result's format can't hold one so large.
    """
    bands, _, size = probe(image)
    height, width = (upscaler.scale * side for side in size)
    if job.target.suffix.lower() not in STACKS:
        check_size(job.target, 1, height, width)
    return bands, height, width


def upscaled(
    upscaler: Upscaler,
    job: Job,
    images: list[str],
    settings: Settings,
    bar: tqdm,
    notes: list[str],
) -> Iterator[Picture]:
    """The results of a file's images, one after the other.

    Args:
        notes: gets what is not in the result, and how far tiles differ that are not exact.
    """
    scale = upscaler.scale
    is_chosen = split_name(job.source)[1] is not None  # one of a stack's
    for image in images:
        photo, generator = upscaler.read(image)
        if is_chosen:
            photo = replace(photo, stack=False, frames=1)
        channels, height, width = photo.pixels.shape
        size = (channels, scale * height, scale * width)
        check_output(job.target, photo, size, settings.overwrite)
        if image == images[0]:
            notes += said_of(job, photo, len(images))
        bands = upscale_bands(
            generator,
            photo.pixels[None],
            settings.tile,
            kind=photo.kind,
            self_ensemble=settings.self_ensemble,
            amp=settings.amp,
            on_tile=partial(advance, bar, bar.n, photo.pixels[0].numel()),
            on_rule=partial(add_rule, notes),
        )
        if photo.nodata is not None:
            bands = with_nodata_again(bands, photo.empty, photo.nodata, scale)
        yield Picture(photo, size, bands)


def add_rule(notes: list[str], rule: TileRule) -> None:
    """Add the line of tiles that are not exact."""
    notes.append(rule.said)


def advance(bar: tqdm, before: int, pixels: int, done: int, total: int) -> None:
    """Set the bar to ``before`` and the share of ``pixels`` that is done."""
    bar.update(before + pixels * done // total - bar.n)


def said_of(job: Job, photo: Photo, images: int) -> list[str]:
    """Lines of what is not in the result, none where all is."""
    left_out = [*photo.left_out, *lost_in(job.target, photo)]
    notes = [f"the first of {photo.frames} images"] if images == 1 < photo.frames else []
    notes += [f"{photo.type} became {photo.dtype}"] if photo.type else []
    return notes + ([f"without {', '.join(left_out)}"] if left_out else [])
