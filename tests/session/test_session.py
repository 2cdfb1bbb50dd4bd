"""Sessions on other images, on blank ones and on none; and errors in the middle of one."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from tmd.checkpoints import load_checkpoint
from tmd.data import MeasuredData, create_dataset
from tmd.errors import LostWorkerError, UserError
from tmd.losses.adversarial import create_adversarial_loss
from tmd.measurements import create_measurement
from tmd.metrics import spectral_distance, ssim
from tmd.metrics.gradients import gmsd
from tmd.models import create_discriminator, create_generator
from tmd.recorders import Folder
from tmd.resize import imresize
from tmd.session import (
    OptimizationOptions,
    ScheduleOptions,
    Scoring,
    SessionOptions,
    TrainingOptions,
    TrainingSession,
    validated_metrics,
)
from tmd.training import create_srgan_trainer
from tmd.training.place import Place


def draw(folder: Path, count: int, seed: int, blank: int = 0) -> Path:
    """Images that a network can learn something from: smooth, of 32 × 32; some of one colour."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for number in range(count + blank):
        small = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        image = Image.fromarray(small).resize((32, 32), Image.Resampling.BICUBIC)
        if number >= count:
            image = Image.new("RGB", (32, 32), (250, 250, 250))
        image.save(folder / f"{seed}_{number}.png")
    return folder


def session(
    out: Path,
    images: Path,
    held_out: Path | None,
    adversarial: str = "8it",
    trained_on: dict[str, Any] | None = None,
    **changes: Any,
) -> TrainingSession:
    """Pretraining of 8 iterations, a warm-up of 2, then both; validated each 4."""
    torch.manual_seed(0)
    options = SessionOptions(
        scale=2,
        adv_weight=1e-2,
        schedule=ScheduleOptions(
            pretrain="8it", warmup="2it", adversarial=adversarial, score="spectral"
        ),
        optimization=OptimizationOptions(lr_g=changes.pop("lr_g", 1e-3)),
        training=TrainingOptions(
            epoch_length=4, checkpoint_every=4, log_interval=2, preview_images=0, threads=1
        ),
    )
    of_validation: dict[str, Any] = (
        {"val_root": str(held_out)} if held_out else {"validation": changes.pop("validation", 0)}
    )
    photos = create_dataset(
        "folder",
        str(images),
        scale=2,
        seed=1,
        batch_size=2,
        patch_size=16,
        trained_on=trained_on,
        **of_validation,
    )
    data = MeasuredData(photos, create_measurement(["bicubic"], 2, seed=1))
    networks = {
        "generator": create_generator(scale=2, n_blocks=1, n_features=4),
        "discriminator": create_discriminator(features=[4, 4], strides=[2, 2], grid=2, hidden=4),
    }
    updaters = options.optimization.updaters(
        {"g": networks["generator"], "d": networks["discriminator"]}
    )
    trainer = create_srgan_trainer(
        networks["generator"],
        networks["discriminator"],
        updaters["g"],
        updaters["d"],
        F.l1_loss,
        F.l1_loss,
        create_adversarial_loss("bce"),
        options.phases,
        seed=1,
    )
    score = options.schedule.scoring_function(2, torch.device("cpu"), photos.validation_sizes())
    changes.setdefault(
        "scoring",
        Scoring({**validated_metrics(["psnr", "ssim"], 2), "score": score}, max_loss=100.0),
    )
    return TrainingSession(trainer, networks, updaters, data, options, [Folder(out)], **changes)


