"""Reading and writing image files, bytes <-> floats, and the luma that the field measures on.

Knows nothing of datasets: one file in, one tensor out, or an error that names the file.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps

from tmd.errors import UserError

_RASTER = "png jpg jpeg jpe bmp tif tiff webp gif ppm pgm pnm jp2 tga"
IMAGE_SUFFIXES = frozenset(f".{suffix}" for suffix in _RASTER.split())

# Where Pillow would only warn, on every image of a set, `open_image` refuses; and to silence a
# warning for a moment is not safe with threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

PathLike = str | os.PathLike[str]


def read_image(path: PathLike, channels: int = 3) -> torch.Tensor:
    """Read an image file as a person would see it.

    EXIF rotation is applied, transparency is laid on white, 16-bit grey is scaled to 8 bits, CMYK
    and palettes become RGB; of an animation, the first frame is taken.

    Args:
        path: any format that Pillow reads.
        channels: 3 for RGB, 1 for grey (BT.601 luma, full range).

    Returns:
        (C, H, W), uint8.

    Raises:
        UserError: the file is absent, truncated, not an image, or too large to be one (more pixels
            than ``PIL.Image.MAX_IMAGE_PIXELS``).
    """
    # numpy lays it out anew sixteen times as fast as torch does.
    return torch.from_numpy(np.ascontiguousarray(read_pixels(path, channels).numpy()))


def read_pixels(path: PathLike, channels: int = 3) -> torch.Tensor:
    """What `read_image` reads, in the order of the file: a view with the channels innermost.

    To cut a patch of it costs a fraction of laying out the whole image anew.
    """
    mode = "L" if channels == 1 else "RGB"
    with named_errors(path), open_image(path) as file:
        ImageOps.exif_transpose(file, in_place=True)  # else all that need no turn are copied
        image = _as_8_bits(file, path)
        pixels = np.array(image if image.mode == mode else image.convert(mode))
    return torch.from_numpy(pixels.reshape(image.height, image.width, channels)).permute(2, 0, 1)


def read_size(path: PathLike) -> tuple[int, int]:
    """(H, W) of an image file as `read_image` will return it, from its header alone.

    Raises:
        UserError: as `read_image`, as far as the header tells.
    """
    with named_errors(path), open_image(path) as file:
        width, height = file.size
        turned = file.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)


def write_image(path: PathLike, image: torch.Tensor) -> None:
    """Write (C, H, W), uint8 or float in [0, 1], so that ``path`` holds all of it or is untouched.

    Raises:
        UserError: the suffix names no format that can be written.
    """
    path = Path(path)
    Image.init()
    if path.suffix.lower() not in Image.EXTENSION:
        raise UserError(f"{path}: {path.suffix or 'no suffix'} names no image format; use .png")
    pixels = (image if image.dtype == torch.uint8 else to_uint8(image)).detach().cpu()
    picture = Image.fromarray((pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0)).numpy())
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            picture.save(file, format=Image.EXTENSION[path.suffix.lower()])
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


HIGHEST_LEVEL = {torch.uint8: 255, torch.uint16: 65535}
"""The level that stands for 1, by the type of integers that images have."""


def to_float(image: torch.Tensor) -> torch.Tensor:
    """uint8 -> float32 in [0, 1], any shape."""
    return image.to(torch.float32).div_(255)


def to_levels(image: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Values in [0, 1] as ``dtype``, any shape: the one place where images are rounded.

    Args:
        dtype: uint8 or uint16, for the nearest level of the clamped values; other types take the
            values as they are.
    """
    if dtype not in HIGHEST_LEVEL:
        return image.to(dtype)
    # Half precision has no room for the levels' fractions.
    exact = image if image.dtype == torch.float64 else image.float()
    levels = exact.clamp(0, 1).mul_(HIGHEST_LEVEL[dtype]).round_()
    # CUDA has no kernels for uint16: the conversion goes over int32 on the CPU.
    return levels.to(dtype) if dtype == torch.uint8 else levels.to(torch.int32).cpu().to(dtype)


def to_uint8(image: torch.Tensor) -> torch.Tensor:
    """Float in [0, 1] -> uint8, clamped and rounded to the nearest level, any shape."""
    return to_levels(image.detach(), torch.uint8)


