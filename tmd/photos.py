"""Photos with all that their files hold: 16 bits, transparency, colour profile, camera's data.

Beside `tmd.images`, which gives networks what they train on, this gives people their photo back,
larger. PNG files are written as the rows come, so that no memory need hold the result.
"""

from __future__ import annotations

import io
import os
import struct
import tempfile
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
import torch
from PIL import Image, ImageCms
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn

from tmd.errors import UserError
from tmd.images import named_errors, open_image
from tmd.models.layers import BicubicUpsampling

OUTPUT_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
ORIENTATION = 0x0112
PIXEL_DIMENSIONS = (0xA002, 0xA003)
EXIF_IFD = 0x8769
JPEG_QUALITY = 95
ROWS_AT_ONCE = 64
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Photo:
    """What a file holds, upright.

    Attributes:
        pixels: (C, H, W), uint8 or uint16; C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
        icc: the colour profile of the pixels.
        exif: the camera's data without the orientation, which the pixels now have.
        frames: how many the file has; the pixels are the first.
    """

    pixels: Tensor
    icc: bytes | None = None
    exif: bytes | None = None
    frames: int = 1

    @property
    def has_alpha(self) -> bool:
        return len(self.pixels) in (2, 4)


def read_photo(path: str | os.PathLike[str]) -> Photo:
    """Read the first image of a file without losing anything that `Photo` can hold.

    CMYK goes to sRGB by the file's own profile; palettes become RGB, or grey if they are.

    Raises:
        UserError: as `tmd.images.read_image`; or numbers without a range (float, 32 bits).
    """
    with named_errors(path), open_image(path) as image:
        frames = getattr(image, "n_frames", 1) if getattr(image, "is_animated", False) else 1
        if image.format == "MPO":
            frames = 1  # a photo with previews of itself
        exif = image.getexif()
        orientation = exif.get(ORIENTATION, 1)
        pixels, icc = _pixels(Path(path), image)
        icc = icc if icc and icc[16:20] == (b"RGB " if len(pixels) >= 3 else b"GRAY") else None
        exif_bytes = _exif_without_geometry(exif)
    if len(pixels) in (2, 4):
        pixels = _with_colour_under_transparency(pixels)
    return Photo(upright(pixels, orientation), icc, exif_bytes, frames)


def upright(pixels: Tensor, orientation: int) -> Tensor:
    """(C, H, W) turned as the EXIF orientation 1 to 8 tells; other values change nothing."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(-2, -1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels.flip(-1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels.flip(-2)
    return pixels


def write_photo(
    path: str | os.PathLike[str],
    bands: Iterable[Tensor],
    size: tuple[int, int, int],
    photo: Photo,
    overwrite: bool = False,
) -> None:
    """Write rows as they come, with the profile and camera's data of ``photo``; all or nothing.

    Args:
        path: ``.png`` is written band by band; ``.jpg`` and ``.webp`` are collected first.
        bands: (1, C, rows, W) or (C, rows, W) from top to bottom, uint8 or uint16.
        size: (C, H, W) of the whole.
        overwrite: replace an existing file instead of refusing.

    Raises:
        UserError: the file exists, or its format can't hold the transparency or the 16 bits.
    """
    path = Path(path)
    check_output(path, photo, overwrite)
    with _atomic(path, overwrite) as file:
        if path.suffix.lower() == ".png":
            _write_png(file, bands, size, photo)
        else:
            _write_collected(file, path.suffix.lower(), bands, photo)


def check_output(path: Path, photo: Photo, overwrite: bool) -> None:
    """Raise `UserError` now for what `write_photo` could not write later."""
    suffix = path.suffix.lower()
    if suffix not in OUTPUT_SUFFIXES:
        raise UserError(f"{path}: {suffix or 'no suffix'}; must be {', '.join(OUTPUT_SUFFIXES)}")
    if path.exists() and not overwrite:
        raise UserError(f"{path}: exists; overwrite=True replaces it")
    if suffix in (".jpg", ".jpeg") and photo.has_alpha:
        raise UserError(f"{path}: JPEG holds no transparency; use .png or .webp")
    if suffix != ".png" and photo.pixels.dtype == torch.uint16:
        raise UserError(f"{path}: {suffix} holds 8 bits only, the input has 16; use .png")


class PhotoGenerator(nn.Module):
    """A generator for what photos have: grey for an RGB network, RGB for a grey one, alpha.

    Grey images are shown to an RGB network as RGB, and the luma of its result is taken. A grey
    network gets the luma of RGB images, whose colours are upscaled by bicubic, and so is alpha.

    Args:
        generator: made by `tmd.models.create_generator`.
        channels: 1 to 4, as in `Photo`.
    """

    luma: Tensor

    def __init__(self, generator: nn.Module, channels: int) -> None:
        super().__init__()
        self.generator = generator
        self.channels = channels
        self.colours = 3 if channels >= 3 else 1
        self.scale = int(generator.scale)  # type: ignore[arg-type]
        self.bicubic = BicubicUpsampling(self.scale)
        device = next(generator.parameters(), torch.empty(0)).device
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)
        self.to(device)
        radius = generator.receptive_field
        self.receptive_field = None if radius is None else max(int(radius), self.bicubic.radius)  # type: ignore[arg-type]

    def forward(self, lr: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> (N, C, scale·H, scale·W)."""
        colours = self._colours(lr[:, : self.colours])
        if self.channels == self.colours:
            return colours
        return torch.cat([colours, self.bicubic(lr[:, self.colours :])], 1)

    def _colours(self, lr: Tensor) -> Tensor:
        if self.generator.channels == self.colours:
            return self.generator(lr)
        if self.colours == 1:
            return (self.generator(lr.expand(-1, 3, -1, -1)) * self.luma).sum(1, keepdim=True)
        luma = (lr * self.luma).sum(1, keepdim=True)
        return self.generator(luma) + self.bicubic(lr - luma)


