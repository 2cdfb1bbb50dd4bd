"""Weights of a file, or of a run, for a network of the config: what fits is taken over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from experiments.support.parents import open_parent
from experiments.support.trained import network_file
from tmd.checkpoints.foreign import best_fitting, read_weights
from tmd.errors import UserError
from tmd.models.weights import FitReport, compare_weights, fit_weights

#: Weights by network, as the config names them.
Given = Mapping[str, Any]


def weights_config(spec: Any, store: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The config entries of the generator that ``generator.weights`` has the weights of.

    Args:
        given: the entries that the user gave; with another ``generator.name`` none is added.
    """
    parent = open_parent(spec, store)
    if parent.generator.get("generator_config") is None:
        return {}
    config = parent.config
    config.pop("discriminator", None)
    name = given.get("generator", {}).get("name", config["generator"]["name"])
    return config if name == config["generator"]["name"] else {}


def check_weights(given: Given, store: str, networks: Mapping[str, nn.Module]) -> None:
    """Raise `UserError` for weights that can't be read, or of which nothing fits a network.

    Args:
        networks: those of the config; they need no weights.
    """
    for name, spec in given.items():
        if spec is not None:
            _fitting(name, spec, store, networks[name])


def take_weights(
    given: Given, store: str, networks: Mapping[str, nn.Module]
) -> dict[str, dict[str, Any]]:
    """Put weights into networks, say what fits, and return what the record has of it.

    Raises:
        UserError: see `check_weights`.
    """
    info = {}
    for name, spec in given.items():
        if spec is not None:
            weights, origin = _fitting(name, spec, store, networks[name])
            report = fit_weights(networks[name], weights)
            print(f"{name} begins with {spec}: {_described(networks[name])}{report.summary()}")
            info[name] = {**origin, **recorded(report)}
    return info


def _described(network: nn.Module) -> str:
    """A generator in words, as its scale and channels may be the file's; nothing of others."""
    config: Any = network.config
    if "scale" not in config:
        return ""
    return f"{config['name']} ×{config['scale']}, channels: {config['channels']}; "


def _fitting(
    name: str, spec: Any, store: str, network: nn.Module
) -> tuple[Mapping[str, Tensor], dict[str, Any]]:
    """The weights that ``spec`` has for a network, and where they are from."""
    weights, origin = (_of_generator if name == "generator" else _of_discriminator)(
        spec, store, network
    )
    taken = set(compare_weights(network.state_dict(), weights).carried)
    if not any(p.ndim > 1 for n, p in network.named_parameters() if n in taken):
        config: Any = network.config
        architecture = origin.get("architecture")
        told = f"they are of {architecture}" if architecture else f"it has {_some(weights)}"
        raise UserError(
            f"{name}.weights={spec}: nothing fits {name}.name={config['name']}; {told}"
            + (f" ({origin['problem']})" if origin.get("problem") else "")
        )
    return weights, origin


def _of_generator(
    spec: Any, store: str, network: nn.Module
) -> tuple[Mapping[str, Tensor], dict[str, Any]]:
    parent = open_parent(spec, store)
    state = parent.generator
    config = state.get("generator_config")
    origin = {"from": parent.name, "architecture": config and config["name"]}
    origin |= state.get("weights_file") or {}
    if config is None:
        origin["problem"] = state["problem"]
    if config is None:  # of no known architecture: names and shapes alone can tell
        return best_fitting(read_weights(network_file(spec)), network), origin  # type: ignore[arg-type]
    return state["ema"] if state.get("ema") is not None else state["generator"], origin


def _of_discriminator(
    spec: Any, store: str, network: nn.Module
) -> tuple[Mapping[str, Tensor], dict[str, Any]]:
    if (path := network_file(spec)) is not None:
        file = read_weights(path, "discriminator")
        return best_fitting(file, network), {"from": str(spec), **file.described}
    parent = open_parent(spec, store)
    if parent.discriminator is None:
        raise UserError(f"discriminator.weights={spec}: has no discriminator")
    state = parent.discriminator
    architecture = (state.get("discriminator_config") or {}).get("name")
    return state["discriminator"], {"from": parent.name, "architecture": architecture}


def _some(names: Iterable[str]) -> str:
    return ", ".join([*names][:3]) + ", …"


def recorded(report: FitReport) -> dict[str, Any]:
    """Plain numbers and names."""
    return {
        "carried_parameters": report.carried_parameters,
        "new_parameters": report.new_parameters,
        "carried_share": report.carried_share,
        "carried": report.carried,
        "new": report.new,
        "reinitialised": report.reinitialised,
        "dropped": report.dropped,
    }
