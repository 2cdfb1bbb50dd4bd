#!/usr/bin/env bash
# OpenCV 5.0.0's imread(..., IMREAD_UNCHANGED) changes TIFFs: colours, bits, or white and black.
#
# * RGB with unassociated alpha: of 8 bits the colours come multiplied by alpha, of 16 bits as they
#   are; where alpha is associated (the colours are multiplied in the file), or kept in a PNG, they
#   come as they are. So colour under little alpha is lost for good, and the array does not tell.
# * Grey and alpha of 16 bits come as one plane of 8 bits: half of the bits and alpha are gone.
# * Grey of 16 bits with PhotometricInterpretation 0 (white is zero) is a negative with
#   IMREAD_UNCHANGED and a positive with IMREAD_GRAYSCALE; of 8 bits both are positives.
#
# Nothing is said. Files by tifffile 2026.3.3, which reads them back right.
# Seen on 28 November 2026 with opencv-python-headless 5.0.0.93, Python 3.11, Linux. RGB 200, 100, 50
# (times 257 for 16 bits) beside alpha 128:
#
#     8 bits, unassociated     100, 50, 25      16 bits, unassociated    200, 100, 50
#     8 bits, associated       200, 100, 50     PNG, 8 bits              200, 100, 50
#
# Grey and unassociated alpha, 16 bits: shape (1, 4), uint8. White is zero, levels 0, 100, 200, 255:
#
#     8 bits     UNCHANGED 255, 155, 55, 0     GRAYSCALE 255, 155, 55, 0
#     16 bits    UNCHANGED 0, 100, 200, 255    GRAYSCALE 255, 155, 55, 0     (in 255ths)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet \
    opencv-python-headless==5.0.0.93 tifffile==2026.3.3 numpy==2.4.6
cd "$work"
venv/bin/python - << 'END'
import sys

import cv2
import numpy as np
import tifffile

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
FACTORS = {np.uint8: 1, np.uint16: 257}


def read(levels, dtype, flag=cv2.IMREAD_UNCHANGED, **options):
    stored = levels.astype(dtype) * dtype(FACTORS[dtype])
    tifffile.imwrite("a.tif", stored, metadata=None, **options)
    assert np.array_equal(tifffile.imread("a.tif"), stored)
    return cv2.imread("a.tif", flag)


def colours(image):
    """Of the middle pixel, as RGB in 255ths."""
    return (image[0, 1, 2::-1] // FACTORS[image.dtype.type]).tolist()


rgba = np.array([[[200, 100, 50, alpha] for alpha in (255, 128, 0)]])
seen = {
    f"{dtype.__name__}, {kind}": colours(
        read(rgba, dtype, photometric="rgb", extrasamples=[kind])
    )
    for dtype in FACTORS
    for kind in ("unassalpha", "assocalpha")
}
cv2.imwrite("a.png", rgba[..., [2, 1, 0, 3]].astype(np.uint8))
seen["PNG"] = colours(cv2.imread("a.png", cv2.IMREAD_UNCHANGED))

grey = np.array([[0, 100, 200, 255]])
both = np.dstack([grey, np.full_like(grey, 128)])
found = read(
    both, np.uint16, photometric="minisblack", extrasamples=["unassalpha"], planarconfig="contig"
)
seen["grey and alpha"] = found.shape, found.dtype.name
for dtype in FACTORS:
    for name in ("UNCHANGED", "GRAYSCALE"):
        found = read(grey, dtype, getattr(cv2, f"IMREAD_{name}"), photometric="miniswhite")
        levels = (found[0] // FACTORS[found.dtype.type]).tolist()
        seen[f"white is zero, {dtype.__name__}, {name}"] = levels
for name, value in seen.items():
    print(f"{name}: {value}")

kept, positive = [200, 100, 50], [255, 155, 55, 0]
expected = {
    "uint8, unassalpha": [100, 50, 25],
    "uint8, assocalpha": kept,
    "uint16, unassalpha": kept,
    "uint16, assocalpha": kept,
    "PNG": kept,
    "grey and alpha": ((1, 4), "uint8"),
    "white is zero, uint8, UNCHANGED": positive,
    "white is zero, uint8, GRAYSCALE": positive,
    "white is zero, uint16, UNCHANGED": [0, 100, 200, 255],
    "white is zero, uint16, GRAYSCALE": positive,
}
sys.exit(0 if seen == expected else "it has changed")
END
