"""BSRGAN's degradation, whose figures depend on the scale."""

from __future__ import annotations

from typing import Any

from tmd.errors import check_number
from tmd.measurements.building import build, build_chain
from tmd.measurements.operator import MEASUREMENTS, Operator

# OpenCV's interpolations 1, 2 and 3.
_FILTERS = ["bilinear", "bicubic", "area"]
_LEAST = 0.01


@MEASUREMENTS.register("bsrgan")
def create_bsrgan(scale: int, halved: float = 0.25) -> Operator:
    """BSRGAN's shuffled degradation: two blurs, two reductions, noise, JPEG and a sensor, and JPEG.

    Zhang et al. 2021 (arXiv:2103.14006), section 3; the figures are those of ``degradation_bsrgan``
    in ``utils/utils_blindsr.py`` of BSRGAN (commit 5ce1a9c). The sources leave out the camera's
    sensor for want of its model; here it is our ``sensor``, with their probability. Noise levels
    and qualities, there whole numbers, are uniform between the same ends; borders are replicated
    instead of mirrored.

    Args:
        halved: at scale 4, the probability with which an image is halved first and then degraded
            as at scale 2.
    """
    key = "measurement bsrgan"
    check_number(f"{key} halved", halved, 0, 1)
    if scale != 4 or halved == 0:
        return build_chain(steps(scale), scale, key)
    if halved == 1:
        return build_chain([_HALF, *steps(2)], 2, key)
    ways = [{"name": "bsrgan", "halved": way} for way in (0, 1)]
    both = {"name": "one_of", "operators": ways, "weights": [1 - halved, halved]}
    return build(both, scale, key)


def steps(scale: int) -> list[Any]:
    """The operators, as in a config's list, of images that are reduced by ``scale``."""
    jpeg = {"name": "jpeg", "quality": [30, 95], "codec": "auto"}
    shuffled = {
        "name": "shuffle",
        "operators": [
            _blur(scale),
            _blur(scale),
            _reduction(scale),
            {"name": "resize", "to": "lr", "filter": _FILTERS},
            _noise(),
            {**jpeg, "probability": 0.9},
            {"name": "sensor", "probability": 0.25},
        ],
        "ordered": [2, 3],
    }
    return [shuffled, jpeg]


_HALF = {
    "name": "one_of",
    "operators": [{"name": "resize", "factor": 0.5, "filter": _FILTERS}, "bicubic"],
}


def _blur(scale: int) -> dict[str, Any]:
    sizes = [7, 25]
    isotropic = {
        "name": "blur",
        "kernel": "isotropic",
        "sigma": [_LEAST, 2 + 0.2 * scale],
        "size": sizes,
    }
    # Their widths are variances.
    anisotropic = {
        "name": "blur",
        "kernel": "anisotropic",
        "sigma": [_LEAST, (4 + scale) ** 0.5],
        "variance": True,
        "rotation": [0, 180],
        "size": sizes,
    }
    return {"name": "one_of", "operators": [anisotropic, isotropic]}


def _reduction(scale: int) -> dict[str, Any]:
    resize = {"name": "resize", "factor": [0.5 / scale, 1], "inverse": True, "filter": _FILTERS}
    blur = {"name": "blur", "kernel": "isotropic", "size": 25, "sigma": [0.1, 0.6 * scale]}
    return {"name": "one_of", "operators": [resize, [blur, "decimate"]], "weights": [0.75, 0.25]}


def _noise() -> dict[str, Any]:
    sigma = [2 / 255, 25 / 255]
    gaussian = {"name": "noise", "sigma": sigma, "clip": True}
    return {
        "name": "one_of",
        "operators": [
            gaussian,
            {**gaussian, "grey": 1},
            {"name": "correlated_noise", "sigma": 25 / 255, "clip": True},
        ],
        "weights": [0.4, 0.4, 0.2],
    }
