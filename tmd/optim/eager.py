"""Optimiser that is never compiled: without what torch wraps around its methods for that."""

from __future__ import annotations

from inspect import unwrap

from torch.optim import Optimizer


class EagerOptimizer(Optimizer):
    """Base of an optimiser whose methods do not import torch's compiler.

    torch wraps these methods for `torch.compile`, and at the first call each wrapper imports all of
    the compiler: 0.7 s of processor time before the first update of a run, whether or not anything
    is compiled. Here networks and losses are, never their updates.
    """

    add_param_group = unwrap(Optimizer.add_param_group)
    zero_grad = unwrap(Optimizer.zero_grad)
    state_dict = unwrap(Optimizer.state_dict)
    load_state_dict = unwrap(Optimizer.load_state_dict)
