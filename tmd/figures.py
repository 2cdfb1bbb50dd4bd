"""Pictures for people: sheets of images with captions, drawn without a display.

A sheet is rows of captioned images; every image in it is shown pixel by pixel as it was computed,
so what one sees of a network is the network's.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import matplotlib
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from tmd.metrics import psnr
from tmd.resize import imresize
from tmd.upscale import quantize, upscale

CELL = 384
REGION = 192
MARGIN = 16
GAP = 10
TEXT_SIZE = 15
TITLE_SIZE = 20
MAX_BYTES = 5_000_000

PAPER = (255, 255, 255)
INK = (28, 28, 30)
FAINT_INK = (110, 110, 115)
FRAME = (214, 214, 218)

Images = Tensor | Sequence[Tensor]


@dataclass(frozen=True)
class Picture:
    """One image of a sheet: (C, H, W) float in [0, 1], what it is and what is said of it.

    ``box`` (top, left, height, width in the image's pixels) is outlined.
    """

    image: Tensor
    name: str
    note: str = ""
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Row:
    """Pictures side by side on one base line, with a title or a fainter subtitle above them."""

    pictures: Sequence[Picture]
    title: str = ""
    subtitle: str = ""


@dataclass
class _Pen:
    """Where the next row goes."""

    canvas: Image.Image
    y: int
    draw: ImageDraw.ImageDraw = field(init=False)

    def __post_init__(self) -> None:
        self.draw = ImageDraw.Draw(self.canvas)


def draw_rows(rows: Sequence[Row], cell: int = CELL) -> Image.Image:
    """A sheet of ``rows``; each column is ``cell`` pixels wide, so that the rows align."""
    columns = max(len(row.pictures) for row in rows)
    width = 2 * MARGIN + columns * cell + (columns - 1) * GAP
    height = 2 * MARGIN + sum(_row_height(row) for row in rows) - GAP
    pen = _Pen(Image.new("RGB", (width, height), PAPER), MARGIN)
    for row in rows:
        _draw_row(pen, row, cell)
    return pen.canvas


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
    generator: nn.Module,
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
    results = {"bicubic": imresize(lr[None], tuple(hr.shape[-2:])), "SR": sr[None]}
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


def save_figure(
    figure: Image.Image, path: str | os.PathLike[str], max_bytes: int = MAX_BYTES
) -> None:
    """Write a PNG of at most ``max_bytes``, all of it or nothing; a larger one is shrunk to fit."""
    path = Path(path)
    data = _png(figure)
    while len(data) > max_bytes and min(figure.size) > 1:
        factor = min(0.95, (max_bytes / len(data)) ** 0.5)
        size = (max(1, int(figure.width * factor)), max(1, int(figure.height * factor)))
        figure = figure.resize(size, Image.Resampling.LANCZOS)
        data = _png(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _png(figure: Image.Image) -> bytes:
    buffer = io.BytesIO()
    figure.save(buffer, "PNG")
    return buffer.getvalue()


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


def _applied(generator: nn.Module, image: Tensor) -> Tensor:
    return upscale(generator, image[None])[0].clamp(0, 1)


def _listed(images: Images) -> list[Tensor]:
    if isinstance(images, Tensor) and images.ndim == 3:
        images = [images]
    return [image.detach().float().cpu() for image in images]


def _draw_row(pen: _Pen, row: Row, cell: int) -> None:
    for text, size, ink, bold in (
        (row.title, TITLE_SIZE, INK, True),
        (row.subtitle, TEXT_SIZE, FAINT_INK, False),
    ):
        if text:
            columns = max(1, len(row.pictures))
            wide = columns * cell + (columns - 1) * GAP
            _write(pen.draw, (MARGIN, pen.y), text, size, ink, bold, wide)
            pen.y += _line(size)
    base = pen.y + _picture_height(row)
    for column, picture in enumerate(row.pictures):
        left = MARGIN + column * (cell + GAP)
        _draw_picture(pen, picture, left, base, cell)
    pen.y = base + _line(TEXT_SIZE) + 2 * GAP


def _draw_picture(pen: _Pen, picture: Picture, left: int, base: int, cell: int) -> None:
    image = to_pil(picture.image)
    top = base - image.height
    pen.canvas.paste(image, (left, top))
    pen.draw.rectangle((left - 1, top - 1, left + image.width, base), outline=FRAME)
    if picture.box is not None:
        y, x, height, width = picture.box
        frame = (left + x, top + y, left + x + width - 1, top + y + height - 1)
        pen.draw.rectangle(frame, outline=INK, width=3)
        pen.draw.rectangle(frame, outline=PAPER, width=1)
    y = base + GAP // 2
    used = _write(pen.draw, (left, y), picture.name, TEXT_SIZE, INK, True, cell)
    space = _font(TEXT_SIZE, False).getlength("  ")
    if picture.note and used + space < cell:
        at = (int(left + used + space), y)
        _write(pen.draw, at, picture.note, TEXT_SIZE, FAINT_INK, False, int(cell - used - space))


def to_pil(image: Tensor) -> Image.Image:
    """(C, H, W) float in [0, 1], C = 1 or 3, as an RGB picture."""
    values = quantize(image.detach().cpu(), torch.uint8)
    if values.shape[0] == 1:
        values = values.expand(3, -1, -1)
    return Image.fromarray(values.permute(1, 2, 0).contiguous().numpy())


def _picture_height(row: Row) -> int:
    return max(picture.image.shape[-2] for picture in row.pictures)


def _row_height(row: Row) -> int:
    height = _picture_height(row) + _line(TEXT_SIZE) + 2 * GAP
    height += _line(TITLE_SIZE) if row.title else 0
    return height + (_line(TEXT_SIZE) if row.subtitle else 0)


def _line(size: int) -> int:
    return round(1.7 * size)


def _write(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    size: int,
    ink: tuple[int, int, int],
    bold: bool,
    width: int,
) -> float:
    """Write ``text``, shortened to ``width`` pixels with an ellipsis; its length in pixels."""
    font = _font(size, bold)
    text = " ".join(text.split())
    if font.getlength(text) > width:
        while text and font.getlength(text + "…") > width:
            text = text[:-1]
        text += "…"
    draw.text(at, text, fill=ink, font=font)
    return font.getlength(text)


@lru_cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    # Pillow's own font knows Latin letters only; matplotlib's knows what file names are made of.
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf" / name, size)