def _pixels(path: Path, image: Image.Image) -> tuple[Tensor, bytes | None]:
    icc = image.info.get("icc_profile")
    deep = _deep_pixels(path, image)
    if deep is not None:
        return deep, icc
    if image.mode == "CMYK":
        image, icc = _cmyk_to_srgb(image, icc)
    elif image.mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa"):
        image, icc = image.convert("RGB"), None  # LAB, YCbCr, HSV: the profile was theirs
    grey = image.mode in ("1", "L", "LA", "La")
    transparent = image.has_transparency_data
    if grey:
        image = image.convert("LA" if transparent else "L")
    else:
        palette = image.mode in ("P", "PA")
        image = image.convert("RGBA" if transparent else "RGB")
        if palette and _is_grey(image):
            image = image.convert("LA" if transparent else "L")
    pixels = torch.from_numpy(np.array(image))
    return (pixels[None] if pixels.dim() == 2 else pixels.permute(2, 0, 1)), icc


def _deep_pixels(path: Path, image: Image.Image) -> Tensor | None:
    """The pixels of a file with 16 bits a channel, which Pillow's colour modes cut to 8."""
    if image.mode == "F":
        raise UserError(f"{path}: floating-point images have no range")
    if image.format == "PNG" and _is_deep_colour(path):
        return _decoded_by_torchvision(path)
    if image.format == "TIFF" and image.tag_v2.get(258, (8,))[0] == 16 and image.mode == "RGB":  # type: ignore[attr-defined]
        pixels = torch.from_numpy(tifffile.imread(path, key=0))
        return pixels.permute(2, 0, 1) if pixels.shape[-1] in (3, 4) else pixels
    if not image.mode.startswith("I"):
        return None
    levels = np.array(image)
    if levels.min() < 0 or levels.max() > 65535:
        raise UserError(f"{path}: more than 16 bits have no range")
    return torch.from_numpy(levels.astype(np.uint16))[None]


def _is_deep_colour(path: Path) -> bool:
    """Whether a PNG has 16 bits and more than one channel (ISO 15948, 11.2.1)."""
    with open(path, "rb") as file:
        depth, colour = file.read(26)[24:]
    return depth == 16 and colour != 0


def _decoded_by_torchvision(path: Path) -> Tensor:
    with warnings.catch_warnings():
        # It is to leave torchvision one day; then this says so instead of losing bits.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            from torchvision.io import decode_image, read_file
        except ImportError:
            raise UserError(
                f"{path}: this torchvision reads no PNG of 16 bits; convert it to TIFF"
            ) from None
        return decode_image(read_file(str(path)))


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = image.split()[:3]
    return red.tobytes() == green.tobytes() == blue.tobytes()


def _cmyk_to_srgb(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, bytes | None]:
    if icc:
        try:
            srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
            converted = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(icc)), srgb, outputMode="RGB"
            )
            if converted is not None:
                return converted, srgb.tobytes()
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile: as if there were none
    return image.convert("RGB"), None


def _exif_without_geometry(exif: Image.Exif) -> bytes | None:
    """EXIF without what is no longer true of upright and larger pixels."""
    try:
        exif.pop(ORIENTATION, None)
        if EXIF_IFD in exif:
            for tag in PIXEL_DIMENSIONS:
                exif.get_ifd(EXIF_IFD).pop(tag, None)
        if not len(exif):
            return None
        return exif.tobytes().removeprefix(b"Exif\0\0")
    except Exception:  # the photo matters more than a camera's broken notes
        return None


