"""Model cards and manifests: what a network's file was made of and by, how good it is, its limits.

The manifest is JSON for programs, beside the file: ``generator_x4.onnx.json``. The card is the same
for people, Markdown with the head that Hugging Face's hub reads. Neither says what is not known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tmd.errors import UserError
from tmd.evaluation.comparison import Column, Compared, Comparison
from tmd.evaluation.per_image import PerImage
from tmd.evaluation.typeset import escape_markdown
from tmd.files import sha256, write_bytes
from tmd.metrics.registry import metric

FORMAT, VERSION = "tmd-manifest", 1
MANIFEST, CARD = ".json", ".md"
#: Images of a benchmark that a card names as the worst.
WORST = 3


def beside(path: Path, ending: str) -> Path:
    """The manifest or card of a network's file."""
    return path.with_name(path.name + ending)


def described_files(paths: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Digest and size of files by name."""
    return {path.name: {"sha256": sha256(path), "bytes": path.stat().st_size} for path in paths}


def figures(systems: Mapping[str, PerImage], ours: str) -> list[dict[str, Any]]:
    """Each metric of each benchmark with its interval, beside bicubic where that was evaluated.

    Args:
        systems: values by image of the network and perhaps of ``bicubic``, by name.
        ours: the network's name among them.
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
            if all(each.name != ours for each in known):
                continue
            table = Comparison(tuple(known), (column,))
            own = table.estimates[ours, column]
            entry = {
                "benchmark": benchmark,
                "scale": scale,
                "metric": name,
                "mean": own.mean,
                "median": own.median,
                "interval_95": None if own.low is None else [own.low, own.high],
                "images": own.images,
            }
            if ("bicubic", column) in table.estimates:
                entry["bicubic"] = table.estimates["bicubic", column].mean
                entry["worse_than_bicubic"] = _worse(table, column, ours)
            found.append(entry)
    return found


def _worse(table: Comparison, column: Column, ours: str) -> list[str]:
    """Images that bicubic does better."""
    said = metric(column.metric)
    if said.higher_is_better is None:
        return []
    by_name = {each.name: each.values(column)[0] for each in table.systems}
    a, b = by_name[ours], by_name["bicubic"]
    return [image for image in a if image in b and said.gain(a[image], b[image]) < 0]


def manifest(
    name: str, files: Mapping[str, Any], network: Mapping[str, Any], **known: Any
) -> dict[str, Any]:
    """Manifest of a network's file.

    Args:
        name: of the network.
        files: by `described_files`.
        network: its ``scale``, ``channels``, ``config``, ``measurement``, ….
        known: ``licence``, ``data``, ``training``, ``figures``, ``limits``, ``export``; what is
            None or empty is left out.
    """
    kept = {key: value for key, value in known.items() if value not in (None, [], {}, "")}
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": name,
        "files": dict(files),
        "network": dict(network),
        **kept,
    }


def write_card(path: Path, content: Mapping[str, Any]) -> list[Path]:
    """Write manifest and card beside a network's file, each whole or not at all; their paths."""
    paths = [beside(path, MANIFEST), beside(path, CARD)]
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(paths[0], text.encode())
    write_bytes(paths[1], card(content).encode())
    return paths


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest beside a network's file.

    Raises:
        UserError: there is none, or it is none.
    """
    where = beside(path, MANIFEST)
    try:
        content = json.loads(where.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: has no manifest {where.name} beside it") from None
    except (OSError, ValueError, RecursionError) as problem:
        raise UserError(f"{where}: can't be read as JSON ({problem})") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{where}: is no manifest of a network, which says format={FORMAT}")
    files = content.get("files")
    if not isinstance(files, dict) or not all(isinstance(each, dict) for each in files.values()):
        raise UserError(f"{where}: lists no files")
    return content


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


# Card --------------------------------------------------------------------------------------------


def card(content: Mapping[str, Any]) -> str:
    """A manifest as Markdown, with the head of Hugging Face's hub."""
    head = yaml.safe_dump(_head(content), sort_keys=False, allow_unicode=True, width=1000)
    name, network = content["name"], content["network"]
    kind = f"×{network['scale']}" if network["scale"] != 1 else "restoration at the same size"
    parts = [
        f"---\n{head}---\n\n# {escape_markdown(name)}",
        f"A network for super-resolution, {kind}, made with tmd. `tmd export check FILE` compares "
        f"the file with `{next(iter(content['files']))}{MANIFEST}`, which says all this in full.",
        *_section("Figures", _figures(content.get("figures", []))),
        *_section("Limits and failures", _limits(content)),
        *_section("Data", _data(content)),
        *_section("Training", _training(content.get("training", {}))),
        *_section("Network", _lines(_network(network))),
        *_section("Files", _files(content["files"])),
    ]
    return "\n\n".join(parts) + "\n"


