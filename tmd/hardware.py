"""Name of the machine, and the errors by which it says that its memory is full."""

from __future__ import annotations

import platform
from pathlib import Path

import torch


def device_name(device: torch.device) -> str:
    """The product name of a GPU, or of the processor; its architecture where it has none.

    Example:
        >>> name = device_name(torch.device("cpu"))
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return f"{device.type} of {platform.processor() or platform.machine()}"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def is_out_of_memory(problem: BaseException) -> bool:
    """Tell an error that means that there is no memory left, on the CPU or a GPU.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("a bug"))
        (True, False)
    """
    text = str(problem)
    return isinstance(problem, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in text
