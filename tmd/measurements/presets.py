"""Lists of operators by name: the degradations that the field trains with.

Each is frozen; what is new gets a new name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Operators = list[Any]

_THIRD_OF_PI = 1.0472

#: Blur kernels of Real-ESRGAN and how often each is drawn: `kernel_list`, `kernel_prob`, and
#: `sinc_prob` of the whole.
_KERNELS = {
    "isotropic": 0.45,
    "anisotropic": 0.25,
    "generalized_isotropic": 0.12,
    "generalized_anisotropic": 0.03,
    "plateau_isotropic": 0.12,
    "plateau_anisotropic": 0.03,
}
_SINC = 0.1
_FILTERS = ["area", "bilinear", "bicubic"]


def realesrgan() -> Operators:
    """The second-order degradation of Real-ESRGAN.

    Wang et al. 2021 (arXiv:2107.10833), sections 3.1 to 3.4; the figures are those of Real-ESRGAN
    0.3.0 (commit a4abfb2), ``options/train_realesrnet_x4plus.yml`` and
    ``realesrgan/models/realesrgan_model.py``. There a batch shares the way and the filter of its
    resizes, the kind of its noise and the order at its end; here each image draws its own. Borders
    are replicated instead of reflected, and JPEG is libjpeg's instead of DiffJPEG's.
    """
    return [
        "sharpen",
        _kernel_blur([0.2, 3]),
        _resize([0.15, 1.5], [0.2, 0.7, 0.1]),
        _noise([1, 30], [0.05, 3]),
        _jpeg(30, 95),
        {**_kernel_blur([0.2, 1.5]), "probability": 0.8},
        {**_resize([0.3, 1.2], [0.3, 0.4, 0.3]), "to": "lr"},
        _noise([1, 25], [0.05, 2.5]),
        {
            "name": "one_of",
            "operators": [
                [_TO_LR, _last_sinc(), _jpeg(30, 95)],
                [_jpeg(30, 95), _TO_LR, _last_sinc()],
            ],
        },
    ]


def bsrgan() -> Operators:
    """The shuffled degradation of BSRGAN; see `tmd.measurements.operators.bsrgan`."""
    return [{"name": "bsrgan"}]


def phone() -> Operators:
    """A phone's photo, and in part what a messenger made of it: ours, nobody's publication.

    HR is reduced as a sensor's pixels gather light; out of focus or shaken (sigma up to 1.2 LR
    pixels, motion up to 5); seen by a `sensor`, whose noise has the ranges of Brooks et al. 2019
    (arXiv:1811.11127) and whose white balance is up to 3 % off; smoothed and sharpened, as a
    phone does it after the noise, so that what is left of it has a grain; and written as JPEG of
    the qualities that cameras write. Of every five photos two are sent: made smaller, JPEG or WebP
    of lower quality, and shown at the first size. All widths are in LR pixels, so that the list is
    the same at every scale.
    """
    return [
        {"name": "resize", "to": "lr", "filter": ["area", "bicubic"], "antialias": True},
        {
            "name": "blur",
            "kernel": ["isotropic", "anisotropic", "motion"],
            "weights": [0.5, 0.3, 0.2],
            "sigma": [0.2, 1.2],
            "size": [7, 9],
            "length": [2, 5],
            "probability": 0.8,
        },
        {"name": "sensor", "cast": [0.97, 1.03], "probability": 0.9},
        {
            "name": "blur",
            "kernel": "isotropic",
            "sigma": [0.2, 0.8],
            "size": 7,
            "probability": 0.5,
        },
        {
            "name": "sharpen",
            "target": False,
            "weight": [0, 1.5],
            "radius": 7,
            "threshold": 2,
            "probability": 0.7,
        },
        _jpeg(75, 98),
        {"name": "one_of", "operators": [_SENT], "probability": 0.4},
    ]


_SENT: list[Any] = [
    {"name": "resize", "factor": [0.5, 1], "filter": ["area", "bilinear"], "antialias": True},
    {
        "name": "one_of",
        "operators": [
            {"name": "jpeg", "quality": [50, 90], "codec": "auto"},
            {"name": "webp", "quality": [50, 90]},
        ],
        "weights": [0.8, 0.2],
    },
    {"name": "resize", "to": "lr", "filter": ["bilinear", "bicubic"]},
]


def jpeg() -> Operators:
    """Bicubic reduction, then JPEG: photos from the web that were only made smaller.

    The qualities, uniform in [30, 95], are those of BSRGAN's last step (Zhang et al. 2021,
    arXiv:2103.14006, section 3.3) and of Real-ESRGAN's. At scale 1 it is JPEG alone.
    """
    return ["bicubic", _jpeg(30, 95)]


def real_photos() -> Operators:
    """The degradations that `real_x4` and `real_x2` were trained with; milder than Real-ESRGAN's.

    Blur and a first JPEG act at twice LR's size, whatever the scale, so that the list is the same
    for both. The ranges are ours: from a photo made smaller with care to one of a phone at night
    that was sent twice.
    """
    return [
        {**_SMOOTHLY_TO_LR, "factor": 2},
        {
            "name": "blur",
            "kernel": ["isotropic", "anisotropic"],
            "sigma": [0.1, 1.3],
            "size": 9,
            "probability": 0.9,
        },
        {**_jpeg(65, 95), "probability": 0.3},
        _SMOOTHLY_TO_LR,
        {"name": "noise", "sigma": [0, 0.016], "grey": 0.4},
        {
            "name": "one_of",
            "operators": [
                {"name": "noise", "sigma": [0, 0.06], "grey": 0.4},
                {"name": "poisson", "photons": [400, 20000], "grey": 0.4},
            ],
            "probability": 0.6,
        },
        {
            "name": "one_of",
            "operators": [_jpeg(30, 95), {"name": "webp", "quality": [30, 95]}],
            "weights": [3, 1],
        },
    ]


_SMOOTHLY_TO_LR: dict[str, Any] = {
    "name": "resize",
    "to": "lr",
    "filter": ["area", "bilinear", "bicubic", "lanczos"],
    "antialias": True,
}
_TO_LR: dict[str, Any] = {"name": "resize", "to": "lr", "filter": _FILTERS}


def _kernel_blur(sigma: list[float]) -> dict[str, Any]:
    return {
        "name": "blur",
        "kernel": [*_KERNELS, "sinc"],
        "weights": [*(round(w * (1 - _SINC), 4) for w in _KERNELS.values()), _SINC],
        "sigma": sigma,
        "size": [7, 21],
        "beta": [0.5, 4],
        "plateau_beta": [1, 2],
    }


def _last_sinc() -> dict[str, Any]:
    cutoff = [_THIRD_OF_PI, 3.1416]
    return {
        "name": "blur",
        "kernel": ["sinc"],
        "size": [7, 21],
        "cutoff": cutoff,
        "probability": 0.8,
    }


def _resize(factor: list[float], weights: list[float]) -> dict[str, Any]:
    return {"name": "resize", "factor": factor, "weights": weights, "filter": _FILTERS}


def _noise(levels: list[float], strength: list[float]) -> dict[str, Any]:
    """Gaussian or Poisson's noise, as often, of which 40 % is grey."""
    sigma = [round(level / 255, 5) for level in levels]
    return {
        "name": "one_of",
        "operators": [
            {"name": "noise", "sigma": sigma, "grey": 0.4, "clip": True},
            {"name": "poisson", "strength": strength, "grey": 0.4, "clip": True},
        ],
    }


def _jpeg(lowest: int, highest: int) -> dict[str, Any]:
    return {"name": "jpeg", "quality": [lowest, highest], "codec": "auto"}


#: The lists by name.
PRESETS: dict[str, Callable[[], Operators]] = {
    "realesrgan": realesrgan,
    "bsrgan": bsrgan,
    "jpeg": jpeg,
    "phone": phone,
    "real_photos": real_photos,
}
