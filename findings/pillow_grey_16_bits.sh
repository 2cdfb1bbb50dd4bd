#!/usr/bin/env bash
# Pillow 13.0.0 resizes grey of 16 bits ("I;16") right, but turns and counts it as bytes.
#
# `resize` and `rotate` take the same filters. Of a 16-bit image, `rotate` and `transform` with
# BILINEAR or BICUBIC interpolate as if each level were one byte: of levels about 30000, levels below
# 256 come out (NEAREST, the default, is right). `histogram`, and so `ImageStat`, counts the first
# WIDTH bytes of each row: the low and the high bytes of its left half. `getextrema` is right. Modes
# that are not supported raise an error elsewhere in Pillow; here nothing is said. That `transform`
# gives black is known since 2015 (Pillow's issue 1127, closed).
#
# Seen on 28 November 2026, Python 3.11, Linux; a ramp from 0 to 58900, in the middle:
#
#     rotate(10, NEAREST)       I;16 30400    F 30400
#     rotate(10, BILINEAR)      I;16 151      F 30394
#     rotate(10, BICUBIC)       I;16 155      F 30393
#     resize(8 x 8, BICUBIC)    I;16 and F differ by rounding only
#     ImageStat extrema (0, 252), getextrema (0, 58900)
#     histogram() == counts of the bytes of the left half: True
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pillow==13.0.0 numpy==2.4.6
"$work/venv/bin/python" -W error - << 'END'
import sys

import numpy as np
from PIL import Image, ImageStat

y, x = np.mgrid[:32, :32]
levels = (900 * x + 1000 * y).astype("<u2")
grey, exact = Image.fromarray(levels), Image.fromarray(levels.astype(np.float32))
assert grey.mode == "I;16" and exact.mode == "F"

middles = {}
for name in ("NEAREST", "BILINEAR", "BICUBIC"):
    turned = [image.rotate(10, Image.Resampling[name]) for image in (grey, exact)]
    middles[name] = tuple(round(float(np.asarray(image)[16, 16])) for image in turned)
    print(f"rotate(10, {name}): I;16 {middles[name][0]}, F {middles[name][1]}")
small = [np.asarray(image.resize((8, 8), Image.Resampling.BICUBIC)) for image in (grey, exact)]
difference = float(np.abs(small[0].astype(float) - small[1]).max())
print(f"resize(8 x 8, BICUBIC): I;16 and F differ by {difference:.2f}")
extrema = ImageStat.Stat(grey).extrema, grey.getextrema()
print(f"ImageStat extrema {extrema[0]}, getextrema {extrema[1]}")
half = np.bincount(levels[:, :16].copy().view(np.uint8).ravel(), minlength=256)
halved = grey.histogram() == half.tolist()
print(f"histogram() == counts of the bytes of the left half: {halved}")

as_told = (
    middles == {"NEAREST": (30400, 30400), "BILINEAR": (151, 30394), "BICUBIC": (155, 30393)}
    and difference < 1
    and extrema == ([(0, 252)], (0, 58900))
    and halved
)
sys.exit(0 if as_told else "it has changed")
END
