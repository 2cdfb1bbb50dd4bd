"""Files of a network's arithmetic: ONNX, TorchScript, OpenVINO."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tmd.export.kinds import How, Metadata, Run, example
from tmd.export.preparing import computed

METADATA_FILE = "tmd.json"


def write_onnx(generator: nn.Module, metadata: Metadata, path: Path, how: How) -> None:
    """Write a graph that takes ``lr`` and gives ``sr``, float32; see `How`."""
    import onnx

    program = torch.onnx.export(
        computed(generator),
        (example(generator, how),),
        dynamo=True,
        verbose=False,
        input_names=["lr"],
        output_names=["sr"],
        # Windows of attention fix the number of images as well.
        dynamic_shapes=None if how.size else ({0: "n", 2: "height", 3: "width"},),
    )
    assert program is not None
    model = program.model_proto
    if how.is_half:
        model = _halved(model)
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.save(model, path)


def _halved(model: Any) -> Any:
    """The same graph in float16, which still takes and gives float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(model, keep_io_types=True)


def load_onnx(path: Path) -> Run:
    """The graph as onnxruntime runs it on a CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda lr: torch.from_numpy(session.run(["sr"], {"lr": lr.numpy()})[0])


def write_torchscript(generator: nn.Module, metadata: Metadata, path: Path, how: How) -> None:
    """Write a traced program."""
    traced = torch.jit.trace(computed(generator), example(generator, how), check_trace=False)
    torch.jit.save(traced, path, _extra_files={METADATA_FILE: json.dumps(dict(metadata))})


def load_torchscript(path: Path) -> Run:
    """The program as libtorch runs it."""
    return torch.jit.load(path)


def write_openvino(generator: nn.Module, metadata: Metadata, path: Path, how: How) -> None:
    """Write OpenVINO's graph, made of the one of ONNX, and beside it its weights."""
    import openvino

    # Only what it reads: what it was trained with is of no use to its tools.
    onnx_file = path.with_suffix(".onnx")
    try:
        write_onnx(generator, {}, onnx_file, How(size=how.size))
        model = openvino.convert_model(onnx_file)
    finally:
        onnx_file.unlink(missing_ok=True)
    for key, value in metadata.items():
        model.set_rt_info(json.dumps(value), ["tmd", key])
    openvino.save_model(model, path, compress_to_fp16=how.is_half)


def load_openvino(path: Path) -> Run:
    """The graph as OpenVINO runs it in float32."""
    return _compiled(path, {"INFERENCE_PRECISION_HINT": "f32"})


def _compiled(path: Path, hints: dict[str, str]) -> Run:
    import openvino

    model = openvino.Core().compile_model(str(path), "CPU", hints)
    return lambda lr: torch.from_numpy(model({"lr": lr.numpy()})["sr"].copy())


def note_on_openvino(path: Path, generator: nn.Module) -> str:
    """A line on what OpenVINO's default precision makes of a file here, where it is another."""
    import openvino

    model = openvino.Core().compile_model(str(path), "CPU")
    precision = model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if precision == "f32":
        return ""
    lr = example(generator, How(size=(32, 32)) if _is_any_size(model) else _size_of(model))
    with torch.no_grad():
        difference = torch.from_numpy(model({"lr": lr.numpy()})["sr"]) - generator(lr)
    return (
        f"OpenVINO's default here is {precision}: off by up to {difference.abs().max():.0e}, "
        f"{255 * difference.mean():+.2f} levels in the mean; INFERENCE_PRECISION_HINT=f32 gives "
        "what was compared"
    )


def _is_any_size(model: Any) -> bool:
    return model.inputs[0].get_partial_shape()[2].is_dynamic


def _size_of(model: Any) -> How:
    shape = model.inputs[0].get_partial_shape()
    return How(size=(shape[2].get_length(), shape[3].get_length()))
