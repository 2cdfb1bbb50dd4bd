"""Reading and writing image files, bytes <-> floats, and the luma that the field measures on.

Knows nothing of datasets: one file in, one tensor out, or an error that names the file.
"""

from tmd.images.formats import IMAGE_SUFFIXES
from tmd.images.kind import DTYPES, EIGHT_BITS, ImageKind
from tmd.images.levels import (
    HIGHEST_LEVEL,
    as_8_bit,
    nearest_levels,
    rgb_to_y,
    rounded_to,
    to_float,
    to_levels,
    to_uint8,
)
from tmd.images.listing import list_images, scan_images
from tmd.images.native import Probe, probe, read_native
from tmd.images.opening import set_max_pixels
from tmd.images.reading import read_image, read_pixels, read_size
from tmd.images.regular import open_file
from tmd.images.stacks import images_in, split_name
from tmd.images.writing import write_image, write_native

__all__ = [
    "DTYPES",
    "EIGHT_BITS",
    "HIGHEST_LEVEL",
    "IMAGE_SUFFIXES",
    "ImageKind",
    "Probe",
    "as_8_bit",
    "images_in",
    "list_images",
    "nearest_levels",
    "open_file",
    "probe",
    "read_image",
    "read_native",
    "read_pixels",
    "read_size",
    "rgb_to_y",
    "rounded_to",
    "scan_images",
    "set_max_pixels",
    "split_name",
    "to_float",
    "to_levels",
    "to_uint8",
    "write_image",
    "write_native",
]
