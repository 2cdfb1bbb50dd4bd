"""State of an optimiser: what it has seen, told from how it is set."""

from __future__ import annotations

import inspect
from typing import Any

import torch

#: Optimisers of checkpoints that do not say whose state they hold.
EARLIER = ("Adam", "Muon")
#: Entry of a saved state that says whose it is.
KIND = "kind"


def with_kind(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """``state`` of an optimiser, saying of what kind that is."""
    return {**state, KIND: type(optimizer).__name__}


def go_on(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> bool:
    """Have an optimiser go on from what another of its kind has seen; False: it is no such state.

    Its own settings stay: the arguments that its class takes, learning rates and betas say. What
    else a group of parameters holds (counts of steps, sums) has been seen, and is taken over.
    """
    own = optimizer.state_dict()
    kind = type(optimizer).__name__
    if state.get(KIND, kind if kind in EARLIER else None) != kind or _layout(own) != _layout(state):
        return False
    settings = {*inspect.signature(type(optimizer)).parameters, "params", "lr_scale"}
    groups = [
        {**mine, **{key: value for key, value in theirs.items() if key not in settings}}
        for mine, theirs in zip(own["param_groups"], state["param_groups"], strict=True)
    ]
    optimizer.load_state_dict({"state": state["state"], "param_groups": groups})
    return True


def _layout(optimizer: dict[str, Any]) -> list[Any]:
    """Number of parameters of each of an optimiser's groups, and what it was split off for."""
    return [(len(group["params"]), group.get("lr_scale")) for group in optimizer["param_groups"]]
