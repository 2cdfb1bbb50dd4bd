"""compare.py makes sheets, animations and curves of runs, without a display."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from skimage import data
from skimage.metrics import peak_signal_noise_ratio
from trained_files import checkpoint

from experiments.compare import compare, ex
from experiments.support.curves import labels
from tmd.checkpoints import load_generator
from tmd.errors import UserError
from tmd.figures.curves import Band, Curve
from tmd.images import read_image, rgb_to_y, to_float, to_uint8
from tmd.resize import imresize_uint8

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as the file observer leaves one."""
    folder = tmp_path_factory.mktemp("store") / "3"
    folder.mkdir()
    checkpoint(folder / "best.pt")
    for iteration in (10, 20):
        checkpoint(folder / f"checkpoint_{iteration:08d}.pt", iteration, iteration)
    for iteration in (5, 10, 20):
        level = 10 * iteration
        Image.new("RGB", (300, 200), (level,) * 3).save(folder / f"sheet_{iteration:08d}.png")
    names = sorted(path.name for path in folder.iterdir())
    steps = list(range(5, 25, 5))
    points = {"steps": steps, "timestamps": [""] * 4}
    (folder / "run.json").write_text(
        json.dumps(
            {"artifacts": names, "status": "COMPLETED", "experiment": {"name": "srgan"}, "_id": 3}
        )
    )
    (folder / "metrics.json").write_text(
        json.dumps(
            {
                "train.pixel": {**points, "values": [0.4, 0.3, float("nan"), 0.1]},
                "train.adv_weight": {**points, "values": [0, 0, 0.001, 0.002]},
                "validation.psnr": {**points, "values": [26, 26.5, 27, 27.2]},
            }
        )
    )
    (folder / "info.json").write_text(
        json.dumps({"bicubic": {"psnr": 26.2}, "phases": {"pretrain": 10, "adversarial": 10}})
    )
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    Image.fromarray(data.astronaut()[:81, :97]).save(folder / "one.png")
    Image.fromarray(data.coffee()[:60, :50]).save(folder / "deeper/two.png")
    return folder


def settings(run, photos, output, **changes) -> dict:
    config = {"run": run, "input": photos, "output": output, "device": "cpu"}
    text = {key: str(value) if isinstance(value, Path) else value for key, value in config.items()}
    return {**text, "zoom_size": 32, "lpips": False, **changes}


def test_figures_are_those_of_the_field(run, photos, tmp_path, capsys):
    result = ex.run(config_updates=settings(run, photos / "one.png", tmp_path / "out")).result
    hr = read_image(photos / "one.png")[:, :80, :96]
    lr = imresize_uint8(hr, 0.5)  # rounds once more than ours
    with torch.no_grad():
        sr = to_uint8(load_generator(run / "best.pt")(to_float(lr)[None]))[0]
    luma = [rgb_to_y(to_float(x)[None])[0, 0, 2:-2, 2:-2].double().numpy() for x in (hr, sr)]
    expected = peak_signal_noise_ratio(*luma, data_range=1)
    assert result["run 3"]["psnr"] == pytest.approx(expected, abs=0.02)
    assert set(result) == {"Bicubic", "run 3"}
    assert f"{expected:.2f} dB" in capsys.readouterr().out


def test_a_blank_photo_gets_a_sheet_and_no_say_in_the_means(run, photos, tmp_path):
    before = ex.run(config_updates=settings(run, photos, tmp_path / "before")).result
    Image.new("RGB", (96, 96), (128, 128, 128)).save(photos / "blank.png")
    after = ex.run(config_updates=settings(run, photos, tmp_path / "after")).result
    assert after == before
    assert (tmp_path / "after" / "blank.png").exists()


def test_a_sheet_for_each_photo_of_a_folder(run, photos, tmp_path):
    ex.run(config_updates=settings(run, photos, tmp_path / "out"))
    for name in ("one.png", "deeper/two.png"):
        with Image.open(tmp_path / "out" / name) as sheet:
            assert sheet.width <= 1600
            assert (tmp_path / "out" / name).stat().st_size < 5_000_000


def test_images_of_one_name_get_sheets_of_their_own(run, tmp_path, capsys):
    folder = tmp_path / "same"
    folder.mkdir()
    Image.fromarray(data.astronaut()[:80, :96]).save(folder / "IMG_1.jpg")
    Image.fromarray(data.coffee()[:60, :50]).save(folder / "IMG_1.png")
    ex.run(config_updates=settings(run, folder, tmp_path / "out"))
    assert sorted(os.listdir(tmp_path / "out")) == ["IMG_1.jpg.png", "IMG_1.png.png"]
    assert "2 of 2 sheets in" in capsys.readouterr().out
    sheets = [Image.open(tmp_path / "out" / name) for name in os.listdir(tmp_path / "out")]
    assert sheets[0].tobytes() != sheets[1].tobytes()
    (tmp_path / "other").mkdir()
    shutil.copy(folder / "IMG_1.png", tmp_path / "other")
    both = [str(folder / "IMG_1.png"), str(tmp_path / "other/IMG_1.png")]
    with pytest.raises(UserError, match="would both become"):
        ex.run(config_updates=settings(run, both, tmp_path / "more"))


