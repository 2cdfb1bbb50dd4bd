"""Photos degraded by Pillow's codecs, NumPy's noise and SciPy's blur: a fixed test set.

None of our operators has a part in it, so that a network is not judged by the code it was trained
with. Each image is a function of (its name, strength, scale).
"""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

SCALES = (4, 2)
SEED = 20261128
#: Of the wallpapers, which are blurred at full size, what is taken: shrunk, and a part of it.
SHRINK, PART = 4, (448, 384)

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}


@dataclass(frozen=True)
class Strength:
    """Ranges of one strength.

    Attributes:
        blur: standard deviations of an anisotropic Gaussian, in HR pixels at scale 4; half of
            them at scale 2.
        noise: standard deviation in levels of 255.
        photons: of white; their noise comes on top.
        quality: of JPEG or WebP.
        twice: whether the image is resized and compressed once before.
    """

    blur: tuple[float, float]
    noise: tuple[float, float]
    photons: tuple[float, float]
    quality: tuple[float, float]
    twice: bool


STRENGTHS = {
    "weak": Strength((0.2, 1.0), (0.5, 3), (4000, 20000), (80, 95), False),
    "medium": Strength((0.6, 1.8), (2, 8), (1000, 4000), (60, 80), False),
    "strong": Strength((1.0, 2.4), (5, 15), (400, 1500), (35, 60), True),
}


def make(set5: Path, wallpapers: Sequence[Path], output: Path) -> str:
    """Write ``output/xSCALE/STRENGTH/{HR,LR}`` and SHA256SUMS; the hash of all of them.

    Args:
        set5: folder of Set5's HR images.
        wallpapers: large photos.
    """
    photos = {path.stem: Image.open(path).convert("RGB") for path in sorted(set5.glob("*.png"))}
    for path in wallpapers:
        photos[path.stem] = _part(Image.open(path).convert("RGB"))
    lines = []
    for scale in SCALES:
        for name, strength in STRENGTHS.items():
            folder = output / f"x{scale}" / name
            for side in ("HR", "LR"):
                (folder / side).mkdir(parents=True, exist_ok=True)
            for stem, photo in photos.items():
                hr = photo.crop((0, 0, photo.width // 4 * 4, photo.height // 4 * 4))
                lr, drawn = degraded(hr, scale, strength, f"{stem} {name} {scale} {SEED}")
                hr.save(folder / "HR" / f"{stem}.png")
                lr.save(folder / "LR" / f"{stem}.png")
                place = f"x{scale}/{name}/LR/{stem}.png"
                digest = hashlib.sha256(np.asarray(lr).tobytes()).hexdigest()
                lines.append(f"{digest}  {place}  {drawn}")
    text = "\n".join(lines) + "\n"
    (output / "SHA256SUMS").write_text(text)
    return hashlib.sha256(text.encode()).hexdigest()


def degraded(
    hr: Image.Image, scale: int, strength: Strength, seed: str
) -> tuple[Image.Image, dict[str, Any]]:
    """LR of an HR image, and what was drawn for it."""
    rng = np.random.default_rng(zlib.crc32(seed.encode()))
    size = (hr.width // scale, hr.height // scale)
    sigmas = rng.uniform(*strength.blur, 2) * scale / 4
    angle = rng.uniform(0, np.pi)
    drawn: dict[str, Any] = {"blur": [*sigmas.round(2).tolist(), round(float(angle), 2)]}
    image = Image.fromarray(_to_levels(_blurred(np.asarray(hr, float), sigmas, angle)))
    if strength.twice:
        between = tuple(round(side * rng.uniform(1.2, 2.0)) for side in size)
        image = _resized(image, between, rng, drawn, "first")
        image = _compressed(image, rng, (70, 90), drawn, "first_codec")
    image = _resized(image, size, rng, drawn, "resize")
    image = _noisy(image, rng, strength, drawn)
    return _compressed(image, rng, strength.quality, drawn, "codec"), drawn


def _part(photo: Image.Image) -> Image.Image:
    small = photo.resize((photo.width // SHRINK, photo.height // SHRINK), _FILTERS["lanczos"])
    left, top = ((have - want) // 2 for have, want in zip(small.size, PART, strict=True))
    return small.crop((left, top, left + PART[0], top + PART[1]))


def _blurred(pixels: np.ndarray, sigmas: np.ndarray, angle: float) -> np.ndarray:
    place = np.arange(-9, 10)
    x, y = np.meshgrid(place, place)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-((along / sigmas[0]) ** 2 + (across / sigmas[1]) ** 2) / 2)
    kernel /= kernel.sum()
    planes = [ndimage.convolve(pixels[..., c], kernel, mode="nearest") for c in range(3)]
    return np.stack(planes, -1)


def _resized(
    image: Image.Image, size: Any, rng: np.random.Generator, drawn: dict[str, Any], key: str
) -> Image.Image:
    name = str(rng.choice(list(_FILTERS)))
    drawn[key] = name
    return image.resize(size, _FILTERS[name])


def _noisy(
    image: Image.Image, rng: np.random.Generator, strength: Strength, drawn: dict[str, Any]
) -> Image.Image:
    pixels = np.asarray(image, float)
    sigma, photons = rng.uniform(*strength.noise), rng.uniform(*strength.photons)
    grey = bool(rng.random() < 0.4)
    drawn |= {"noise": round(float(sigma), 1), "photons": round(float(photons)), "grey": grey}
    pixels = rng.poisson(pixels / 255 * photons) / photons * 255
    shape = (*pixels.shape[:2], 1 if grey else 3)
    return Image.fromarray(_to_levels(pixels + rng.normal(0, sigma, shape)))


def _compressed(
    image: Image.Image,
    rng: np.random.Generator,
    quality: tuple[float, float],
    drawn: dict[str, Any],
    key: str,
) -> Image.Image:
    codec = "WEBP" if rng.random() < 0.25 else "JPEG"
    chosen = round(rng.uniform(*quality))
    drawn[key] = f"{codec} {chosen}"
    file = io.BytesIO()
    image.save(file, codec, quality=chosen)
    return Image.open(file).convert("RGB")


def _to_levels(pixels: np.ndarray) -> np.ndarray:
    return pixels.round().clip(0, 255).astype(np.uint8)
