"""Memory for time: a network's blocks are computed again for their gradients, not remembered.

Of each block only its input is kept (gradient checkpointing, arXiv:1604.06174). What a block does
to itself when it is used is done the first time only, so that training gets the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from typing import Any

from torch import is_grad_enabled, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.utils.checkpoint import checkpoint

from tmd.errors import UserError

#: Blocks that a network is divided into at least, where it has so many.
FEWEST = 4


def recompute_blocks(network: nn.Module) -> int:
    """Have a network's blocks computed again in its backward pass; the number of blocks.

    In place, by other classes of the blocks: the names in its state stay as they are.
    """
    blocks = blocks_of(network)
    for block in blocks:
        block.__class__ = _recomputing(type(block))  # type: ignore[arg-type]
    return len(blocks)


def check_recompute(network: nn.Module) -> None:
    """Raise `UserError` for a network without blocks.

    Args:
        network: it needs no weights.
    """
    if not blocks_of(network):
        name = (getattr(network, "config", None) or {}).get("name", type(network).__name__)
        raise UserError(
            f"training.recompute=True: {name} has no blocks of several layers to compute again"
        )


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """The largest parts of several layers, at least `FEWEST` of them if there are as many.

    Sequences are no blocks: what is in them is.
    """
    blocks = _parts(network)
    while len(blocks) < FEWEST:
        # The largest that has parts is taken apart.
        for block in sorted(blocks, key=_size, reverse=True):
            if inner := _parts(block):
                place = blocks.index(block)
                blocks[place : place + 1] = inner
                break
        else:
            break
    return blocks


def _parts(module: nn.Module) -> list[nn.Module]:
    found: list[nn.Module] = []
    for child in module.children():
        if not _size(child) or not any(True for _ in child.children()):
            continue
        if isinstance(child, nn.ModuleList) or type(child) is nn.Sequential:
            inner = _parts(child)
            # A sequence of single layers is a block itself, if it can be called.
            callable_ = isinstance(child, nn.Sequential) and len(child) > 1
            found += inner if inner or not callable_ else [child]
        elif not _is_parametrised(child):
            found.append(child)
    return found


def _is_parametrised(layer: nn.Module) -> bool:
    """Is it a single layer whose only part is what makes its weight?"""
    return [name for name, _ in layer.named_children()] == ["parametrizations"]


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@lru_cache(maxsize=256)
def _recomputing(kind: type[nn.Module]) -> type[nn.Module]:
    class Recomputing(kind):  # type: ignore[misc, valid-type]
        def forward(self, *inputs: Any, **named: Any) -> Any:
            forward = super().forward
            if not self.training or not is_grad_enabled():
                return forward(*inputs, **named)
            return checkpoint(
                forward,
                *inputs,
                use_reentrant=False,
                context_fn=lambda: (nullcontext(), standing(self)),
                **named,
            )

    Recomputing.__name__, Recomputing.__qualname__ = kind.__name__, kind.__qualname__
    return Recomputing


@contextmanager
def standing(module: nn.Module, stands: bool = True) -> Iterator[None]:
    """``module`` is used and leaves no trace in itself: it has been used for this update already.

    Spectral normalisations take no step of their power iteration, and what batch normalisations
    see moves no running statistics; what comes out is what would without.

    Args:
        stands: whether it is so; False changes nothing.
    """
    if not stands:
        yield
        return
    norms = [m for m in module.modules() if isinstance(m, _SpectralNorm) and m.training]
    kept = [
        (m, dict(m._buffers))
        for m in module.modules()
        if isinstance(m, _BatchNorm) and m.training and m.track_running_stats
    ]
    for norm in norms:
        norm.training = False
    for layer, buffers in kept:
        # Copies take the changes: a backward pass wants what is replaced as it was.
        layer._buffers.update({k: v if v is None else v.clone() for k, v in buffers.items()})
    try:
        yield
    finally:
        for norm in norms:
            norm.training = True
        for layer, buffers in kept:
            layer._buffers.update(buffers)
