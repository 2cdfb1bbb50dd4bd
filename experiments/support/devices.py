"""The device that a user names, or the best there is."""

from __future__ import annotations

from typing import Any

import torch

from tmd.distributed import started_share
from tmd.errors import UserError, check_choice


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
        raise UserError(f"device={device!r}: must be auto, cpu, cuda or cuda:N") from None
    check_choice("device", parsed.type, ("cpu", "cuda"))
    if parsed.index is not None and started_share().count > 1:
        raise UserError(f"device={device}: each process takes a GPU of its own; device=cuda")
    count = torch.cuda.device_count()
    if parsed.type == "cuda" and (parsed.index or 0) >= count:
        raise UserError(f"device={device}: this machine has {count or 'no'} CUDA device(s)")
    return str(device)
