"""Rows of captioned images on paper; every image is drawn pixel by pixel as it was computed."""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from tmd.files import write_bytes
from tmd.images import to_uint8

CELL = 384
MARGIN = 16
GAP = 10
TEXT_SIZE = 15
TITLE_SIZE = 20
SMALL_SIZE = 12
MAX_BYTES = 5_000_000

PAPER = (255, 255, 255)
INK = (28, 28, 30)
FAINT_INK = (110, 110, 115)
FRAME = (214, 214, 218)
MARK = (255, 196, 0)

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Picture:
    """One image of a sheet and what is said of it.

    Attributes:
        image: (C, H, W) float in [0, 1], C = 1 or 3.
        boxes: regions to outline, (top, left, height, width) in the image's pixels.
        below: texts in small letters, each on as many lines as it needs.
    """

    image: Tensor
    name: str
    note: str = ""
    boxes: Sequence[tuple[int, int, int, int]] = ()
    below: Sequence[str] = ()


@dataclass(frozen=True)
class Row:
    """Pictures side by side on one base line, with a title or a fainter subtitle above them.

    None leaves a column empty.
    """

    pictures: Sequence[Picture | None]
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
    height = 2 * MARGIN + sum(_row_height(row, cell) for row in rows) - GAP
    pen = _Pen(Image.new("RGB", (width, height), PAPER), MARGIN)
    for row in rows:
        _draw_row(pen, row, cell)
    return pen.canvas


def fitting_cell(columns: int, width: int = 1600, largest: int = CELL) -> int:
    """The width of a column with which a sheet of ``columns`` is at most ``width`` wide."""
    return min(largest, (width - 2 * MARGIN - (columns - 1) * GAP) // columns)


def save_figure(
    figure: Image.Image, path: str | os.PathLike[str], max_bytes: int = MAX_BYTES
) -> None:
    """Write a PNG of at most ``max_bytes``, all of it or nothing; a larger one is shrunk to fit."""
    data = _png(figure)
    while len(data) > max_bytes and min(figure.size) > 1:
        factor = min(0.95, (max_bytes / len(data)) ** 0.5)
        size = (max(1, int(figure.width * factor)), max(1, int(figure.height * factor)))
        figure = figure.resize(size, Image.Resampling.LANCZOS)
        data = _png(figure)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, data, durable=False)


def to_pil(image: Tensor) -> Image.Image:
    """(C, H, W) float in [0, 1], C = 1 or 3, as an RGB picture."""
    values = to_uint8(image).cpu()
    if values.shape[0] == 1:
        values = values.expand(3, -1, -1)
    return Image.fromarray(values.permute(1, 2, 0).contiguous().numpy())


def write(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    size: int = TEXT_SIZE,
    ink: Colour = INK,
    bold: bool = False,
    width: float = float("inf"),
) -> float:
    """Write ``text``, shortened to ``width`` pixels with an ellipsis; its length in pixels."""
    font = _font(size, bold)
    indent = len(text) - len(text.lstrip())
    text = " " * indent + " ".join(text.split())
    if font.getlength(text) > width:
        while text and font.getlength(text + "…") > width:
            text = text[:-1]
        text = text and text + "…"
    draw.text(at, text, fill=ink, font=font)
    return font.getlength(text)


def _png(figure: Image.Image) -> bytes:
    buffer = io.BytesIO()
    figure.save(buffer, "PNG")
    return buffer.getvalue()


def _draw_row(pen: _Pen, row: Row, cell: int) -> None:
    wide = len(row.pictures) * (cell + GAP) - GAP
    if row.title:
        write(pen.draw, (MARGIN, pen.y), row.title, TITLE_SIZE, INK, True, wide)
        pen.y += _line(TITLE_SIZE)
    if row.subtitle:
        write(pen.draw, (MARGIN, pen.y), row.subtitle, TEXT_SIZE, FAINT_INK, False, wide)
        pen.y += _line(TEXT_SIZE)
    base = pen.y + _picture_height(row)
    for column, picture in enumerate(row.pictures):
        if picture is not None:
            _draw_picture(pen, picture, MARGIN + column * (cell + GAP), base, cell)
    pen.y = base + _line(TEXT_SIZE) + _below_height(row, cell) + 2 * GAP


def _draw_picture(pen: _Pen, picture: Picture, left: int, base: int, cell: int) -> None:
    image = to_pil(picture.image)
    top = base - image.height
    pen.canvas.paste(image, (left, top))
    pen.draw.rectangle((left - 1, top - 1, left + image.width, base), outline=FRAME)
    for y, x, height, width in picture.boxes:
        frame = (left + x, top + y, left + x + width - 1, top + y + height - 1)
        pen.draw.rectangle(frame, outline=INK, width=4)
        pen.draw.rectangle(
            (frame[0] + 1, frame[1] + 1, frame[2] - 1, frame[3] - 1), outline=MARK, width=2
        )
    y = base + GAP // 2
    used = write(pen.draw, (left, y), picture.name, bold=True, width=cell)
    used += _font(TEXT_SIZE, False).getlength("  ")
    if picture.note and used < cell:
        write(pen.draw, (int(left + used), y), picture.note, ink=FAINT_INK, width=cell - used)
    y += _line(TEXT_SIZE)
    for line in _lines_below(picture, cell):
        write(pen.draw, (left, y), line, SMALL_SIZE)
        y += _line(SMALL_SIZE)


def _picture_height(row: Row) -> int:
    return max(picture.image.shape[-2] for picture in row.pictures if picture is not None)


def wrapped(text: str, width: float, size: int = SMALL_SIZE) -> list[str]:
    """``text`` on lines of at most ``width`` pixels, broken between words; longer words stay whole.

    Lines after the first begin with two spaces.
    """
    font, lines = _font(size, False), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines[-1].strip() else lines[-1] + word
        if lines[-1].strip() and font.getlength(longer) > width:
            lines.append(f"  {word}")
        else:
            lines[-1] = longer
    return lines


def _lines_below(picture: Picture, cell: int) -> list[str]:
    return [line for text in picture.below for line in wrapped(text, cell)]


def _below_height(row: Row, cell: int) -> int:
    counts = [len(_lines_below(each, cell)) for each in row.pictures if each is not None]
    return max(counts) * _line(SMALL_SIZE)


def _row_height(row: Row, cell: int) -> int:
    height = _picture_height(row) + _line(TEXT_SIZE) + _below_height(row, cell) + 2 * GAP
    height += _line(TITLE_SIZE) if row.title else 0
    return height + (_line(TEXT_SIZE) if row.subtitle else 0)


def _line(size: int) -> int:
    return round(1.7 * size)


@lru_cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    # Pillow's own font knows Latin letters only; matplotlib's knows what file names are made of.
    package = importlib.util.find_spec("matplotlib")  # importing it takes a while
    assert package is not None
    assert package.origin is not None
    fonts = Path(package.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(fonts / f"DejaVuSans{'-Bold' if bold else ''}.ttf", size)
