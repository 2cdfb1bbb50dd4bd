#!/usr/bin/env bash
# torch 2.14.1: removing a parametrization from a deep copy of a module breaks the original.
#
# register_parametrization (and with it spectral_norm, weight_norm, orthogonal) gives a module a class of
# its own, which has the parametrized tensor as a property. copy.deepcopy copies the parameters but shares
# that class, so that parametrize.remove_parametrizations on the copy, the documented way to fix a weight
# for export, deletes the property from the original's class, too: the original has no weight any more,
# and every forward pass of it fails. It is the same the other way round.
#
# Seen on 28 November 2026, Python 3.11, Linux, CPU:
#
#     the copy       a plain convolution with the normalised weight
#     the original   AttributeError: 'ParametrizedConv2d' object has no attribute 'weight'
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.14.1 numpy==2.4.6
"$work/venv/bin/python" - << 'END'
import copy
import sys

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

original = parametrizations.spectral_norm(nn.Conv2d(1, 1, 3)).eval()
image = torch.rand(1, 1, 5, 5)
before = original(image)
copied = copy.deepcopy(original)
assert torch.equal(copied(image), before)
parametrize.remove_parametrizations(copied, "weight")
assert torch.allclose(copied(image), before)
print("the copy: as it was")
try:
    original(image)
    seen = "as it was"
except AttributeError as error:
    seen = str(error)
print(f"the original: {seen}")
sys.exit(0 if "has no attribute 'weight'" in seen else "it has changed")
END
