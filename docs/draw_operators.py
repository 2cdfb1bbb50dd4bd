"""Pictures of every operator that degrades images, each in some strengths: `docs/operators/`.

    python docs/draw_operators.py

Drawn by `tmd.measurements` itself from a photo that comes with scikit-image (Eileen Collins, NASA,
public domain), so that anyone can draw them again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from skimage import data

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tmd.figures.drawing import Picture, Row, draw_rows  # noqa: E402
from tmd.measurements import create_measurement  # noqa: E402

FOLDER = ROOT / "docs" / "operators"
SIDE = 176
MAX_BYTES = 300_000


def _blur(kernel: str, **options: Any) -> dict[str, Any]:
    return {"name": "blur", "kernel": kernel, **options}


def _each(name: str, option: str, *values: Any, **others: Any) -> dict[str, list[Any]]:
    """A strip of one operator in which one option differs."""
    return {
        f"{option} {' to '.join(map(str, value)) if isinstance(value, list) else value}": [
            {"name": name, **others, option: value}
        ]
        for value in values
    }


def _to_lr(*before: Any) -> list[Any]:
    return [*before, {"name": "resize", "to": "lr", "filter": "bicubic"}]


#: For each picture: titles, and the lists that are shown beside the photo; those with a number
#: before them reduce it by that.
STRIPS: dict[str, dict[str, Any]] = {
    "reduction": {
        "bicubic": (4, ["bicubic"]),
        "decimate": (4, ["decimate"]),
        "box, decimate": (4, [_blur("box"), "decimate"]),
        "σ 1.6, decimate": (4, [{"name": "blur", "sigma": 1.6}, "decimate"]),
    },
    "blur": _each("blur", "sigma", 1, 2, 3, 4),
    "blur_kernels": {
        "anisotropic": [_blur("anisotropic", sigma=4, sigma_y=1, rotation=45)],
        "beta 0.5": [_blur("generalized_isotropic", sigma=2.5, beta=0.5)],
        "plateau, beta 2": [_blur("plateau_isotropic", sigma=2.5, plateau_beta=2)],
        "sinc, cutoff 1": [_blur("sinc", cutoff=1.0)],
        "motion, length 15": [_blur("motion", length=15, rotation=30)],
    },
    "resize": {
        f"{name}": _to_lr({"name": "resize", "factor": 0.25, "filter": name})
        for name in ("nearest", "area", "bilinear", "bicubic", "lanczos")
    },
    "noise": {
        "sigma 0.02": [{"name": "noise", "sigma": 0.02}],
        "sigma 0.06": [{"name": "noise", "sigma": 0.06}],
        "sigma 0.12": [{"name": "noise", "sigma": 0.12}],
        "sigma 0.12, grey": [{"name": "noise", "sigma": 0.12, "grey": 1}],
    },
    "correlated_noise": _each("correlated_noise", "sigma", 0.05, 0.1, 0.2, 0.3),
    "poisson": {
        "strength 1": [{"name": "poisson", "strength": 1}],
        "strength 3": [{"name": "poisson", "strength": 3}],
        "strength 3, grey": [{"name": "poisson", "strength": 3, "grey": 1}],
        "20 photons": [{"name": "poisson", "photons": 20}],
    },
    "jpeg": _each("jpeg", "quality", 80, 50, 25, 10),
    "webp": _each("webp", "quality", 80, 50, 25, 5),
    "sensor": {
        "shot 0.0005": [{"name": "sensor", "shot": 0.0005}],
        "shot 0.005": [{"name": "sensor", "shot": 0.005}],
        "shot 0.02": [{"name": "sensor", "shot": 0.02}],
        "cast 1.3": [{"name": "sensor", "shot": 0.0005, "cast": 1.3}],
    },
    "colour": {
        "brightness 1.3": [{"name": "colour", "brightness": 1.3}],
        "contrast 0.6": [{"name": "colour", "contrast": 0.6}],
        "saturation 0.4": [{"name": "colour", "saturation": 0.4}],
        "gamma 1.6": [{"name": "colour", "gamma": 1.6}],
    },
    "sharpen": _each("sharpen", "weight", 0.5, 1, 2, target=False),
    "quantize": {f"bits {bits}": [{"name": "quantize", "bits": bits}] for bits in (5, 4, 3, 2)},
    "bsrgan": {f"draws {k}": (2, [{"name": "bsrgan"}]) for k in range(1, 5)},
    "composed": {
        "one_of": [
            {
                "name": "one_of",
                "operators": [{"name": "noise", "sigma": 0.1}, {"name": "jpeg", "quality": 15}],
            }
        ],
        "shuffle": [
            {
                "name": "shuffle",
                "operators": [
                    {"name": "blur", "sigma": 2},
                    {"name": "noise", "sigma": 0.1},
                    {"name": "jpeg", "quality": 30},
                ],
            }
        ],
        "twice": [
            {
                "name": "twice",
                "operators": [{"name": "blur", "sigma": 1.5}, {"name": "jpeg", "quality": 30}],
            }
        ],
        "probability 0.5": [{"name": "noise", "sigma": 0.1, "probability": 0.5}],
    },
}


def main() -> None:
    """Draw all of them."""
    FOLDER.mkdir(exist_ok=True)
    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None] / 255
    part = photo[..., 8 : 8 + SIDE, 150 : 150 + SIDE].contiguous()
    for name, strip in STRIPS.items():
        pictures = [Picture(part[0], "HR")]
        for number, (title, shown) in enumerate(strip.items()):
            scale, operators = shown if isinstance(shown, tuple) else (1, shown)
            lr = create_measurement(operators, scale, seed=1)(part, number)
            large = F.interpolate(lr, (SIDE, SIDE), mode="nearest-exact")[0]
            pictures.append(Picture(large, title))
        sheet = draw_rows([Row(pictures)], SIDE)
        path = FOLDER / f"{name}.webp"
        for quality in (90, 80, 70):
            sheet.save(path, quality=quality, method=6)
            if path.stat().st_size <= MAX_BYTES:
                break
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
