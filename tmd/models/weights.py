"""Weights put into a network, every name and shape of them."""

from __future__ import annotations

from torch import Tensor, nn

from tmd.errors import UserError


def load_weights(module: nn.Module, weights: dict[str, Tensor], source: str) -> None:
    """Load ``weights`` into ``module``; every name and shape must match.

    Raises:
        UserError: names what is missing, unexpected or of another shape (the first few of each).
    """
    own = module.state_dict()

    def listed(names: list[str]) -> str:
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    problems = []
    if missing := [name for name in own if name not in weights]:
        problems.append(f"missing {listed(missing)}")
    if unexpected := [name for name in weights if name not in own]:
        problems.append(f"unexpected {listed(unexpected)}")
    if reshaped := [
        f"{name} {tuple(weights[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in weights and own[name].shape != weights[name].shape
    ]:
        problems.append(f"of another shape {listed(reshaped)}")
    if problems:
        raise UserError(f"{source}: another architecture: {'; '.join(problems)}")
    module.load_state_dict(weights, strict=True)
