"""Published sizes of the networks of the field, by the names of their named configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Size(NamedTuple):
    """A size that weights were published in: a generator's name and its options."""

    name: str
    options: Mapping[str, Any]
    said: str


_SIX, _FOUR = [6] * 6, [6] * 4

SIZES: dict[str, Size] = {
    "compact": Size(
        "compact", {}, "SRVGGNetCompact of realesr-animevideov3: 64 features, 16 convs"
    ),
    "compact_32": Size(
        "compact",
        {"num_conv": 32},
        "SRVGGNetCompact of realesr-general-x4v3: 64 features, 32 convs",
    ),
    "esrgan": Size("esrgan", {}, "RRDBNet of ESRGAN and Real-ESRGAN: 23 blocks"),
    "esrgan_6": Size("esrgan", {"num_block": 6}, "RRDBNet of RealESRGAN_x4plus_anime_6B"),
    "span": Size("span", {}, "SPAN of 48 features, SPAN-S in the paper (arXiv:2311.12770)"),
    "span_52": Size("span", {"feature_channels": 52}, "SPAN of 52 features, SPAN in the paper"),
    "plksr": Size("plksr", {}, "PLKSR: 28 blocks (arXiv:2404.11848)"),
    "plksr_tiny": Size("plksr", {"blocks": 12, "kernel_size": 13}, "PLKSR-tiny: 12 blocks"),
    "realplksr": Size("realplksr", {}, "RealPLKSR: 28 blocks, group normalisation"),
    "realplksr_small": Size(
        "realplksr", {"blocks": 12, "kernel_size": 13}, "RealPLKSR of 12 blocks, kernels of 13"
    ),
    "mosr": Size("mosr", {}, "MoSR: 24 blocks"),
    "mosr_tiny": Size("mosr", {"blocks": 5, "dim": 48}, "MoSR-t: 5 blocks, 48 features"),
    "moesr": Size("moesr", {}, "MoESR: 9 groups of 4 blocks"),
    "rcan": Size("rcan", {}, "RCAN: 10 groups of 20 blocks (arXiv:1807.02758)"),
    "swinir": Size("swinir", {}, "SwinIR-M, classical (arXiv:2108.10257)"),
    "swinir_light": Size(
        "swinir",
        {
            "embed_dim": 60,
            "depths": _FOUR,
            "num_heads": _FOUR,
            "upsampler": "pixelshuffledirect",
        },
        "SwinIR-S, light weight",
    ),
    "swinir_large": Size(
        "swinir",
        {
            "embed_dim": 240,
            "depths": [6] * 9,
            "num_heads": [8] * 9,
            "upsampler": "nearest+conv",
            "resi_connection": "3conv",
        },
        "SwinIR-L, real world",
    ),
    "swin2sr": Size("swin2sr", {}, "Swin2SR, classical (arXiv:2209.11345)"),
    "swin2sr_light": Size(
        "swin2sr",
        {
            "embed_dim": 60,
            "depths": _FOUR,
            "num_heads": _FOUR,
            "upsampler": "pixelshuffledirect",
        },
        "Swin2SR, light weight",
    ),
    "hat": Size("hat", {}, "HAT (arXiv:2205.04437)"),
    "hat_small": Size(
        "hat", {"embed_dim": 144, "compress_ratio": 24, "squeeze_factor": 24}, "HAT-S"
    ),
    "hat_large": Size("hat", {"depths": [6] * 12, "num_heads": [6] * 12}, "HAT-L"),
    "dat": Size("dat", {}, "DAT (arXiv:2308.03364)"),
    "dat_small": Size("dat", {"split_size": [8, 16], "expansion_factor": 2}, "DAT-S"),
    "dat_2": Size("dat", {"expansion_factor": 2}, "DAT-2"),
    "dat_light": Size(
        "dat",
        {
            "embed_dim": 60,
            "depth": [18],
            "num_heads": [6],
            "expansion_factor": 2,
            "upsampler": "pixelshuffledirect",
            "resi_connection": "3conv",
        },
        "DAT-light",
    ),
    "rgt": Size("rgt", {}, "RGT (arXiv:2303.06373)"),
    "rgt_small": Size("rgt", {"depth": _SIX, "num_heads": _SIX}, "RGT-S"),
    "drct": Size("drct", {}, "DRCT (arXiv:2404.00722)"),
    "drct_large": Size("drct", {"depths": [6] * 12, "num_heads": [6] * 12}, "DRCT-L"),
    "atd": Size("atd", {}, "ATD (arXiv:2401.08209)"),
    "atd_light": Size(
        "atd",
        {
            "embed_dim": 48,
            "depths": _FOUR,
            "num_heads": [4] * 4,
            "category_size": 128,
            "num_tokens": 64,
            "reducted_dim": 8,
            "convffn_kernel_size": 7,
            "mlp_ratio": 1,
            "upsampler": "pixelshuffledirect",
        },
        "ATD-light",
    ),
    "craft": Size("craft", {}, "CRAFT (arXiv:2308.05022)"),
    "omnisr": Size("omnisr", {}, "Omni-SR (arXiv:2304.10244)"),
    "safmn": Size("safmn", {}, "SAFMN (arXiv:2302.13800)"),
    "safmn_large": Size("safmn", {"dim": 128, "blocks": 16}, "SAFMN-L"),
}
