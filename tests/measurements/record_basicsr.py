"""Record what BasicSR's own degradations give, for tests that run where it is not installed.

    pip install --no-deps --target PEER basicsr==1.4.2 opencv-python-headless
    PYTHONPATH=PEER python tests/measurements/record_basicsr.py

Writes ``basicsr.npz`` beside this file: kernels by `kernel_key`, and the standard deviations of
noise in each channel, in colour and in grey, on `noisy_image`.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision

RECORD = Path(__file__).with_name("basicsr.npz")
SIZES = (7, 15, 21)
ROTATIONS = (0.0, 0.7, -2.5)
CUTOFFS = (math.pi / 5, 1.5, math.pi)
SIGMA, OTHER, BETA = 1.3, 2.9, 0.7
STRENGTH = 1.5  # of Poisson noise
LEVELS = 20  # deviation of Gaussian noise


def kernel_key(kind: str, size: int, value: float) -> str:
    """Name of a kernel in the record; ``value`` is its rotation or, of a sinc, its cutoff."""
    return f"{kind} {size} {value:.4f}"


def noisy_image() -> torch.Tensor:
    """Image (1, 3, 160, 160) of flat squares, between 0.1 and 0.9."""
    squares = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    return squares.repeat_interleave(20, -1).repeat_interleave(20, -2)


def main() -> None:
    """Write the record."""
    # BasicSR imports a module that torchvision no longer has; what it takes from there is here too.
    sys.modules["torchvision.transforms.functional_tensor"] = torchvision.transforms.functional
    from basicsr.data import degradations

    found: dict[str, np.ndarray] = {}
    for size in SIZES:
        for rotation in ROTATIONS:
            for kind, other in (("isotropic", SIGMA), ("anisotropic", OTHER)):
                theirs, isotropic = (size, SIGMA, other, rotation), kind == "isotropic"
                kernels = {
                    kind: degradations.bivariate_Gaussian(*theirs, isotropic=isotropic),
                    f"generalized_{kind}": degradations.bivariate_generalized_Gaussian(
                        *theirs, BETA, isotropic=isotropic
                    ),
                    f"plateau_{kind}": degradations.bivariate_plateau(
                        *theirs, BETA, isotropic=isotropic
                    ),
                }
                for name, kernel in kernels.items():
                    found[kernel_key(name, size, rotation)] = kernel
        for cutoff in CUTOFFS:
            kernel = degradations.circular_lowpass_kernel(cutoff, size)
            found[kernel_key("sinc", size, cutoff)] = kernel
    image = noisy_image()
    torch.manual_seed(1)
    for grey in (0, 1):
        is_grey = torch.full((1,), float(grey))
        makers = {
            "poisson": lambda g: degradations.generate_poisson_noise_pt(image, STRENGTH, g),
            "noise": lambda g: degradations.generate_gaussian_noise_pt(image, LEVELS, g),
        }
        for name, make in makers.items():  # in grey, it takes one image at a time only
            noise = torch.cat([make(is_grey) for _ in range(20)])
            found[f"{name} {grey}"] = noise.std((0, 2, 3)).numpy()
    np.savez_compressed(RECORD, **found)
    print(f"{RECORD}: {len(found)} entries, {RECORD.stat().st_size} bytes")


if __name__ == "__main__":
    main()
