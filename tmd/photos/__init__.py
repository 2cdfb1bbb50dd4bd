"""Photos with all that their files hold: 16 bits, transparency, colour profile, camera's data.

Beside `tmd.images`, which gives networks what they train on, this gives people their photo back,
larger. PNG files are written as the rows come, so that no memory need hold the result.
"""

from tmd.photos.generator import PhotoGenerator
from tmd.photos.reading import Photo, read_photo
from tmd.photos.writing import (
    OUTPUT_SUFFIXES,
    check_output,
    check_suffix,
    exists,
    lost_in,
    write_photo,
)

__all__ = [
    "OUTPUT_SUFFIXES",
    "Photo",
    "PhotoGenerator",
    "check_output",
    "check_suffix",
    "exists",
    "lost_in",
    "read_photo",
    "write_photo",
]
