"""Two runs on the page side by side: one slider moves pictures, values and the curves' mark."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from browser import Browser
from PIL import Image
from populate import populate

from observers import open_store
from observers.reading.page import write_page
from tmd.evaluation import PerImage
from tmd.evaluation.gallery import About, Gallery, GallerySystem
from tmd.evaluation.per_image import ImageValue
from tmd.images import EIGHT_BITS

COLOURS = {1: (200, 0, 0), 2: (0, 0, 200)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trainings with sheets at 20 and 40 (red, blue), the second without its last; a third."""
    root = tmp_path_factory.mktemp("store")
    populate(root, 3, points=4, names=3, sheets=0)
    for number, colour in COLOURS.items():
        folder = root / str(number)
        entry = json.loads((folder / "run.json").read_text())
        entry["meta"] = {"given": ["adv_weight"]}
        entry["artifacts"] = ["sheet_00000020.png", "sheet_00000040.png"][: 3 - number]
        for name in entry["artifacts"]:
            Image.new("RGB", (64, 32), colour).save(folder / name)
        (folder / "run.json").write_text(json.dumps(entry))
    write_page(open_store(root), root / "index.html")
    return root


@pytest.fixture
def page(root: Path, browser: Browser) -> Browser:
    browser.open("about:blank")
    browser.open((root / "index.html").as_uri())
    browser.wait_for("return document.body.dataset.ready")
    browser.run("chooseOnly([0, 1])")
    return browser


def slide(page: Browser, place: int) -> None:
    page.run(f"byId('at').value = {place}; byId('at').dispatchEvent(new Event('input'))")


def sources(page: Browser) -> list[str]:
    return page.run(
        "return [...document.querySelectorAll('.frame img')].map(e => e.getAttribute('src'))"
    )


def values(page: Browser) -> list[str]:
    """The first metric's row: its name, of each run its value, their difference."""
    return page.run(
        "return [...document.querySelectorAll('#compare tr')].map(row => [...row.cells]"
        ".map(cell => cell.innerText)).find(row => row[0] === 'validation.psnr')"
    )


def mark(page: Browser) -> float:
    return page.run("return Number(document.querySelector('#plots .mark').getAttribute('x1'))")


def test_one_slider_moves_pictures_values_and_the_mark(page: Browser, root: Path) -> None:
    assert page.run("return [byId('at').min, byId('at').max, byId('at').value]") == ["0", "1", "1"]
    assert sources(page) == ["./1/sheet_00000040.png", "./2/sheet_00000020.png"]
    at_40, marked = values(page), mark(page)
    slide(page, 0)
    assert sources(page) == ["./1/sheet_00000020.png", "./2/sheet_00000020.png"]
    assert "20" in page.run("return byId('moment').innerText")
    at_20 = values(page)
    curves = [json.loads((root / f"{number}/metrics.json").read_text()) for number in (1, 2)]
    for row, place in ((at_20, 1), (at_40, 3)):
        seen = [float(cell) for cell in row[1:]]
        a, b = (curve["validation.psnr"]["values"][place] for curve in curves)
        assert seen == pytest.approx([a, b, b - a], rel=1e-4, abs=3e-4)
    assert mark(page) < marked
    assert page.run("return document.querySelectorAll('#plots .curve').length") == 6


def test_the_line_between_the_pictures_shows_the_first_left_of_it(
    page: Browser, tmp_path: Path
) -> None:
    page.wait_for("return [...document.querySelectorAll('.frame img')].every(e => e.naturalWidth)")
    page.run("document.querySelector('.frame').scrollIntoView()")
    box = page.run(
        "const box = document.querySelector('.frame').getBoundingClientRect();"
        "return [box.left, box.top, box.width, box.height]"
    )

    def colours(*shares: float) -> list[tuple[int, ...]]:
        page.run("return new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")
        page.screenshot(tmp_path / "page.png")
        with Image.open(tmp_path / "page.png") as picture:
            points = [(box[0] + share * box[2], box[1] + 0.3 * box[3]) for share in shares]
            return [picture.convert("RGB").getpixel((int(x), int(y))) for x, y in points]

    assert colours(0.45, 0.55) == [COLOURS[1], COLOURS[2]]
    page.type(".frame [role=slider]", "\ue012" * 4)  # the left arrow
    assert page.run("return document.querySelector('.frame [role=slider]').ariaValueNow") == "42"
    assert colours(0.45, 0.55) == [COLOURS[2], COLOURS[2]]


