"""The degrade script from its command line: sheets, test sets, fits, refusals."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from PIL import Image

from experiments.command import main
from experiments.degrade import ex
from experiments.srgan import ex as srgan
from experiments.support.fitting import as_typed, fit_record
from tmd.data import create_data
from tmd.figures.drawing import wrapped
from tmd.images import read_image, to_float
from tmd.measurements import create_measurement

NOISE = 'measurement.operators=["bicubic",{"name":"noise","sigma":[0.01,0.2]}]'
JPEG = 'measurement.operators=["bicubic",{"name":"jpeg","quality":[10,95]}]'


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("chelsea", "coffee", "rocket"):
        Image.fromarray(getattr(skimage.data, name)()[:203, :222]).save(folder / f"{name}.png")
    return folder


def degrade(*words: str, command: str | None = None) -> None:
    commands = [] if command is None else [command]
    ex.run_commandline(["degrade", *commands, *(["with", *words] if words else [])])


def test_a_sheet_shows_each_image_and_its_versions(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    degrade("input=photos", "output=sheet.png", "versions=2", "region=64", NOISE)
    assert capsys.readouterr().out == "sheet.png: 3 images, 2 LR of each\n"
    sheet = np.array(Image.open("sheet.png").convert("RGB"))
    # Three columns of 64 pixels; the second is LR's 16 × 16 pixels as squares of 4.
    assert sheet.shape[1] == 2 * 16 + 3 * 64 + 2 * 10
    top = 16 + 34
    lr = sheet[top : top + 64, 16 + 74 : 16 + 74 + 64].reshape(16, 4, 16, 4, 3)
    assert (lr[:, 1:2, :, 1:2] == lr[:, 1:, :, 1:]).all()  # apart from the frame's line
    assert (lr[:, 1, :, 1].astype(int) - lr[0, 1, 0, 1]).any()


def test_long_texts_are_broken_between_words() -> None:
    lines = wrapped("resize: factor 0.731, filter bilinear, size 187×187", 120)
    assert len(lines) > 1
    assert " ".join(" ".join(lines).split()) == (
        "resize: factor 0.731, filter bilinear, size 187×187"
    )
    assert wrapped("short", 120) == ["short"]


def test_files_are_what_training_holds_out(photos: Path) -> None:
    """LR of each image is that of the validation images of a training with this seed."""
    degrade("input=photos", "output=set", "seed=3", NOISE)
    operators = ast.literal_eval(NOISE.partition("=")[2])
    data = create_data(
        {"name": "folder", "root": "photos", "val_root": "photos/", "validation": None}
        | {"val_root": str(photos), "root": str(others(photos)), "patch_size": 32},
        lambda kind: create_measurement(operators, 4, 3, kind=kind),
        4,
        3,
        torch.device("cpu"),
    )
    held_out = data.held_out()
    data.close()
    assert len(held_out) == 3
    for pair in held_out:
        name = Path(pair.name).with_suffix(".png").name
        assert torch.equal(to_float(read_image(f"set/LR/{name}")), pair.lr[0])
        assert torch.equal(to_float(read_image(f"set/HR/{name}")), pair.hr[0])


def others(photos: Path) -> Path:
    folder = photos.parent / "others"
    folder.mkdir()
    Image.fromarray(skimage.data.astronaut()).save(folder / "astronaut.png")
    return folder


def test_what_was_drawn_makes_the_same_again(photos: Path) -> None:
    degrade("input=photos", "output=set", "versions=2", "scale=2", NOISE)
    record = json.loads(Path("set/drawn.json").read_text())
    assert (record["scale"], record["seed"], len(record["images"])) == (2, 1, 3)
    chelsea = record["images"][0]
    assert chelsea["hr"] == "HR/chelsea.png"
    hr = to_float(read_image("set/HR/chelsea.png"))[None]
    assert hr.shape[-2:] == (202, 222)
    sigmas = []
    for version, entry in enumerate(chelsea["lr"]):
        drawn = dict(entry["drawn"])
        lr = to_float(read_image(Path("set") / entry["file"]))
        clean = create_measurement(["bicubic"], 2)(hr)[0]
        # Clipping takes a little of the noise away.
        assert (lr - clean).std().item() == pytest.approx(drawn["noise"]["sigma"], rel=0.12)
        measure = create_measurement(record["operators"], 2, record["seed"])
        assert torch.equal(measure(hr, 3 * version)[0], lr)
        sigmas.append(drawn["noise"]["sigma"])
    assert sigmas[0] != sigmas[1]


@pytest.mark.parametrize(("channels", "dtype"), [(4, "uint16"), (6, "float32"), (1, "uint16")])
def test_images_of_any_kind_stay_of_it(photos: Path, channels: int, dtype: str) -> None:
    Path("bands").mkdir()
    values = np.random.default_rng(0).random((channels, 40, 48))
    values = (values * (65535 if dtype == "uint16" else 1)).astype(dtype)
    tifffile.imwrite("bands/a.tif", values if channels > 1 else values[0], photometric="minisblack")
    for output in ("set", "sheet.png"):
        degrade("input=bands", f"output={output}", "scale=2", "region=32", NOISE)
    (lr,) = (file for file in Path("set/LR").iterdir())
    found = tifffile.imread(lr) if lr.suffix == ".tif" else np.array(Image.open(lr))
    assert found.dtype == dtype or lr.suffix == ".png"
    assert lr.suffix == (".tif" if dtype == "float32" else ".png")


def test_a_file_that_is_no_image_is_said_and_the_rest_goes_on(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(SystemExit) as exit:
        degrade("input=photos", "output=set", "count=4", NOISE, "channels=3")
    assert exit.value.code == 2
    said = capsys.readouterr()
    assert "3 HR images" in said.out
    assert "broken.png" in said.err
    assert len(json.loads(Path("set/drawn.json").read_text())["images"]) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "input=None: give HR images"),
        (["input=nowhere"], "nowhere"),
        (["input=photos", "output=a.jpg"], "output=a.jpg: "),
        (["input=photos", "scale=5"], "scale=5: must be one of"),
        (["input=photos", "versions=0"], "versions=0: must be an integer at least 1"),
        (
            ["input=photos", 'measurement.operators=["bicubic",{"name":"noise","sigma":-1}]'],
            "measurement.operators[1].sigma=-1: must be a number at least 0",
        ),
        (
            ["input=photos", 'measurement.operators=["bicubic",{"name":"noise","sigma":[2,1]}]'],
            "measurement.operators[1].sigma",
        ),
        (["input=photos", "measurement.fit_anyway=3"], "measurement.fit_anyway=3: must be True"),
        (["input=photos", "measurement.fit=nowhere", NOISE], "measurement.fit=nowhere: no such"),
        (["input=photos", "measurement.fit=photos"], "hold no range in which to search"),
        (["input=photos", "measurement.fit=photos", NOISE], "3 of its images"),
    ],
    ids=lambda value: value if isinstance(value, str) else "words",
)
def test_mistakes_are_one_line(
    photos: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as exit:
        degrade(*words)
    assert exit.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert sorted(Path().iterdir()) == [Path("photos")]


def test_nothing_is_replaced_unasked(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    degrade("input=photos", "output=set", NOISE)
    before = Path("set/LR/coffee.png").read_bytes()
    with pytest.raises(SystemExit):
        degrade("input=photos", "output=set", NOISE, "seed=9")
    assert "drawn.json: exists; overwrite=True replaces it" in capsys.readouterr().err
    assert Path("set/LR/coffee.png").read_bytes() == before
    degrade("input=photos", "output=set", NOISE, "seed=9", "overwrite=True")
    assert Path("set/LR/coffee.png").read_bytes() != before


@pytest.fixture
def mine(photos: Path) -> Path:
    """Photos as JPEGs of quality 30, half as large as those that they were."""
    folder = photos.parent / "mine"
    folder.mkdir()
    for name in ("coffee", "rocket"):
        for part in range(3):
            photo = getattr(skimage.data, name)()[:320, 100 * part : 100 * part + 320]
            small = Image.fromarray(photo).resize((160, 160), Image.Resampling.BICUBIC)
            small.save(folder / f"{name}{part}.jpg", quality=30)
    (photos.parent / "hr").mkdir()
    for name in ("astronaut", "chelsea", "immunohistochemistry"):
        Image.fromarray(getattr(skimage.data, name)()).save(f"hr/{name}.png")
    return folder


def test_a_fit_is_printed_as_it_is_typed(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["input=hr", "measurement.fit=mine", "scale=2", "budget=25", JPEG]
    degrade(*words, "output=fitted.json", command="fit")
    said, line, written = capsys.readouterr().out.splitlines()
    assert said.startswith("fitted to 6 images")
    assert written.startswith("fitted.json: ")
    operators = json.loads(Path("fitted.json").read_text())["measurement"]["operators"]
    assert line == as_typed(operators)
    assert ast.literal_eval(line.strip("'").partition("=")[2]) == operators
    assert np.mean(operators[1]["quality"]) == pytest.approx(30, abs=8)
    # Typed again, without the quotes that are the shell's, it is taken.
    degrade("input=hr/astronaut.png", "output=a.png", "fitted.json", "scale=2")


def test_a_fit_that_is_not_near_ends_with_2_unless_told_otherwise(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["input=hr", "measurement.fit=mine", "scale=2", "budget=12", NOISE]
    with pytest.raises(SystemExit) as exit:
        degrade(*words, command="fit")
    assert exit.value.code == 2
    assert "measurement.fit=mine: does not come near: " in capsys.readouterr().err
    degrade(*words, "measurement.fit_anyway=True", command="fit")


def test_a_run_is_fitted_before_it_begins_and_goes_on_with_its_list(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["smoke", "device=cpu", "scale=2", "dataset.name=folder", "dataset.root=hr"]
    small += ["dataset.validation=1", "schedule.pretrain=3it", "schedule.warmup=0"]
    small += ["schedule.adversarial=0", "training.epoch_length=3", "training.tensorboard=False"]
    small += ["training.checkpoint_every=3", "losses.content=pixel", "training.speed=float32"]
    fit = ["measurement.fit=mine", "measurement.fit_anyway=True"]
    srgan.run_commandline(["srgan", "with", *small, *fit, JPEG])
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("'measurement"))
    config = json.loads(Path("runs/1/config.json").read_text())["measurement"]
    info = json.loads(Path("runs/1/info.json").read_text())["measurement_fit"]
    assert line == as_typed(config["operators"])
    assert config["fit"] is None
    assert info["fit"] == "mine"
    assert info["operators"] == config["operators"]
    assert info["searched"] == ast.literal_eval(JPEG.partition("=")[2])
    assert info["distance"]["total"] < info["before"]["total"]
    srgan.run_commandline(["srgan", "with", "resume=1", "schedule.pretrain=6it"])
    assert "fitted to" not in capsys.readouterr().out
    again = json.loads(Path("runs/2/config.json").read_text())["measurement"]
    assert again["operators"] == config["operators"]
    with pytest.raises(SystemExit):
        srgan.run_commandline(["srgan", "with", "resume=1", "measurement.fit=mine"])
    assert "goes on with the list that it has" in capsys.readouterr().err


def test_a_list_that_nobody_fitted_has_no_record() -> None:
    assert fit_record(["bicubic"]) == {}


def test_plain_words_are_photos_and_the_folder_of_a_fit(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["degrade", "photos/coffee.png", "-o", "c.png", "with", NOISE]) == 0
    words = ["with", "input=hr", "scale=2", "budget=8", "measurement.fit_anyway=True", JPEG]
    assert main(["degrade", "fit", "mine", "-o", "f.json", *words]) == 0
    assert Path("f.json").is_file()
