"""Table of the formats; a new one is an entry here."""

from __future__ import annotations

from tmd.checkpoints import load_generator
from tmd.export.graphs import (
    load_onnx,
    load_openvino,
    load_torchscript,
    note_on_openvino,
    write_onnx,
    write_openvino,
    write_torchscript,
)
from tmd.export.kinds import HALF_TOLERANCE, NCNN_TOLERANCE, ROUNDED_TOLERANCE, Format
from tmd.export.ncnn_files import load_ncnn, write_ncnn
from tmd.export.weights_files import (
    load_ours,
    load_published,
    misunderstood,
    note_of_ours,
    spandrels,
    unknown_elsewhere,
    write_half,
    write_ours,
    write_pth,
)

PRECISIONS = ("float32", "float16")

FORMATS = {
    "onnx": Format(
        ".onnx",
        "onnxruntime",
        ("onnx", "onnxscript", "onnxruntime"),
        write_onnx,
        load_onnx,
        half_tolerance=HALF_TOLERANCE,
        fixed=True,
    ),
    "torchscript": Format(
        ".torchscript", "libtorch", (), write_torchscript, load_torchscript, fixed=True
    ),
    "safetensors": Format(
        ".safetensors",
        "PyTorch",
        ("safetensors",),
        write_ours,
        load_ours,
        half_tolerance=HALF_TOLERANCE,
        second=spandrels,
        misunderstood=misunderstood,
        note=note_of_ours,
    ),
    "half": Format(".pt", "PyTorch", (), write_half, load_generator, ROUNDED_TOLERANCE),
    "pth": Format(
        ".pth",
        "spandrel",
        ("spandrel",),
        write_pth,
        load_published,
        half_tolerance=HALF_TOLERANCE,
        refuse=unknown_elsewhere,
        misunderstood=misunderstood,
    ),
    "openvino": Format(
        ".xml",
        "OpenVINO",
        ("openvino", "onnx", "onnxscript"),
        write_openvino,
        load_openvino,
        half_tolerance=HALF_TOLERANCE,
        extra="openvino",
        companions=(".bin",),
        fixed=True,
        note=note_on_openvino,
    ),
    "ncnn": Format(
        ".param",
        "ncnn",
        ("pnnx", "ncnn"),
        write_ncnn,
        load_ncnn,
        NCNN_TOLERANCE,
        half_tolerance=HALF_TOLERANCE,
        extra="ncnn",
        companions=(".bin",),
        fixed=True,
    ),
}
