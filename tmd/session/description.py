"""Description of a run for its record: what was resolved at run time."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import ignite
import torch
from torch import nn

from tmd.hardware import device_name
from tmd.training.phases import PHASES, Phases
from tmd.training.place import Place


def described_run(
    networks: Mapping[str, nn.Module], phases: Phases, place: Place
) -> dict[str, Any]:
    """Sizes, phases, the device and the versions of the libraries, JSON-able."""
    return {
        "phases": {phase: phases.length(phase) for phase in PHASES},
        "parameters": {
            name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()
        },
        "device": {
            "type": place.device.type,
            "name": device_name(place.device),
            "threads": torch.get_num_threads(),
            "processes": place.share.count,
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": metadata.version("torchvision"),
            "ignite": ignite.__version__,
        },
    }
