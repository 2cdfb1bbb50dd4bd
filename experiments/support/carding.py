"""Facts for a network's card, out of its run's record and the evaluations of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from experiments.support.evaluation_record import plain
from experiments.support.found_values import OF_FILES, Asked, evaluations_in
from experiments.support.recorded_values import recorded_values
from experiments.support.trained import Trained
from observers import RunRecord, open_run, without_credentials
from tmd.errors import UserError, printable
from tmd.evaluation import PerImage
from tmd.export.kinds import channels_of
from tmd.export.manifests import (
    MANIFEST,
    MEASURED,
    beside,
    check_files,
    figures,
    manifest,
    read_manifest,
)
from tmd.measurements import is_given
from tmd.metrics.registry import INFO_KEY

#: Folders of users, whose names are nobody's business.
_HOMES = re.compile(r"(?<![\w.])(?:/home/[^/\s'\",]+|/Users/[^/\s'\",]+|/root)(?=[/\s'\",]|$)")


def manifest_of(
    trained: Trained,
    record: RunRecord | None,
    store: str,
    *,
    licence: str | None = None,
    data_licence: str | None = None,
    limits: list[str] | None = None,
    known: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Manifest of a network with all that records say of it, without users' names.

    Args:
        record: of the run that trained it, where that is known.
        store: where evaluations of it, and runs that it goes on from, are looked for.
        known: a manifest of the network as it was, whose training, data and limits go on.
    """
    known = known or {}
    measured = _measured(trained, record, store) or {
        key: known[key] for key in MEASURED if key in known
    }
    training = known.get("training") if record is None else _training(record, store)
    data = dict(known.get("data", {})) if record is None else _data(record)
    if data_licence is not None:
        data["licence"] = data_licence
    return private(
        manifest(
            trained.name,
            _network(trained),
            licence=licence or known.get("licence"),
            data=data,
            training=training,
            **measured,
            limits=[*(limits or []), *(known.get("limits") or _limits(trained))],
        )
    )


def known_of(file: Path) -> tuple[RunRecord | None, dict[str, Any] | None]:
    """Record of the run whose folder a network's file is in, and the manifest beside it.

    Raises:
        UserError: the manifest is another file's, or damaged.
    """
    has_record = (file.parent / "run.json").is_file()
    record = open_run(str(file.parent.resolve())) if has_record else None
    if not beside(file, MANIFEST).is_file():
        return record, None
    check_files(file)
    return record, read_manifest(file)


def unknown(content: Mapping[str, Any], store: str) -> list[str]:
    """Lines on what a manifest lacks and how it is had."""
    lines = []
    if "training" not in content:
        lines.append("no record of its training is known; run=N brings data, command and config")
    if "figures" not in content:
        lines.append(
            f"no evaluation of this very file is in {printable(without_credentials(store))}; "
            "`tmd evaluate Set5` of it, and exporting it again, brings figures"
        )
    return lines


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


def _measured(trained: Trained, record: RunRecord | None, store: str) -> dict[str, Any]:
    """Figures by the newest evaluation of this very file on each benchmark; empty without any."""
    asked = Asked(trained.name, trained.name, record, trained.file)
    parts: dict[tuple[str, int], PerImage] = {}
    descriptions: dict[str, Any] = {}
    for evaluation, values in _evaluations(asked, int(trained.state["scale"]), store):
        for benchmark, scale in values.benchmarks:
            part = values.select(benchmark=benchmark, scale=scale)
            parts.setdefault((benchmark, scale), part)
        descriptions = {**evaluation.info.get(INFO_KEY, {}), **descriptions}
    if not parts:
        return {}
    oldest_first = sum(reversed(parts.values()), PerImage())
    systems = {name: oldest_first.select(system=name) for name in oldest_first.systems}
    found = figures(systems, trained.name, descriptions)
    names = {each["metric"] for each in found}
    return {
        "figures": found,
        "metrics": {name: said for name, said in descriptions.items() if name in names},
        "evaluated": {"sha256": asked.sha256, "iteration": trained.state.get("iteration")},
    }


def _evaluations(asked: Asked, scale: int, store: str) -> Iterator[tuple[RunRecord, PerImage]]:
    """Evaluations of a system as the field does them, newest first: its values, and bicubic's.

    LR may be other than bicubic's; the benchmark's name then says so.
    """
    usual = {**dict.fromkeys(OF_FILES), "channel": "y", "self_ensemble": False, "border": None}
    for record in evaluations_in(store, scale, usual):
        if (name := asked.name_in(record)) is None:
            continue
        names = {name: asked.name, "bicubic": "bicubic"}
        lr = _lr_of(record.config)
        found = [v for v in recorded_values(record).values if plain(v.system) in names]
        yield (
            record,
            PerImage(
                tuple(
                    replace(v, system=names[plain(v.system)], benchmark=v.benchmark + lr)
                    for v in found
                )
            ),
        )


