"""Trained generators by what a user types: a run's number, folder or address, a file, a name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from observers import RunRecord, open_run
from tmd.checkpoints import BEST, checkpoints_in, load_generator
from tmd.checkpoints.foreign import load_any
from tmd.errors import UserError
from tmd.shipped import shipped_networks


@dataclass(frozen=True)
class Trained:
    """A generator in evaluation mode, where it comes from and what its checkpoint says.

    Attributes:
        generator: (N, C, H, W) in [0, 1] -> (N, C, scale·H, scale·W).
        name: what tables call it.
        state: contents of the checkpoint.
        file: the checkpoint on this machine.
        record: the run it was named by, or None; the file of one in a database is gone with it.
    """

    generator: nn.Module
    name: str
    state: dict[str, Any]
    file: Path
    record: RunRecord | None = None


def open_trained(run: Any, checkpoint: Any, store: str, device: str) -> Trained:
    """The generator of exactly one of ``run=`` and ``checkpoint=``.

    Args:
        checkpoint: a file, or the name of a network that comes with the package.

    Raises:
        UserError: none or both are given, or it can't be had.
    """
    if (run is None) == (checkpoint is None):
        raise UserError("run, checkpoint: give one of them, run=3 or checkpoint=best.pt, say")
    if checkpoint is not None:
        return _opened(*_checkpoint_file(str(checkpoint)), device)
    record = _open_run(run, store)
    return _opened(best_checkpoint(record), f"run {record.id}", device, record)


def named_file(checkpoint: Any, weights: Any) -> Any:
    """The one file, or those, that ``checkpoint=`` or ``weights=`` names; both mean the same.

    Raises:
        UserError: both are given.
    """
    if checkpoint is not None and weights is not None:
        raise UserError("checkpoint, weights: two words for one thing; give one of them")
    return checkpoint if weights is None else weights


def _open_run(run: Any, store: str) -> RunRecord:
    try:
        return open_run(run, store=store)
    except UserError:
        if str(run) not in shipped_networks():
            raise
        raise UserError(
            f"run={run}: no run, but a network that comes with the package; checkpoint={run}"
        ) from None


def open_any(spec: Any, store: str, device: str) -> Trained:
    """The generator of the file or shipped network that ``spec`` names, else of a run."""
    if network_file(spec) is not None:
        return open_trained(None, spec, store, device)
    return open_trained(spec, None, store, device)


def network_file(spec: Any) -> Path | None:
    """The file that ``spec`` names, itself or as a network that comes with the package."""
    path = Path(str(spec)).expanduser()
    return path if path.is_file() else shipped_networks().get(str(spec))


def best_checkpoint(record: RunRecord) -> Path:
    """The run's best network, or its newest where none was called best yet."""
    names = record.artifacts()
    found = [BEST] if BEST in names else checkpoints_in(names)[-1:]
    if not found:
        raise UserError(
            f"run {record.spec}: has no {BEST} and no checkpoint (status {record.status})"
        )
    return record.local_path(found[0])


def _checkpoint_file(spec: str) -> tuple[Path, str]:
    """The file and what to call it; a name is looked for where there is no such file."""
    shipped, path = shipped_networks(), Path(spec)
    if spec in shipped and not path.is_file():
        return shipped[spec], spec
    is_a_word = path.name == spec and not path.suffix
    if is_a_word and not path.is_file():
        raise UserError(
            f"checkpoint={spec}: no such file; of those that come with the package there are "
            f"{', '.join(shipped)}"
        )
    return path, path.name


def _opened(path: Path, name: str, device: str, record: RunRecord | None = None) -> Trained:
    state = load_any(path)
    if state["generator_config"] is None:
        raise UserError(f"weights {path}: {state['problem']}")
    return Trained(load_generator(state, device), name, state, path, record)
