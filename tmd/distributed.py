"""Several processes that train one network together, each on its share of every batch.

``torchrun`` starts them; everything here is a matter of course where there is one process only.
"""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tmd.launch import launched

M = TypeVar("M", bound=nn.Module)


def _processes() -> Any:
    """Ignite's view of the processes; imported where there are several, as it takes a while."""
    import ignite.distributed

    return ignite.distributed


@dataclass(frozen=True)
class Share:
    """Rows of each batch that are this process's, and the means by which the processes agree.

    Attributes:
        rank: this process's number.
        count: how many there are.

    Example:
        >>> Share(1, 4).rows(8)
        slice(2, 4, None)
    """

    rank: int = 0
    count: int = 1

    @property
    def is_main(self) -> bool:
        """True for the process that writes: the record, checkpoints, what a person reads."""
        return self.rank == 0

    def rows(self, total: int) -> slice:
        """This process's rows of a batch of ``total``, which ``count`` divides."""
        mine = total // self.count
        return slice(self.rank * mine, (self.rank + 1) * mine)

    def within(self, part: int, parts: int) -> Share:
        """Rows of this process where each batch is one of ``parts`` that stand for one.

        Example:
            >>> Share(1, 2).within(2, 4).rows(32)
            slice(20, 24, None)
        """
        return Share(part * self.count + self.rank, parts * self.count) if parts > 1 else self

    def mean(self, values: Tensor) -> Tensor:
        """The mean of the processes' ``values``."""
        return self.total(values) / self.count if self.count > 1 else values

    def total(self, values: Tensor) -> Tensor:
        """The sum of the processes' ``values``."""
        return _processes().all_reduce(values) if self.count > 1 else values  # type: ignore[return-value]

    def any(self, value: bool) -> bool:
        """True where ``value`` is true in one of the processes."""
        return bool(_processes().all_reduce(float(value), "MAX")) if self.count > 1 else value

    def sent(self, values: Tensor, owner: int) -> Tensor:
        """The ``values`` that the process number ``owner`` has; all give equal shapes."""
        if self.count == 1:
            return values
        # Broadcasting writes where the others' values are.
        sent = _processes().broadcast(
            values.clone(memory_format=torch.contiguous_format), src=owner
        )
        assert isinstance(sent, Tensor)
        return sent

    def agreed(self, text: str) -> str:
        """The first process's ``text``."""
        return _processes().broadcast(text, src=0, safe_mode=True) if self.count > 1 else text  # type: ignore[return-value]


#: All of each batch: the only process there is.
ALONE = Share()


def started_share() -> Share:
    """Share that `torchrun` gave this process, `connected` yet or not."""
    return Share(*launched())


def processes_here() -> int:
    """Number of processes that `torchrun` started on this machine; they share its memory."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if started_share().count > 1 else 1


def connect(device: str) -> tuple[Share, torch.device]:
    """Meet the other processes, if `torchrun` started any.

    Args:
        device: ``cpu``, ``cuda`` or, where there is one process, ``cuda:N``.

    Returns:
        The share of this process and its device.
    """
    share = started_share()
    if share.count == 1:
        return share, torch.device(device)
    if device == "cpu":
        _processes().initialize("gloo")
        return share, torch.device("cpu")
    place = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(place)
    _processes().initialize("nccl")
    return share, place


def disconnect(share: Share) -> None:
    """Part from the other processes when all have finished."""
    if share.count > 1:
        _processes().barrier()
        _processes().finalize()


def parallel(module: M, share: Share, some_unused: bool = False) -> M | DistributedDataParallel:
    """``module``, whose gradients become the mean over the processes in ``backward``.

    Args:
        module: on its device. All processes get the first one's weights.
        some_unused: parameters may be frozen for a while.
    """
    if share.count == 1:
        return module
    place = next(module.parameters()).device
    # Batch statistics that are replaced between two forwards break the backward of the first;
    # `equalise_buffers` does it after the update.
    known = inspect.signature(DistributedDataParallel).parameters
    old, new = "broadcast_buffers", "forward_sync_buffers"
    options: dict[str, Any] = {new if new in known else old: False}
    return DistributedDataParallel(
        module,
        device_ids=[place] if place.type == "cuda" else None,
        find_unused_parameters=some_unused,
        **options,
    )


def unwrapped(module: nn.Module) -> nn.Module:
    """Module that `parallel` was given: for use without its gradients, and for its attributes."""
    return module.module if isinstance(module, DistributedDataParallel) else module


def equalise_buffers(share: Share, *modules: nn.Module) -> None:
    """Give all processes the first one's batch statistics and spectral vectors."""
    buffers = [b for m in modules for b in m.buffers() if b.is_floating_point() and b.numel()]
    if share.count == 1 or not buffers:
        return
    flat = share.sent(torch.cat([b.detach().flatten() for b in buffers]), 0)
    for buffer, values in zip(buffers, flat.split([b.numel() for b in buffers]), strict=True):
        buffer.copy_(values.view_as(buffer))
