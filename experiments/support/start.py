"""Where and how a training process runs: its device, its share of each batch, its arithmetic."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import nn

from ingredients import training
from tmd.acceleration.speed import Speed
from tmd.distributed import Share, connect, parallel
from tmd.seeding import derive_seed

# cuBLAS reads it at its first use, if only to time it, and refuses to be deterministic without.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@dataclass(frozen=True)
class Place:
    """Where and how this process trains.

    Attributes:
        device: its own.
        share: of each batch.
        speed: how the arithmetic is done.
    """

    device: torch.device
    share: Share
    speed: Speed

    def prepared(self, network: nn.Module) -> nn.Module:
        """``network``, ready for its optimiser to be made."""
        if training.synchronises_batch_norm() and self.share.count > 1:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return self.speed.prepare(network, self.device)

    def trained(self, network: nn.Module, some_unused: bool = False) -> nn.Module:
        """What a trainer calls for ``network``: the processes' gradients are averaged."""
        return parallel(network, self.share, some_unused)


def start(seed: int, device: str, deterministic: bool) -> Place:
    """Meet the other processes, seed the weights' initialisation, choose the kernels."""
    torch.manual_seed(derive_seed(seed, "weights"))
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
    share, own = connect(device)
    # What was timed to be the fastest by the first is everyone's.
    speed = Speed.parse(share.agreed(training.speed_to_use()))
    speed.switch_device(own)
    return Place(own, share, speed)