def test_a_full_disk_is_said_and_the_rest_goes_on(run, photos, tmp_path, capsys, monkeypatch):
    from experiments import compare as script

    write = script.save_figure

    def full_at_first(figure, path):
        if path.name == "one.png":
            raise OSError(28, "No space left on device")
        write(figure, path)

    monkeypatch.setattr(script, "save_figure", full_at_first)
    with pytest.raises(UserError, match="1 of 2 images could not be compared"):
        ex.run(config_updates=settings(run, photos, tmp_path / "out"))
    assert "out/one.png: No space left on device" in capsys.readouterr().err
    assert (tmp_path / "out/deeper/two.png").exists()


def test_sheets_that_are_there_are_left(run, photos, tmp_path, capsys):
    config = settings(run, photos, tmp_path / "out", existing="skip")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/one.png").write_text("precious")
    ex.run(config_updates=config)
    assert "1 of 2 sheets in" in capsys.readouterr().out
    assert (tmp_path / "out/one.png").read_text() == "precious"
    (tmp_path / "a.gif").write_text("precious")
    ex.run("animate", config_updates=settings(run, None, tmp_path / "a.gif", existing="skip"))
    assert (tmp_path / "a.gif").read_text() == "precious"


def test_several_runs_side_by_side(run, photos, tmp_path):
    other = checkpoint(tmp_path / "other.pt", seed=5)
    config = settings([str(run), str(other)], photos, tmp_path / "out")
    result = ex.run(config_updates=config).result
    assert set(result) == {"Bicubic", "run 3", "other.pt"}
    assert result["run 3"]["psnr"] != result["other.pt"]["psnr"]
    assert len(list((tmp_path / "out").rglob("*.png"))) == 2


def test_runs_of_the_same_name_are_told_apart(photos, tmp_path):
    specs = [str(checkpoint(tmp_path / name / "best.pt")) for name in ("a", "b")]
    result = ex.run(config_updates=settings(specs, photos, tmp_path / "out")).result
    assert set(result) == {"Bicubic", *specs}


def test_lpips_is_in_the_figures_where_its_weights_are(run, photos, tmp_path, shared_data):
    pytest.importorskip("lpips")
    config = settings(run, photos / "one.png", tmp_path / "out", lpips=True)
    found = ex.run(config_updates={**config, "weights": str(shared_data / "weights")}).result
    assert 0 < found["run 3"]["lpips"] < 1


def test_a_bad_photo_is_said_and_the_rest_goes_on(run, photos, tmp_path, capsys):
    (photos / "broken.png").write_text("no image")
    with pytest.raises(UserError, match="1 of 3 images could not be compared"):
        ex.run(config_updates=settings(run, photos, tmp_path / "out"))
    assert "broken.png: not an image" in capsys.readouterr().err
    assert len(list((tmp_path / "out").rglob("*.png"))) == 2


def frames(path: Path) -> list[np.ndarray]:
    with Image.open(path) as gif:
        found = []
        for index in range(gif.n_frames):
            gif.seek(index)
            found.append(np.array(gif.convert("RGB")))
    return found


def test_sheets_become_an_animation_in_the_order_of_training(run, tmp_path):
    path = tmp_path / "a.gif"
    ex.run("animate", config_updates=settings(run, None, path, width=200))
    levels = [int(frame[-20, 100, 0]) for frame in frames(path)]
    assert np.abs(np.array(levels) - [50, 100, 200]).max() < 10


def test_checkpoints_become_an_animation_of_a_photo(run, photos, tmp_path):
    path = tmp_path / "a.gif"
    ex.run("animate", config_updates=settings(run, photos / "one.png", path, width=400))
    found = frames(path)
    assert len(found) == 2
    assert not np.array_equal(found[0][60:], found[1][60:])


