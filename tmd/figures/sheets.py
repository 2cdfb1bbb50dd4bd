"""The logbook's sheet, and several generators side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from tmd.figures.drawing import CELL, Picture, Row, draw_rows, fitting_cell
from tmd.figures.views import views
from tmd.images import EIGHT_BITS, ImageKind
from tmd.metrics.fidelity import default_border, psnr
from tmd.metrics.registry import metric
from tmd.resize import baseline_name, imresize
from tmd.upscale import upscale

REGION = 192
SHEET_WIDTH = 1600
SMALLEST_CELL = 160

Region = tuple[int, int, int, int]  # top, left, height, width
Images = Tensor | Sequence[Tensor]
Generator = nn.Module | Callable[[Tensor], Tensor]


def picture_sheet(
    lr: Images,
    sr: Images,
    hr: Images | None = None,
    ur: Images | None = None,
    *,
    names: Sequence[str] = (),
    notes: Sequence[Mapping[str, str]] = (),
    region: int | None = REGION,
    cell: int = CELL,
) -> Image.Image:
    """The LR SR HR UR sheet: at their own sizes, and below the same stretched by bicubic.

    Args:
        lr: one image (C, h, w), a batch or a list of images, float in [0, 1].
        sr: the generator's results, ``scale`` times as large.
        hr: the references. With them the captions state PSNR (Y channel, the field's border),
            of the whole image even where a region is shown.
        ur: the generator's results for ``hr``, ``scale`` times as large as these.
        names: a title for each image.
        notes: for each image more words for the captions, by ``"bicubic"``, ``"SR"``, ``"HR"`` or
            ``"UR"``; they take the place of the PSNR.
        region: side in HR pixels of the central region to show of larger images; None: all.
        cell: width of a column, to which the second row is stretched.

    Returns:
        An RGB picture of at most four columns.
    """
    lrs, srs = _listed(lr), _listed(sr)
    hrs = _listed(hr) if hr is not None else [None] * len(lrs)
    urs = _listed(ur) if ur is not None else [None] * len(lrs)
    rows: list[Row] = []
    for i, (small, result, reference, beyond) in enumerate(zip(lrs, srs, hrs, urs, strict=True)):
        said = dict(notes[i]) if i < len(notes) else psnr_notes(small, result, reference)
        title = names[i] if i < len(names) else ""
        shown = _central(small, result, reference, beyond, region)
        rows += _sheet_rows(*shown, title=title, said=said, cell=cell)
    return draw_rows(rows, cell)


def preview_sheet(
    generator: Generator,
    lr: Images,
    hr: Images,
    *,
    sr: Images | None = None,
    names: Sequence[str] = (),
    notes: Sequence[Mapping[str, str]] | None = None,
    region: int = REGION,
    cell: int = CELL,
    kind: ImageKind = EIGHT_BITS,
) -> Image.Image:
    """`picture_sheet` of what ``generator`` makes of ``lr`` and of the shown region of ``hr``.

    Args:
        generator: upscaled in tiles where it is a module; any other function of (1, C, h, w) is
            called as it is.
        lr, hr: where the generator is.
        sr: the results for ``lr`` where they have been computed already.
        notes: as for `picture_sheet`.
        kind: of the images; those of other bands or bits than a photo's are shown by `views`.
    """
    lrs, hrs = _listed(lr), _listed(hr)
    srs = _listed(sr) if sr is not None else [_applied(generator, x) for x in lrs]
    if notes is None:
        notes = [psnr_notes(x, y, z, kind) for x, y, z in zip(lrs, srs, hrs, strict=True)]
    shown = [_central(x, y, z, None, region) for x, y, z in zip(lrs, srs, hrs, strict=True)]
    pictures = [
        views(kind, z, (x, y, z, _applied(generator, z))) for x, y, z, _ in shown if z is not None
    ]
    return picture_sheet(
        [x for x, _, _, _ in pictures],
        [y for _, y, _, _ in pictures],
        [z for _, _, z, _ in pictures],
        [ur for _, _, _, ur in pictures],
        names=names,
        notes=notes,
        region=None,
        cell=cell,
    )


def psnr_notes(
    lr: Tensor, sr: Tensor, hr: Tensor | None, kind: ImageKind = EIGHT_BITS
) -> dict[str, str]:
    """PSNR of bicubic and of SR as words for a sheet; none without a reference or too small."""
    if hr is None:
        return {}
    border = default_border(sr.shape[-1] // lr.shape[-1])
    if min(hr.shape[-2:]) <= 2 * border:
        return {}
    results = {"bicubic": imresize(lr[None], (hr.shape[-2], hr.shape[-1])), "SR": sr[None]}
    channel = "y" if kind.is_rgb else "rgb"
    values = {n: psnr(kind.rounded(x), hr[None], border, channel) for n, x in results.items()}
    return {n: metric("psnr").text(value.item(), unit=True) for n, value in values.items()}


def comparison_sheet(
    hr: Tensor,
    results: Mapping[str, Tensor],
    *,
    notes: Mapping[str, str],
    regions: Sequence[Region],
    title: str = "",
    width: int = SHEET_WIDTH,
) -> Image.Image:
    """The same regions of several results side by side, the whole picture with them outlined.

    Args:
        hr: the reference (C, H, W) in [0, 1].
        results: by name, of the same size, in the order in which they are shown; the reference
            comes last.
        notes: what is said of each result, PSNR say.
        regions: one row each; see `telling_regions`.
        width: of the sheet, where it has not too many columns for it.
    """
    shown = {**results, "HR": hr}
    columns = len(shown) + 1
    cell = max(SMALLEST_CELL, fitting_cell(columns, width))
    whole = stretch(hr, cell)
    factor = whole.shape[-1] / hr.shape[-1]
    boxes = [tuple(round(side * factor) for side in region) for region in regions]
    size = f"{hr.shape[-1]} × {hr.shape[-2]}"
    rows = []
    for number, region in enumerate(regions):
        overview = None if number else Picture(whole, "HR", size, boxes)  # type: ignore[arg-type]
        zoomed = [
            Picture(stretch(cut(image, region), cell), name, "" if number else notes.get(name, ""))
            for name, image in shown.items()
        ]
        rows.append(Row([overview, *zoomed], title="" if number else title))
    return draw_rows(rows, cell)


def telling_regions(
    guess: Tensor, hr: Tensor, size: int, count: int, scale: int = 1
) -> list[Region]:
    """Squares in which ``guess``, bicubic say, is furthest from HR: there results can differ.

    Args:
        guess, hr: (C, H, W) in [0, 1].
        size: the squares' side, smaller where the image is.
        count: how many, fewer where no more fit without overlap.
        scale: squares begin at multiples of it.

    Returns:
        The worst first.
    """
    height, width = (min(size, side) for side in hr.shape[-2:])
    error = (guess - hr).square().mean(0)[None, None]
    step = max(1, size // 8 // scale) * scale
    mean = F.avg_pool2d(error, (height, width), step)[0, 0]
    found: list[Region] = []
    for index in torch.argsort(mean.flatten(), descending=True, stable=True).tolist():
        top, left = step * (index // mean.shape[1]), step * (index % mean.shape[1])
        apart = all(abs(top - y) >= height or abs(left - x) >= width for y, x, _, _ in found)
        if apart:
            found.append((top, left, height, width))
        if len(found) == count:
            break
    return found


def cut(image: Tensor, region: Region) -> Tensor:
    """The part (top, left, height, width) of (..., H, W)."""
    top, left, height, width = region
    return image[..., top : top + height, left : left + width]


def stretch(image: Tensor, longest: int) -> Tensor:
    """``image`` (C, H, W) resized by bicubic until its longer side is ``longest``."""
    height, width = image.shape[-2:]
    factor = longest / max(height, width)
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    return imresize(image[None], size)[0].clamp(0, 1)


def _sheet_rows(
    lr: Tensor,
    sr: Tensor,
    hr: Tensor | None,
    ur: Tensor | None,
    *,
    title: str,
    said: Mapping[str, str],
    cell: int,
) -> list[Row]:
    named = {
        name: image
        for name, image in {"LR": lr, "SR": sr, "HR": hr, "UR": ur}.items()
        if image is not None
    }
    baseline = baseline_name(sr.shape[-1] // lr.shape[-1]).capitalize()
    native = [_native(image, name, cell) for name, image in named.items()]
    stretched = [
        Picture(
            stretch(image, cell),
            baseline if name == "LR" else name,
            said.get("bicubic" if name == "LR" else name, ""),
        )
        for name, image in named.items()
    ]
    return [
        Row(native, title=title, subtitle="pixel for pixel"),
        Row(stretched, subtitle="the same, brought to one size by bicubic"),
    ]


def _native(image: Tensor, name: str, cell: int) -> Picture:
    height, width = image.shape[-2:]
    note = f"{width} × {height}"
    if max(height, width) > cell:
        top, left = max(0, height - cell) // 2, max(0, width - cell) // 2
        image = image[..., top : top + cell, left : left + cell]
        note = f"centre of {note}"
    return Picture(image, name, note)


def _central(
    lr: Tensor, sr: Tensor, hr: Tensor | None, ur: Tensor | None, region: int | None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """The same central region of all four, of at most ``region`` HR pixels a side."""
    scale = sr.shape[-1] // lr.shape[-1]
    height, width = lr.shape[-2:]
    side = max(height, width) if region is None else max(1, region // scale)
    rows, columns = min(side, height), min(side, width)
    top, left = (height - rows) // 2, (width - columns) // 2

    def at(factor: int) -> Region:
        return factor * top, factor * left, factor * rows, factor * columns

    return (
        cut(lr, at(1)),
        cut(sr, at(scale)),
        None if hr is None else cut(hr, at(scale)),
        None if ur is None else cut(ur, at(scale * scale)),
    )


def _applied(generator: Generator, image: Tensor) -> Tensor:
    tiled = isinstance(generator, nn.Module)
    sr = upscale(generator, image[None]) if tiled else generator(image[None])  # type: ignore[arg-type]
    return sr[0].clamp(0, 1)


def _listed(images: Images) -> list[Tensor]:
    if isinstance(images, Tensor) and images.ndim == 3:
        images = [images]
    return [image.detach().float() for image in images]
