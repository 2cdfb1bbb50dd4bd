"""Images with all that their files hold: bits, bands, transparency, profile, georeference.

Beside `tmd.images`, which gives networks what they train on, this gives people their image back,
larger. Files are written as the rows come, so that no memory need hold the result.
"""

from tmd.photos.generator import Bicubic, PhotoGenerator
from tmd.photos.photo import Photo
from tmd.photos.reading import read_bands, read_photo
from tmd.photos.upscaler import Upscaler, check_meaning, result_suffix
from tmd.photos.writing import (
    OUTPUT_SUFFIXES,
    STACKS,
    Picture,
    check_output,
    check_suffix,
    exists,
    lost_in,
    write_photo,
    write_photos,
)

__all__ = [
    "OUTPUT_SUFFIXES",
    "STACKS",
    "Bicubic",
    "Photo",
    "PhotoGenerator",
    "Picture",
    "Upscaler",
    "check_meaning",
    "check_output",
    "check_suffix",
    "exists",
    "lost_in",
    "read_bands",
    "read_photo",
    "result_suffix",
    "write_photo",
    "write_photos",
]
