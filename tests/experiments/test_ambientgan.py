"""Training without HR as its users type it: what steers it, what must not, what it refuses."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kill_and_resume import (
    SETTINGS,
    checkpoints,
    count_tensors,
    differences,
    final_state,
    runs,
    train,
    train_and_kill,
)
from PIL import Image

from experiments.ambientgan import ex

SCALE = 2
#: Whole images, so that it is known which pixels of HR decimation takes.
TINY = [
    *SETTINGS,
    f"scale={SCALE}",
    "dataset.mode=whole",
    "dataset.augment=False",
    "dataset.workers=0",
    "dataset.batch_size=2",
    "schedule.pretrain=4it",
    "schedule.warmup=2it",
    "schedule.adversarial=16it",
    "training.epoch_length=2",
    # Fast enough that some states are better than the pretrained one and others are not.
    "optimization.lr_g=0.003",
    "optimization.lr_d=4e-4",
    "optimization.adversarial_lr=0.3",
    "optimization.ema=0.5",
    "ambient.max_consistency_loss=0",
    "adv_weight=0.5",
    "schedule.adv.start=1.0",
    "ambient.reconstruction_weight=0.1",
    "measurement.operators=['decimate']",
]


def write(folder: Path, seed: int, count: int) -> list[np.ndarray]:
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    images = []
    for number in range(count):
        rough = random.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        image = np.array(Image.fromarray(rough).resize((48, 48), Image.Resampling.BICUBIC))
        image[::SCALE, ::SCALE] //= 2  # decimation takes what its neighbours do not tell
        images.append(image)
        Image.fromarray(image).save(folder / f"{number}.png")
    return images


def poison(source: Path, target: Path) -> None:
    """Other HR images that give the same LR images."""
    target.mkdir(parents=True)
    for file in source.iterdir():
        image = np.array(Image.open(file))
        other = 255 - image  # what is nearer to one is further from the other
        other[::SCALE, ::SCALE] = image[::SCALE, ::SCALE]
        Image.fromarray(other).save(target / file.name)


def decimate(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for file in source.iterdir():
        Image.fromarray(np.array(Image.open(file))[::SCALE, ::SCALE]).save(target / file.name)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of images: of the LR side, held-out ones, and unpaired HR."""
    folder = tmp_path_factory.mktemp("images")
    for seed, name in enumerate(("seen", "held_out", "unpaired")):
        write(folder / name, seed, 5)
    for name in ("seen", "held_out"):
        poison(folder / name, folder / f"{name}_poisoned")
        decimate(folder / name, folder / f"{name}_lr")
    return folder


def run_here(store: Path, images: Path, *words: str) -> Path:
    known = runs(store)
    ex.run_commandline(["ambientgan.py", "-F", str(store), "with", *words])
    (new,) = runs(store) - known
    return store / str(new)


def tiny(store: Path, images: Path, seen: str, held_out: str, *words: str) -> Path:
    folders = [
        # What the schedule decides in so few updates hangs on the arithmetic.
        "training.speed=float32+channels_last",
        "training.threads=2",
        f"dataset.root={images / seen}",
        f"dataset.val_root={images / held_out}",
        f"unpaired.root={images / 'unpaired'}",
    ]
    return run_here(store, images, *TINY, *folders, *words)


@pytest.fixture(scope="module")
def clean(store: Path, images: Path) -> Path:
    return tiny(store, images, "seen", "held_out")


@pytest.fixture(scope="module")
def finished(store: Path) -> Path:
    """A run on the demo, through all phases, that nobody disturbed."""
    return train("ambientgan", store, *SETTINGS)


def metrics(run: Path, name: str) -> list[float]:
    return json.loads((run / "metrics.json").read_text())[f"validation.{name}"]["values"]


#: Which files there were: not what was learnt from them.
IDENTITIES = ("data", "judged_by", "trained_on")


def without_reports(state: Any, *names: str) -> Any:
    """A nested state without the entries called ``names``."""
    if isinstance(state, dict):
        return {k: without_reports(v, *names) for k, v in state.items() if k not in names}
    if isinstance(state, (list, tuple)):
        return [without_reports(v, *names) for v in state]
    return state


def test_the_images_of_this_test_differ_and_their_measurements_do_not(images: Path) -> None:
    for name in ("seen", "held_out"):
        for file in (images / name).iterdir():
            a, b = (
                np.array(Image.open(p / file.name))
                for p in (images / name, images / f"{name}_poisoned")
            )
            assert (a != b).mean() > 0.6
            assert np.array_equal(a[::SCALE, ::SCALE], b[::SCALE, ::SCALE])


def test_hr_of_the_lr_images_is_never_seen_in_training(
    store: Path, images: Path, clean: Path
) -> None:
    poisoned = without_reports(
        final_state(tiny(store, images, "seen_poisoned", "held_out")), *IDENTITIES
    )
    reference = without_reports(final_state(clean), *IDENTITIES)
    assert count_tensors(reference) > 100
    assert differences(reference, poisoned) == []


