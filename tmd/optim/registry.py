"""Tables of optimisers and gradient rules; a new one is one line where it is written."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from tmd.registry import Registry

#: What is done to the gradients of parameters between their computation and the step.
GradientRule = Callable[[list[nn.Parameter]], None]

#: name -> (network, learning rate, Adam's betas) -> optimiser of the network's parameters.
OPTIMIZERS: Registry[Callable[..., torch.optim.Optimizer]] = Registry("optimization.optimizer_g")
#: name -> limit -> rule.
GRADIENT_RULES: Registry[Callable[[float], GradientRule]] = Registry("optimization.clip_by")
