"""Reach of a network, found by what becomes of a pixel that is no number.

NaN goes through every sum that a pixel takes part in, whatever the weights are: what becomes NaN is
what may depend on the pixel, exactly, in one forward pass.
"""

from __future__ import annotations

import torch
from torch import nn

from tmd.models.contract import contract_of


@torch.no_grad()
def found_reach(generator: nn.Module, length: int, width: int | None = None) -> int | None:
    """Radius in LR pixels within which an SR pixel depends on LR pixels, along both axes.

    Args:
        generator: in evaluation mode; its weights do not matter, so that a thin network of the same
            depth tells.
        length: of the strip of LR pixels that is looked at; more than twice the radius.
        width: of the strip; None: two windows of the network's grid, and 8 at least.

    Returns:
        The radius, or None where it is more than the strip shows: the whole image, as far as one
        can tell.
    """
    contract = contract_of(generator)
    across = width or max(2 * contract.multiple, contract.minimum_size, 8)
    start = length // 2 // contract.multiple * contract.multiple
    # In a window each place sees as far as its borders, which differ in distance.
    places = sorted({0, contract.multiple // 2 - 1, contract.multiple // 2, contract.multiple - 1})
    found = 0
    for place in (start + max(offset, 0) for offset in places):
        for along in (-1, -2):
            shape = [1, contract.channels, across, across]
            shape[along] = length
            lr = torch.rand(shape)
            lr.select(along, place).select(-1, across // 2).fill_(float("nan"))
            spread = generator(lr).isnan().amax(1)[0].amax(1 - (along + 2)).nonzero()
            first, last = (int(spread[i]) // contract.scale for i in (0, -1))
            if first <= 0 or last >= length - 1:
                return None
            found = max(found, place - first, last - place)
    return found
