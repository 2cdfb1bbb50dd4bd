"""Runs, checkpoints and configs of earlier builds are gone on with, to the same bits.

The runs in ``earlier/`` were recorded by commit 82141d9, the build before runs became a room of the
library; `record_earlier.py` made them, and makes others of any commit for the slow tests here.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from kill_and_resume import differences, final_state, train
from kinds import KINDS, PHASES, TOTAL
from record_earlier import (
    EARLIER,
    HANDLERS,
    WEIGHTS,
    digest,
    ended_and_killed,
    extract_build,
    place,
)

from experiments.support.renamed import with_todays_names
from tmd.checkpoints import load_generator, save_checkpoint
from tmd.models import create_generator

#: The last build whose run lived in `experiments/session.py`.
BEFORE = "82141d9"
#: What weights may differ by on another processor, whose sums are rounded otherwise. AVX2 and SSE
#: kernels made 1e-7 of the generators; training moves them by 5e-5 and more. Of one discriminator
#: they made 1.4e-4 where it moves by 2e-3: Adam makes a whole step of a gradient near zero.
TOLERANCES = {"generator": 1e-5, "ema": 1e-5, "discriminator": 5e-4}


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of threads may change the order of sums."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def end_of(kind: str) -> dict[str, Any]:
    return torch.load(EARLIER / kind / "end.pt", weights_only=True)


def resumed(kind: str, folder: Path, *updates: str) -> Path:
    """The recorded run, gone on with by this build."""
    KINDS[kind].prepare(folder)
    shutil.copytree(EARLIER / kind / "run", folder / "runs" / "1")
    return train(KINDS[kind].script, folder / "runs", "resume=1", *updates, folder=folder)


def largest_difference(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """The largest absolute difference of any weight; the names must be the same."""
    assert ours.keys() == theirs.keys()
    return max(
        (float((ours[name].double() - theirs[name].double()).abs().max()) for name in theirs),
        default=0.0,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_run_of_an_earlier_build_ends_as_if_never_killed(
    kind: str, tmp_path: Path
) -> None:
    end = end_of(kind)
    run = resumed(kind, tmp_path)
    state = final_state(run)
    assert state["iteration"] == TOTAL
    for network, tolerance in TOLERANCES.items():
        assert largest_difference(state[network] or {}, end[network] or {}) <= tolerance, network
    if place() == {name: end[name] for name in place()}:
        assert digest(state) == end["digest"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_best_network_of_an_earlier_build_is_loaded(kind: str) -> None:
    checkpoint = next(iter(sorted((EARLIER / kind / "run").glob("*.pt"))))
    generator = load_generator(checkpoint)
    scale = 4 if kind == "growth" else 2
    assert generator.scale == scale
    with torch.inference_mode():
        assert generator(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8 * scale, 8 * scale)


@pytest.mark.parametrize(("name", "tolerance"), [("weights.safetensors", 0), ("half.pt", 2e-3)])
def test_what_an_earlier_build_exported_is_loaded(name: str, tolerance: float) -> None:
    folder = EARLIER / "exported"
    image = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        exported, original = (load_generator(folder / n)(image) for n in (name, "best.pt"))
    assert float((exported - original).abs().max()) <= tolerance


def same_where_both_know(earlier: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """Where what the earlier build trained differs from ours by as much as a bit."""
    found = []
    for name in WEIGHTS:
        found += differences(earlier[name], ours[name], name)
    for name in HANDLERS:
        found += differences(earlier["trainer"].get(name), ours["trainer"].get(name), name)
    return found


#: Wide enough for Winograd's products to pay, which the recorded runs are too small for.
WIDE = (
    "dataset.patch_size=32",
    "dataset.batch_size=4",
    "generator.n_features=64",
    "discriminator.features=[64,128]",
    "discriminator.strides=[2,1]",
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, "wide"])
def test_this_build_ends_a_run_of_the_earlier_one_to_the_same_bits(
    kind: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    build = tmp_path / "build"
    try:
        extract_build(BEFORE, build)
    except LookupError as problem:
        pytest.skip(str(problem))
    chosen = KINDS["muon" if kind == "wide" else kind]
    if kind == "wide":
        chosen = type(chosen)((*chosen.updates, *WIDE), phase="adversarial")
    folder = tmp_path / "folder"
    ended, killed = ended_and_killed(chosen, folder, build)
    assert final_state(killed)["iteration"] >= PHASES[chosen.phase]
    ours = final_state(train(chosen.script, folder / "runs", f"resume={killed}", folder=folder))
    assert not same_where_both_know(final_state(ended), ours)
    # Nobody's kill: the two builds train alike from the first update.
    whole = final_state(train(chosen.script, folder / "runs", *chosen.updates, folder=folder))
    assert not same_where_both_know(final_state(ended), whole)


def test_compact_of_before_is_subpixel_in_checkpoints_and_configs(tmp_path: Path) -> None:
    """As builds before wrote them: the name that the field's network has today."""
    sizes = {"n_blocks": 1, "n_features": 8, "norm": "none", "spectral_norm": False}
    config = {"scale": 2, "channels": 3, **sizes, "global_skip": True}
    network = create_generator("subpixel", **config)
    state = {"generator_config": {"name": "compact", **config}, "generator": network.state_dict()}
    save_checkpoint(tmp_path / "old.pt", {**state, "ema": None})
    loaded = load_generator(tmp_path / "old.pt")
    assert loaded.config["name"] == "subpixel"
    lr = torch.rand(1, 3, 8, 8)
    with torch.inference_mode():
        assert torch.equal(loaded(lr), network.eval()(lr))
    old = {"generator": {"name": "compact", **sizes}, "optimization": {"lr_g": 1e-3}}
    assert with_todays_names(old)["generator"] == {"name": "subpixel", **sizes}
    today = {**old, "optimization": {"lr_g": 1e-3, "freeze_g": []}}
    assert with_todays_names(today) == today