def _lr_of(config: Mapping[str, Any]) -> str:
    """Words on LR to follow a benchmark's name; none where it is the benchmark's, or bicubic."""
    if (root := config.get("lr_root")) is not None:
        return f" (LR: {Path(str(root)).name})"
    operators = config.get("measurement")
    if operators is None:
        return ""
    if isinstance(operators, str):
        return " (LR as in training)"
    names = [each if isinstance(each, str) else str(each.get("name")) for each in operators]
    return f" (LR by {', '.join(names)})"


def _network(trained: Trained) -> dict[str, Any]:
    keys = ("experiment", "iteration", "scale", "channels", "image_kind", "measurement")
    state = trained.state
    return {
        "config": state["generator_config"],
        "parameters": sum(each.numel() for each in trained.generator.parameters()),
        **{key: state[key] for key in keys if state.get(key) is not None},
    }


def _training(record: RunRecord, store: str) -> dict[str, Any]:
    """Commands, config, commits, versions, processor and time of a run and those before it."""
    runs, missing = _chain(record, store)
    repositories = [_repository(each) for each in runs]
    commits = [each["commit"] for each in repositories if "commit" in each]
    seconds = [_seconds(each.entry) for each in runs]
    processor = (record.entry.get("host") or {}).get("cpu")
    return {
        "commands": [
            *([f"({missing}, which this goes on from, is not to be found)"] if missing else []),
            *(str((each.entry.get("meta") or {}).get("command_line", "")) for each in runs),
        ],
        "runs": [str(each.id) for each in runs],
        "status": record.status,
        "commits": list(dict.fromkeys(commits)),
        "changed": any(each.get("dirty") for each in repositories),
        "versions": record.info.get("versions") or {},
        "device": record.info.get("device") or processor,
        "seconds": None if None in seconds else sum(seconds),
        "seed": record.config.get("seed"),
        "config": record.config,
    }


def _chain(record: RunRecord, store: str) -> tuple[list[RunRecord], str]:
    """The run and those that it goes on from, oldest first; and one that is not there, or ''."""
    runs = [record]
    while (parent := runs[0].info.get("resumed_from")) is not None:
        spec = str(parent.get("run"))
        if (found := _opened(spec, runs[0], store)) is None:
            return runs, f"run {spec}"
        runs.insert(0, found)
    return runs, ""


def _opened(spec: str, child: RunRecord, store: str) -> RunRecord | None:
    """A run by how its child names it; by its number where that is of the child's store.

    A folder is named from where the child was started; of an address the password is not kept.
    """
    address, _, number = spec.rpartition("#")
    places = [(spec, store)]
    if address and without_credentials(store) == address:
        places = [(number, store)]
    elif not address and Path(spec).parent.name == Path(child.spec).parent.name:
        places.append((str(Path(child.spec).parent / Path(spec).name), store))
    for place, within in places:
        try:
            return open_run(place, store=within)
        except UserError:
            continue
    return None


def _repository(record: RunRecord) -> Mapping[str, Any]:
    experiment = record.entry.get("experiment") or {}
    return next(iter(experiment.get("repositories") or ()), {})


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
    found = {
        "kind": config.get("name"),
        "names": _names(config.get("root")),
        "given LR": _names(config.get("lr_root")),
        "unpaired HR": _names((record.config.get("unpaired") or {}).get("root")),
        "images": counts.get("images"),
        "digest": counts.get("digest"),
        "licence": "not said",
    }
    return {key: value for key, value in found.items() if value not in (None, [])}


def _names(roots: Any) -> list[str]:
    """Names of folders, of the user's own none."""
    several = roots if isinstance(roots, (list, tuple)) else [roots] if roots else []
    return [Path(private(p).rstrip("/")).name for root in several for p in str(root).split(",")]


def _limits(trained: Trained) -> list[str]:
    """Bounds that follow from how a network was trained."""
    scale, operators = trained.state["scale"], trained.state.get("measurement") or []
    does = "keeps an image's size" if scale == 1 else f"enlarges by {scale}, no other factor"
    count = channels_of(trained.generator)
    lines = [f"It takes images of {count} channel{'s' * (count != 1)} and {does}."]
    names = [each if isinstance(each, str) else str(each.get("name")) for each in operators]
    if is_given(operators):
        lines.append("It learnt LR images that were given; others may be strange to it.")
    elif names and set(names) <= {"bicubic", "quantize"}:
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
    listed = isinstance(sentences, (list, tuple))
    if not listed or not all(isinstance(s, str) and s.isprintable() for s in sentences):
        raise UserError(f"limits={limits!r}: must be a sentence in a line, or a list of them")
    return list(sentences)
