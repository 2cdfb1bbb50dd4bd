"""Limits of gradients."""

from __future__ import annotations

import torch
from torch import nn

from tmd.optim.registry import GRADIENT_RULES, GradientRule


@GRADIENT_RULES.register("norm")
def clip_norm(limit: float) -> GradientRule:
    """Scale all gradients together so that their norm is at most ``limit``."""

    def rule(parameters: list[nn.Parameter]) -> None:
        torch.nn.utils.clip_grad_norm_(parameters, limit)

    return rule


@GRADIENT_RULES.register("value")
def clip_value(limit: float) -> GradientRule:
    """Clamp every gradient component to [-limit, limit]."""

    def rule(parameters: list[nn.Parameter]) -> None:
        torch.nn.utils.clip_grad_value_(parameters, limit)

    return rule


@GRADIENT_RULES.register("normalize")
def normalize(norm: float) -> GradientRule:
    """Scale all gradients together so that their norm is ``norm``."""

    def rule(parameters: list[nn.Parameter]) -> None:
        total = torch.nn.utils.clip_grad_norm_(parameters, float("inf"))
        gradients = [p.grad for p in parameters if p.grad is not None]
        torch._foreach_mul_(gradients, norm / (total + 1e-12))

    return rule
