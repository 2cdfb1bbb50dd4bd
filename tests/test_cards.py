"""Cards and manifests of networks: what they say, what they keep to themselves, what they check."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from experiments.support.carding import private, unknown
from tmd.checkpoints import load_checkpoint, load_generator
from tmd.errors import UserError
from tmd.evaluation import ImageValue, PerImage, evaluate, network, open_benchmark
from tmd.export.cards import card, write_card
from tmd.export.manifests import check_files, described_files, figures, manifest
from tmd.metrics import MetricSettings
from tmd.shipped import shipped_networks

#: PSNR of three images by a network, and by bicubic.
OURS = {"a": 30.0, "b": 28.0, "c|d": 20.0}
BICUBIC = {"a": 29.0, "b": 27.5, "c|d": 21.0}


def by_image(system: str, values: dict[str, float]) -> PerImage:
    return PerImage(
        tuple(ImageValue("Toy_1", 2, system, image, "psnr", v) for image, v in values.items())
    )


@pytest.fixture
def content(tmp_path: Path) -> dict:
    (tmp_path / "net.onnx").write_bytes(b"weights")
    content = manifest(
        "run 3",
        {"scale": 2, "channels": 3, "config": {"name": "srresnet"}, "measurement": ["bicubic"]},
        licence="CC-BY-4.0",
        data={"names": ["BSDS500"], "images": 400, "licence": "research"},
        training={"commands": ["tmd srgan with scale=2"], "commits": ["abc"], "changed": True},
        figures=figures(
            {"run 3": by_image("run 3", OURS), "bicubic": by_image("bicubic", BICUBIC)}, "run 3"
        ),
        limits=["Only photos."],
        evaluated=None,
    )
    return {**content, "files": described_files([tmp_path / "net.onnx"])}


def head(text: str) -> dict:
    """The YAML between the first two lines of dashes, as the hub reads it."""
    assert text.startswith("---\n")
    return yaml.safe_load(text.split("---\n")[1])


def test_the_head_is_what_the_hub_reads(content: dict) -> None:
    found = head(card(content))
    assert found["license"] == "cc-by-4.0"
    assert found["library_name"] == "tmd"
    assert {"super-resolution", "x2"} <= set(found["tags"])
    (model,) = found["model-index"]
    (result,) = model["results"]
    assert result["dataset"]["name"] == "Toy_1 ×2"
    assert result["metrics"] == [{"type": "psnr", "name": "PSNR", "value": 26.0}]


def test_figures_have_intervals_and_the_images_that_bicubic_does_better(content: dict) -> None:
    (found,) = content["figures"]
    assert found["mean"] == pytest.approx(26.0)
    assert found["median"] == 28.0
    assert found["bicubic"] == pytest.approx(77.5 / 3)
    low, high = found["interval_95"]
    assert 20.0 <= low < 26.0 < high <= 30.0
    assert found["worst"] == {"image": "c|d", "value": 20.0}
    assert found["worse_than_bicubic"] == ["c|d"]
    text = card(content)
    assert r"* Worse than bicubic by PSNR on 1 of 3 images of Toy\_1 ×2: c\|d." in text
    assert "* Only photos." in text
    assert "tmd srgan with scale=2" in text
    assert "BSDS500" in text
    row = rf"| Toy\_1 ×2 | 3 | PSNR (dB) ↑ | 26.00 | {low:.2f}, {high:.2f} | 28.00 |"
    assert rf"{row} 20.00 (c\|d) | 25.83 |" in text


def test_of_many_images_that_bicubic_does_better_the_worst_are_named(content: dict) -> None:
    ours = by_image("a", {str(n): 20.0 + n for n in range(9)})
    theirs = by_image("bicubic", {str(n): 24.0 for n in range(9)})
    (found,) = figures({"a": ours, "bicubic": theirs}, "a")
    assert found["worse_than_bicubic"] == ["0", "1", "2", "3"]
    assert "on 4 of 9 images of Toy\\_1 ×2: most on 0, 1, 2." in card(
        {**content, "figures": [found]}
    )


def test_a_metric_that_is_only_known_to_the_evaluation_is_named_as_there(content: dict) -> None:
    values = PerImage(tuple(ImageValue("Toy", 2, "a", n, "glow", 1.25) for n in "xy"))
    said = {"glow": {"label": "Glow", "unit": "cd", "decimals": 1, "higher_is_better": False}}
    text = card({**content, "figures": figures({"a": values}, "a", said), "metrics": said})
    assert "| Toy ×2 | 2 | Glow (cd) ↓ | 1.2 |" in text


@pytest.mark.parametrize(
    ("commits", "changed", "said"),
    [
        (["abc"], False, "* commit: abc\n"),
        (["abc", "def"], True, "* commit: abc, def, with changes that were not committed\n"),
        ([], False, "* commit: not known; the run's record has none, as where"),
    ],
)
def test_code_that_no_commit_has_is_told(
    commits: list[str], changed: bool, said: str, content: dict
) -> None:
    training = {"commits": commits, "changed": changed, "config": {}, "seconds": None}
    text = card({**content, "training": training})
    assert said in text
    assert "seconds" not in text


def test_a_licence_that_the_hub_does_not_know_is_named(content: dict) -> None:
    assert head(card({**content, "licence": "My own"}))["license_name"] == "My own"
    unknown = {key: value for key, value in content.items() if key != "licence"}
    assert head(card(unknown))["license"] == "unknown"


def test_nothing_is_said_of_what_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"a")
    content = manifest("a", {"scale": 4, "channels": 3, "config": {}}, data={}, figures=[])
    text = card({**content, "files": described_files([tmp_path / "a.pt"])})
    assert "## Figures" not in text
    assert "## Data" not in text
    assert "## Training" not in text
    assert "model-index" not in head(text)


def test_a_file_that_is_not_the_manifests_is_found_out(content: dict, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    write_card(content, [path])
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "net.onnx",
        "net.onnx.json",
        "net.onnx.md",
    ]
    assert list(check_files(path)) == ["net.onnx"]
    path.write_bytes(b"weightz")
    with pytest.raises(UserError, match=r"net.onnx: is not the file of its manifest \(sha256 "):
        check_files(path)
    path.rename(tmp_path / "other.onnx")
    with pytest.raises(UserError, match=r"has no manifest other\.onnx\.json beside it"):
        check_files(tmp_path / "other.onnx")
    with pytest.raises(UserError, match=r"net\.onnx: is not there"):
        check_files(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "can't be read as JSON"),
        ("[1]", "is no manifest of a network"),
        ('{"format": "tmd-manifest"}', "lists no files"),
        ('{"format": "tmd-manifest", "files": {"b": {}}}', "its manifest is of b; was it renamed?"),
        ('{"format": "tmd-manifest", "files": {}, "data": 3}', "is damaged: an entry"),
        ('{"format": "tmd-manifest", "files": {}, "figures": [{"mean": 1}]}', "is damaged"),
    ],
)
def test_a_damaged_manifest_is_said_in_a_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"a")
    (tmp_path / "a.pt.json").write_text(text)
    with pytest.raises(UserError) as problem:
        check_files(tmp_path / "a.pt")
    assert said in str(problem.value)
    assert "\n" not in str(problem.value)


def test_neither_passwords_nor_users_folders_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/srv/people/eve")
    told = private(
        {
            "command": "srgan.py -m mongodb://eve:secret1@db/runs with root=/srv/people/eve/photos",
            "roots": ["/home/mallory/x", "/Users/trent", "/root/y", "/data/rooty", "/homestead/a"],
            "rate": float("inf"),
        }
    )
    assert told["command"] == "srgan.py -m mongodb://***@db/runs with root=~/photos"
    assert told["roots"] == ["~/x", "~", "~/y", "/data/rooty", "/homestead/a"]
    assert json.dumps(told, allow_nan=False)
    said = " ".join(unknown({}, "mongodb://eve:secret1@db/runs"))
    assert "is in mongodb://***@db/runs;" in said


@pytest.mark.parametrize("name", shipped_networks())
def test_each_network_that_comes_along_has_a_card_of_its_file(name: str) -> None:
    path = shipped_networks()[name]
    content = json.loads(path.with_name(f"{path.name}.json").read_text())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert content["files"][path.name] == {"sha256": digest, "bytes": path.stat().st_size}
    assert content["evaluated"]["sha256"] == digest
    assert path.with_name(f"{path.name}.md").read_text() == card(content)
    assert content["network"]["config"] == load_checkpoint(path)["generator_config"]
    assert {"data", "training", "limits", "licence"} <= set(content)
    assert content["training"]["commands"]
    sets = {each["benchmark"] for each in content["figures"]}
    assert {"Set5", "BSDS500-test-20"} <= sets
    for each in content["figures"]:
        low, high = each["interval_95"]
        assert low < each["mean"] < high


@pytest.mark.parametrize("name", shipped_networks())
def test_the_cards_figures_are_what_the_network_does(name: str, shared_data: Path) -> None:
    path = shipped_networks()[name]
    content = json.loads(path.with_name(f"{path.name}.json").read_text())
    (worst,) = (
        each["worst"]
        for each in content["figures"]
        if (each["benchmark"], each["metric"]) == ("Set5", "psnr")
    )
    generator = load_generator(path)
    benchmark = open_benchmark(shared_data / "benchmarks/Set5", generator.scale)
    one = replace(benchmark, samples=[s for s in benchmark.samples if s.name == worst["image"]])
    settings = MetricSettings(generator.scale, "y", scale=generator.scale)
    table = evaluate(one, {name: network(generator)}, ["psnr"], settings)
    assert table.means()[name]["psnr"] == pytest.approx(worst["value"], abs=1e-3)