def _head(content: Mapping[str, Any]) -> dict[str, Any]:
    name, network, found = content["name"], content["network"], content.get("figures", [])
    head: dict[str, Any] = {
        **_licence(content.get("licence")),
        "library_name": "tmd",
        "pipeline_tag": "image-to-image",
        "tags": ["super-resolution", "pytorch", f"x{network['scale']}"],
    }
    if found:
        head["metrics"] = list(dict.fromkeys(each["metric"] for each in found))
        results = [
            {
                "task": {"type": "image-to-image", "name": f"Super-resolution ×{each['scale']}"},
                "dataset": {
                    "type": each["benchmark"],
                    "name": f"{each['benchmark']} ×{each['scale']}",
                },
                "metrics": [
                    {
                        "type": each["metric"],
                        "name": metric(each["metric"]).label,
                        "value": float(metric(each["metric"]).text(each["mean"])),
                    }
                ],
            }
            for each in found
        ]
        head["model-index"] = [{"name": name, "results": results}]
    return head


def _licence(licence: str | None) -> dict[str, str]:
    """The hub's entries of a licence, which knows some by name and calls others ``other``."""
    if licence is None:
        return {"license": "unknown"}
    plain = licence.lower()
    known = {"mit", "apache-2.0", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0"}
    return {"license": plain} if plain in known else {"license": "other", "license_name": licence}


def _section(title: str, text: str) -> list[str]:
    return [f"## {title}", text] if text else []


def _lines(entries: Mapping[str, Any]) -> str:
    return "\n".join(
        f"* {key}: {value}" for key, value in entries.items() if value not in ("", None)
    )


def _figures(found: Sequence[Mapping[str, Any]]) -> str:
    if not found:
        return ""
    rows = [
        "| benchmark | metric | mean | 95 % interval | median | bicubic |",
        "|---|---|" + "---:|" * 4,
    ]
    for each in found:
        said = metric(each["metric"])
        arrow = {True: " ↑", False: " ↓", None: ""}[said.higher_is_better]
        ends = each["interval_95"] or []
        cells = [
            escape_markdown(f"{each['benchmark']} ×{each['scale']}"),
            escape_markdown(said.label + (f" ({said.unit})" if said.unit else "") + arrow),
            said.text(each["mean"]),
            ", ".join(map(said.text, ends)),
            said.text(each["median"]),
            said.text(each["bicubic"]) if "bicubic" in each else "",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    counts = {each["benchmark"]: each["images"] for each in found}
    images = ", ".join(f"{escape_markdown(name)} has {n} images" for name, n in counts.items())
    note = f"{images}; the interval is of the mean over images (bootstrap)."
    return "\n".join(rows) + f"\n\n{note}"


def _limits(content: Mapping[str, Any]) -> str:
    lines = list(content.get("limits", []))
    for each in content.get("figures", []):
        if worse := each.get("worse_than_bicubic"):
            names = ", ".join(map(escape_markdown, worse))
            label = metric(each["metric"]).label
            lines.append(
                f"Worse than bicubic by {label} on {names} of "
                f"{escape_markdown(each['benchmark'])} ×{each['scale']}."
            )
    return "\n".join(f"* {line}" for line in lines)


def _data(content: Mapping[str, Any]) -> str:
    data = content.get("data", {})
    text = _lines({k: escape_markdown(str(v)) for k, v in data.items()})
    if operators := content["network"].get("measurement"):
        text += f"\n* LR made by: `{json.dumps(operators)}`"
    return text.strip()


def _training(training: Mapping[str, Any]) -> str:
    said = {key: value for key, value in training.items() if key not in ("commands", "config")}
    parts = []
    if commands := training.get("commands"):
        parts.append("```\n" + "\n".join(commands) + "\n```")
    if lines := _lines({k: escape_markdown(_text(v)) for k, v in said.items()}):
        parts.append(lines)
    if "config" in training:
        parts.append("The whole config is in the manifest.")
    return "\n\n".join(parts)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _network(network: Mapping[str, Any]) -> dict[str, str]:
    return {key: f"`{json.dumps(value)}`" for key, value in network.items() if key != "measurement"}


def _files(files: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        f"| `{name}` | {each['bytes']:,} | `{each['sha256']}` |" for name, each in files.items()
    ]
    return "\n".join(["| file | bytes | SHA-256 |", "|---|---:|---|", *rows])
