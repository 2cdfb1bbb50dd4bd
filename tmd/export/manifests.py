"""Manifests: what a network's file was made of and by, how good it is, its limits; for programs.

It is JSON, beside the file: ``generator_x4.onnx.json``. What is not known is not in it.
`tmd.export.cards` is the same for people.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from tmd.errors import UserError
from tmd.evaluation.comparison import Column, Compared, Comparison
from tmd.evaluation.per_image import PerImage
from tmd.files import sha256

FORMAT, VERSION = "tmd-manifest", 1
MANIFEST = ".json"
#: Entries of a manifest that come from evaluations.
MEASURED = ("figures", "metrics", "evaluated")
_FIGURE = {"benchmark", "scale", "metric", "mean", "median", "interval_95", "images"}


def beside(path: Path, ending: str) -> Path:
    """The manifest or card of a network's file."""
    return path.with_name(path.name + ending)


def described_files(paths: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Digest and size of files by name."""
    return {path.name: {"sha256": sha256(path), "bytes": path.stat().st_size} for path in paths}


def figures(
    systems: Mapping[str, PerImage], ours: str, recorded: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Each metric of each benchmark with its interval, beside bicubic where that was evaluated.

    Args:
        systems: values by image of the network and perhaps of ``bicubic``, by name.
        ours: the network's name among them.
        recorded: descriptions of metrics that are not known here.
    """
    found = []
    values = systems[ours]
    for benchmark, scale in values.benchmarks:
        for name in values.select(benchmark=benchmark, scale=scale).metrics:
            column = Column(benchmark, scale, name)
            known = [
                Compared(each, (of,))
                for each, of in systems.items()
                if of.select(benchmark=benchmark, scale=scale, metric=name).known()
            ]
            if any(each.name == ours for each in known):
                found.append(_figure(Comparison(tuple(known), (column,), None, recorded), ours))
    return found


def _figure(table: Comparison, ours: str) -> dict[str, Any]:
    """A system's entry in a comparison of one column."""
    (column,) = table.columns
    own = table.estimates[ours, column]
    entry = {
        **column._asdict(),
        "mean": own.mean,
        "median": own.median,
        "interval_95": None if own.low is None else [own.low, own.high],
        "images": own.images,
    }
    by_name = {each.name: each.values(column)[0] for each in table.systems}
    a, b = by_name[ours], by_name.get("bicubic")
    said = table.described(column)
    if said.higher_is_better is not None:
        worst = min(a, key=lambda image: said.gain(a[image], 0))
        entry["worst"] = {"image": worst, "value": a[worst]}
    if b is not None:
        entry["bicubic"] = table.estimates["bicubic", column].mean
    if b is not None and said.higher_is_better is not None:
        gains = {image: said.gain(a[image], b[image]) for image in a if image in b}
        entry["worse_than_bicubic"] = sorted(
            (i for i in gains if gains[i] < 0), key=gains.__getitem__
        )
    return entry


def manifest(name: str, network: Mapping[str, Any], **known: Any) -> dict[str, Any]:
    """Manifest of a network, without the files that `write_card` adds.

    Args:
        name: of the network.
        network: its ``scale``, ``channels``, ``config``, ``measurement``, ….
        known: ``licence``, ``data``, ``training``, ``figures``, ``limits``, ``export``; what is
            None or empty is left out.
    """
    kept = {key: value for key, value in known.items() if value not in (None, [], {}, "")}
    head = {"format": FORMAT, "version": VERSION, "name": name, "files": {}}
    return {**head, "network": dict(network), **kept}


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest beside a network's file.

    Raises:
        UserError: there is none, or it is none.
    """
    where = beside(path, MANIFEST)
    try:
        content = json.loads(where.read_text(encoding="utf-8"))
    except FileNotFoundError:
        lacks = f"has no manifest {where.name} beside it" if path.exists() else "no such file"
        raise UserError(f"{path}: {lacks}") from None
    except (OSError, ValueError, RecursionError) as problem:
        raise UserError(f"{where}: can't be read as JSON ({problem})") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{where}: is no manifest of a network, which says format={FORMAT}")
    files = content.get("files")
    if not isinstance(files, dict) or not all(isinstance(each, dict) for each in files.values()):
        raise UserError(f"{where}: lists no files")
    if not _is_whole(content):
        raise UserError(f"{where}: is damaged: an entry is not of the kind that an export writes")
    return content


def _is_whole(content: Mapping[str, Any]) -> bool:
    """Tell whether the entries that go on into other manifests can."""
    kinds: dict[str, type] = {
        **dict.fromkeys(("data", "training", "metrics", "evaluated"), dict),
        **dict.fromkeys(("figures", "limits"), list),
    }
    return all(isinstance(content.get(key, kind()), kind) for key, kind in kinds.items()) and all(
        isinstance(each, dict)
        and each.keys() >= _FIGURE
        and all(isinstance(each[key], (int, float)) for key in ("mean", "median"))
        for each in content.get("figures", [])
    )


def described_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The files of a folder that have a manifest, by name; be it damaged.

    Args:
        suffixes: of networks' files; what lies beside one under a manifest's name is taken for one.

    Raises:
        UserError: none has.
    """
    found = [
        file
        for each in sorted(folder.glob(f"*{MANIFEST}"))
        for file in [each.with_name(each.name.removesuffix(MANIFEST))]
        if each.is_file()
        and (
            (file.suffix in suffixes and file.is_file())
            or FORMAT in each.read_text(encoding="utf-8", errors="replace")
        )
    ]
    if not found:
        raise UserError(f"{folder}: no file in it has a manifest beside it")
    return found


def check_files(path: Path) -> dict[str, str]:
    """Digests of a network's files, each found to be the manifest's.

    Raises:
        UserError: one is absent or another than the manifest says, or there is no manifest.
    """
    listed = read_manifest(path)["files"]
    if path.name not in listed:
        raise UserError(f"{path}: its manifest is of {', '.join(listed)}; was it renamed?")
    found = {}
    for name, said in listed.items():
        file = path.parent / Path(name).name
        if not file.is_file():
            raise UserError(f"{file}: is not there, and belongs to {path.name} by its manifest")
        found[name] = sha256(file)
        if found[name] != said.get("sha256"):
            raise UserError(
                f"{file}: is not the file of its manifest (sha256 {found[name][:12]}…, which says "
                f"{str(said.get('sha256'))[:12]}…)"
            )
    return found
