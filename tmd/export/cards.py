"""Model cards: a manifest for people, Markdown with the head that Hugging Face's hub reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tmd.errors import printable
from tmd.evaluation.typeset import escape_markdown
from tmd.export.manifests import MANIFEST, beside, described_files
from tmd.files import write_bytes
from tmd.metrics.registry import Metric, metric

CARD = ".md"
#: Images that a card names of those that bicubic does better.
WORST = 3


def write_card(
    content: Mapping[str, Any], files: Sequence[Path], export: Mapping[str, Any] | None = None
) -> list[Path]:
    """Write manifest and card beside a network's file, each whole or not at all; their paths.

    Args:
        content: by `manifest`.
        files: the network's own first, then those that belong to it.
        export: how it was written, for the manifest.
    """
    paths = [beside(files[0], MANIFEST), beside(files[0], CARD)]
    whole = {**content, "files": described_files(files), **({"export": export} if export else {})}
    text = json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(paths[0], text.encode("utf-8", "backslashreplace"))
    write_bytes(paths[1], card(whole).encode("utf-8", "backslashreplace"))
    return paths


def card(content: Mapping[str, Any]) -> str:
    """A manifest as Markdown, with the head of Hugging Face's hub."""
    head = yaml.safe_dump(_head(content), sort_keys=False, allow_unicode=True, width=1000)
    name, network = content["name"], content["network"]
    kind = f"×{network['scale']}" if network["scale"] != 1 else "restoration at the same size"
    parts = [
        f"---\n{head}---\n\n# {escape_markdown(name)}",
        f"A network for super-resolution, {kind}, made with tmd. `tmd export check FILE` compares "
        f"the file with `{next(iter(content['files']))}{MANIFEST}`, which says all this in full.",
        *_section("Figures", _figures(content)),
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
        sets = dict.fromkeys((each["benchmark"], each["scale"]) for each in found)
        results = [_result(*each, content) for each in sets]
        head["model-index"] = [{"name": name, "results": results}]
    return head


def _result(benchmark: str, scale: int, content: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of a benchmark as the hub has them."""
    metrics = [
        {"type": each["metric"], "name": said.label, "value": float(said.text(each["mean"]))}
        for each in content["figures"]
        if (each["benchmark"], each["scale"]) == (benchmark, scale)
        for said in [_said(each, content)]
    ]
    return {
        "task": {"type": "image-to-image", "name": f"Super-resolution ×{scale}"},
        "dataset": {"type": benchmark, "name": f"{benchmark} ×{scale}"},
        "metrics": metrics,
    }


def _said(each: Mapping[str, Any], content: Mapping[str, Any]) -> Metric:
    """Description of a figure's metric."""
    return metric(each["metric"], content.get("metrics"))


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


def _figures(content: Mapping[str, Any]) -> str:
    found = content.get("figures", [])
    if not found:
        return ""
    rows = [
        "| benchmark | images | metric | mean | 95 % interval | median | worst | bicubic |",
        "|---|---:|---|" + "---:|" * 5,
        *(f"| {' | '.join(_cells(each, _said(each, content)))} |" for each in found),
    ]
    note = (
        "Of the mean over images, by bootstrap. PSNR and SSIM are of Y, a border of `scale` pixels "
        "left out. LR is by MATLAB's bicubic, or the benchmark's own, where nothing else is said."
    )
    evaluated = content.get("evaluated", {})
    if digest := evaluated.get("sha256"):
        note += f" Measured on the file with SHA-256 `{digest}`."
    return "\n".join(rows) + f"\n\n{' '.join([note, *evaluated.get('notes', [])])}"


def _cells(each: Mapping[str, Any], said: Metric) -> list[str]:
    """A figure's row."""
    arrow = {True: " ↑", False: " ↓", None: ""}[said.higher_is_better]
    worst = each.get("worst")
    return [
        escape_markdown(f"{each['benchmark']} ×{each['scale']}"),
        str(each["images"]),
        escape_markdown(said.label + (f" ({said.unit})" if said.unit else "") + arrow),
        said.text(each["mean"]),
        ", ".join(map(said.text, each["interval_95"] or [])),
        said.text(each["median"]),
        f"{said.text(worst['value'])} ({escape_markdown(worst['image'])})" if worst else "",
        said.text(each["bicubic"]) if "bicubic" in each else "",
    ]


def _limits(content: Mapping[str, Any]) -> str:
    lines = list(content.get("limits", []))
    for each in content.get("figures", []):
        if worse := each.get("worse_than_bicubic"):
            names = ", ".join(map(escape_markdown, worst := worse[:WORST]))
            first = f"most on {names}" if len(worse) > len(worst) else names
            lines.append(
                f"Worse than bicubic by {_said(each, content).label} on {len(worse)} of "
                f"{each['images']} images of {escape_markdown(each['benchmark'])} "
                f"×{each['scale']}: {first}."
            )
    return "\n".join(f"* {line}" for line in lines)


def _data(content: Mapping[str, Any]) -> str:
    data = content.get("data", {})
    text = _lines({k: escape_markdown(_text(v)) for k, v in data.items()})
    if operators := content["network"].get("measurement"):
        text += f"\n* LR made by: `{json.dumps(operators)}`"
    return text.strip()


def _training(training: Mapping[str, Any]) -> str:
    rest = ("commands", "config", "commits", "changed")
    said = {key: value for key, value in training.items() if key not in rest}
    parts = []
    if commands := training.get("commands"):
        parts.append("```\n" + "\n".join(map(printable, commands)) + "\n```")
    if "commits" in training:
        said["commit"] = _commit(training["commits"], bool(training.get("changed")))
    if lines := _lines({k: escape_markdown(_text(v)) for k, v in said.items() if v is not None}):
        parts.append(lines)
    if "config" in training:
        parts.append("The whole config is in the manifest.")
    return "\n\n".join(parts)


def _commit(commits: Sequence[str], changed: bool) -> str:
    if not commits:
        return "not known; the run's record has none, as where the code is in no git repository"
    return ", ".join(commits) + ", with changes that were not committed" * changed


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
