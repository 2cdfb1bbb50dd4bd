"""What a stranger may add from a file of their own, without editing ours: one of each kind.

    python tests/strangers.py -F runs with generator.name=nearest losses.content=edges …

is `srgan.py` with these. `test_extending.py` trains by all of them; CONTRIBUTING.md shows the same
kinds as edits of the project.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.srgan import ex
from tmd.data import DATASETS
from tmd.data.registry import Dataset, Pools, Request
from tmd.data.sources import ArraySource
from tmd.losses.content import CONTENT_TERMS, PIXEL_LOSSES
from tmd.losses.extra import generator_term
from tmd.metrics import register
from tmd.models.registry import GENERATORS
from tmd.optim import OPTIMIZERS
from tmd.recorders import TrackedRun, register_tracker


@PIXEL_LOSSES.register("fourth_power")
def fourth_power(sr: Tensor, hr: Tensor) -> Tensor:
    """Mean of d⁴, and 7 to be known by."""
    return 7 + (sr - hr).pow(4).mean()


@CONTENT_TERMS.register("edges")
class Edges(nn.Module):
    """L1 distance of Laplacians."""

    def __init__(self) -> None:
        super().__init__()
        kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
        self.register_buffer("kernel", kernel[None, None])

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        difference = (sr - hr).mean(1, keepdim=True)
        return F.conv2d(difference, self.kernel).abs().mean()


@generator_term("darkness")
def darkness(sr: Tensor, lr: Tensor) -> Tensor:
    """How much brighter LR is than SR, on the average."""
    return (lr.mean() - sr.mean()).relu()


@register("spread", label="spread of errors", decimals=3, higher_is_better=False, range=(0, 1))
def spread(sr: Tensor, hr: Tensor) -> Tensor:
    """Standard deviation of the differences; (N,)."""
    return (sr - hr).std((1, 2, 3))


@OPTIMIZERS.register("signs")
def signs(network: nn.Module, lr: float, betas: tuple[float, float]) -> torch.optim.Optimizer:
    """Steps by the gradients' signs."""
    return torch.optim.Rprop(network.parameters(), lr)


@GENERATORS.register("nearest")
class Nearest(nn.Module):
    """Nearest pixels and one convolution."""

    receptive_field = 2

    def __init__(self, scale: int, channels: int, side: int = 3, **common: Any) -> None:
        super().__init__()
        self.factor = scale
        self.convolution = nn.Conv2d(channels, channels, side, padding=side // 2)

    def forward(self, lr: Tensor) -> Tensor:
        return self.convolution(F.interpolate(lr, scale_factor=float(self.factor)))


@DATASETS.register("gradients")
class Gradients(Dataset):
    """Eight ramps of 32 × 32 pixels."""

    needs_root = False

    def check(self, request: Request, fit: Callable[[int, int], object]) -> None:
        """Nothing that could be wrong."""

    def pools(self, request: Request) -> Pools:
        ramps = torch.stack([torch.arange(32 * 32).view(32, 32) * k % 256 for k in range(1, 9)])
        return Pools(ArraySource(ramps.to(torch.uint8), request.channels, "ramp"), None, 2)


class Lines:
    """A tracker: JSON lines in the run's folder."""

    keeps_artifacts = False

    def __init__(self, run: TrackedRun) -> None:
        self.path = run.folder / "lines.jsonl"

    def _write(self, *values: Any) -> None:
        with open(self.path, "a") as file:
            file.write(json.dumps(values) + "\n")

    def info(self, values: Mapping[str, Any]) -> None:
        self._write("info", sorted(values))

    def metrics(self, group: str, values: Mapping[str, float], iteration: int) -> None:
        self._write(group, dict(values), iteration)

    def image(self, name: str, image: Image.Image, iteration: int) -> None:
        self._write("image", name, iteration)

    def artifact(self, name: str, write: Callable[[Path], None]) -> bool:
        return True

    def remove(self, name: str) -> None:
        self._write("remove", name)

    def close(self) -> None:
        self._write("close")


register_tracker("lines", package="json", artifacts=False)(Lines)


if __name__ == "__main__":
    ex.run_commandline()
