"""Table of the networks by the programs that they can be written for, tried with small ones.

    python benchmarks/exports.py
    python benchmarks/exports.py compact span craft

`any` is a file for images of any size, `64` one for images of 64 × 64 alone; `-` neither, with the
reason on standard error. Each was run by its own program and compared with ours.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from torch import nn

from tmd.errors import UserError
from tmd.export import FORMATS, export_generator
from tmd.models import GENERATORS, create_generator

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "models"))
from small_networks import SMALL

COLUMNS = ("pth", "safetensors", "onnx", "openvino", "ncnn", "torchscript")


def network(name: str) -> nn.Module:
    """A small one at ×2 in which every layer counts."""
    torch.manual_seed(0)
    # ATD's number of categories is not to be seen from its weights: others take it for 256.
    sizes = {**SMALL.get(name, {"n_blocks": 1, "n_features": 8})}
    sizes.pop("category_size", None)
    generator = create_generator(name, scale=2, **sizes)
    for module in generator.modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, nn.Conv2d) and weight is not None and not weight.any():
            nn.init.normal_(weight, std=0.05)
    return generator.eval()


def outcome(generator: nn.Module, name: str, format: str) -> str:
    """Word on the files of a ``format`` that can be written."""
    with tempfile.TemporaryDirectory() as folder:
        for word, size in (("any", None), ("64", (64, 64))):
            if size is not None and not FORMATS[format].fixed:
                return "-"
            path = Path(folder) / f"{word}{FORMATS[format].suffix}"
            try:
                about = {"scale": generator.scale, "generator_config": generator.config}
                export_generator(generator, format, path, about, size=size)
            except UserError as problem:
                print(f"{name} {word}: {problem}", file=sys.stderr, flush=True)
            else:
                return word
    return "-"


def main(names: list[str]) -> None:
    """Print the table."""
    print(f"| network | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for name in names or sorted(GENERATORS):
        generator = network(name)
        words = [outcome(generator, name, format) for format in COLUMNS]
        print(f"| `{name}` | {' | '.join(words)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
