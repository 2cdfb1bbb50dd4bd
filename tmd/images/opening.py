"""Image files opened safely: regular files of known formats and bounded size, errors by name."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from PIL import Image

from tmd.errors import UserError, check_number
from tmd.images.formats import PathLike, pillows_formats
from tmd.images.png import MAGIC, essential, exif
from tmd.images.regular import open_file
from tmd.images.stacks import split_name

# Where Pillow would only warn, on every image of a set, `check_pixels` refuses; and to silence a
# warning for a moment is not safe with threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

DEFAULT_MAX_PIXELS = Image.MAX_IMAGE_PIXELS
_max_pixels_key = "max_pixels"
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def set_max_pixels(limit: int | None, key: str = "max_pixels") -> None:
    """Set the most pixels that an image may have to be read, in this process and its forks.

    A small file may claim so many that they fill the memory. The default is Pillow's, about 89
    million. It is Pillow's own setting, so that both stop at the same size.

    Args:
        limit: None for the default.
        key: of the config that sets it, which messages name.

    Raises:
        UserError: it is not a positive integer.
    """
    if limit is not None:
        check_number(key, limit, minimum=1, integer=True)
    name_max_pixels(key)
    Image.MAX_IMAGE_PIXELS = DEFAULT_MAX_PIXELS if limit is None else limit


def name_max_pixels(key: str) -> None:
    """Have messages on too many pixels name ``key``, in this process and its forks."""
    global _max_pixels_key
    _max_pixels_key = key


def check_pixels(path: PathLike, width: int, height: int) -> None:
    """Raise `UserError` for more pixels than `set_max_pixels` allows."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise _too_large(path, f" ({width}×{height})")


def _too_large(path: PathLike, size: str = "") -> UserError:
    return UserError(
        f"{path}: more than {Image.MAX_IMAGE_PIXELS} pixels{size}; a larger {_max_pixels_key} "
        "reads it"
    )


@contextmanager
def opened(path: PathLike) -> Iterator[BinaryIO]:
    """A file for reading; whatever a decoder raises becomes one line that names the file.

    Args:
        path: of a file, or of an image in a stack, see `tmd.images.stacks`.

    Raises:
        UserError: it is absent, no regular file (a pipe would never answer), or no sound image.
    """
    with named_errors(path), open_file(split_name(path)[0]) as file:
        yield file


def is_tiff(file: BinaryIO) -> bool:
    """Return whether the file is a TIFF or BigTIFF; its place is the start then."""
    return _begins(file) in TIFF_MAGIC


def is_png(file: BinaryIO) -> bool:
    """Return whether the file is a PNG; its place is the start then."""
    return _begins(file) == MAGIC[:4]


def _begins(file: BinaryIO) -> bytes:
    file.seek(0)
    start = file.read(4)
    file.seek(0)
    return start


def pillow_image(path: PathLike, file: BinaryIO) -> Image.Image:
    """Pillow's image with only its header read; of a PNG, without texts and profile.

    Raises:
        UserError: it has more pixels than `set_max_pixels` allows.
    """
    png = is_png(file)
    try:
        image = Image.open(essential(file) if png else file, formats=pillows_formats(path))
    except Image.DecompressionBombError:
        raise _too_large(path) from None
    check_pixels(path, *image.size)
    # It may lie behind the pixels, where Pillow finds it when it has decoded them.
    if png and (camera := exif(file)) is not None:
        image.info["exif"] = b"Exif\0\0" + camera
    return image


class named_errors:
    """Turns whatever a decoder raises into one line that names the file."""

    def __init__(self, path: PathLike) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, problem: BaseException | None, _: Any) -> None:
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
