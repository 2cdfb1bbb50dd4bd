"""Adam as torch has it."""

from __future__ import annotations

import torch
from torch import nn

from tmd.optim.registry import OPTIMIZERS


@OPTIMIZERS.register("adam")
def adam(network: nn.Module, lr: float, betas: tuple[float, float]) -> torch.optim.Optimizer:
    """Adam in one fused kernel instead of dozens of small ones."""
    return torch.optim.Adam(network.parameters(), lr, betas, fused=True)
