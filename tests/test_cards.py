"""Cards and manifests of networks: what they say, what they keep to themselves, what they check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from experiments.support.carding import private
from tmd.errors import UserError
from tmd.evaluation import ImageValue, PerImage
from tmd.export.cards import card, check_files, described_files, figures, manifest, write_card
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
    return manifest(
        "run 3",
        described_files([tmp_path / "net.onnx"]),
        {"scale": 2, "channels": 3, "config": {"name": "srresnet"}, "measurement": ["bicubic"]},
        licence="CC-BY-4.0",
        data={"names": ["BSDS500"], "images": 400, "licence": "research"},
        training={"commands": ["tmd srgan with scale=2"], "commit": "abc", "config": {"seed": 1}},
        figures=figures(
            {"run 3": by_image("run 3", OURS), "bicubic": by_image("bicubic", BICUBIC)}, "run 3"
        ),
        limits=["Only photos."],
        export=None,
    )


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


def test_the_hubs_own_reader_takes_the_card(content: dict) -> None:
    hub = pytest.importorskip("huggingface_hub")
    data = hub.ModelCard(card(content)).data
    assert data.model_name == "run 3"
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value) == ("psnr", 26.0)
    assert result.dataset_name == "Toy_1 ×2"


def test_figures_have_intervals_and_the_images_that_bicubic_does_better(content: dict) -> None:
    (found,) = content["figures"]
    assert found["mean"] == pytest.approx(26.0)
    assert found["median"] == 28.0
    assert found["bicubic"] == pytest.approx(77.5 / 3)
    low, high = found["interval_95"]
    assert 20.0 <= low < 26.0 < high <= 30.0
    assert found["worse_than_bicubic"] == ["c|d"]
    text = card(content)
    assert r"Worse than bicubic by PSNR on c\|d of Toy\_1 ×2." in text
    assert "* Only photos." in text
    assert "tmd srgan with scale=2" in text
    assert "BSDS500" in text
    assert f"| 26.00 | {low:.2f}, {high:.2f} | 28.00 | 25.83 |" in text


def test_a_licence_that_the_hub_does_not_know_is_named(content: dict) -> None:
    assert head(card({**content, "licence": "My own"}))["license_name"] == "My own"
    unknown = {key: value for key, value in content.items() if key != "licence"}
    assert head(card(unknown))["license"] == "unknown"


def test_nothing_is_said_of_what_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"a")
    files = described_files([tmp_path / "a.pt"])
    text = card(
        manifest("a", files, {"scale": 4, "channels": 3, "config": {}}, data={}, figures=[])
    )
    assert "## Figures" not in text
    assert "## Data" not in text
    assert "## Training" not in text
    assert "model-index" not in head(text)


def test_a_file_that_is_not_the_manifests_is_found_out(content: dict, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    write_card(path, content)
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


@pytest.mark.parametrize("name", shipped_networks())
def test_each_network_that_comes_along_has_a_card_of_its_file(name: str) -> None:
    path = shipped_networks()[name]
    assert check_files(path)
    content = json.loads(path.with_name(f"{path.name}.json").read_text())
    assert path.with_name(f"{path.name}.md").read_text() == card(content)
    assert {"data", "training", "figures", "limits", "licence"} <= set(content)
    assert all(each["interval_95"] for each in content["figures"])
    assert content["training"]["commands"]
