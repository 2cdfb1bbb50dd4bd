"""Random numbers that are a pure function of (seed, stream, index).

Nothing random in the way of the data has a state that would have to be saved: batch ``i`` of a run
is drawn from ``generator(seed, "batches", i)``, whoever asks for it and whenever.
"""

from __future__ import annotations

import hashlib

import torch


def derive_seed(seed: int, *path: int | str) -> int:
    """A 63-bit seed that depends on every part of ``(seed, *path)``, the same on every machine."""
    text = "/".join([repr(seed), *(repr(part) for part in path)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *path: int | str, device: str | torch.device = "cpu") -> torch.Generator:
    """A fresh generator for ``(seed, *path)``, for example ``(seed, "measurement", i)``."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *path))