def tensors(state: Any, path: str = "") -> dict[str, torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return {path: state}
    pairs: Any = state.items() if isinstance(state, dict) else ()
    if isinstance(state, (list, tuple)):
        pairs = enumerate(state)
    return {k: v for key, value in pairs for k, v in tensors(value, f"{path}.{key}").items()}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    ours, theirs = tensors(a), tensors(b)
    return ours.keys() == theirs.keys() and all(torch.equal(v, theirs[k]) for k, v in ours.items())


def points(out: Path, name: str) -> dict[int, float]:
    lines = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    return {p["iteration"]: p[name] for p in lines if p["group"] == "validation" and name in p}


def test_a_run_that_goes_on_with_other_held_out_images_begins_its_best_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = draw(tmp_path / "a", 6, seed=1), draw(tmp_path / "b", 3, seed=2)
    out = tmp_path / "out"
    session(out, first, second).train()
    before = load_checkpoint(out / "best.pt")
    other = draw(tmp_path / "c", 3, seed=3, blank=0)
    on = session(out, first, other, adversarial="60it")
    on.load(load_checkpoint(out / "checkpoint_00000018.pt"))
    on.train()
    after = load_checkpoint(out / "best.pt")
    assert "validated on other images" in capsys.readouterr().err
    assert not same(before["generator"], after["generator"])
    assert after["iteration"] >= 18
    assert after["figures"]["psnr"] == points(out, "psnr")[after["iteration"]]
    # What it hands over is not worse, by its own images, than what it began with there.
    assert after["figures"]["score"] <= points(out, "score")[18]


def test_a_run_that_goes_on_with_the_same_images_keeps_its_best(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = draw(tmp_path / "a", 6, seed=1), draw(tmp_path / "b", 3, seed=2)
    out = tmp_path / "out"
    session(out, first, second).train()
    on = session(out, first, second, adversarial="12it")
    on.load(load_checkpoint(out / "checkpoint_00000018.pt"))
    assert on.best.metrics is not None
    said = capsys.readouterr().err
    assert "anew" not in said
    assert "other images" not in said


def test_a_run_that_goes_on_with_other_images_to_learn_from_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = draw(tmp_path / "a", 6, seed=1), draw(tmp_path / "b", 3, seed=2)
    out = tmp_path / "out"
    session(out, first, second).train()
    for file in draw(tmp_path / "more", 2, seed=5).iterdir():
        file.rename(first / file.name)
    on = session(out, first, second, adversarial="12it")
    on.load(load_checkpoint(out / "checkpoint_00000018.pt"))
    assert "learnt from other images (6, now 8)" in capsys.readouterr().err


def test_an_image_that_was_trained_on_is_never_held_out(tmp_path: Path) -> None:
    images, out = draw(tmp_path / "a", 8, seed=1), tmp_path / "out"
    run = session(out, images, None, validation=2)
    names = {Path(run.data.images.train.name(i)).name for i in range(6)}  # type: ignore[attr-defined]
    run.train()
    draw(tmp_path / "more", 12, seed=5)
    for file in (tmp_path / "more").iterdir():
        file.rename(images / file.name)
    checkpoint = load_checkpoint(out / "checkpoint_00000018.pt")
    on = session(out, images, None, "30it", validation=4, trained_on=checkpoint["trained_on"])
    held_out = {Path(pair.name).name for pair in on.pairs}
    assert len(held_out) == 4
    assert not held_out & names


def test_one_blank_image_owns_no_mean(tmp_path: Path) -> None:
    images = draw(tmp_path / "a", 6, seed=1)
    plain = session(tmp_path / "1", images, draw(tmp_path / "b", 3, seed=2)).train()
    blank = session(tmp_path / "2", images, draw(tmp_path / "c", 3, seed=2, blank=1)).train()
    assert blank == pytest.approx(plain)
    assert max(points(tmp_path / "2", "psnr").values()) < 60


def test_by_default_the_schedules_score_decides_in_the_adversarial_phase(tmp_path: Path) -> None:
    images, held_out = draw(tmp_path / "a", 4, seed=1), draw(tmp_path / "b", 2, seed=2)
    session(tmp_path / "told", images, held_out).train()
    session(tmp_path / "default", images, held_out, scoring=None).train()
    assert points(tmp_path / "default", "score") == points(tmp_path / "told", "score")
    assert list(points(tmp_path / "default", "score")) == [4, 8, 10, 12, 16, 18]


def test_an_adversarial_phase_without_a_score_is_refused_before_training(tmp_path: Path) -> None:
    images, held_out = draw(tmp_path / "a", 4, seed=1), draw(tmp_path / "b", 2, seed=2)
    with pytest.raises(UserError, match=r"scoring: has no score, which decides"):
        session(tmp_path / "x", images, held_out, scoring=Scoring(validated_metrics([], 2)))
    for path in held_out.iterdir():
        Image.open(path).resize((10, 10)).save(path)  # enough for PSNR alone
    for scoring in ({}, {"scoring": None}):
        with pytest.raises(UserError, match=r"schedule.score=spectral: no held-out image is large"):
            session(tmp_path / "x", images, held_out, **scoring)


@pytest.mark.parametrize("held_out", ["none", "blank"])
def test_without_an_image_to_validate_on_the_newest_is_the_best(
    tmp_path: Path, held_out: str
) -> None:
    images, out = draw(tmp_path / "a", 6, seed=1), tmp_path / "out"
    only_blank = draw(tmp_path / "b", 0, seed=2, blank=2) if held_out == "blank" else None
    result = session(out, images, only_blank).train()
    assert result == {"best_iteration": 18}
    last = load_checkpoint(out / "checkpoint_00000018.pt")
    assert same(load_checkpoint(out / "best.pt")["generator"], last["ema"])


class BreaksAt:
    """Data whose batches end by an error."""

    def __init__(self, data: Any, batch: int, error: Exception) -> None:
        self.data, self.batch, self.error = data, batch, error

    def batches(self, first: int = 0) -> Iterator[Any]:
        for index, pair in enumerate(self.data.batches(first), start=first):
            if index == self.batch:
                raise self.error
            yield pair

    def __getattr__(self, name: str) -> Any:
        return getattr(self.data, name)


def test_data_that_end_by_an_error_leave_an_exact_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, held_out = draw(tmp_path / "a", 6, seed=1), draw(tmp_path / "b", 3, seed=2)
    session(tmp_path / "whole", images, held_out).train()
    out = tmp_path / "out"
    broken = session(out, images, held_out)
    broken.data = BreaksAt(broken.data, 13, LostWorkerError("a worker is gone"))
    with pytest.raises(LostWorkerError):
        broken.train()
    assert "saved checkpoint_00000013.pt" in capsys.readouterr().err
    on = session(out, images, held_out)
    on.load(load_checkpoint(out / "checkpoint_00000013.pt"))
    on.train()
    ends = [
        load_checkpoint(tmp_path / name / "checkpoint_00000018.pt") for name in ("whole", "out")
    ]
    assert same(*ends)


def test_a_network_that_drops_at_random_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    images, held_out = draw(tmp_path / "a", 6, seed=1), draw(tmp_path / "b", 3, seed=2)

    def dropping(out: Path, seed: int = 1) -> TrainingSession:
        made = session(out, images, held_out, adversarial="4it", place=Place(seed=seed))
        made.networks["generator"].register_forward_hook(
            lambda network, _, output: F.dropout(output, 0.2, network.training)
        )
        return made

    whole, other, out = tmp_path / "whole", tmp_path / "other", tmp_path / "out"
    dropping(whole).train()
    dropping(other, seed=2).train()
    broken = dropping(out)
    broken.data = BreaksAt(broken.data, 5, LostWorkerError("a worker is gone"))
    with pytest.raises(LostWorkerError):
        broken.train()
    on = dropping(out)
    on.load(load_checkpoint(out / "checkpoint_00000005.pt"))
    on.train()
    ends = [load_checkpoint(each / "checkpoint_00000014.pt") for each in (whole, out, other)]
    assert same(*ends[:2])
    assert not same(ends[0]["generator"], ends[2]["generator"])


def test_an_error_within_an_update_leaves_a_checkpoint_that_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, held_out = draw(tmp_path / "a", 6, seed=1), draw(tmp_path / "b", 3, seed=2)
    out = tmp_path / "out"
    broken = session(out, images, held_out)
    step, calls = broken.trainer._process_function, []

    def fails(engine: Any, batch: Any) -> Any:
        calls.append(1)
        if len(calls) == 14:
            raise RuntimeError("out of something")
        return step(engine, batch)

    broken.trainer._process_function = fails
    with pytest.raises(RuntimeError, match="out of something"):
        broken.train()
    checkpoint = load_checkpoint(out / "checkpoint_00000013.pt")
    assert checkpoint["iteration"] == 13
    assert not checkpoint["exact"]
    on = session(out, images, held_out)
    on.load(checkpoint)
    assert "not bit for bit" in capsys.readouterr().err
    assert on.train()["best_iteration"] > 0


def test_a_full_memory_is_told_in_a_line_after_a_checkpoint_was_saved(tmp_path: Path) -> None:
    images, held_out = draw(tmp_path / "a", 6, seed=1), draw(tmp_path / "b", 3, seed=2)
    full = session(tmp_path / "out", images, held_out)
    full.data = BreaksAt(full.data, 6, RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    with pytest.raises(UserError, match=r"smaller dataset\.batch_size"):
        full.train()
    assert (tmp_path / "out" / "checkpoint_00000006.pt").exists()


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    images, held_out = draw(tmp_path / "a", 6, seed=1), draw(tmp_path / "b", 3, seed=2)
    broken = session(tmp_path / "out", images, held_out)
    broken.data = BreaksAt(broken.data, 5, RuntimeError("gone"))
    poison = broken.networks["generator"]
    step = broken.trainer._process_function

    def poisons(engine: Any, batch: Any) -> Any:
        output = step(engine, batch)
        if engine.state.iteration == 5:
            torch.nn.init.constant_(next(poison.parameters()), torch.nan)
        return output

    broken.trainer._process_function = poisons
    with pytest.raises(RuntimeError, match="gone"):
        broken.train()
    assert not (tmp_path / "out" / "checkpoint_00000005.pt").exists()
    assert (tmp_path / "out" / "checkpoint_00000004.pt").exists()


def test_a_finished_checkpoint_is_refused(tmp_path: Path) -> None:
    images, held_out = draw(tmp_path / "a", 6, seed=1), draw(tmp_path / "b", 3, seed=2)
    session(tmp_path / "out", images, held_out).train()
    again = session(tmp_path / "out", images, held_out)
    with pytest.raises(UserError, match="iteration 18 of 18"):
        again.load(load_checkpoint(tmp_path / "out" / "checkpoint_00000018.pt"))


def test_a_score_of_any_metric_is_lower_where_better() -> None:
    generator = torch.Generator().manual_seed(0)
    hr = torch.rand(1, 3, 24, 24, generator=generator)
    sr = (hr + 0.05 * torch.randn(hr.shape, generator=generator)).clamp(0, 1)
    lr = imresize(hr, 0.5)

    def score(name: str) -> Any:
        return ScheduleOptions(score=name).scoring_function(2, torch.device("cpu"))

    assert score("ssim")(sr, hr).item() == -ssim(sr, hr, border=2).item()
    assert score("gmsd")(sr, hr).item() == gmsd(sr, hr).item() > 0
    assert score("consistency")(sr, hr, lr) < -20
    assert torch.equal(score("spectral")(sr, hr), spectral_distance(sr, hr, border=2))
    with pytest.raises(UserError, match=r"schedule.score=ssim: needs images of at least 15 pixels"):
        ScheduleOptions(score="ssim").scoring_function(2, torch.device("cpu"), [("a", (14, 30))])
    with pytest.raises(UserError, match=r"schedule.score='no_metric': must be one of auto, "):
        ScheduleOptions(score="no_metric").check(1e-3)
    if importlib.util.find_spec("pyiqa") is None:
        with pytest.raises(UserError, match=r"^schedule.score=niqe: needs pyiqa; pip install"):
            ScheduleOptions(score="niqe").resolved_score()
