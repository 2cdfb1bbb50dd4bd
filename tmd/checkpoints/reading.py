"""Files of weights, read without running what is in them."""

from __future__ import annotations

import os
import pickletools
import re
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from tmd.errors import UserError, printable


def read_torch_file(
    path: str | os.PathLike[str], device: str | torch.device = "cpu", kind: str = "checkpoint"
) -> Any:
    """The content of a file of `torch.save`: tensors, numbers, texts, lists and dicts of them.

    Args:
        kind: what to call the file in messages.

    Raises:
        UserError: it is absent, truncated, no such file, or asks for code to be run.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{kind} {path}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is told below, is told there in paragraphs
            return torch.load(path, map_location=device, weights_only=True)
    except UnpicklingError as problem:
        if wanted := _code_in(path, str(problem)):
            raise UserError(
                f"{kind} {path}: to read it would run code ({printable(wanted)}), so it is "
                "refused, and nothing of it was run; ask for the weights alone, as .safetensors"
            ) from None
    except RuntimeError as problem:
        if "TorchScript" in str(problem):
            raise UserError(
                f"{kind} {path}: a TorchScript program, not weights; ask for the weights it was "
                "made of, as .pth or .safetensors"
            ) from None
    except Exception:
        pass
    raise UserError(f"{kind} {path}: truncated, or not a PyTorch checkpoint") from None


def _code_in(path: Path, problem: str) -> str:
    """Name of the first thing that a pickle asks for and that is no number's or tensor's."""
    if named := re.search(r"GLOBAL ([\w.]+)", problem):
        return named[1]
    # Python's own pickles of today have names in another form, before which torch gives up.
    texts: list[str] = []
    try:
        for operation, argument, _ in pickletools.genops(path.read_bytes()):
            if operation.name == "STACK_GLOBAL":
                return ".".join(texts[-2:])
            if operation.name == "GLOBAL":
                return str(argument).replace(" ", ".")
            if isinstance(argument, str):
                texts.append(argument)
    except Exception:  # no pickle after all
        return ""
    return ""
