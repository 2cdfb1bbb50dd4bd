"""Runs begin from other people's weights, learn in part, and every script takes such a file."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from kill_and_resume import differences, final_state, train, train_and_kill
from kinds import SMALL
from PIL import Image

from experiments import compare, evaluate, export, upscale
from experiments.srgan import ex
from experiments.support.values import parse_updates
from tmd.checkpoints import load_checkpoint, load_generator
from tmd.errors import UserError
from tmd.images import read_image, to_float
from tmd.models import create_discriminator, create_generator

pytest.importorskip("spandrel")

D = ("losses.content=pixel", "discriminator.features=[4,8]", "discriminator.strides=[2,2]")
D_OPTIONS = ("discriminator.options.grid=2", "discriminator.options.hidden=8")
#: The default network's sizes, which are no options of other people's.
OURS = ("generator.n_blocks", "generator.n_features")
WORDS = [
    *(word for word in SMALL if not word.startswith((*OURS, "scale="))),
    *D,
    *D_OPTIONS,
    "dataset.validation=1",
]


class Runs:
    """A harmless one: it makes a folder."""

    def __reduce__(self):
        return (os.mkdir, ("it_ran",))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stranger's ×2 network, another's discriminator, and images."""
    folder = tmp_path_factory.mktemp("strangers")
    torch.manual_seed(3)
    network = create_generator("compact", scale=2, num_feat=8, num_conv=2)
    torch.save({"params_ema": network.state_dict()}, folder / "x2.pth")
    judge = create_discriminator(features=[4, 8], strides=[2, 2], grid=2, hidden=8)
    torch.save({"params": judge.state_dict()}, folder / "netD.pth")
    torch.save({"params": Runs()}, folder / "trap.pth")
    (folder / "images").mkdir()
    draws = np.random.default_rng(0)
    for number in range(3):
        pixels = draws.integers(0, 256, (40, 44, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
    return folder


def run(folder: Path, store: str, *words: str):
    """A run of the main script in this process; its folder."""
    given = [*words] if words[0].startswith("resume=") else [*WORDS, *words]
    given.append(f"dataset.root={folder / 'images'}")
    done = ex.run_commandline(["srgan.py", "-F", str(folder / store), "with", *given])
    return folder / store / str(done._id)


@pytest.fixture(scope="module")
def begun(folder: Path) -> Path:
    return run(
        folder,
        "runs",
        f"generator.weights={folder / 'x2.pth'}",
        f"discriminator.weights={folder / 'netD.pth'}",
        "optimization.freeze_g=body.0",
        'optimization.lr_scale_g={"body.6": 4}',
    )


def test_the_architecture_is_the_files_and_what_fits_is_recorded(begun: Path, folder: Path) -> None:
    config = json.loads((begun / "config.json").read_text())
    assert config["scale"] == 2
    assert config["generator"]["name"] == "compact"
    assert config["generator"]["options"] == {"num_feat": 8, "num_conv": 2, "act_type": "prelu"}
    info = json.loads((begun / "info.json").read_text())["weights"]
    assert info["generator"]["carried_share"] == info["discriminator"]["carried_share"] == 1.0
    assert info["generator"]["container"] == "params_ema"
    assert len(info["generator"]["sha256"]) == 64
    assert "generator begins with" in (begun / "cout.txt").read_text()


def test_what_it_begins_with_is_validated_first(begun: Path) -> None:
    metrics = json.loads((begun / "metrics.json").read_text())
    assert metrics["validation.psnr"]["steps"][0] == 0


def test_frozen_parts_stay_and_others_move_also_after_a_resume(begun: Path, folder: Path) -> None:
    before = torch.load(folder / "x2.pth", weights_only=True)["params_ema"]
    aside = folder / "x2.pth.aside"
    (folder / "x2.pth").rename(aside)  # a run that goes on needs its checkpoint alone
    try:
        longer = run(folder, "runs", f"resume={begun}", "schedule.adversarial=24it")
    finally:
        aside.rename(folder / "x2.pth")
    for ended in (begun, longer):
        state = final_state(ended)["generator"]
        same = {name for name, value in before.items() if torch.equal(value, state[name])}
        assert same == {"body.0.weight", "body.0.bias"}
    groups = final_state(longer)["trainer"]["optimizer_g"]["param_groups"]
    assert sorted(group.get("lr_scale", 1) for group in groups) == [1, 4]


def test_a_x2_file_begins_a_x4_run_with_its_body(folder: Path) -> None:
    words = (f"generator.weights={folder / 'x2.pth'}", "scale=4", "schedule.adversarial=0")
    ended = run(folder, "x4", *words, "schedule.pretrain=2it", "schedule.warmup=0")
    said = (ended / "cout.txt").read_text()
    assert re.search(r"carried over [\d,]+ of [\d,]+ parameters \(\d+%\)", said)
    assert "initialised afresh, of another shape: body.6" in said
    info = json.loads((ended / "info.json").read_text())["weights"]["generator"]
    assert info["reinitialised"] == ["body.6.weight", "body.6.bias"]
    assert load_checkpoint(ended / "best.pt")["scale"] == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["generator.weights={}/gone.pth"], "no file, none of the networks that come along"),
        (["generator.weights={}/trap.pth"], "to read it would run code (posix.mkdir)"),
        (
            ["generator.weights={}/x2.pth", "generator.name=rrdb"],
            "nothing fits generator.name=rrdb; they are of compact",
        ),
        (
            ["generator.weights={}/netD.pth"],
            "nothing fits generator.name=srresnet; it has features.0.conv.weight",
        ),
        (["start_from={}/netD.pth"], "generator.weights={}/netD.pth takes over what fits"),
        (["generator.weights=photos_x4", "start_from=photos_x4"], "give one of them"),
        (["discriminator.weights=photos_x4", "scale=4"], "holds no weights by name"),
        (
            ["generator.weights={}/x2.pth", "optimization.freeze_g=bod"],
            "optimization.freeze_g: bod matches nothing; did you mean body",
        ),
    ],
)
def test_mistakes_get_a_line_before_there_is_a_run(folder, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    words = [word.replace("{}", str(folder)) for word in words]
    ex.store = "runs"
    given = parse_updates([*WORDS, *words, f"dataset.root={folder / 'images'}"])[0]
    with pytest.raises(UserError) as raised:
        ex.run(config_updates=given)
    assert said.replace("{}", str(folder)) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert os.listdir(tmp_path) == []


def test_every_script_takes_such_a_file(folder: Path, tmp_path, capsys) -> None:
    weights = str(folder / "x2.pth")
    image = folder / "images" / "0.png"
    updates = {"input": str(image), "output": str(tmp_path / "up"), "weights": weights}
    upscale.ex.run(config_updates=updates)
    network = create_generator("compact", scale=2, num_feat=8, num_conv=2)
    network.load_state_dict(torch.load(weights, weights_only=True)["params_ema"])
    with torch.no_grad():
        expected = network(to_float(read_image(image))[None])[0].clamp(0, 1)
    found = to_float(read_image(tmp_path / "up" / "0.png"))
    assert (expected - found).abs().max() < 0.6 / 255
    benchmark = {"benchmark": str(folder / "images"), "metrics": "psnr"}
    result = evaluate.ex.run(
        config_updates={**benchmark, "weights": weights, "method": "bicubic"},
        options={"--unobserved": True},
    ).result
    assert set(result["images"]) == {"x2_pth", "bicubic"}
    compare.ex.run(
        config_updates={"run": weights, "input": str(image), "output": str(tmp_path / "sheets")}
    )
    assert (tmp_path / "sheets" / "0.png").is_file()
    target = str(tmp_path / "x2.safetensors")
    export.ex.run(config_updates={"weights": weights, "format": "safetensors", "output": target})
    assert load_generator(target).scale == 2


@pytest.mark.parametrize("script", [upscale, evaluate, export])
def test_one_thing_has_one_word_at_a_time(folder: Path, tmp_path, monkeypatch, script) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="checkpoint, weights: two words for one thing"):
        script.ex.run(
            config_updates={
                "weights": str(folder / "x2.pth"),
                "checkpoint": "photos_x4",
                **{
                    upscale: {"input": str(folder / "images" / "0.png")},
                    evaluate: {"benchmark": str(folder / "images")},
                    export: {"format": "torchscript"},
                }[script],
            }
        )


@pytest.mark.slow
def test_killed_it_ends_with_the_same_bits(folder: Path, begun: Path) -> None:
    words = [
        *WORDS,
        f"dataset.root={folder / 'images'}",
        f"generator.weights={folder / 'x2.pth'}",
        f"discriminator.weights={folder / 'netD.pth'}",
        "optimization.freeze_g=body.0",
        'optimization.lr_scale_g={"body.6": 4}',
    ]
    store = folder / "killed"
    whole = train("srgan", store, *words)
    killed, status = train_and_kill("srgan", store, 10, *words)
    assert status == -signal.SIGKILL
    resumed = train("srgan", store, f"resume={killed}")
    assert differences(final_state(whole), final_state(resumed)) == []
