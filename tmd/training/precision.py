"""The arithmetic of the networks' updates."""

from __future__ import annotations

from pathlib import Path

import torch

#: name -> what `torch.autocast` is given; None: float32 throughout.
PRECISIONS: dict[str, torch.dtype | None] = {"float32": None, "bfloat16": torch.bfloat16}


def fastest_precision(device: torch.device) -> str:
    """The faster of `PRECISIONS` on this kind of device, by what its hardware computes natively.

    Master weights, optimisers and losses are float32 either way.
    """
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bfloat16" if device.type == "cpu" and _cpu_has_bfloat16() else "float32"


def _cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 itself; emulated, it is slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