def _with_colour_under_transparency(pixels: Tensor) -> Tensor:
    """The same picture; where nothing is seen, the colour of the nearest pixel that is.

    What a file holds there is arbitrary, and upscaling would mix it into the edges.
    """
    clear = (pixels[-1].to(torch.int32) == 0).numpy()
    if not clear.any() or clear.all():
        return pixels
    rows, columns = distance_transform_edt(clear, return_distances=False, return_indices=True)
    levels = pixels.numpy().copy()
    levels[:-1] = levels[:-1, rows, columns]
    return torch.from_numpy(levels)


@contextmanager
def _atomic(path: Path, overwrite: bool) -> Iterator[BinaryIO]:
    """A file that appears as ``path`` when all of it is written, and never over another's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Opened by name, not by mkstemp, so that the file gets the rights that the user's umask gives.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        temporary = Path(folder) / path.name
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(temporary, path)
        else:
            _publish(temporary, path)


def _publish(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise UserError(f"{path}: exists; overwrite=True replaces it") from None
    except OSError:  # a file system without hard links
        os.replace(temporary, path)


def _rows(bands: Iterable[Tensor]) -> Iterator[np.ndarray]:
    """(rows, W, C) arrays of few rows each."""
    for band in bands:
        for piece in band.reshape(band.shape[-3:]).split(ROWS_AT_ONCE, dim=1):
            yield piece.permute(1, 2, 0).contiguous().numpy()


def _write_collected(file: BinaryIO, suffix: str, bands: Iterable[Tensor], photo: Photo) -> None:
    levels = np.concatenate(list(_rows(bands)))
    image = Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels)
    options: dict[str, Any] = {"quality": JPEG_QUALITY}
    if photo.icc:
        options["icc_profile"] = photo.icc
    if photo.exif:
        options["exif"] = b"Exif\0\0" + photo.exif
    if suffix == ".webp":
        options |= {"lossless": True, "quality": 50}
        if image.mode in ("L", "LA"):
            image = image.convert("RGBA" if image.mode == "LA" else "RGB")
    image.save(file, "WEBP" if suffix == ".webp" else "JPEG", **options)


def _write_png(
    file: BinaryIO, bands: Iterable[Tensor], size: tuple[int, int, int], photo: Photo
) -> None:
    """PNG (ISO 15948) row by row; Pillow's writer wants the whole image first."""
    channels, height, width = size
    depth = 16 if photo.pixels.dtype == torch.uint16 else 8
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(kind: bytes, data: bytes) -> None:
        file.write(struct.pack(">I", len(data)) + kind + data)
        file.write(struct.pack(">I", zlib.crc32(kind + data)))

    file.write(b"\x89PNG\r\n\x1a\n")
    chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    if photo.icc:
        chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(photo.icc))
    if photo.exif:
        chunk(b"eXIf", photo.exif)
    compressor = zlib.compressobj(6)
    step = channels * depth // 8
    above = np.zeros(width * step, np.uint8)
    for rows in _rows(bands):
        levels = rows.astype(">u2") if depth == 16 else rows
        raw = levels.reshape(len(levels), -1).view(np.uint8)
        if data := compressor.compress(_filtered(raw, above, step).tobytes()):
            chunk(b"IDAT", data)
        above = raw[-1]
    chunk(b"IDAT", compressor.flush())
    chunk(b"IEND", b"")


def _filtered(raw: np.ndarray, above: np.ndarray, step: int) -> np.ndarray:
    """Rows of bytes as differences, by the filter that leaves the least, its number first."""
    up = np.vstack([above[None], raw[:-1]])
    left, corner = (np.pad(rows, ((0, 0), (step, 0)))[:, :-step] for rows in (raw, up))
    candidates = {1: left, 2: up, 4: _paeth(left, up, corner)}
    differences = np.stack([raw - prediction for prediction in candidates.values()])
    # Bytes are differences modulo 256: 255 is as near to 0 as 1 is.
    cost = np.abs(differences.view(np.int8).astype(np.int16)).sum(-1, dtype=np.int64)
    best = cost.argmin(0)
    result = np.empty((len(raw), raw.shape[1] + 1), np.uint8)
    result[:, 0] = np.array(list(candidates))[best]
    result[:, 1:] = differences[best, np.arange(len(raw))]
    return result


def _paeth(left: np.ndarray, up: np.ndarray, corner: np.ndarray) -> np.ndarray:
    a, b, c = (rows.astype(np.int16) for rows in (left, up, corner))
    to_a, to_b, to_c = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    nearest_b = np.where(to_b <= to_c, up, corner)
    return np.where((to_a <= to_b) & (to_a <= to_c), left, nearest_b)
