"""Two processes that `torchrun` starts, against one with the same batches."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from kill_and_resume import ROOT, checkpoints, command, differences, final_state, runs, train

from observers import open_run
from tmd.checkpoints import load_generator

#: Every part that must agree is on: noise, history, spectral vectors, a schedule that goes back.
SETTINGS = [
    "smoke",
    "discriminator.spectral_norm=True",
    "measurement.operators=['bicubic', {'name': 'noise', 'sigma': [0.01, 0.03]}]",
    "schedule.pretrain=20it",
    "schedule.warmup=10it",
    "schedule.adversarial=20it",
    "schedule.adv.patience=1",
    "history.every=2",
    "training.epoch_length=10",
    "training.checkpoint_every=10",
    "training.log_interval=5",
    "training.speed=float32+channels_last",  # a CPU may do better with less precision
    "training.preview_images=0",
    "training.tensorboard=False",
]


def torchrun(
    script: str | Path, store: Path, *updates: str, processes: int = 2
) -> subprocess.Popen[str]:
    words = command("srgan", store, *updates)[2:]
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
    # A port of its own on this machine, which need not know its own name.
    meeting = ["--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1"]
    return subprocess.Popen(
        [*launcher, *meeting, str(script), *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def train_in_two(store: Path, *updates: str) -> tuple[Path, str]:
    known = runs(store)
    process = torchrun(ROOT / "experiments" / "srgan.py", store, *updates)
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 0, text
    (new,) = runs(store) - known
    return store / str(new), text


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("torchrun") / "runs"


@pytest.fixture(scope="module")
def alone(store: Path) -> Path:
    return train("srgan", store, *SETTINGS)


@pytest.fixture(scope="module")
def two(store: Path) -> tuple[Path, str]:
    return train_in_two(store, *SETTINGS)


def test_two_processes_train_what_one_does(alone: Path, two: tuple[Path, str]) -> None:
    """After 50 updates images differ by less than 1/255, weights by less than a thousandth.

    The sums over a batch have another order in two processes, and what differs in the last bit is
    carried on by 50 updates of two networks that train against each other.
    """
    ours, theirs = final_state(two[0]), final_state(alone)
    for network in ("generator", "discriminator"):
        for name, value in theirs[network].items():
            distance = (ours[network][name] - value).norm()
            assert distance <= 1e-3 * value.norm() + 1e-5, name
    assert torch.equal(ours["trainer"]["history"]["random"], theirs["trainer"]["history"]["random"])
    lr = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        images = [load_generator(run / "best.pt")(lr) for run in (two[0], alone)]
    assert (images[0] - images[1]).abs().max() < 1 / 255


def test_the_first_losses_are_those_of_one_process(alone: Path, two: tuple[Path, str]) -> None:
    for name in ("train.pixel", "validation.psnr", "validation.score"):
        ours, theirs = (
            json.loads((run / "metrics.json").read_text())[name] for run in (two[0], alone)
        )
        assert ours["steps"] == theirs["steps"]
        assert ours["values"][:2] == pytest.approx(theirs["values"][:2], rel=1e-4)


def test_only_the_first_process_records_and_speaks(store: Path, two: tuple[Path, str]) -> None:
    run, text = two
    record = open_run(run)
    assert record.info["device"]["processes"] == 2
    assert record.status == "COMPLETED"
    assert text.count("held-out images") == 1
    assert text.count("iteration 10:") == 1
    logged = json.loads((run / "metrics.json").read_text())["train.loss_d"]["steps"]
    assert logged == sorted(set(logged))


@pytest.mark.slow
def test_a_checkpoint_of_two_processes_is_continued_by_one_and_by_two(
    store: Path, two: tuple[Path, str]
) -> None:
    longer = "schedule.adversarial=25it"
    by_two, _ = train_in_two(store, f"resume={two[0]}", longer)
    by_one = train("srgan", store, f"resume={two[0]}", longer)
    ours, theirs = final_state(by_two), final_state(by_one)
    assert ours["iteration"] == theirs["iteration"] == 55
    for name, value in theirs["generator"].items():
        torch.testing.assert_close(ours["generator"][name], value, rtol=1e-3, atol=1e-4)


def test_two_processes_stopped_and_resumed_end_with_the_same_bits(
    store: Path, two: tuple[Path, str]
) -> None:
    known = runs(store)
    process = torchrun(ROOT / "experiments" / "srgan.py", store, *SETTINGS)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        new = runs(store) - known
        if new and checkpoints(store / str(max(new))):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    text, _ = process.communicate(timeout=120)
    run = store / str(max(runs(store) - known))
    assert open_run(run).status == "INTERRUPTED", text
    assert max(checkpoints(run)) < 50
    resumed, _ = train_in_two(store, f"resume={run}")
    assert differences(final_state(two[0]), final_state(resumed)) == []


FAILING = """
import os
from ignite.engine import Events
from experiments import srgan
from tmd.session import TrainingSession

def fail(engine):
    if engine.state.iteration == 7 and os.environ["RANK"] == "1":
        raise RuntimeError("this process broke")

train = TrainingSession.train
def train_to_the_failure(session):
    session.trainer.add_event_handler(Events.ITERATION_STARTED, fail)
    return train(session)
TrainingSession.train = train_to_the_failure
srgan.ex.run_commandline()
"""


def test_when_one_process_breaks_all_end(store: Path, tmp_path: Path) -> None:
    script = tmp_path / "srgan.py"
    script.write_text(FAILING)
    process = torchrun(script, tmp_path / "runs", *SETTINGS)
    text, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "this process broke" in text
    assert open_run(tmp_path / "runs" / "1").status in ("FAILED", "INTERRUPTED")


TIMING = """
import os, sys
from pathlib import Path
import experiments.srgan as srgan
from tmd.acceleration import autotune
from tmd.acceleration.speed import Speed

rank, folder = os.environ["RANK"], Path(os.environ["TOLD"])

def fastest(device):
    (folder / f"timed-{rank}").touch()
    return Speed.parse("bfloat16+rows")
autotune.fastest = fastest

begin = srgan.start
def start(*arguments):
    place = begin(*arguments)
    (folder / f"trains-{rank}").write_text(str(place.speed))
    return place
srgan.start = start
srgan.ex.run_commandline()
"""


def test_all_processes_train_by_what_the_first_has_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "srgan.py"
    script.write_text(TIMING)
    monkeypatch.setenv("TOLD", str(tmp_path))
    words = [*SETTINGS, "training.speed=auto", "schedule.pretrain=2it", "schedule.warmup=0"]
    process = torchrun(script, tmp_path / "runs", *words, "schedule.adversarial=0")
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 0, text
    assert [path.name for path in tmp_path.glob("timed-*")] == ["timed-0"]
    said = [(tmp_path / f"trains-{rank}").read_text() for rank in range(2)]
    assert said == ["bfloat16+rows"] * 2
    assert open_run(tmp_path / "runs" / "1").config["training"]["speed"] == "bfloat16+rows"
    assert text.count("speed: auto chose bfloat16+rows, the fastest on this machine") == 1


def test_a_batch_that_can_not_be_shared_out_is_refused_in_one_line(tmp_path: Path) -> None:
    process = torchrun(
        ROOT / "experiments" / "srgan.py", tmp_path / "runs", "smoke", "dataset.batch_size=3"
    )
    text, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert text.count("error: dataset.batch_size=3: must be a multiple of the 2 processes") == 1
    assert runs(tmp_path / "runs") == set()
