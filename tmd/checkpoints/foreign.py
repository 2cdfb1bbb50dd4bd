"""Weights of other programs: the containers they come in, and the networks that they are of."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tmd.checkpoints.contents import NotOursError
from tmd.checkpoints.format import load_checkpoint
from tmd.checkpoints.reading import read_torch_file
from tmd.checkpoints.safetensors import read_tensors
from tmd.errors import UserError
from tmd.files import sha256
from tmd.models.published.recognition import recognised
from tmd.models.weights import compare_weights

#: Keys under which programs store a state dict, the averaged one first.
CONTAINERS = (
    "params_ema",
    "params-ema",
    "params",
    "state_dict_ema",
    "state_dict",
    "model_state_dict",
    "model",
    "net",
)
#: Names of a network where one file has several: as keys, and before the names of its weights.
OWN = {
    "generator": ("netG", "net_g", "generator", "G"),
    "discriminator": ("netD", "net_d", "discriminator", "D"),
}
#: What wrappers and larger modules put before every name.
WRAPPERS = ("module.", "_orig_mod.")
WHOLES = ("network.", "model.")


@dataclass(frozen=True)
class WeightsFile:
    """A state dict out of a file.

    Attributes:
        weights: tensors by name, without what wrappers put before every name.
        container: key of the file that they stood under, or empty.
        network: that was asked for, a key of `OWN`.
        sha256: of the file, hexadecimal.
    """

    path: Path
    weights: dict[str, Tensor]
    container: str
    network: str
    sha256: str

    @property
    def described(self) -> dict[str, str]:
        """File, container and digest, for a record."""
        return {"file": self.path.name, "container": self.container, "sha256": self.sha256}

    def alternatives(self) -> Iterator[dict[str, Tensor]]:
        """The weights, then those whose names begin as a larger module has them."""
        yield self.weights
        for prefix in (*(f"{name}." for name in OWN[self.network]), *WHOLES):
            part = {
                name.removeprefix(prefix): tensor
                for name, tensor in self.weights.items()
                if name.startswith(prefix)
            }
            if part:
                yield part


def read_weights(path: str | os.PathLike[str], network: str = "generator") -> WeightsFile:
    """A state dict from a .safetensors file, or from one of `torch.save` in a usual container.

    Args:
        network: of a file that has several: ``generator`` or ``discriminator``.

    Raises:
        UserError: it can't be read without running code, or holds no tensors by name.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        content: Any = read_tensors(path, kind="weights")[0]
    else:
        content = read_torch_file(path, kind="weights")
    container = ""
    while isinstance(content, Mapping) and (key := _container_in(content, network)) is not None:
        content, container = content[key], f"{container}.{key}".lstrip(".")
    weights = content if isinstance(content, Mapping) else {}
    weights = {str(name): each for name, each in weights.items() if isinstance(each, Tensor)}
    if not weights:
        raise UserError(f"weights {path}: holds no weights by name{_keys(content)}")
    _check_numbers(path, weights)
    return WeightsFile(path, _without_wrappers(weights), container, network, sha256(path))


def _check_numbers(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Raise `UserError` for weights with which no network can begin."""
    for name, tensor in weights.items():
        if tensor.layout != torch.strided or tensor.is_meta:
            continue
        if tensor.is_floating_point() and not tensor.float().isfinite().all():
            raise UserError(f"weights {path}: {name} has numbers that are not finite")
        if name.endswith(".weight") and tensor.ndim > 1 and not tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            raise UserError(
                f"weights {path}: {name} is of {kind}; weights are taken as floating-point numbers"
            )


def load_any(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Contents of a file of weights, ours or another program's, as `load_checkpoint` gives them.

    Returns:
        For weights of others, ``weights_file`` says which file they are from, and ``generator`` has
        the names of the architecture that ``generator_config`` describes; that is None where the
        architecture is unknown, and ``problem`` says why. LR is taken to be bicubic.

    Raises:
        UserError: it can't be read without running code, or holds no weights.
    """
    try:
        return load_checkpoint(path)
    except NotOursError:
        file = read_weights(path)
    weights, config, problem = file.weights, None, ""
    for alternative in file.alternatives():
        try:
            (name, scale, channels, options), weights = recognised(alternative)
        except UserError as unknown:
            problem = problem or str(unknown)
        else:
            config = {"name": name, "scale": scale, "channels": channels, **options}
            break
    return {
        "scale": config and config["scale"],
        "channels": config and config["channels"],
        "measurement": [{"name": "bicubic"}, {"name": "quantize"}],
        "generator_config": config,
        "generator": weights,
        "ema": None,
        "discriminator": None,
        "weights_file": file.described,
        "problem": None if config else problem.removeprefix("weights: "),
    }


def best_fitting(file: WeightsFile, network: nn.Module) -> Mapping[str, Tensor]:
    """The alternative of a file's weights of which most fits ``network``.

    Tried under the names that other programs have for its layers, too, where it says these.
    """
    own, layers = network.state_dict(), getattr(network, "names_elsewhere", {})
    candidates = [*file.alternatives()]
    candidates += [translated(each, layers) for each in candidates]
    return max(candidates, key=lambda each: len(compare_weights(own, each).carried))


def translated(weights: Mapping[str, Tensor], layers: Mapping[str, str]) -> dict[str, Tensor]:
    """Weights with our names of layers, and of spectral normalisation as torch had it before 2.0.

    Args:
        layers: our names by theirs.
    """
    result = {}
    for name, tensor in weights.items():
        layer, _, kind = name.rpartition(".")
        layer = layers.get(layer, layer)
        kind = _SPECTRAL.get(kind, kind)
        result[f"{layer}.{kind}" if layer else kind] = tensor
    return result


_SPECTRAL = {
    "weight_orig": "parametrizations.weight.original",
    "weight_u": "parametrizations.weight.0._u",
    "weight_v": "parametrizations.weight.0._v",
}


def _container_in(content: Mapping[Any, Any], network: str) -> Any:
    """The key to go on with: a usual one, or the only one that is a mapping."""
    inner = [key for key, value in content.items() if isinstance(value, Mapping) and value]
    known = [key for key in (*OWN[network], *CONTAINERS) if key in inner]
    return known[0] if known else inner[0] if len(inner) == 1 else None


def _without_wrappers(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in WRAPPERS * 2:
        if all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return weights


def _keys(content: Any) -> str:
    if not isinstance(content, Mapping) or not content:
        return ""
    return f" (its keys: {', '.join(str(key)[:40] for key in list(content)[:6])})"