def as_8_bit(image: torch.Tensor) -> torch.Tensor:
    """Values in [0, 1] as they come back from an 8-bit file, still float, any shape."""
    return image.clamp(0, 1).mul(255).round_().div_(255)


def rgb_to_y(image: torch.Tensor) -> torch.Tensor:
    """Luma of BT.601 in studio range, as MATLAB's ``rgb2ycbcr`` gives it.

    Args:
        image: (N, 3, H, W) in [0, 1].

    Returns:
        (N, 1, H, W) in [16/255, 235/255].
    """
    if image.shape[1] != 3:
        raise ValueError(f"expected (N, 3, H, W), got {tuple(image.shape)}")
    red, green, blue = image.unbind(1)
    return ((65.481 * red + 128.553 * green + 24.966 * blue + 16) / 255)[:, None]


def list_images(root: PathLike, recursive: bool = True) -> list[Path]:
    """The image files under a folder, sorted by path; hidden files and folders are left out."""
    return [Path(path) for path in sorted(scan_images(root, recursive))]


def scan_images(
    root: PathLike, recursive: bool = True, on_folder: Callable[[str], object] | None = None
) -> Iterator[str]:
    """The paths of `list_images`, in no order, as they are found; fit for millions of files.

    Args:
        root: the folder.
        recursive: whether the folders in it are searched too.
        on_folder: called with each folder before it is searched, and with links to folders that are
            left out as they lead to what is searched anyway.
    """
    folders = [os.fspath(root)]
    seen = {os.path.realpath(root)}
    while folders:
        folder = folders.pop()
        if on_folder is not None:
            on_folder(folder)
        try:
            entries = os.scandir(folder)
        except OSError as problem:
            raise UserError(f"{problem.filename}: {problem.strerror}") from None
        with entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:
                    if not entry.is_dir():
                        yield entry.path
                elif recursive and entry.is_dir() and entry.name != "__MACOSX":
                    if not entry.is_symlink() or _leads_to_new(entry.path, seen):
                        folders.append(entry.path)
                    elif on_folder is not None:
                        on_folder(entry.path)


def _leads_to_new(link: str, seen: set[str]) -> bool:
    """Whether a linked folder is neither inside nor around one that is seen; if so, it is now."""
    target = os.path.realpath(link)
    if any(os.path.commonpath([target, folder]) in (target, folder) for folder in seen):
        return False
    seen.add(target)
    return True


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


class named_errors:
    """Turns whatever a decoder raises into one line that names the file."""

    def __init__(self, path: PathLike) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, problem: BaseException | None, _: object) -> None:
        # Decoders raise whatever their parsers trip over: SyntaxError, struct.error, IndexError...
        if not isinstance(problem, Exception) or isinstance(problem, (UserError, MemoryError)):
            return
        if isinstance(problem, FileNotFoundError):
            reason = "no such file"
        elif isinstance(problem, Image.UnidentifiedImageError):
            reason = "not an image"
        elif isinstance(problem, OSError) and problem.strerror:
            reason = problem.strerror
        else:
            reason = f"broken image ({' '.join(str(problem).split()) or type(problem).__name__})"
        raise UserError(f"{self.path}: {reason}") from None


def open_image(path: PathLike) -> Image.Image:
    """Pillow's image with only its header read, unless it is too large to be one."""
    try:
        image = Image.open(path)
    except Image.DecompressionBombError:
        image = None
    limit = Image.MAX_IMAGE_PIXELS
    if image is None or (limit is not None and image.width * image.height > limit):
        if image is not None:
            image.close()
        raise UserError(
            f"{path}: more than {limit} pixels, taken for a decompression bomb "
            "(PIL.Image.MAX_IMAGE_PIXELS is the limit)"
        )
    return image


def _as_8_bits(image: Image.Image, path: PathLike) -> Image.Image:
    """The image in a mode that `Image.convert` takes to RGB or grey without loss of meaning."""
    if image.mode.startswith("I"):
        # Pillow's own conversion clips 16 bits to 8 instead of scaling.
        levels = np.asarray(image).astype(np.float64) / 257
        return Image.fromarray(np.rint(levels).clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        raise UserError(f"{path}: floating-point images, whose range nothing says, are not read")
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        return opaque
    return image
