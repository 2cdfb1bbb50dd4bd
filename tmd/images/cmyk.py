"""Printing inks as they look on a screen."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms


def cmyk_to_srgb(inks: np.ndarray, icc: bytes | None) -> tuple[np.ndarray, bytes | None]:
    """Convert by the inks' own profile, or as (1 − ink)(1 − black) where there is none.

    Args:
        inks: (H, W, 4), uint8 or uint16.
        icc: a profile; a broken one is as if there were none.

    Returns:
        (H, W, 3) of the same type, and their profile: sRGB's, or None.
    """
    if icc:
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        try:
            if inks.dtype == np.uint8:
                converted = ImageCms.profileToProfile(
                    Image.fromarray(inks, "CMYK"),
                    ImageCms.ImageCmsProfile(io.BytesIO(icc)),
                    srgb,
                    outputMode="RGB",
                )
                if converted is not None:
                    return np.array(converted), srgb.tobytes()
            else:
                return _by_profile_of_16_bits(inks, icc, srgb.tobytes()), srgb.tobytes()
        except (ImageCms.PyCMSError, OSError, RuntimeError, ValueError):
            pass
    top = np.iinfo(inks.dtype).max
    light = top - inks.astype(np.uint64)
    return ((light[..., :3] * light[..., 3:] + top // 2) // top).astype(inks.dtype), None


def _by_profile_of_16_bits(inks: np.ndarray, icc: bytes, srgb: bytes) -> np.ndarray:
    import imagecodecs  # Pillow's transforms have 8 bits

    return imagecodecs.cms_transform(
        np.ascontiguousarray(inks), icc, srgb, colorspace="cmyk", outcolorspace="rgb"
    )