def test_held_out_hr_is_reported_and_never_steers(store: Path, images: Path, clean: Path) -> None:
    other = tiny(store, images, "seen", "held_out_poisoned")
    for name in ("psnr", "ssim", "spectral"):
        assert metrics(other, name) != metrics(clean, name)
    reported = ("psnr", "ssim", "spectral", *IDENTITIES)
    states = [without_reports(final_state(run), *reported) for run in (clean, other)]
    assert count_tensors(states[0]) > 100
    assert differences(*states) == []


def test_lr_images_without_any_hr_give_the_same_network(
    store: Path, images: Path, clean: Path
) -> None:
    given = tiny(
        store,
        images,
        "seen_lr",
        "held_out_lr",
        "unpaired.lr_given=True",
        "training.preview_images=1",
    )
    reported = ("psnr", "ssim", "spectral", *IDENTITIES)
    states = [without_reports(final_state(run), *reported) for run in (clean, given)]
    assert differences(*states) == []
    assert set(json.loads((given / "run.json").read_text())["result"]) == {
        "consistency",
        "score",
        "bicubic_consistency",
        "bicubic_score",
        "best_iteration",
    }
    assert list(given.glob("sheet_*.png"))


def test_other_lr_images_and_other_unpaired_images_give_another_network(
    store: Path, images: Path, clean: Path
) -> None:
    """Else the comparisons above would show nothing."""
    other = final_state(tiny(store, images, "unpaired", "held_out", f"unpaired.root={images}/seen"))
    assert differences(final_state(clean)["generator"], other["generator"])


def test_a_run_on_the_demo_is_recorded_whole(finished: Path) -> None:
    entry = json.loads((finished / "run.json").read_text())
    info = json.loads((finished / "info.json").read_text())
    assert entry["status"] == "COMPLETED"
    assert set(info["data"]) >= {"train", "unpaired", "validation"}
    # Ten photos, of which two are of one scene.
    assert info["data"]["train"]["images"] + info["data"]["unpaired"]["images"] == 10
    assert {"psnr", "ssim", "consistency", "score"} <= set(entry["result"])
    state = final_state(finished)
    assert set(state["discriminator_config"]) == {"images", "measured"}
    assert any(name.startswith("measured.") for name in state["discriminator"])
    recorded = json.loads((finished / "metrics.json").read_text())
    for name in ("loss_g", "content", "adversarial", "adversarial_measured", "d_real_measured"):
        assert recorded[f"train.{name}"]["values"], name


def test_the_best_scores_no_worse_than_the_pretrained_within_the_guard(clean: Path) -> None:
    best = final_state(clean)["trainer"]["best"]
    assert best["figures"]["score"] < best["pretrained"]["score"]
    assert best["figures"]["consistency"] >= best["pretrained"]["consistency"]
    # The schedule went back to better states: it had something to decide.
    assert best["iteration"] < 22
    assert final_state(clean)["trainer"]["adversarial_weight"]["weight"] < 0.5


def test_killed_and_resumed_it_ends_with_the_same_tensors(store: Path, finished: Path) -> None:
    run, status = train_and_kill(
        "ambientgan", store, 40, *SETTINGS, "dataset.workers=2", delay=0.05
    )
    assert status == -signal.SIGKILL
    resumed = train("ambientgan", store, f"resume={run}")
    assert checkpoints(resumed)[-1] == 60
    assert differences(final_state(finished), final_state(resumed)) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ambient.images_weight=0", "ambient.measured_weight=0"], "one discriminator must be on"),
        (["ambient.images_weight=-1"], "ambient.images_weight=-1: must be a number at least 0"),
        (["ambient.view=edges"], "ambient.view='edges': must be one of image, detail"),
        (["ambient.operators=['blur']"], "ambient.operators: the list reduces the size by 1"),
        (["ambient.operator=['blur']"], "ambient.operator: no such config key"),
        (["unpaired.root=ABSENT"], "unpaired.root="),
        (["unpaired.root=EMPTY"], "unpaired.root="),
        (["unpaired.crop=32"], "unpaired.crop=32: needs unpaired.root"),
        (["unpaired.lr_given=True"], "unpaired.root=FOLDER gives them"),
        (["unpaired.lr_given=3"], "unpaired.lr_given=3"),
        (["scale=4", "dataset.patch_size=24"], "at least 28 for the discriminator of measured"),
        (["scale=5"], "scale=5: must be one of 1, 2, 3, 4, 8"),
    ],
)
def test_a_mistake_gets_one_line_and_leaves_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    (tmp_path / "EMPTY").mkdir()
    words = [w.replace("=EMPTY", f"={tmp_path}/EMPTY") for w in words]
    words = [w.replace("=ABSENT", f"={tmp_path}/ABSENT") for w in words]
    with pytest.raises(SystemExit) as ended:
        ex.run_commandline(["ambientgan.py", "-F", str(tmp_path / "runs"), "with", *words])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert not runs(tmp_path / "runs")
