"""Place of a process: its device, its share of each batch, its arithmetic."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import torch
from torch import nn

from tmd.acceleration.speed import Speed
from tmd.distributed import ALONE, Share, connect, parallel
from tmd.seeding import derive_seed

# cuBLAS reads it at its first use, if only to time it, and refuses to be deterministic without.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@dataclass(frozen=True)
class Place:
    """Device, share and arithmetic of this process.

    Attributes:
        device: its own.
        share: of each batch.
        speed: how the arithmetic is done.
        sync_batch_norm: whether batch statistics are taken over the images of all processes.
        seed: of what networks draw in training; None: torch's own generator as it stands.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    share: Share = ALONE
    speed: Speed = field(default_factory=Speed)
    sync_batch_norm: bool = False
    seed: int | None = None

    def prepared(self, network: nn.Module) -> nn.Module:
        """``network``, ready for its optimiser to be made."""
        if self.sync_batch_norm and self.share.count > 1:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return self.speed.prepare(network, self.device)

    def trained(self, network: nn.Module, some_unused: bool = False) -> nn.Module:
        """``network`` as a trainer calls it: the processes' gradients are averaged."""
        return parallel(network, self.share, some_unused)


def take_place(
    seed: int,
    device: str = "cpu",
    deterministic: bool = False,
    speed: str = "float32",
    sync_batch_norm: bool = False,
) -> Place:
    """Meet the other processes, seed the weights' initialisation, choose the kernels.

    Args:
        seed: of everything random.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        deterministic: the same bits again on a GPU.
        speed: see `Speed.parse`; the first process's is everyone's.
        sync_batch_norm: see `Place`.
    """
    torch.manual_seed(derive_seed(seed, "weights"))
    if (
        torch.are_deterministic_algorithms_enabled() != deterministic
    ):  # each call imports a compiler
        torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
    share, own = connect(device)
    # What was timed to be the fastest by the first is everyone's.
    chosen = Speed.parse(share.agreed(speed))
    chosen.switch_device(own)
    return Place(own, share, chosen, sync_batch_norm, seed)
