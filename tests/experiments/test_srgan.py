"""The main script as its users type it: what it records, what it says, what it refuses."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from kill_and_resume import (
    ROOT,
    SETTINGS,
    checkpoints,
    count_tensors,
    differences,
    final_state,
    runs,
    train,
    train_and_kill,
    validation_points,
)
from PIL import Image

from experiments.srgan import ex
from experiments.support.resume import note_of_place
from tmd.acceleration.autotune import fastest
from tmd.acceleration.speed import Speed
from tmd.hardware import device_name
from tmd.metrics import perceptual
from tmd.models import create_generator


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def finished(store: Path) -> Path:
    """A run through all phases that nobody disturbed."""
    return train(
        "srgan", store, *SETTINGS, "training.preview_images=1", "training.tensorboard=True"
    )


def attempt(store: Path, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "experiments/srgan.py", "-F", str(store), *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def record(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())


def test_a_run_is_recorded_whole(finished: Path) -> None:
    entry, config = record(finished), json.loads((finished / "config.json").read_text())
    info = json.loads((finished / "info.json").read_text())
    metrics = json.loads((finished / "metrics.json").read_text())
    assert entry["status"] == "COMPLETED"
    # What was chosen at run time stands where `auto` stood.
    assert config["device"] == "cpu"
    assert config["losses"]["content"] != "auto"
    assert config["training"]["speed"].split("+")[0] in ("float32", "bfloat16")
    assert info["phases"] == {"pretrain": 24, "warmup": 12, "adversarial": 24}
    assert info["versions"]["torch"] == torch.__version__
    assert info["data"]
    # Imported after the config was checked, and before the record named the code.
    code = {name for name, _ in entry["experiment"]["sources"]}
    assert {"tmd/session/session.py", "tmd/training/srgan.py", "tmd/handlers/best.py"} <= code
    assert set(entry["result"]) >= {"psnr", "ssim", "score", "bicubic_psnr"}
    for name in ("train.pixel", "train.loss_d", "train.d_real", "train.adv_weight", "train.lr_g"):
        assert metrics[name]["values"], name
    assert metrics["validation.psnr"]["steps"] == [8, 16, 24, 36, 40, 48, 56, 60]
    # One point an interval: 60 iterations, 3 an interval.
    assert len(metrics["train.lr_g"]["steps"]) == 20


def test_the_store_keeps_two_checkpoints_the_best_and_a_sheet_a_validation(finished: Path) -> None:
    artifacts = record(finished)["artifacts"]
    assert checkpoints(finished) == [55, 60]
    assert "best.pt" in artifacts
    sheets = [name for name in artifacts if name.startswith("sheet_")]
    assert len(sheets) == 8
    assert Image.open(finished / sheets[0]).width > 300
    assert list((finished / "tensorboard").glob("events.*"))


def test_the_best_is_never_worse_than_the_pretrained(finished: Path) -> None:
    best = final_state(finished)["trainer"]["best"]
    assert best["figures"]["score"] <= best["pretrained"]["score"]


@pytest.mark.parametrize(("iteration", "workers"), [(15, 0), (40, 2)])
def test_killed_and_resumed_it_ends_with_the_same_tensors(
    store: Path, finished: Path, iteration: int, workers: int
) -> None:
    run, status = train_and_kill(
        "srgan", store, iteration, *SETTINGS, f"dataset.workers={workers}", delay=0.05
    )
    assert status == -signal.SIGKILL
    resumed = train("srgan", store, f"resume={run}")
    reference = final_state(finished)
    assert count_tensors(reference) > 100
    assert differences(reference, final_state(resumed)) == []
    info = json.loads((resumed / "info.json").read_text())
    assert info["resumed_from"]["iteration"] >= iteration
    # The metrics go on where the checkpoint was, with the same values.
    expected = validation_points(finished)
    for step, value in validation_points(resumed).items():
        assert value == expected[step]


def test_the_comparison_sees_a_single_changed_bit(finished: Path) -> None:
    state, other = final_state(finished), final_state(finished)
    tensor = next(t for t in other["generator"].values() if t.dim() == 1)
    tensor.view(torch.int32).view(-1)[0] ^= 1
    assert len(differences(state, other)) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_asked_for_end_leaves_a_checkpoint_and_says_so(store: Path, number: int) -> None:
    run, status = train_and_kill("srgan", store, 10, *SETTINGS, number=number, delay=0.1)
    assert status == 128 + number
    entry = record(run)
    assert entry["status"] == "INTERRUPTED"
    state = final_state(run)
    # Saved because of the signal, not because it was time for one.
    assert state["iteration"] >= 10


HERE = {"type": "cpu", "name": device_name(torch.device("cpu"))}
UNUSUAL = "bfloat16+tf32"


@pytest.mark.parametrize(
    ("began", "speed", "has_gpu", "expected"),
    [
        (HERE, UNUSUAL, False, ""),
        ({}, UNUSUAL, False, ""),
        ({"type": "cpu", "name": ""}, UNUSUAL, False, ""),  # older records had no name
        (HERE, UNUSUAL, True, "note: device=cpu, as in the resumed run; device=cuda would use"),
        ({"type": "cuda", "name": "H100"}, UNUSUAL, False, "(H100); training.speed=auto would be"),
        ({"type": "cuda"}, UNUSUAL, False, "note: training.speed=bfloat16+tf32, and the resumed"),
        (
            {"type": "cpu", "name": "486"},
            UNUSUAL,
            False,
            "from another device (486); training.speed",
        ),
        ({"type": "cpu", "name": "486"}, "auto", False, ""),
        ({"type": "cuda", "name": "H100"}, "auto", False, ""),
    ],
)
def test_a_run_that_goes_on_elsewhere_says_so(began, speed, has_gpu, expected) -> None:
    place = torch.device("cpu")
    chosen = fastest(place) if speed == "auto" else Speed.parse(speed)
    note = note_of_place(began, place, chosen, has_gpu)
    assert expected in note
    assert bool(note) == bool(expected)


def test_a_finished_run_wants_more_epochs(store: Path, finished: Path) -> None:
    refused = attempt(store, "with", f"resume={finished}")
    assert refused.returncode == 2
    assert "is finished (iteration 60 of 60)" in refused.stderr
    longer = train("srgan", store, f"resume={finished}", "schedule.adversarial=32it")
    assert checkpoints(longer)[-1] == 68
    assert min(validation_points(longer)) > 60


def test_a_run_goes_on_with_another_optimizer(store: Path, finished: Path) -> None:
    words = ["schedule.adversarial=28it", "optimization.optimizer_g=muon"]
    ended = attempt(store, "with", f"resume={finished}", *words)
    assert ended.returncode == 0
    assert "note: the resumed run has another optimizer_g; it begins anew" in ended.stderr


def test_a_run_goes_on_with_other_settings_of_its_optimizer_and_another_schedule(
    store: Path, finished: Path
) -> None:
    words = ["schedule.adversarial=40it", "optimization.betas=[0.1,0.2]", "schedule.adv=linear"]
    linear = train("srgan", store, f"resume={finished}", *words)
    for optimizer in ("optimizer_g", "optimizer_d"):
        for group in final_state(linear)["trainer"][optimizer]["param_groups"]:
            assert tuple(group["betas"]) == (0.1, 0.2)
    adaptive = ["schedule.adv=adaptive", "schedule.adversarial=64it"]
    train("srgan", store, f"resume={linear}", *adaptive)


def test_training_goes_on_where_a_file_has_no_room(store: Path) -> None:
    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64_000, 64_000))

    before = runs(store)
    words = [*SETTINGS, "training.preview_images=1", "training.tensorboard=False"]
    ended = attempt(store, "with", *words, preexec_fn=little_room)
    assert ended.returncode == 1, ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert "had no room for all of its run; no disk had any for" in last
    assert "checkpoint_00000060.pt" in last
    (run,) = runs(store) - before
    kept = record(store / str(run))
    assert kept["status"] == "COMPLETED"
    assert not any(name.endswith(".pt") for name in kept["artifacts"])
    failures = kept["observer_failures"]
    assert failures["count"] >= 3
    assert any("save artifact" in message for message in failures["messages"])


def test_a_broken_loss_fails_the_run_and_spares_its_checkpoints(store: Path) -> None:
    before = runs(store)
    # A learning rate at which float32 overflows after some steps.
    broken = attempt(
        store, "with", *SETTINGS, "optimization.lr_g=1e18", "training.checkpoint_every=1"
    )
    assert broken.returncode == 2
    assert len(broken.stderr.strip().splitlines()[-1]) < 300
    assert "training stopped:" in broken.stderr
    assert "Traceback" not in broken.stderr
    (run,) = runs(store) - before
    assert record(store / str(run))["status"] == "FAILED"
    for name in checkpoints(store / str(run)):
        state = torch.load(store / str(run) / f"checkpoint_{name:08d}.pt", weights_only=True)
        assert all(t.isfinite().all() for t in state["generator"].values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["scale=5"], "scale=5: must be one of 1, 2, 3, 4, 8"),
        (["scal=4"], "scal: no such config key; did you mean scale?"),
        (["adv_weight=abc"], "adv_weight='abc': must be a number at least 0"),
        (["adv_weight=-1"], "adv_weight=-1: must be a number at least 0"),
        (["dataset.batch_size=0"], "dataset.batch_size=0: must be an integer"),
        (["dataset.batch_siz=2"], "dataset.batch_siz: no such config key"),
        (["dataset.root=EMPTY"], "EMPTY"),
        (["dataset.root=ABSENT"], "ABSENT"),
        (["resume=77"], "77"),
        (["device=cuda:9"], "device=cuda:9: this machine has"),
        (["device=gpu"], "device='gpu': must be auto, cpu, cuda"),
        (["losses.content=vgg99"], "vgg99"),
        (["losses.content=vgg54", "losses.content_weights=ABSENT"], "ABSENT"),
        (["schedule.pretrain=-3"], "schedule.pretrain=-3: must be a number of epochs"),
        (["schedule.adv=lineal"], "schedule.adv.name='lineal': must be one of adaptive"),
        (["optimization.decay=slow"], "optimization.decay='slow': must be one of"),
        (["optimization.optimizer_g=sgd"], "optimization.optimizer_g='sgd': must be one of"),
        (["generator.n_blocks=0"], "generator.n_blocks=0"),
        (["losses.adversarial=wgan-gp"], "needs a discriminator without batch normalisation"),
        (
            [
                "losses.adversarial=wgan-gp",
                "discriminator.norm=none",
                "training.speed=float32+compile",
            ],
            "losses.adversarial=wgan-gp: its penalty can't be compiled",
        ),
        (["generator.name=vdsr"], "vdsr"),
        (["training.metrics=psnr,psn"], "training.metrics='psn': must be one of"),
        (
            ["training.metrics=psnr,lpips_vgg", "schedule.lpips_weights=EMPTY"],
            "training.metrics=lpips_vgg: ",
        ),
        (["smok"], "smok"),
    ],
)
def test_a_mistake_gets_one_line_and_leaves_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    (tmp_path / "EMPTY").mkdir()
    words = [w.replace("=EMPTY", f"={tmp_path}/EMPTY") for w in words]
    words = [w.replace("=ABSENT", f"={tmp_path}/ABSENT") for w in words]
    with pytest.raises(SystemExit) as ended:
        ex.run_commandline(["srgan.py", "-F", str(tmp_path / "runs"), "with", *words])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert not runs(tmp_path / "runs")


def test_a_metric_without_its_weights_is_told_by_the_trainings_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    perceptual._network.cache_clear()
    words = ["with", "training.metrics=psnr,lpips_vgg", "schedule.score=spectral"]
    with pytest.raises(SystemExit) as ended:
        ex.run_commandline(["srgan.py", "-F", str(tmp_path / "runs"), *words])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: training.metrics=lpips_vgg: LPIPS (vgg): its weights are not")
    assert " schedule.lpips_weights=FOLDER names a folder" in line
    assert not runs(tmp_path / "runs")


def test_another_network_than_the_checkpoints_is_refused(
    store: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = runs(store)
    words = [f"resume={finished}", "generator.n_features=8", "schedule.adversarial=99it"]
    with pytest.raises(SystemExit):
        ex.run_commandline(["srgan.py", "-F", str(store), "with", *words])
    assert "another generator than the checkpoint's (n_features 16 -> 8)" in capsys.readouterr().err
    assert runs(store) == before


def test_truncated_checkpoints_are_refused(
    store: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "1"
    shutil.copytree(finished, copy)
    for number in checkpoints(copy):
        file = copy / f"checkpoint_{number:08d}.pt"
        file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(SystemExit):
        ex.run_commandline(
            ["srgan.py", "-F", str(store), "with", f"resume={copy}", "schedule.adversarial=99it"]
        )
    assert "truncated, or not a PyTorch checkpoint" in capsys.readouterr().err.splitlines()[-1]


def test_the_papers_networks_have_its_sizes_and_its_schedule(tmp_path: Path) -> None:
    run = ex._create_run("print_config", {"losses.content": "pixel"}, ["paper"])
    config = run.config
    network = create_generator(
        scale=4, channels=3, **without(config["generator"], "options", "weights")
    )
    # Section 3.2 gives no count; 1.5 M is the figure of the SRResNet literature.
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(1.55e6, rel=0.01)
    assert config["dataset"]["batch_size"] == 16
    assert config["dataset"]["patch_size"] == 96
    assert (config["optimization"]["lr_g"], config["optimization"]["lr_d"]) == (1e-4, 1e-4)
    assert config["schedule"]["pretrain"] == "1000000it"
    assert config["schedule"]["adversarial"] == "200000it"
    assert config["adv_weight"] == 1e-3


def without(config: dict, *keys: str) -> dict:
    return {key: value for key, value in config.items() if key not in keys}


@pytest.mark.parametrize(
    "words",
    [
        ["bsds500"],
        ["bsds500", "scale=2", "dataset.patch_size=48"],
        ["hour"],
        ["hour_x2", "generator.n_blocks=2"],
        ["perceptual", "losses.content=pixel", "losses.extra.dists=0", "dataset.patch_size=72"],
        ["df2k", "losses.content=pixel", "generator.n_blocks=1", "dataset.patch_size=96"],
    ],
    ids=" ".join,
)
def test_named_configs_train(tmp_path: Path, words: list[str]) -> None:
    run = ex.run_commandline(
        [
            "srgan.py",
            *("-F", str(tmp_path), "with", *words, "dataset.batch_size=2", "schedule.pretrain=2it"),
            *("schedule.warmup=1it", "schedule.adversarial=1it", "training.epoch_length=2"),
            *("dataset.validation=1", "training.preview_images=0", "schedule.score=spectral"),
        ]
    )
    assert run.status == "COMPLETED"
    assert run.result["psnr"] > 20  # bicubic's and three updates
