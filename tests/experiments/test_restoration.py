"""At scale 1 the scripts restore: trained on JPEG, used, measured against other libraries."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from kill_and_resume import train
from PIL import Image
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

from experiments import ambientgan, compare, evaluate, srgan, upscale
from experiments.export import ex as export
from tmd.checkpoints import load_generator
from tmd.errors import UserError
from tmd.images import read_image, rgb_to_y, to_float, to_uint8
from tmd.models import create_generator

JPEG = '[{"name":"jpeg","quality":5}]'


def coded(pixels: np.ndarray, quality: int = 5) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def luma_psnr(image: np.ndarray, reference: np.ndarray) -> float:
    a, b = (
        rgb_to_y(to_float(torch.from_numpy(x.copy()).permute(2, 0, 1))[None])[0, 0].double().numpy()
        for x in (image, reference)
    )
    return peak_signal_noise_ratio(b, a, data_range=1)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name in ("chelsea", "coffee", "rocket"):
        Image.fromarray(getattr(data, name)()[40:240, 60:280]).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """A run that removes what JPEG leaves, as far as it can learn to in a few seconds."""
    return train(
        "srgan",
        tmp_path_factory.mktemp("store"),
        "smoke",
        "scale=1",
        f"measurement.operators={JPEG}",
        f"dataset.root={photos}",
        "dataset.validation=1",
        "schedule.pretrain=100it",
        "schedule.warmup=4it",
        "schedule.adversarial=4it",
        "schedule.score=spectral",
        "optimization.lr_g=1e-3",
        "generator.name=subpixel",
        "generator.n_blocks=3",
        "training.epoch_length=20",
        "training.speed=float32",
        "training.tensorboard=False",
    )


def test_a_training_restores_better_than_the_input_and_says_input(run: Path) -> None:
    result = json.loads((run / "run.json").read_text())["result"]
    pretrained = json.loads((run / "metrics.json").read_text())["validation.psnr"]["values"]
    assert max(pretrained) > result["bicubic_psnr"] + 0.03
    said = (run / "cout.txt").read_text()
    assert "\ninput " in said
    assert "bicubic" not in said
    assert "(input " in said
    assert load_generator(run / "best.pt").scale == 1


def test_upscale_restores_at_the_images_own_size(run: Path, photos: Path, tmp_path: Path) -> None:
    upscale.ex.run(config_updates={"run": str(run), "input": str(photos), "output": str(tmp_path)})
    for file in photos.iterdir():
        restored = Image.open(tmp_path / file.name)
        assert restored.size == Image.open(file).size
        expected = load_generator(run / "best.pt")(to_float(read_image(file))[None])[0]
        # Rounded from sums in another order.
        difference = np.asarray(restored, float) - to_uint8(expected).permute(1, 2, 0).numpy()
        assert np.abs(difference).max() <= 1


def test_evaluation_degrades_as_in_training_without_a_border(
    run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"run": str(run), "method": "bicubic", "benchmark": str(photos)}
    result = evaluate.ex.run(config_updates=settings).result
    assert "×1 (y, border 0)" in capsys.readouterr().out
    pixels = [np.asarray(Image.open(file)) for file in sorted(photos.iterdir())]
    expected = np.mean([luma_psnr(coded(image), image) for image in pixels])
    assert result[photos.name]["bicubic"]["psnr"] == pytest.approx(expected, abs=2e-4)


def test_evaluation_of_files_that_are_degraded_already(photos: Path, tmp_path: Path) -> None:
    for file in photos.iterdir():
        Image.fromarray(coded(np.asarray(Image.open(file)), 40)).save(tmp_path / file.name)
    settings = {"method": "bicubic", "benchmark": str(photos), "scale": 1, "lr_root": str(tmp_path)}
    found = evaluate.ex.run(config_updates=settings).result[photos.name]["bicubic"]["psnr"]
    pixels = [np.asarray(Image.open(file)) for file in sorted(photos.iterdir())]
    expected = np.mean([luma_psnr(coded(image, 40), image) for image in pixels])
    assert found == pytest.approx(expected, abs=2e-4)


def test_sheets_show_the_input(run: Path, photos: Path, tmp_path: Path) -> None:
    settings = {"run": str(run), "input": str(photos), "output": str(tmp_path), "lpips": False}
    means = compare.ex.run(config_updates=settings).result
    assert next(iter(means)) == "Input"
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_export_of_a_restoring_network(run: Path, photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "restore.onnx"
    export.run(config_updates={"run": str(run), "format": "onnx", "output": str(file)})
    image = to_float(read_image(photos / "coffee.png"))[None]
    session = onnxruntime.InferenceSession(str(file))
    (found,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    expected = load_generator(run / "best.pt")(image).detach().numpy()
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize(
    ("script", "words", "said"),
    [
        ("srgan", [], "measurement.operators=['bicubic']: at scale=1 they change nothing"),
        ("ambientgan", [], "measurement.operators=['bicubic']: at scale=1 they change nothing"),
        (
            "srgan",
            ['measurement.operators=[{"name":"blur","kernel":"box"}]'],
            "measurement.operators[0].size=None: a box needs its size at scale=1",
        ),
        (
            "srgan",
            [f"measurement.operators={JPEG}", "losses.extra.lr_consistency=0.5"],
            "losses.extra.lr_consistency=0.5: at scale=1 it would hold SR to the degraded image",
        ),
        (
            "srgan",
            [f"measurement.operators={JPEG}", "grow_from=photos_x4"],
            "grow_from=photos_x4: scale=1: no network has half that scale to grow from",
        ),
        (
            "ambientgan",
            [f"measurement.operators={JPEG}", "ambient.view=detail"],
            "ambient.view=detail: at scale=1 no detail is beyond LR",
        ),
        (
            "evaluate",
            ["method=bicubic", "benchmark=PHOTOS"],
            "measurement=None: nothing degrades images at scale=1",
        ),
    ],
)
def test_a_mistake_gets_one_line(
    tmp_path: Path,
    photos: Path,
    capsys: pytest.CaptureFixture[str],
    script: str,
    words: list[str],
    said: str,
) -> None:
    ex = {"srgan": srgan, "ambientgan": ambientgan, "evaluate": evaluate}[script].ex
    words = [word.replace("PHOTOS", str(photos)) for word in words]
    with pytest.raises(SystemExit):
        ex.run_commandline([script, "-F", str(tmp_path / "runs"), "with", "scale=1", *words])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line
    assert not (tmp_path / "runs").exists()


def test_a_pair_at_scale_1_is_not_made_of_hr_alone(photos: Path) -> None:
    from tmd.evaluation.benchmarks import open_benchmark, read_pair

    with pytest.raises(UserError, match="at scale=1 LR comes from a measurement or a file"):
        read_pair(open_benchmark(photos, 1).samples[0], 1)


@pytest.mark.parametrize("name", ["hat", "drct", "rgt"])
def test_networks_that_only_enlarge_say_so(name: str) -> None:
    with pytest.raises(UserError, match=f"scale=1: {name} is made to enlarge$"):
        create_generator(name, scale=1)


def test_windowed_networks_restore_without_their_upsampler() -> None:
    with pytest.raises(UserError, match="is made to enlarge; "):
        create_generator("swinir", scale=1)
    sizes = {"depths": [2], "embed_dim": 12, "num_heads": [2], "window_size": 8}
    generator = create_generator("swinir", scale=1, upsampler="", **sizes).eval()
    assert generator(torch.rand(1, 3, 9, 14)).shape == (1, 3, 9, 14)
