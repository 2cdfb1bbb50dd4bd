"""Files of ncnn: a graph as text and its weights, made by pnnx of a traced program."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

import torch
from torch import nn

from tmd.errors import UserError
from tmd.export.kinds import How, Metadata, Run, example
from tmd.export.preparing import grouped

#: Names of the input and the output in pnnx's files, and in those of the programs that take them.
NAMES = {"in0": "data", "out0": "output"}


def write_ncnn(generator: nn.Module, metadata: Metadata, path: Path, how: How) -> None:
    """Write ``path``, the graph, and ``.bin`` beside it; it takes ``data`` and gives ``output``.

    Raises:
        UserError: pnnx makes nothing of it that ncnn could run.
    """
    import pnnx

    shape = list(example(generator, how).shape)
    other = [*shape[:2], 2 * shape[2], 3 * shape[3]]
    words = [f"inputshape={_listed(shape)}", f"fp16={int(how.is_half)}"]
    if how.size is None:
        words.append(f"inputshape2={_listed(other)}")
    with tempfile.TemporaryDirectory() as folder:
        traced = torch.jit.trace(grouped(generator), torch.rand(shape), check_trace=False)
        torch.jit.save(traced, os.path.join(folder, "g.pt"))
        done = subprocess.run(
            [pnnx.EXEC_PATH, "g.pt", *words], cwd=folder, capture_output=True, check=False
        )
        graph, weights = Path(folder, "g.ncnn.param"), Path(folder, "g.ncnn.bin")
        if done.returncode or not graph.is_file():
            raise UserError(f"format=ncnn: pnnx ends with status {done.returncode}")
        text = graph.read_text()
        if unknown := _unknown_layers(text):
            raise UserError(f"format=ncnn: ncnn has no {', '.join(unknown)}; format=onnx has")
        for name, given in NAMES.items():
            text = re.sub(rf"(?<=\s){name}(?=\s)", given, text)
        path.write_text(text)
        path.with_suffix(".bin").write_bytes(weights.read_bytes())


def _listed(shape: list[int]) -> str:
    return str(shape).replace(" ", "")


def _unknown_layers(text: str) -> list[str]:
    """Layers of a graph that are pnnx's or torch's and not ncnn's."""
    kinds = [line.split()[0] for line in text.splitlines()[2:] if line.strip()]
    return sorted({kind for kind in kinds if "." in kind or "::" in kind})


def load_ncnn(path: Path) -> Run:
    """The graph as ncnn runs it on a CPU in float32, an image at a time."""
    import ncnn
    import numpy as np

    net = ncnn.Net()
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(net.opt, f"use_{option}", False)
    if net.load_param(str(path)) or net.load_model(str(path.with_suffix(".bin"))):
        raise UserError("format=ncnn: ncnn can't read what pnnx made")

    def run(image: torch.Tensor) -> torch.Tensor:
        extractor = net.create_extractor()
        extractor.input(NAMES["in0"], ncnn.Mat(image.numpy()).clone())
        status, result = extractor.extract(NAMES["out0"])
        if status:
            raise UserError(f"format=ncnn: ncnn ends with status {status}")
        return torch.from_numpy(np.array(result))

    return lambda lr: torch.stack([run(image) for image in lr])
