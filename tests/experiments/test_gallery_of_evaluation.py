"""The gallery that an evaluation writes: what is in it, where it lies, what is refused."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from skimage import data

from experiments.evaluate import ex
from experiments.support import galleries
from observers import open_run
from tmd.errors import UserError
from tmd.evaluation import PerImage, open_benchmark, read_pair
from tmd.evaluation.gallery import Gallery
from tmd.figures import views
from tmd.images import ImageKind


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
        (("--unobserved",), True, "html=True: puts the page into the run's record, and this run"),
    ],
    ids=["file", "number", "no record"],
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
