"""The logbook's sheet, and several generators side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from PIL import Image
from torch import Tensor, nn

from tmd.figures.drawing import CELL, Picture, Row, draw_rows
from tmd.metrics import psnr
from tmd.resize import imresize
from tmd.upscale import upscale

REGION = 192

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
        hr: the references. With them the captions state PSNR (Y channel, border of ``scale``
            pixels), of the whole image even where a region is shown.
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
    region: int = REGION,
    cell: int = CELL,
) -> Image.Image:
    """`picture_sheet` of what ``generator`` makes of ``lr`` and of the shown region of ``hr``.

    Args:
        generator: upscaled in tiles where it is a module; any other function of (1, C, h, w) is
            called as it is.
        lr, hr: where the generator is.
        sr: the results for ``lr`` where they have been computed already.
    """
    lrs, hrs = _listed(lr), _listed(hr)
    srs = _listed(sr) if sr is not None else [_applied(generator, x) for x in lrs]
    notes = [psnr_notes(x, y, z) for x, y, z in zip(lrs, srs, hrs, strict=True)]
    shown = [_central(x, y, z, None, region) for x, y, z in zip(lrs, srs, hrs, strict=True)]
    return picture_sheet(
        [x for x, _, _, _ in shown],
        [y for _, y, _, _ in shown],
        [z for _, _, z, _ in shown if z is not None],
        [_applied(generator, z) for _, _, z, _ in shown if z is not None],
        names=names,
        notes=notes,
        region=None,
        cell=cell,
    )


def psnr_notes(lr: Tensor, sr: Tensor, hr: Tensor | None) -> dict[str, str]:
    """PSNR of bicubic and of SR as words for a sheet; none without a reference or too small."""
    if hr is None:
        return {}
    scale = sr.shape[-1] // lr.shape[-1]
    if min(hr.shape[-2:]) <= 2 * scale:
        return {}
    results = {"bicubic": imresize(lr[None], (hr.shape[-2], hr.shape[-1])), "SR": sr[None]}
    return {
        name: f"{psnr(x.clamp(0, 1), hr[None], border=scale).item():.2f} dB"
        for name, x in results.items()
    }


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
    native = [_native(image, name, cell) for name, image in named.items()]
    stretched = [
        Picture(
            stretch(image, cell),
            "Bicubic" if name == "LR" else name,
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

    def cut(image: Tensor, factor: int) -> Tensor:
        return image[
            ...,
            factor * top : factor * (top + rows),
            factor * left : factor * (left + columns),
        ]

    return (
        cut(lr, 1),
        cut(sr, scale),
        None if hr is None else cut(hr, scale),
        None if ur is None else cut(ur, scale * scale),
    )


def _applied(generator: Generator, image: Tensor) -> Tensor:
    tiled = isinstance(generator, nn.Module)
    sr = upscale(generator, image[None]) if tiled else generator(image[None])  # type: ignore[arg-type]
    return sr[0].clamp(0, 1)


def _listed(images: Images) -> list[Tensor]:
    if isinstance(images, Tensor) and images.ndim == 3:
        images = [images]
    return [image.detach().float() for image in images]
