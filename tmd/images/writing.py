"""Image files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tmd.errors import UserError
from tmd.files import replacing
from tmd.images.encoding import (
    Look,
    tiff_writer,
    write_npy_header,
    write_npy_rows,
    write_page,
    write_png,
)
from tmd.images.formats import BY_SUFFIX, PathLike, check_size
from tmd.images.kind import ImageKind
from tmd.images.levels import to_uint8


def write_native(path: PathLike, image: torch.Tensor, kind: ImageKind) -> None:
    """Write an image of any kind, so that ``path`` holds all of it or is untouched.

    Args:
        path: ``.tif`` and ``.npy`` hold any kind, ``.png`` up to four channels of 8 or 16 bits; in
            an array the channels are the last axis, and a single one has none.
        image: (C, H, W), numbers of ``kind``, as `ImageKind.to_native` makes them.
        kind: of the image.

    Raises:
        UserError: the suffix names no format that can be written, or one that can't hold the image.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if tuple(image.shape[:1]) != (kind.channels,) or image.dtype != kind.torch_dtype:
        raise ValueError(f"{tuple(image.shape)}, {image.dtype}: not of {kind}")
    if suffix not in (*_ANY_KIND, ".png") or (suffix == ".png" and not _fits_png(kind)):
        if kind.dtype == "uint8" and kind.channels in (1, 3):
            write_image(path, image)
            return
        check_known(path)
        bands = f"{kind.channels} bands of {kind.dtype}"
        raise UserError(f"{path}: {BY_SUFFIX[suffix].name} holds no {bands}; use .tif or .npy")
    size = (image.shape[0], image.shape[1], image.shape[2])
    rows = [image.detach().cpu().permute(1, 2, 0).numpy()]
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, durable=False) as file:
        if suffix == ".png":
            write_png(file, rows, size, kind.dtype)
        elif suffix == ".npz":
            np.savez(file, rows[0] if kind.channels > 1 else rows[0][..., 0])
        elif suffix == ".npy":
            shape = size[1:] if kind.channels == 1 else (*size[1:], kind.channels)
            write_npy_header(file, shape, kind.dtype)
            write_npy_rows(file, rows, size, "HWC")
        else:
            with tiff_writer(file, image.nbytes) as writer:
                write_page(writer, rows, size, kind.dtype, Look(rgb=kind.is_rgb))


_ANY_KIND = (".tif", ".tiff", ".npy", ".npz")


def _fits_png(kind: ImageKind) -> bool:
    return kind.dtype != "float32" and kind.channels <= 4


def check_known(path: Path) -> None:
    """Raise `UserError` for a suffix that names no image format."""
    if path.suffix.lower() not in BY_SUFFIX:
        raise UserError(f"{path}: {path.suffix or 'no suffix'} names no image format; use .png")


def write_image(path: PathLike, image: torch.Tensor) -> None:
    """Write (C, H, W), uint8 or float in [0, 1], so that ``path`` holds all of it or is untouched.

    Raises:
        UserError: the suffix names no format that can be written, or the image is too large for it.
    """
    path = Path(path)
    check_known(path)
    pixels = (image if image.dtype == torch.uint8 else to_uint8(image)).detach().cpu()
    if path.suffix.lower() in (".npy", ".npz"):
        write_native(path, pixels, ImageKind(len(pixels)))
        return
    format = BY_SUFFIX[path.suffix.lower()]
    check_size(path, *image.shape)
    picture = Image.fromarray((pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0)).numpy())
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, durable=False) as file:
        picture.save(file, format=format.name)
