"""The gallery that an evaluation writes: what is in it, where it lies, what is refused."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from record_earlier import EARLIER
from skimage import data

from experiments.evaluate import ex
from experiments.support import galleries
from observers import open_run
from tmd.checkpoints import load_generator
from tmd.errors import UserError
from tmd.evaluation import PerImage, open_benchmark, read_pair
from tmd.evaluation.gallery import Gallery
from tmd.figures import views
from tmd.images import ImageKind, as_8_bit, to_float
from tmd.metrics.registry import FUNCTIONS, Needs, register


@pytest.fixture(autouse=True)
def photos(tmp_path, monkeypatch):
    """A benchmark of two real pictures, in a working directory of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TMD_MONGO_URL", raising=False)
    (tmp_path / "Photos").mkdir()
    Image.fromarray(data.astronaut()[:66, 100:180]).save("Photos/astronaut.png")
    Image.fromarray(data.chelsea()[100:164, 100:180]).save("Photos/chelsea.png")


def run(*flags, **updates):
    options = {"--file_storage": "store"} if not flags else {flags[0]: True}
    given = {"benchmark": "Photos", "metrics": ["psnr", "ssim"], "method": "nearest", "scale": 2}
    return ex.run(config_updates={**given, **updates}, options=options)


def blocks(page):
    """The JSON in a page, by the ids of its elements."""
    found = re.findall(r'<script type="application/json" id="([\w-]+)">(.*?)</script>', page, re.S)
    return {name: json.loads(text) for name, text in found}


def pixels(address):
    content = base64.b64decode(address.partition(",")[2])
    return torch.from_numpy(np.array(Image.open(io.BytesIO(content)))).permute(2, 0, 1)


def test_the_record_has_a_page_with_every_picture_and_figure():
    run(html=True)
    record = open_run("store/1")
    assert record.config["method"] == ["nearest", "bicubic"]
    page = blocks(record.local_path("gallery.html").read_text("utf-8"))
    assert [each["name"] for each in page["data"]["systems"]] == ["HR", "LR", "nearest", "bicubic"]
    lr, hr = read_pair(open_benchmark("Photos", 2).samples[0], 2)
    assert (pixels(page["pictures-0"]["HR"]) == hr).all()
    assert (pixels(page["pictures-0"]["LR"]) == lr).all()
    nearest = lr.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert (pixels(page["pictures-0"]["nearest"]) == nearest).all()
    table = PerImage.from_csv(record.local_path("per_image.csv").read_text("utf-8"), "per_image")
    for number, system in enumerate(["nearest", "bicubic"]):
        for place, metric in enumerate(["psnr", "ssim"]):
            shown = {each["name"]: each["values"][number][place] for each in page["data"]["images"]}
            assert shown == table.select(system=system, metric=metric).known()
    assert page["data"]["convention"] == "y, border 2"
    assert page["data"]["metrics"][0] == {
        "name": "psnr", "label": "PSNR", "unit": "dB", "decimals": 2, "higher_is_better": True,
    }  # fmt: skip


def test_a_recorded_run_is_shown_with_its_command_and_config(tmp_path):
    shutil.copytree(EARLIER / "srgan" / "run", tmp_path / "store" / "1")
    run(html=True, run=1, method=None)
    page = blocks(open_run("store/2").local_path("gallery.html").read_text("utf-8"))
    shown = next(each for each in page["data"]["systems"] if each["name"] == "run 1")
    recorded = open_run("store/1")
    assert shown["source"] == "store/1, iteration 18"
    assert shown["command"].startswith("runs with scale=2 device=cpu")
    assert shown["config"]["generator"] == recorded.config["generator"]
    lr, _ = read_pair(open_benchmark("Photos", 2).samples[0], 2)
    network = load_generator(tmp_path / "store" / "1" / "best.pt")
    with torch.no_grad():
        expected = as_8_bit(network(to_float(lr)[None])[0])
    assert (to_float(pixels(page["pictures-0"]["run 1"])) - expected).abs().max() < 1 / 254


def test_without_hr_results_are_shown_beside_lr(tmp_path):
    run(html="lr", benchmark=None, lr_root="Photos", metrics=["consistency"])
    page = blocks((tmp_path / "lr/index.html").read_text("utf-8"))
    assert [each["name"] for each in page["data"]["systems"]] == ["LR", "nearest", "bicubic"]
    photo = data.astronaut()[:66, 100:180]
    image = page["data"]["images"][0]
    assert (image["width"], image["height"]) == (160, 132)
    assert image["values"][0][0] > 20
    assert (pixels(page["pictures-0"]["LR"]).permute(1, 2, 0).numpy() == photo).all()
    assert pixels(page["pictures-0"]["bicubic"]).shape == (3, 132, 160)


