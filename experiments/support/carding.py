"""Facts for a network's card, out of its run's record and the evaluations of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from experiments.support.found_values import Asked, recorded_systems
from experiments.support.trained import Trained
from observers import RunRecord, without_credentials
from tmd import __version__
from tmd.errors import UserError
from tmd.evaluation import PerImage
from tmd.export.cards import described_files, figures, manifest

#: Folders of users, whose names are nobody's business.
_HOMES = re.compile(r"(?<![\w.])(?:/home/[^/\s'\",]+|/Users/[^/\s'\",]+|/root)(?=[/\s'\",]|$)")


def manifest_of(
    trained: Trained,
    record: RunRecord | None,
    paths: list[Path],
    store: str,
    *,
    licence: str | None = None,
    data_licence: str | None = None,
    limits: list[str] | None = None,
    known: Mapping[str, Any] | None = None,
    export: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Manifest of a network's files with all that records say of it, without users' names.

    Args:
        record: of the run that trained it, where that is known.
        paths: the files, the network's own first.
        store: where evaluations of it are looked for.
        known: a manifest of the network as it was, whose training, data and limits go on.
        export: format, precision and comparison of the export.
    """
    known = known or {}
    found = _figures(trained, record, store) or known.get("figures")
    training = known.get("training") if record is None else _training(record)
    data = dict(known.get("data", {})) if record is None else _data(record)
    if data_licence is not None:
        data["licence"] = data_licence
    return private(
        manifest(
            trained.name,
            described_files(paths),
            _network(trained),
            licence=licence or known.get("licence"),
            data=data,
            training=training,
            figures=found,
            limits=[*(limits or []), *(known.get("limits") or _limits(trained))],
            export={**(export or {}), "tmd": __version__},
        )
    )


def private(value: Any) -> Any:
    """``value`` without passwords and users' folders in any of its texts."""
    if isinstance(value, Mapping):
        return {private(str(key)): private(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [private(each) for each in value]
    if isinstance(value, str):
        home = str(Path.home())
        text = without_credentials(value)
        if home != "/":
            text = re.sub(re.escape(home) + r"(?=[/\s'\",]|$)", "~", text)
        return _HOMES.sub("~", text)
    if isinstance(value, float) and value - value != 0:
        return str(value)
    return value


def _figures(trained: Trained, record: RunRecord | None, store: str) -> list[dict[str, Any]]:
    """Figures of the newest evaluation of each benchmark, by the field's convention."""
    asked = Asked(trained.name, trained.name, record, trained.file)
    systems: dict[str, PerImage] = {}
    for values in recorded_systems(asked, int(trained.state["scale"]), store):
        ours = systems.get(trained.name, PerImage())
        new = [each for each in values.benchmarks if each not in ours.benchmarks]
        for benchmark, scale in new:
            part = values.select(benchmark=benchmark, scale=scale)
            for name in (trained.name, "bicubic"):
                systems[name] = systems.get(name, PerImage()) + part.select(system=name)
    return figures(systems, trained.name) if systems else []


def _network(trained: Trained) -> dict[str, Any]:
    keys = ("experiment", "iteration", "scale", "channels", "image_kind", "measurement")
    state = trained.state
    return {
        "config": state["generator_config"],
        "parameters": sum(each.numel() for each in trained.generator.parameters()),
        **{key: state[key] for key in keys if state.get(key) is not None},
    }


def _training(record: RunRecord) -> dict[str, Any]:
    """Command, config, commit, versions, processor and time of a run."""
    entry, info = record.entry, record.info
    experiment = entry.get("experiment") or {}
    repository = next(iter(experiment.get("repositories") or ()), {})
    host = entry.get("host") or {}
    return {
        "commands": [str((entry.get("meta") or {}).get("command_line", ""))],
        "run": str(record.id),
        "status": record.status,
        "commit": repository.get("commit", "unknown")
        + (" and changes" * bool(repository.get("dirty"))),
        "versions": info.get("versions") or {},
        "device": info.get("device") or {"type": host.get("cpu", "unknown")},
        "seconds": _seconds(entry),
        "seed": record.config.get("seed"),
        "config": record.config,
    }


def _seconds(entry: Mapping[str, Any]) -> int | None:
    """Time from a run's start to its end or last sign of life."""
    times = [entry.get("start_time"), entry.get("stop_time") or entry.get("heartbeat")]
    try:
        begun, ended = (
            each if isinstance(each, datetime) else datetime.fromisoformat(str(each))
            for each in times
        )
    except ValueError:
        return None
    return round((ended - begun).total_seconds())


def _data(record: RunRecord) -> dict[str, Any]:
    """Names and number of the images that a run learnt from."""
    config = record.config.get("dataset") or {}
    counts = (record.info.get("data") or {}).get("train") or {}
    roots = config.get("root")
    roots = [roots] if isinstance(roots, str) else list(roots or [])
    found = {
        "kind": config.get("name"),
        "names": [Path(name.rstrip("/")).name for root in roots for name in str(root).split(",")],
        "images": counts.get("images"),
        "digest": counts.get("digest"),
        "licence": "not said",
    }
    return {key: value for key, value in found.items() if value not in (None, [])}


def _limits(trained: Trained) -> list[str]:
    """Bounds that follow from how a network was trained."""
    state = trained.state
    operators = state.get("measurement") or []
    names = [each if isinstance(each, str) else str(each.get("name")) for each in operators]
    lines = [
        f"It takes {state['channels']} channels and enlarges by {state['scale']}, no other factor."
    ]
    if names and set(names) <= {"bicubic", "quantize"}:
        lines.append(
            "It learnt bicubic LR images: it does not remove noise, blur or the blocks of JPEG."
        )
    elif names:
        lines.append(f"It learnt LR images by {', '.join(names)}; others are strange to it.")
    return lines


def listed_limits(limits: Any) -> list[str]:
    """Limits as a user types them: a sentence or a list of them.

    Raises:
        UserError: something else.
    """
    sentences = [limits] if isinstance(limits, str) else limits or []
    if not isinstance(sentences, (list, tuple)) or not all(isinstance(s, str) for s in sentences):
        raise UserError(f"limits={limits!r}: must be a sentence, or a list of sentences")
    return list(sentences)
