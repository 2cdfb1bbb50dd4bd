"""DISTS, deep image structure and texture similarity (arXiv:2004.07728), as a loss."""

from __future__ import annotations

import torch
from torch import Tensor

from tmd.losses.extra import generator_term
from tmd.metrics.dists import SMALLEST, dists_network, find_dists_weights


def check_dists(dists_weights: str | None) -> None:
    """Raise `UserError` where DISTS can't be had."""
    if find_dists_weights(dists_weights) is None:
        dists_network(dists_weights, torch.device("cpu"))


@generator_term("dists", channels=3, minimum_size=SMALLEST, check=check_dists)
def dists(sr: Tensor, hr: Tensor, dists_weights: str | None = None) -> Tensor:
    """Mean DISTS (arXiv:2004.07728, eq. 6): textures may move as they do in real ones.

    Args:
        dists_weights: see `find_dists_weights`.
    """
    return dists_network(dists_weights, sr.device)(sr, hr).mean()
