#!/usr/bin/env bash
# onnxruntime 1.32.0 resizes uint8 otherwise than float32: overshoot is cut between the two passes.
#
# ONNX's Resize (opset 18 and later) allows uint8 and says nothing of rounding on the way. For float32
# all agree: onnxruntime, ONNX's reference evaluator and (cubic, antialias=1, a = -0.5) Pillow's "F".
# For uint8 the reference computes in float, then clips and rounds once. onnxruntime with mode="cubic"
# and antialias=1 rounds and clips to 0..255 after the first axis, so that levels beside an edge that
# crosses another lie up to 14 of 255 levels off, the more the larger the contrast; antialias=0 is
# refused, but only when the session runs, long after the model's check and the session's creation.
# mode="linear" with antialias=0 cuts the fraction off (onnxruntime's issue 25417, closed as stale),
# with antialias=1 it rounds: so antialias, which should change nothing where an image is enlarged,
# makes it brighter.
#
# Seen on 28 November 2026 with onnx 1.23.2 and Pillow 13.0.0, Python 3.11, Linux, CPU; 8 x 8 levels
# enlarged to 16 x 16; errors of uint8 against float32 clipped to 0..255:
#
#     cubic, antialias=0     refused by run(): "Tensor type mismatch"
#     cubic, antialias=1     largest 13.6, mean -0.02
#     linear, antialias=0    largest 0.9, mean -0.12
#     linear, antialias=1    largest 0.4, mean 0.00
#     the reference          largest 0.5 in all four
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet \
    onnxruntime==1.32.0 onnx==1.23.2 pillow==13.0.0 numpy==2.4.6
"$work/venv/bin/python" - << 'END'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from PIL import Image

onnxruntime.set_default_logger_severity(4)
SHAPES = (1, 1, 8, 8), (1, 1, 16, 16)
TYPES = {np.uint8: TensorProto.UINT8, np.float32: TensorProto.FLOAT}
levels = np.zeros(SHAPES[0], np.uint8)
levels[..., 4:] = 255
levels[..., 2, :] = 200


def resize(mode, antialias, dtype):
    """Reference's and onnxruntime's; the latter None where it refuses."""
    options = {"cubic_coeff_a": -0.5, "exclude_outside": 1} if mode == "cubic" else {}
    node = helper.make_node(
        "Resize", ["x", "", "", "size"], ["y"], mode=mode, antialias=antialias, **options
    )
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TYPES[dtype], shape)]
        for name, shape in zip("xy", SHAPES)
    )
    size = helper.make_tensor("size", TensorProto.INT64, [4], SHAPES[1])
    graph = helper.make_graph([node], "resize", inputs, outputs, [size])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    x = levels.astype(dtype)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    try:
        found = session.run(None, {"x": x})[0].astype(np.float64)
    except Exception as error:
        assert "Tensor type mismatch" in str(error)
        found = None
    return ReferenceEvaluator(model).run(None, {"x": x})[0].astype(np.float64), found


seen = {}
for mode in ("cubic", "linear"):
    for antialias in (0, 1):
        reference, exact = resize(mode, antialias, np.float32)
        assert np.abs(exact - reference).max() < 0.001
        rounded, found = resize(mode, antialias, np.uint8)
        assert np.abs(rounded - exact.clip(0, 255)).max() < 0.51
        if mode == "cubic" and antialias:
            pillows = Image.fromarray(levels[0, 0].astype(np.float32)).resize((16, 16), Image.BICUBIC)
            assert np.abs(np.asarray(pillows) - exact[0, 0]).max() < 0.001
        if found is None:
            seen[mode, antialias] = None
        else:
            error = found - exact.clip(0, 255)
            largest, mean = float(np.abs(error).max()), float(error.mean())
            seen[mode, antialias] = round(largest, 1), round(mean, 2)
        print(f"{mode}, antialias={antialias}: uint8's largest and mean error {seen[mode, antialias]}")

expected = {
    ("cubic", 0): None,
    ("cubic", 1): (13.6, -0.02),
    ("linear", 0): (0.9, -0.12),
    ("linear", 1): (0.4, 0.0),
}
sys.exit(0 if seen == expected else "it has changed")
END
