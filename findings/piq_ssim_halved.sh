#!/usr/bin/env bash
# piq 0.8.0: SSIM is said to match scikit-image with downsample=True, its default. It does not, of
# images of 384 pixels and more; it matches with downsample=False.
#
# downsample=True averages blocks of round(side / 256) pixels first, which hides differences: the
# value is the higher one, and of another image size, which scikit-image never does.
#
# Nothing is raised or warned of. Of single precision, scikit-image by the same window (Gaussian,
# σ 1.5, biased covariance, its border left out).
# Seen on 28 November 2026, Python 3.11, Linux:
#
#     512 pixels: scikit-image 0.54417, piq 0.80630, with downsample=False 0.54417
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet piq==0.8.0 torch==2.14.1 torchvision==0.29.1 \
    scikit-image==0.26.0 numpy==2.4.6
cd "$work"
venv/bin/python -W ignore << 'END'
import sys

import numpy as np
import piq
import torch
from skimage import color, data
from skimage.metrics import structural_similarity

x = color.rgb2gray(data.astronaut())
y = np.clip(x + 0.05 * np.random.default_rng(0).standard_normal(x.shape), 0, 1)
_, each = structural_similarity(
    x, y, data_range=1, gaussian_weights=True, use_sample_covariance=False, full=True
)
theirs = each[5:-5, 5:-5].mean()
a, b = (torch.from_numpy(image)[None, None] for image in (x, y))
default = piq.ssim(a, b).item()
whole = piq.ssim(a, b, downsample=False).item()
print(
    f"{len(x)} pixels: scikit-image {theirs:.5f}, piq {default:.5f}, "
    f"with downsample=False {whole:.5f}"
)
sys.exit(0 if abs(whole - theirs) < 1e-4 < 0.02 < default - theirs else "it has changed")
END