def test_side_by_side_each_has_a_frame(page: Browser) -> None:
    page.click("#beside")
    assert page.run("return document.querySelectorAll('.frame').length") == 2
    assert sources(page) == ["./1/sheet_00000040.png", "./2/sheet_00000020.png"]
    page.click("#beside")
    assert page.run("return document.querySelectorAll('.frame').length") == 1


def test_differences_that_nobody_set_are_told_on_request(page: Browser) -> None:
    said = page.run("return byId('compare').innerText")
    assert "adv_weight" in said
    assert "2 more that nobody set" in said
    page.click("#compare button", "show")
    said = page.run("return byId('compare').innerText")
    assert "scale" in said
    assert "nobody set" not in said


def test_a_run_without_sheets_is_compared_by_its_curves(page: Browser) -> None:
    page.run("chooseOnly([0, 2])")
    assert "no sheet by then" in page.run("return byId('compare').innerText")
    page.run("chooseOnly([2])")
    assert page.run("return byId('compare').hidden && byId('moment').hidden")
    page.run("chooseOnly([0, 1, 2])")
    assert page.run("return byId('compare').hidden")


def test_a_runs_gallery_is_opened_from_the_page(page: Browser, root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "1", tmp_path / "1")
    entry = json.loads((tmp_path / "1" / "run.json").read_text())
    entry["artifacts"] = ["per_image.csv", "gallery.html"]
    (tmp_path / "1" / "run.json").write_text(json.dumps(entry))
    (tmp_path / "1" / "per_image.csv").write_text("a")
    figures = PerImage((ImageValue("Set5", 4, "bicubic", "baby", "psnr", 31.0),))
    gallery = Gallery(EIGHT_BITS, [GallerySystem("bicubic")], tmp_path)
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    gallery.add("Set5", 4, "baby", image[:, :2, :2], image, {"bicubic": image})
    gallery.write_file(tmp_path / "1" / "gallery.html", figures, About("Set5 ×4"))
    write_page(open_store(tmp_path), tmp_path / "index.html")
    page.open((tmp_path / "index.html").as_uri())
    page.wait_for("return document.body.dataset.ready")
    assert page.run("return document.querySelectorAll('#run .page').length") == 1
    page.click("#run a", "open gallery.html")
    assert page.wait_for("return document.body.dataset.shown") == "Set5/x4/baby side"


def test_evaluations_are_compared_by_their_common_pictures(
    page: Browser, root: Path, tmp_path: Path
) -> None:
    for number in (1, 2):
        folder = tmp_path / str(number)
        shutil.copytree(root / str(number), folder)
        entry = json.loads((folder / "run.json").read_text())
        entry["experiment"]["name"] = "evaluate"
        entry["artifacts"] = ["bird.png", "baby.png", f"only_{number}.png"]
        for name in entry["artifacts"]:
            Image.new("RGB", (8, 8)).save(folder / name)
        (folder / "run.json").write_text(json.dumps(entry))
    write_page(open_store(tmp_path), tmp_path / "index.html")
    page.open((tmp_path / "index.html").as_uri())
    page.wait_for("return document.body.dataset.ready")
    assert sources(page) == ["./1/bird.png", "./2/bird.png"]
    slide(page, 0)
    assert sources(page) == ["./1/baby.png", "./2/baby.png"]
    assert page.run("return byId('moment-said').innerText") == "baby.png"
