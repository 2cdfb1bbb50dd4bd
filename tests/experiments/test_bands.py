"""The kind of the images through the scripts: found before a run, recorded, used by the others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from kill_and_resume import train
from kinds import LATER, SENTINEL
from PIL import Image

from experiments import ambientgan, compare, evaluate, srgan
from experiments.support.earlier import with_what_went_without_saying
from tmd.checkpoints import image_kind, load_checkpoint
from tmd.errors import UserError
from tmd.images import ImageKind


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return LATER["bands"].prepare(tmp_path_factory.mktemp("bands"))


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    """A run on 13 bands, a few updates long."""
    kind = LATER["bands"]
    more = ("schedule.pretrain=6it", "schedule.warmup=1it", "schedule.adversarial=2it")
    shown = ("training.preview_images=1", "dataset.workers=0")
    return train(kind.script, folder / "runs", *kind.updates, *more, *shown, folder=folder)


def test_the_kind_is_in_the_config_in_the_info_and_in_the_checkpoint(run, folder) -> None:
    stack = np.load(folder / "bands" / SENTINEL)
    expected = np.percentile(stack.astype(np.float64), [0.1, 99.9])

    config = json.loads((run / "config.json").read_text())["dataset"]
    kind = image_kind(load_checkpoint(run / "best.pt"))

    assert config["dtype"] == "float32"
    assert config["value_range"] == pytest.approx(list(expected), rel=1e-6)
    assert kind == ImageKind(13, "float32", tuple(config["value_range"]), None, (4, 3, 2))
    recorded = json.loads((run / "info.json").read_text())["image_kind"]
    assert ImageKind.of_state(recorded) == kind


def test_held_out_bands_are_validated_by_their_metrics(run) -> None:
    info = json.loads((run / "info.json").read_text())
    assert {"psnr", "sam", "ergas"} <= set(info["bicubic"])
    assert 0 < info["bicubic"]["sam"] < 10


def test_the_sheet_shows_the_three_bands(run) -> None:
    sheet = np.asarray(Image.open(sorted(run.glob("sheet_*.png"))[-1]))
    colours = sheet.reshape(-1, 3).astype(int)
    assert (np.ptp(colours, axis=1) > 30).mean() > 0.01  # no grey picture


def test_evaluate_and_compare_take_the_kind_of_the_network(run, folder) -> None:
    scenes = folder / "scenes"
    scenes.mkdir(exist_ok=True)
    np.save(scenes / "one.npy", np.load(folder / "bands" / SENTINEL)[0])

    done = evaluate.ex.run(
        config_updates={
            "run": str(run),
            "method": "bicubic",
            "benchmark": str(scenes),
            "metrics": "psnr,sam,ergas",
            "save_images": str(folder / "out"),
        },
        options={"--unobserved": True},
    )

    row = done.result["scenes"]["bicubic"]
    assert 30 < row["psnr"] < 60
    assert 0 < row["sam"] < 10
    (result,) = (folder / "out" / "bicubic").rglob("*.tif")
    assert tifffile.imread(result).shape == (100, 100, 13)
    assert tifffile.imread(result).dtype == np.float32
    given = {"run": str(run), "input": str(scenes), "output": str(folder / "sheets")}
    means = compare.ex.run(config_updates=given).result
    assert means["Bicubic"]["psnr"] == pytest.approx(row["psnr"], abs=0.01)
    assert list((folder / "sheets").rglob("*.png"))


@pytest.mark.parametrize("script", [srgan, ambientgan])
@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, r"dataset.channels=3: the images have 13 bands \(.*sentinel2_13bands.npy\[0\]\)"),
        ({"bands": [14, 1]}, r"dataset.bands=\[14, 1\]: not all images have 14 bands"),
        ({"dtype": "uint8"}, "dataset.dtype=uint8: the images hold float32 .*no photo's"),
    ],
)
def test_what_cannot_be_is_said_before_a_run(script, more, message, folder, tmp_path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        script.ex.run(
            config_updates={"dataset": {"root": str(folder / "bands"), **more}},
            options={"--file_storage": str(tmp_path / "runs")},
        )
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_runs_of_earlier_versions_go_on_in_8_bits() -> None:
    earlier = {"dataset": {"root": "photos", "channels": 3}, "seed": 1}
    ours = {"dataset": {"root": "photos", "dtype": "uint16"}}

    assert with_what_went_without_saying(earlier)["dataset"]["dtype"] == "uint8"
    assert with_what_went_without_saying(earlier)["seed"] == 1
    assert with_what_went_without_saying(ours) == ours


def test_networks_for_bands_begin_with_their_kind(run) -> None:
    from experiments.support.beginning import inherited_config

    entries = inherited_config(str(run / "best.pt"), "runs", {})["dataset"]

    kind = image_kind(load_checkpoint(run / "best.pt"))
    assert entries == {
        "channels": 13,
        "dtype": "float32",
        "value_range": list(kind.value_range),
        "bands": None,
        "shown": [4, 3, 2],
    }
