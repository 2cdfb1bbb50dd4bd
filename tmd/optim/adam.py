"""Adam as torch has it."""

from __future__ import annotations

from inspect import unwrap
from typing import Any

import torch
from torch import nn

from tmd.optim.eager import EagerOptimizer
from tmd.optim.registry import OPTIMIZERS

#: Taken at once, as torch wraps it further at the first optimiser of the class.
_STEP = unwrap(torch.optim.Adam.step)


class Adam(EagerOptimizer, torch.optim.Adam):
    """torch's, its step without the compiler's wrapper; its name is that in checkpoints."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update the parameters that have a gradient; see `torch.optim.Adam.step`."""
        return _STEP(self, closure)


@OPTIMIZERS.register("adam")
def adam(network: nn.Module, lr: float, betas: tuple[float, float]) -> torch.optim.Optimizer:
    """Adam in one fused kernel instead of dozens of small ones."""
    return Adam(network.parameters(), lr, betas, fused=True)
