#!/usr/bin/env bash
# torchmetrics 1.9.0 (torch 2.14.1): the spectral angle (SAM) of an image and itself is not 0 but
# 0.006°, small angles are wrong, and one pixel that is 0 in every band makes the image's angle NaN.
#
# The angle is the arc cosine of a cosine near 1, which single precision holds to 6e-8: angles below
# a hundredth of a degree drown. A pixel without light, as masked reflectance has, is 0 / 0. In
# double precision the first is right; the atan2 of half the difference and the sum needs no more
# than single precision.
#
# Nothing is raised or warned of.
# Seen on 28 November 2026, Python 3.11, Linux:
#
#     equal images 0.0061°, in double precision 0.0000°; off by 0.0025°: 0.0074°; one dark pixel: nan
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torchmetrics==1.9.0 torch==2.14.1 numpy==2.4.6
cd "$work"
venv/bin/python -W ignore << 'END'
import sys

import torch
from torchmetrics.functional.image import spectral_angle_mapper as sam

torch.manual_seed(0)
x = torch.rand(1, 13, 64, 64) + 0.1
y = x + 3e-5 * torch.randn(x.shape)
dark = x.clone()
dark[..., 0, 0] = 0
pairs = {"equal": (x, x), "double": (x.double(), x.double()), "off": (x, y), "dark": (dark, x)}
angle = {name: torch.rad2deg(sam(a, b)).item() for name, (a, b) in pairs.items()}
true = torch.rad2deg(sam(x.double(), y.double())).item()
print(
    f"equal images {angle['equal']:.4f}°, in double precision {angle['double']:.4f}°; "
    f"off by {true:.4f}°: {angle['off']:.4f}°; one dark pixel: {angle['dark']}"
)
same = angle["equal"] > 1e-3 > angle["double"] and angle["off"] > 1.5 * true
sys.exit(0 if same and angle["dark"] != angle["dark"] else "it has changed")
END