def test_curves_and_animation_without_a_display_as_typed(run, tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    for command, name in (("curves", "c.png"), ("animate", "a.mp4")):
        done = subprocess.run(
            [
                sys.executable,
                ROOT / "experiments/compare.py",
                command,
                "with",
                "run=3",
                f"output={tmp_path / name}",
                "-F",
                str(run.parent),
            ],
            cwd=tmp_path,
            env={**environment, "MPLBACKEND": "TkAgg", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert (tmp_path / name).stat().st_size > 1000
    assert Image.open(tmp_path / "c.png").width > 1000


def test_curves_of_several_runs_are_told_apart_by_their_configs(run, tmp_path, monkeypatch, capfd):
    for number, speed in ((4, "float32"), (5, "bfloat16+channels_last")):
        folder = tmp_path / "store" / str(number)
        shutil.copytree(run, folder)
        entry = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps({**entry, "_id": number}))
        config = {"seed": 1, "resume": number, "training": {"speed": speed, "tensorboard": True}}
        (folder / "config.json").write_text(json.dumps(config))
    runs = [str(tmp_path / "store" / number) for number in "45"]
    drawn = {}

    def draw(runs, **others):
        drawn.update(runs=runs, **others)
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr("tmd.figures.curves.overlay_curves", draw)
    ex.run("curves", config_updates=settings(runs, None, tmp_path / "c.png"))
    assert "c.png: 3 curves of runs 4, 5\n" in capfd.readouterr().out
    assert list(drawn["runs"]) == [
        "run 4, training.speed=float32",
        "run 5, training.speed=bfloat16+channels_last",
    ]
    assert drawn["references"] == {"psnr": 26.2}
    for found in drawn["runs"].values():
        assert list(found["validation.psnr"].values) == [26, 26.5, 27, 27.2]
        assert len(found) == 3
    config = settings(runs, None, tmp_path / "less.png", metrics="psnr,pixel")
    ex.run("curves", config_updates=config)
    assert [set(found) for found in drawn["runs"].values()] == [
        {"train.pixel", "validation.psnr"}
    ] * 2
    # Validated on other images.
    info = {"bicubic": {"psnr": 20.0}}
    (tmp_path / "store" / "5" / "info.json").write_text(json.dumps(info))
    ex.run("curves", config_updates=settings(runs, None, tmp_path / "d.png"))
    assert drawn["references"] == {}
    # Of another store with the same number; and one that is named twice.
    shutil.copytree(tmp_path / "store" / "5", tmp_path / "other" / "5")
    twice = [runs[1], str(tmp_path / "other" / "5"), runs[1]]
    ex.run("curves", config_updates=settings(twice, None, tmp_path / "f.png"))
    assert [name.endswith(("store/5", "other/5")) for name in drawn["runs"]] == [True, True]
    monkeypatch.undo()
    ex.run("curves", config_updates=settings(runs, None, tmp_path / "e.png"))
    with Image.open(tmp_path / "e.png") as picture:
        assert picture.width > 1000


def test_comparing_leaves_no_record(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ex.run("curves", config_updates=settings(run, None, "c.png"))
    assert os.listdir(tmp_path) == ["c.png"]


def test_nothing_is_replaced_unasked(run, photos, tmp_path):
    for command, inputs, name in (
        (compare.__name__, photos, "out"),
        ("animate", None, "a.gif"),
        ("curves", None, "c.png"),
    ):
        config = settings(run, inputs, tmp_path / name)
        ex.run(command, config_updates=config)
        with pytest.raises(UserError, match="exists; overwrite=True"):
            ex.run(command, config_updates=config)
        ex.run(command, config_updates={**config, "overwrite": True})
    with pytest.raises(UserError, match="is an input"):
        ex.run(config_updates=settings(run, photos, photos, overwrite=True))


@pytest.mark.parametrize(
    ("command", "changes", "message"),
    [
        ("compare", {"run": None}, "run=None: give a run"),
        ("compare", {"run": "gone"}, "gone: no such run"),
        ("compare", {"input": None}, "input=None: give HR images"),
        ("compare", {"input": "none/*"}, "holds no images"),
        ("compare", {"zooms": 0}, "zooms=0: must be an integer"),
        ("compare", {"lpips": "maybe"}, "lpips='maybe': must be one of auto, True, False"),
        ("animate", {"output": "a.avi", "input": None}, "a.avi: must end in .gif or .mp4"),
        ("animate", {"fps": 0}, "fps=0: must be a number above 0"),
        ("animate", {"output": "a.gif", "run": ["a", "b"]}, "must be one run"),
        ("curves", {"output": "c.pdf"}, "must be one of .png"),
        (
            "curves",
            {"metrics": "lpips", "output": "c.png"},
            "has train.pixel, train.adv_weight, validation.psnr",
        ),
        ("curves", {"metrics": 3, "output": "c.png"}, "metrics=3: must be words"),
    ],
)
def test_mistakes_get_one_line(run, photos, tmp_path, monkeypatch, command, changes, message):
    monkeypatch.chdir(tmp_path)
    config = {**settings(run, photos, tmp_path / "out"), **changes}
    with pytest.raises(UserError) as problem:
        ex.run(command, config_updates=config)
    assert message in str(problem.value)
    assert "\n" not in str(problem.value)
    assert not any((tmp_path / name).exists() for name in ("out", "c.png"))


def test_only_equals_are_compared(run, photos, tmp_path):
    other = checkpoint(tmp_path / "x3.pt", scale=3)
    with pytest.raises(UserError, match=r"x3\.pt has scale=3, run 3 2; only equals"):
        ex.run(config_updates=settings([str(run), str(other)], photos, tmp_path / "out"))


def test_a_run_without_sheets_says_what_to_do(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1/run.json").write_text('{"artifacts": [], "status": "COMPLETED"}')
    with pytest.raises(UserError, match=r"has no sheets; give input=photo\.png"):
        ex.run("animate", config_updates=settings(tmp_path / "1", None, tmp_path / "a.gif"))
    with pytest.raises(UserError, match="has measured nothing yet"):
        ex.run("curves", config_updates=settings(tmp_path / "1", None, tmp_path / "c.png"))


def test_a_band_is_mean_and_students_interval_at_the_shared_iterations():
    rng = np.random.default_rng(0)
    steps = [10, 20, 30, 40]
    rows = rng.normal(size=(3, 4))
    rows[1, 2] = np.nan
    curves = [Curve(steps, row.tolist()) for row in rows]
    curves.append(Curve([*steps[:3], 45], rng.normal(size=4).tolist()))
    band = Band.of(curves)
    assert band.steps == [10, 20, 30]
    mean, half = band.interval()
    values = np.array([curve.values[:3] for curve in curves])
    low, high = stats.t.interval(
        0.95, [3, 3, 2], np.nanmean(values, 0), stats.sem(values, nan_policy="omit")
    )
    np.testing.assert_allclose(mean, (low + high) / 2)
    np.testing.assert_allclose(half, (high - low) / 2)
    one = Band.of(curves[:1])
    assert np.isnan(one.interval()[1]).all()


def test_runs_that_differ_in_their_seeds_are_one_band(run, tmp_path, monkeypatch, capfd):
    for number in range(4, 9):
        folder = tmp_path / "store" / str(number)
        shutil.copytree(run, folder)
        entry = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps({**entry, "_id": number}))
        config = {"seed": number % 4, "scale": 2 if number < 7 else 4}
        (folder / "config.json").write_text(json.dumps(config))
        metrics = json.loads((folder / "metrics.json").read_text())
        metrics["validation.psnr"]["values"] = [number, 2, 3, 4]
        (folder / "metrics.json").write_text(json.dumps(metrics))
    runs = [str(tmp_path / "store" / str(number)) for number in range(4, 9)]
    drawn = {}

    def draw(runs, **others):
        drawn.update(runs=runs, **others)
        return Image.new("RGB", (8, 8))

    with monkeypatch.context() as patch:
        patch.setattr("tmd.figures.curves.overlay_curves", draw)
        ex.run("curves", config_updates=settings(runs, None, tmp_path / "c.png"))
        assert list(drawn["runs"]) == [
            "mean of runs 4, 5, 6, scale=2",
            "mean of runs 7, 8, scale=4",
        ]
        band = drawn["runs"]["mean of runs 4, 5, 6, scale=2"]["validation.psnr"]
        assert band.interval()[0].tolist() == [5, 2, 3, 4]
        off = settings(runs, None, tmp_path / "d.png", bands=False)
        ex.run("curves", config_updates=off)
        assert len(drawn["runs"]) == 5
    ex.run("curves", config_updates=settings(runs, None, tmp_path / "e.png"))
    with Image.open(tmp_path / "e.png") as banded:
        shades = np.asarray(banded)
    # The second colour at a fifth of its strength, over white: two values' interval is wide.
    light = np.round(255 - 0.2 * (255 - np.array([0xDC, 0x26, 0x26])))
    assert (np.abs(shades - light).max(-1) <= 1).sum() > 300


def test_a_key_that_an_earlier_version_had_not_is_in_no_label() -> None:
    configs = [{"adv_weight": 1e-3}, {"adv_weight": 1e-2, "schedule": {"later": None, "set": 1}}]
    records: list[Any] = [
        SimpleNamespace(id=number, spec=str(number), config=config)
        for number, config in enumerate(configs)
    ]
    assert labels(records) == [
        "run 0, adv_weight=0.001, schedule.set=",
        "run 1, adv_weight=0.01, schedule.set=1",
    ]
