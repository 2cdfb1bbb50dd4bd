"""export.py writes files that other programs run, and says how near they come."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from trained_files import checkpoint

from experiments.evaluate import ex as evaluate
from experiments.export import ex
from experiments.srgan import ex as srgan
from observers import open_run
from tests.observers.mongo_server import MongoServer
from tmd.checkpoints import load_checkpoint, load_generator, save_checkpoint
from tmd.errors import UserError
from tmd.images import write_image

ROOT = Path(__file__).resolve().parents[2]


#: Of patches of 12 pixels, a network of one block, updates by the pixel loss alone.
TINY = [
    "smoke",
    "scale=2",
    "generator.n_blocks=1",
    "generator.n_features=8",
    "dataset.name=folder",
    "dataset.patch_size=12",
    "dataset.batch_size=2",
    "dataset.workers=0",
    "dataset.validation=0",
    "schedule.pretrain=2it",
    "schedule.warmup=0",
    "schedule.adversarial=0",
    "training.epoch_length=1",
    "training.preview_images=0",
    "training.tensorboard=False",
    "training.threads=1",
    "training.speed=float32",
]


def manifest_and_card(path: Path) -> tuple[dict, str]:
    """The two files beside a network's."""
    manifest = json.loads(path.with_name(f"{path.name}.json").read_text())
    return manifest, path.with_name(f"{path.name}.md").read_text()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("network") / "a.pt")


