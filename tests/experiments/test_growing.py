"""A ×2 network grown to ×4 by the main script."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import torch
from kill_and_resume import SETTINGS, differences, final_state, runs, train, train_and_kill

from experiments.srgan import ex
from tmd.checkpoints import load_generator
from tmd.models.growth import grow
from tmd.resize import imresize

SHORT = [
    *SETTINGS,
    "schedule.pretrain=10it",
    "schedule.warmup=2it",
    "schedule.adversarial=10it",
    "schedule.freeze=6it",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def parent(store: Path) -> Path:
    return train("srgan", store, *SHORT, "scale=2", "generator.norm=batch")


GROW = [*SHORT, "scale=4", "generator.norm=batch"]


@pytest.fixture(scope="module")
def child(store: Path, parent: Path) -> Path:
    return train("srgan", store, *GROW, f"grow_from={parent}", "training.checkpoint_every=6")


def test_what_was_carried_is_in_the_record(child: Path) -> None:
    growth = json.loads((child / "info.json").read_text())["growth"]
    generator = growth["generator"]
    assert generator["reinitialised"] == []
    assert generator["dropped"] == []
    assert all(name.startswith("stages.1.") for name in generator["new"])
    assert growth["discriminator"]["carried_share"] == 1.0
    total = generator["carried_parameters"] + generator["new_parameters"]
    network = load_generator(child / "best.pt")
    assert total == sum(p.numel() for p in network.parameters())


def test_while_frozen_exactly_the_new_parameters_move(store: Path, parent: Path) -> None:
    run = train(
        "srgan",
        store,
        *GROW,
        f"grow_from={parent}",
        "schedule.pretrain=6it",
        "schedule.warmup=0",
        "schedule.adversarial=0",
    )
    before = torch.load(parent / "best.pt", weights_only=True)["generator"]
    after = final_state(run)["generator"]
    for name, value in after.items():
        if name in before:  # batch statistics among them
            assert torch.equal(value, before[name]), name
    moments = final_state(run)["trainer"]["optimizer_g"]["state"]
    names = [name for name, _ in load_generator(run / "best.pt").named_parameters()]
    assert {names[i] for i in moments} == {n for n in names if n.startswith("stages.1.")}


def test_after_the_thaw_all_move_and_the_new_keep_their_moments(child: Path, parent: Path) -> None:
    before = torch.load(parent / "best.pt", weights_only=True)["generator"]
    state = final_state(child)
    network = load_generator(child / "best.pt")
    for name, _ in network.named_parameters():
        if name in before:
            assert not torch.equal(state["generator"][name], before[name]), name
    moments = state["trainer"]["optimizer_g"]["state"]
    steps = {
        name: int(moments[i]["step"]) for i, (name, _) in enumerate(network.named_parameters())
    }
    # 10 updates of pretraining and 10 adversarial ones, the first 6 with the others frozen; what
    # the schedule took back is not counted.
    extra = {steps[n] for n in steps if n.startswith("stages.1.")}
    others = {steps[n] for n in steps if not n.startswith("stages.1.")}
    assert {new - 6 for new in extra} == others


def test_a_grown_run_killed_while_frozen_resumes_to_the_same_tensors(
    store: Path, parent: Path, child: Path
) -> None:
    words = [*GROW, f"grow_from={parent}", "training.checkpoint_every=3"]
    run, status = train_and_kill("srgan", store, 3, *words)
    assert status == -signal.SIGKILL
    resumed = train("srgan", store, f"resume={run}")
    assert differences(final_state(child), final_state(resumed)) == []


def test_before_any_training_it_is_the_parent_enlarged(parent: Path) -> None:
    generator = load_generator(parent / "best.pt")
    grown, _ = grow(generator)
    lr = torch.rand(1, 3, 16, 16).mul(0.1).add(0.4)
    with torch.no_grad():
        ours = grown.eval()(lr)
        enlarged = imresize(generator(lr), 2)
    error = (ours - enlarged).square().mean()
    assert -10 * torch.log10(error) > 35


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["scale=8"], "a ×2 network grows to 4: use scale=4, and that to 8"),
        (["scale=3"], "a ×2 network grows to 4: use scale=4"),
        (["scale=4", "generator.n_features=24"], "generator.n_features=24"),
        (["scale=4", "generator.name=rrdb", "generator.norm=none"], "generator.name='rrdb'"),
    ],
)
def test_growth_that_can_not_be_is_refused_in_one_line(
    store: Path, parent: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    before = runs(store)
    given = ["smoke", "generator.norm=batch", f"grow_from={parent}", *words]
    with pytest.raises(SystemExit):
        ex.run_commandline(["srgan.py", "-F", str(store), "with", *given])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"error: grow_from={parent}: ")
    assert said in line
    assert runs(store) == before