def test_results_of_which_there_is_nothing_else_are_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(FUNCTIONS, "_builders", dict(FUNCTIONS._builders))
    register("t_light", Needs(hr=False), label="light")(lambda sr: sr.mean((1, 2, 3)))
    run(html="sr", benchmark=None, method="folder", sr_root="Photos", metrics=["t_light"])
    page = blocks((tmp_path / "sr/index.html").read_text("utf-8"))
    assert [each["name"] for each in page["data"]["systems"]] == ["Photos"]
    assert page["pictures-0"].keys() == {"Photos"}
    image = page["data"]["images"][0]
    assert (image["width"], image["height"]) == (80, 66)
    assert image["values"] == [[pytest.approx(data.astronaut()[:66, 100:180].mean() / 255)]]


def test_values_of_whole_sets_are_on_the_page_and_order_nothing(shared_data, tmp_path):
    weights = {"lpips_weights": str(shared_data / "weights")}
    done = run(html="out", metrics=["psnr", "fid_vgg16"], **weights)
    page = blocks((tmp_path / "out/index.html").read_text("utf-8"))["data"]
    assert [each["name"] for each in page["metrics"]] == ["psnr"]
    assert [each["benchmark"] for each in page["sets"]] == ["Photos ×2"] * 2
    found = {each["system"]: each["value"] for each in page["sets"]}
    assert found == {name: of["fid_vgg16"] for name, of in done.result["Photos"].items()}
    with pytest.raises(UserError, match="metrics=fid_vgg16: html=True sorts the images by a"):
        run(html="fid", metrics="fid_vgg16", **weights)
    assert not (tmp_path / "fid").exists()


def test_many_pictures_are_kept_as_an_archive(monkeypatch, capsys):
    monkeypatch.setattr(
        galleries, "Gallery", lambda kind, systems, spool: Gallery(kind, systems, spool, 1000)
    )
    run(html=True)
    assert "gallery: gallery.zip in the record; unpack it" in capsys.readouterr().out
    assert "gallery.zip" in open_run("store/1").artifacts()


def test_a_folder_holds_the_page_and_needs_no_record(tmp_path, capsys):
    run("--unobserved", html="out/page")
    assert "gallery: out/page/index.html" in capsys.readouterr().out
    page = blocks((tmp_path / "out/page/index.html").read_text("utf-8"))
    assert [each["name"] for each in page["data"]["images"]] == ["astronaut", "chelsea"]


def test_a_page_of_somebody_else_is_not_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/index.html").write_text("mine")
    with pytest.raises(UserError, match=r"html=out: out/index\.html is there, and no gallery"):
        run("--unobserved", html="out")
    assert (tmp_path / "out/index.html").read_text() == "mine"
    (tmp_path / "out/index.html").unlink()
    for _ in range(2):
        run("--unobserved", html="out")


def test_without_html_there_is_no_page_and_no_system_more():
    run()
    record = open_run("store/1")
    assert record.config["method"] == "nearest"
    assert not [name for name in record.artifacts() if "gallery" in name]


@pytest.mark.parametrize(
    ("flags", "html", "problem"),
    [
        ((), "page.html", "html=page.html: give a folder; the page in it is index.html"),
        ((), 3, "html=3: must be True, False or a folder"),
        ((), f"{__file__}/out", f"html={__file__}/out: {__file__} is a file, and no folder"),
        (("--unobserved",), True, "html=True: puts the page into the run's record, and this run"),
    ],
    ids=["file", "number", "below a file", "no record"],
)
def test_what_is_no_place_for_a_page_is_refused(flags, html, problem):
    with pytest.raises(UserError, match=re.escape(problem)):
        run(*flags, html=html)


def test_other_images_are_shown_as_the_sheets_show_them(tmp_path):
    bands = np.random.default_rng(0).integers(300, 4000, (4, 40, 48), np.uint16)
    tifffile.imwrite("Photos/scene.tif", bands, photometric="minisblack", planarconfig="separate")
    for name in ("astronaut", "chelsea"):
        (tmp_path / "Photos" / f"{name}.png").unlink()
    run(html="out", value_range=[0, 10000], shown=[4, 2, 1])
    page = blocks((tmp_path / "out/index.html").read_text("utf-8"))
    kind = ImageKind(4, "uint16", (0, 10000), shown=(4, 2, 1))
    hr = kind.to_float(torch.from_numpy(bands))
    expected = views(kind, hr, [hr])[0].mul(255).round().to(torch.uint8)
    assert (pixels(page["pictures-0"]["HR"]) == expected).all()
    image = page["data"]["images"][0]
    low, high = np.quantile(bands[[3, 1, 0]], [0.005, 0.995])
    assert image["span"] == pytest.approx(high - low, rel=1e-3)
    assert image["caption"] == (
        f"bands [4, 2, 1] of 4 bands of uint16, 0 to 10000; shown: {low:.4g} as black, "
        f"{high:.4g} as white"
    )


def test_a_system_called_as_what_it_is_compared_with_is_refused(tmp_path):
    (tmp_path / "Photos").rename(tmp_path / "HR")
    problem = "html=True: the page calls its own pictures HR, and a system too"
    with pytest.raises(UserError, match=problem):
        run(html=True, benchmark="HR", method="folder", sr_root="HR")
    assert not (tmp_path / "store").exists()