def test_onnx_as_typed(network, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    done = subprocess.run(
        [sys.executable, ROOT / "experiments/export.py", "with", f"checkpoint={network}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("generator_x2.onnx (")
    assert "onnxruntime gives our output to " in done.stdout
    card = ["generator_x2.onnx.json", "generator_x2.onnx.md"]
    assert sorted(os.listdir(tmp_path)) == ["generator_x2.onnx", *card]
    assert "card and manifest: generator_x2.onnx.md and generator_x2.onnx.json" in done.stdout
    session = onnxruntime.InferenceSession(tmp_path / "generator_x2.onnx")
    lr = torch.rand(2, 3, 11, 6)
    with torch.no_grad():
        ours = load_generator(network)(lr)
    theirs = torch.from_numpy(session.run(None, {"lr": lr.numpy()})[0])
    assert (ours - theirs).abs().max() < 1e-4


def test_safetensors_can_be_exported_again(network, tmp_path):
    pytest.importorskip("safetensors")
    first, second = str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors")
    for source, target in ((network, first), (first, second)):
        config = {"checkpoint": str(source), "format": "safetensors", "output": target}
        ex.run(config_updates=config)
    assert Path(first).read_bytes() == Path(second).read_bytes()


def test_torchscript_may_be_named_as_torch_does(network, tmp_path):
    path = tmp_path / "a.pt"
    config = {"checkpoint": str(network), "format": "torchscript", "output": str(path)}
    ex.run(config_updates=config)
    assert torch.jit.load(str(path))(torch.zeros(1, 3, 8, 8)).shape == (1, 3, 16, 16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "tflite"}, "format='tflite': must be one of onnx, torchscript, safetensors"),
        ({"output": "."}, "output='.': must be a file"),
        ({"output": f"{__file__}/a.onnx"}, f"{Path(__file__).name} is a file, and no folder"),
        (
            {"output": "a.safetensors"},
            "output: ends in .safetensors, and format=torchscript, whose files end in "
            ".torchscript; format=safetensors writes .safetensors",
        ),
        ({"output": "A.PT", "format": "onnx"}, "ends in .pt, and format=onnx"),
        (
            {"checkpoint": None, "run": "photos_x4"},
            "run=photos_x4: no run, but a network that comes with the package; checkpoint=photos_",
        ),
        ({"overwrite": 1}, "overwrite=1: must be True or False"),
        ({"card": 1}, "card=1: must be True or False"),
        ({"licence": "a\nb"}, "licence='a\\nb': must be a licence's name in a line"),
        ({"limits": ["a\nb"]}, "limits=['a\\nb']: must be a sentence in a line, or a list of them"),
        ({"limits": 3}, "limits=3: must be a sentence in a line"),
        ({"checkpoint": None}, "run, checkpoint: give one of them"),
        ({"run": 3}, "run, checkpoint: give one of them"),
        ({"checkpoint": "gone.pt"}, "checkpoint gone.pt: no such file"),
        ({"checkpoint": "gone"}, "checkpoint=gone: no such file; of those that come with"),
    ],
)
def test_mistakes_get_one_line(tmp_path, monkeypatch, network, changes, message):
    monkeypatch.chdir(tmp_path)
    config = {"checkpoint": str(network), "format": "torchscript", **changes}
    with pytest.raises(UserError) as problem:
        ex.run(config_updates=config)
    assert message in str(problem.value)
    assert os.listdir(tmp_path) == []


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a training that was typed, one that goes on from it, and its evaluation."""
    folder = tmp_path_factory.mktemp("trained")
    draws = np.random.default_rng(0)
    for name in "ab":
        write_image(folder / "Toy" / f"{name}.png", torch.from_numpy(draws.random((3, 24, 24))))
        write_image(folder / "mallory" / f"{name}.png", torch.from_numpy(draws.random((3, 48, 48))))
    address = "mongodb://mallory:hush99@db.example.org/x"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder / "mallory"))
        for words in (
            [*TINY, f"dataset.root={folder}/mallory"],
            ["resume=1", "schedule.pretrain=3it"],
        ):
            typed = ["srgan.py", "-F", "runs", "with", *words]
            patch.setattr(sys, "argv", [*typed, address])
            srgan.run_commandline(typed)
        evaluate.run(
            config_updates={"run": 2, "method": "bicubic", "benchmark": "Toy", "metrics": "psnr"},
            options={"--file_storage": "runs"},
        )
    return folder


def test_card_and_manifest_say_what_records_do(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    monkeypatch.setenv("HOME", str(trained / "mallory"))
    monkeypatch.delenv("TMD_MONGO_URL", raising=False)
    path = tmp_path / "a.safetensors"
    asked = {"run": 2, "format": "safetensors", "output": str(path)}
    more = {"licence": "MIT", "data_licence": "research only", "limits": "Text is smeared."}
    ex.run(config_updates={**asked, **more})
    assert "no evaluation of this very file" not in capsys.readouterr().out
    content, card = manifest_and_card(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert content["files"] == {path.name: {"sha256": digest, "bytes": path.stat().st_size}}
    assert (content["data"]["images"], content["data"]["licence"]) == (2, "research only")
    training = content["training"]
    assert training["runs"] == ["1", "2"]
    first, second = training["commands"]
    assert first.startswith("srgan.py -F runs with smoke")
    assert second.endswith("schedule.pretrain=3it mongodb://***@db.example.org/x")
    assert training["config"]["schedule"]["pretrain"] == "3it"
    begun, went_on = open_run(1).entry, open_run(2).entry
    repositories = begun["experiment"]["repositories"] + went_on["experiment"]["repositories"]
    assert training["commits"] == list({each["commit"]: 0 for each in repositories})
    assert training["changed"] == any(each["dirty"] for each in repositories)
    (figures,) = content["figures"]
    result = open_run(3).result["Toy"]
    assert figures["mean"] == pytest.approx(result["run_2"]["psnr"])
    assert figures["bicubic"] == pytest.approx(result["bicubic"]["psnr"])
    best = hashlib.sha256(Path("runs/2/best.pt").read_bytes()).hexdigest()
    assert content["evaluated"]["sha256"] == best
    for private in ("mallory", "hush99"):
        assert private not in json.dumps(content) + card
    assert "Text is smeared." in card
    with pytest.raises(UserError, match="exists; overwrite=True replaces it"):
        ex.run(config_updates={**asked, **more})


@pytest.mark.skipif(MongoServer.program() is None, reason="no secantusd-py")
def test_runs_in_a_database_are_evaluated_and_exported_with_their_card(
    trained, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    server = MongoServer(tmp_path / "server")
    server.start()
    try:
        store = {"--mongo_db": f"{server.url}/sr"}
        typed = ["srgan.py", "-m", f"{server.url}/sr", "with", *TINY]
        srgan.run_commandline([*typed, f"dataset.root={trained}/mallory"])
        config = {"run": 1, "benchmark": str(trained / "Toy"), "metrics": "psnr"}
        evaluate.run(config_updates=config, options=store)
        given = {"run": 1, "format": "half", "output": "a.pt"}
        ex.run(config_updates=given, options=store)
    finally:
        server.kill()
    content, _ = manifest_and_card(Path("a.pt"))
    assert content["training"]["runs"] == ["1"]
    assert [each["metric"] for each in content["figures"]] == ["psnr"]


def test_a_checkpoint_in_a_runs_folder_is_that_runs(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TMD_MONGO_URL", raising=False)
    source = str(trained / "runs/2/best.pt")
    ex.run(config_updates={"checkpoint": source, "format": "half", "output": "a.pt"})
    content, _ = manifest_and_card(Path("a.pt"))
    assert content["training"]["runs"] == ["1", "2"]
    assert "figures" not in content  # the store of this folder has no evaluation
    # The run it went on from is gone.
    copied = shutil.copytree(trained / "runs/2", tmp_path / "others/2")
    ex.run(config_updates={"run": str(copied), "format": "half", "output": "b.pt"})
    commands = manifest_and_card(Path("b.pt"))[0]["training"]["commands"]
    assert commands[0] == "(run runs/1, which this goes on from, is not to be found)"


def test_figures_are_of_that_very_file_and_other_lr_is_named(trained, tmp_path, monkeypatch):
    store = shutil.copytree(trained / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    network = shutil.copy(store / "2/best.pt", tmp_path / "other.pt")
    state = load_checkpoint(network)
    name = next(iter(state["generator"]))
    state["generator"][name] = state["generator"][name] + 1e-3
    save_checkpoint(Path(network), state)
    given = {"format": "half", "output": "a.pt"}
    ex.run(config_updates={**given, "checkpoint": network}, options={"--file_storage": str(store)})
    assert "figures" not in manifest_and_card(Path("a.pt"))[0]
    config = {"run": 2, "benchmark": str(trained / "Toy"), "metrics": "psnr"}
    more = {"measurement": ["bicubic", {"name": "noise", "sigma": 0.1}]}
    evaluate.run(config_updates={**config, **more}, options={"--file_storage": str(store)})
    ex.run(
        config_updates={**given, "run": 2, "overwrite": True},
        options={"--file_storage": str(store)},
    )
    found = manifest_and_card(Path("a.pt"))[0]["figures"]
    assert [each["benchmark"] for each in found] == ["Toy", "Toy (LR by bicubic, noise)"]
    assert found[1]["mean"] == pytest.approx(open_run(5, store).result["Toy"]["run_2"]["psnr"])


def test_what_is_exported_again_keeps_what_is_known_unless_it_changed(
    trained, tmp_path, monkeypatch
):
    monkeypatch.chdir(trained)
    first, second = tmp_path / "a.pt", tmp_path / "b.safetensors"
    ex.run(config_updates={"run": 2, "format": "half", "output": str(first), "licence": "MIT"})
    again = {"checkpoint": str(first), "format": "safetensors", "output": str(second)}
    ex.run(config_updates=again)
    before, after = manifest_and_card(first)[0], manifest_and_card(second)[0]
    for key in ("training", "figures", "evaluated", "data", "limits", "licence"):
        assert before[key] == after[key], key
    assert list(after["files"]) == [second.name]
    first.write_bytes((trained / "runs/1/best.pt").read_bytes())
    with pytest.raises(UserError, match=r"a\.pt: is not the file of its manifest"):
        ex.run(config_updates={**again, "output": str(tmp_path / "c.safetensors")})
    assert {each.name for each in tmp_path.iterdir()} == {
        f"{path.name}{ending}" for path in (first, second) for ending in ("", ".json", ".md")
    }


def test_a_folder_is_checked_whole(network, tmp_path, capsys):
    for name in ("a", "b", "c"):
        output = str(tmp_path / f"{name}.pt")
        ex.run(config_updates={"checkpoint": str(network), "format": "half", "output": output})
    (tmp_path / "mine.json").write_text('{"seed": 1}')
    ex.run("check", config_updates={"checkpoint": str(tmp_path)})
    assert capsys.readouterr().out.count("is the file of its manifest, sha256 ") == 3
    data = bytearray((tmp_path / "a.pt").read_bytes())
    data[100] ^= 1
    (tmp_path / "a.pt").write_bytes(data)
    (tmp_path / "c.pt").unlink()
    with pytest.raises(UserError) as problem:
        ex.run("check", config_updates={"checkpoint": str(tmp_path)})
    assert "a.pt: is not the file of its manifest (sha256 " in str(problem.value)
    assert "c.pt: is not there" in str(problem.value)
    assert "b.pt" not in str(problem.value)
    assert "b.pt: is the file of its manifest" in capsys.readouterr().out
    (tmp_path / "b.pt.json").write_text("{nojson")
    with pytest.raises(UserError, match=r"b\.pt\.json: is no manifest|b\.pt\.json"):
        ex.run("check", config_updates={"checkpoint": str(tmp_path)})
    (tmp_path / "b.pt.json").unlink()
    capsys.readouterr()
    with pytest.raises(UserError):
        ex.run("check", config_updates={"checkpoint": str(tmp_path)})
    assert "b.pt: has no manifest beside it, and is not checked" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: no file in it has a manifest beside it"):
        ex.run("check", config_updates={"checkpoint": str(tmp_path / "empty")})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scale": 1}, "It takes images of 3 channels and keeps an image's size."),
        ({"channels": 1}, "It takes images of 1 channel and enlarges by 2, no other factor."),
    ],
)
def test_limits_that_follow_from_the_network_are_said(changes, said, tmp_path):
    source, output = checkpoint(tmp_path / "a.pt", **changes), tmp_path / "b.pt"
    config = {"checkpoint": str(source), "format": "half", "output": str(output)}
    ex.run(config_updates=config)
    assert f"* {said}" in manifest_and_card(output)[1]


@pytest.mark.parametrize("kind", ["srgan", "ambientgan", "growth"])
def test_runs_of_earlier_versions_get_a_card(kind, tmp_path):
    run, output = Path(__file__).parent / "earlier" / kind / "run", tmp_path / "b.pt"
    ex.run(config_updates={"run": str(run), "format": "half", "output": str(output)})
    content, card = manifest_and_card(output)
    assert content["training"]["config"]["schedule"]["pretrain"] == "12it"
    assert "commit: not known" in card
    assert "None" not in card


@pytest.mark.slow
def test_other_peoples_networks_get_a_card_too(tmp_path, shared_data):
    source = shared_data / "weights/community/CRAFT_x4_ntire2024_team34.pth"
    output = tmp_path / "b.pth"
    config = {"weights": str(source), "format": "pth", "output": str(output), "licence": "MIT"}
    ex.run(config_updates=config)
    content, card = manifest_and_card(output)
    assert content["network"]["scale"] == 4
    assert "training" not in content
    assert "enlarges by 4" in card


def test_what_a_card_lacks_is_said(network, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ex.run(config_updates={"checkpoint": str(network), "format": "half", "output": "a.pt"})
    out = capsys.readouterr().out
    assert "no record of its training is known; run=N brings data, command and config" in out
    assert "no evaluation of this very file is in runs; `tmd evaluate Set5` of it" in out


def test_a_key_leaves_the_card_out_and_a_card_alone_is_not_replaced(network, tmp_path):
    config = {"checkpoint": str(network), "format": "half", "output": str(tmp_path / "a.pt")}
    ex.run(config_updates={**config, "card": False})
    assert os.listdir(tmp_path) == ["a.pt"]
    (tmp_path / "a.pt").unlink()
    (tmp_path / "a.pt.md").write_text("mine")
    with pytest.raises(UserError, match=r"card=False: .*a\.pt\.md is there, of another a\.pt;"):
        ex.run(config_updates={**config, "card": False, "overwrite": True})
    with pytest.raises(UserError, match=r"a\.pt\.md: exists; overwrite=True replaces it"):
        ex.run(config_updates=config)
    assert os.listdir(tmp_path) == ["a.pt.md"]
