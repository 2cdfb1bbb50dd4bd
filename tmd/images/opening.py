"""Image files opened safely: their headers, and errors that name the file."""

from __future__ import annotations

import os
import warnings

from PIL import Image

from tmd.errors import UserError

PathLike = str | os.PathLike[str]

# Where Pillow would only warn, on every image of a set, `open_image` refuses; and to silence a
# warning for a moment is not safe with threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


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
