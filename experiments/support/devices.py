"""The device that a user names, or the best there is.

``mps`` and ``xpu`` are Apple's and Intel's GPUs, by torch's own backends. No machine with one was
at hand: nothing of ours takes such a device for a CUDA one, and no more has been tried.
"""

from __future__ import annotations

from typing import Any

import torch

from tmd.distributed import started_share
from tmd.errors import UserError, check_choice

#: GPUs that are no CUDA devices: what they are called, and how many there are.
OTHERS = {
    "mps": ("Apple GPU", lambda: int(torch.backends.mps.is_available())),
    "xpu": ("Intel GPU", lambda: torch.xpu.device_count()),
}


def available_device(device: Any) -> str:
    """``device`` if torch has it, with ``auto`` resolved.

    Raises:
        UserError: it is no device, or not one of this machine.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        parsed = torch.device(device)
    except (RuntimeError, TypeError):
        raise UserError(
            f"device={device!r}: must be auto, cpu, cuda, cuda:N, mps, xpu or xpu:N"
        ) from None
    check_choice("device", parsed.type, ("cpu", "cuda", *OTHERS))
    if parsed.index is not None and started_share().count > 1:
        raise UserError(f"device={device}: each process takes a GPU of its own; device=cuda")
    if parsed.type in OTHERS:
        return _other(device, parsed)
    count = torch.cuda.device_count()
    if parsed.type == "cuda" and (parsed.index or 0) >= count:
        raise UserError(f"device={device}: this machine has {count or 'no'} CUDA device(s)")
    return str(device)


def _other(device: Any, parsed: torch.device) -> str:
    if started_share().count > 1:
        raise UserError(f"device={device}: several processes train on device=cpu or cuda")
    called, count = OTHERS[parsed.type]
    if (parsed.index or 0) >= count():
        raise UserError(f"device={device}: torch has {count() or 'no'} {called}(s) here")
    return str(device)
