#!/usr/bin/env bash
# Pillow 13.0.0 reads two kinds of 16-bit TIFF wrongly that it reads right at 8 bits.
#
# * RGB whose bands lie one after the other (PlanarConfiguration 2), not compressed: each plane is
#   read as if it had 8 bits. A row is the low and high bytes of its left half in turn, so that the
#   image is stretched and striped. The same pixels compressed by zlib are right, as they go through
#   libtiff.
# * Grey with PhotometricInterpretation 0 (white is zero): 8 bits are inverted, as they should be,
#   16 bits are not: a negative, in a mode that says nothing of it.
#
# Nothing is raised or warned of. Files by tifffile 2026.3.3, which reads them back right.
# Seen on 28 November 2026, Python 3.11, Linux:
#
#     RGB, 16 bits, planar           red 256, 512, 768, 1024 -> 0, 1, 0, 2   (should be 1, 2, 3, 4)
#     RGB, 16 bits, planar, zlib     red 256, 512, 768, 1024 -> 1, 2, 3, 4
#     RGB, 8 bits, planar            red 1, 2, 3, 4 -> 1, 2, 3, 4
#     white is zero, 8 bits          0, 1, 2, 255 -> 255, 254, 253, 0
#     white is zero, 16 bits         0, 1, 2, 65535 -> 0, 1, 2, 65535
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet \
    pillow==13.0.0 tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6
cd "$work"
venv/bin/python -W error - << 'END'
import sys

import numpy as np
import tifffile
from PIL import Image


def by_pillow(stored, **options):
    tifffile.imwrite("a.tif", stored, metadata=None, **options)
    assert np.array_equal(tifffile.imread("a.tif"), stored)
    with Image.open("a.tif") as image:
        return np.asarray(image)


def red(dtype, factor, **options):
    row = np.array([1, 2, 3, 4], dtype) * dtype(factor)
    planes = np.stack([np.stack([row, row])] * 3)
    return by_pillow(planes, photometric="rgb", planarconfig="separate", **options)[0, :, 0].tolist()


def negative(dtype):
    levels = np.array([[0, 1, 2, np.iinfo(dtype).max]], dtype)
    return by_pillow(levels, photometric="miniswhite")[0].tolist()


seen = {
    "RGB, 16 bits, planar": red(np.uint16, 256),
    "RGB, 16 bits, planar, zlib": red(np.uint16, 256, compression="zlib"),
    "RGB, 8 bits, planar": red(np.uint8, 1),
    "white is zero, 8 bits": negative(np.uint8),
    "white is zero, 16 bits": negative(np.uint16),
}
for name, levels in seen.items():
    print(f"{name}: {levels}")
expected = [[0, 1, 0, 2], [1, 2, 3, 4], [1, 2, 3, 4], [255, 254, 253, 0], [0, 1, 2, 65535]]
sys.exit(0 if list(seen.values()) == expected else "it has changed")
END
