#!/usr/bin/env bash
# pyiqa 0.1.16: MANIQA never sees the bottom of an image, nor do AHIQ and IQT, of 20 crops, too.
#
# `uniform_crop` lays 5 × 5 crops over an image for the 20 that are asked for, row by row from the
# top, and takes the first 20: the fifth row, which ends with the image's last line, is left out.
# Of an image of 1024 lines the last 200 may be anything, the value stays.
#
# Nothing is raised or warned of. The function's own source is run here, on numpy arrays.
# Seen on 28 November 2026, Python 3.11, Linux:
#
#     of 1024 lines, those from 824 on are in none of the 20 crops; of 1024 columns all are in some
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6
"$work/venv/bin/pip" install --quiet --no-deps --target "$work/pyiqa" pyiqa==0.1.16
cd "$work"
venv/bin/python << 'END'
import ast
import collections.abc
import pathlib
import sys
import types

import numpy as np

source = pathlib.Path("pyiqa/pyiqa/archs/arch_util.py").read_text()
functions = [n for n in ast.parse(source).body if getattr(n, "name", "") == "uniform_crop"]
torch = types.SimpleNamespace(stack=lambda arrays, dim: np.stack(arrays, dim))
known = {"np": np, "torch": torch, "collections": collections, "to_2tuple": lambda side: (side, side)}
exec(compile(ast.Module(functions, []), "arch_util.py", "exec"), known)

height, width = 1024, 1024
lines, columns = np.mgrid[:height, :width]
crops = known["uniform_crop"]([np.stack([lines, columns])[None]], crop_size=224, crop_num=20)
seen = [set(crops[:, axis].ravel().tolist()) for axis in (0, 1)]
missed = sorted(set(range(height)) - seen[0])
print(
    f"of {height} lines, those from {missed[0]} on are in none of the {len(crops)} crops; "
    f"of {width} columns {'all' if len(seen[1]) == width else len(seen[1])} are in some"
)
same = missed == list(range(824, height)) and len(seen[1]) == width
sys.exit(0 if same else "it has changed")
END
