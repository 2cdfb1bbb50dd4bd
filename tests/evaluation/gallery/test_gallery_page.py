"""The gallery in Chromium, opened as a file: what it shows is what was evaluated."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from browser import Browser
from PIL import Image

from tmd.evaluation.gallery import About, Gallery, GallerySystem
from tmd.evaluation.per_image import ImageValue, PerImage
from tmd.images import EIGHT_BITS

HOSTILE = '</script><script>document.title="HACKED"</script><img src=x onerror=alert(1)>&"\'\u2028'
SYSTEMS = ("bicubic", "run 3", HOSTILE)
WIDTH, HEIGHT, SCALE = 64, 48, 4
#: image -> (benchmark, PSNR by system, LPIPS by system)
FIGURES: dict[str, tuple[str, list[float | None], list[float | None]]] = {
    "baby": ("Set5", [30.0, 33.0, 31.0], [0.30, 0.10, 0.20]),
    "bird": ("Set5", [28.0, 27.5, 35.0], [0.20, 0.25, 0.05]),
    "butterfly": ("Set5", [22.0, 26.0, 25.0], [0.25, 0.15, None]),
    "blank": ("Set14", [100.0, 90.0, 95.0], [0.0, 0.0, 0.0]),
    "zebra": ("Set14", [26.0, 29.0, None], [0.33, 0.12, 0.11]),
}


def pixels(name: str, system: str) -> np.ndarray:
    """An image of a system: noise of its own around a picture that all share."""
    numbers = np.random.default_rng(len(name) * 100 + len(system))
    small = system == "LR"
    shape = (HEIGHT // SCALE, WIDTH // SCALE, 3) if small else (HEIGHT, WIDTH, 3)
    if small:
        return numbers.integers(0, 256, shape, np.uint8)
    shared = np.random.default_rng(len(name)).integers(60, 180, shape)
    spread = {"HR": 0, "bicubic": 40, "run 3": 10}.get(system, 20)
    return (shared + numbers.integers(-spread, spread + 1, shape)).astype(np.uint8)


def tensor(name: str, system: str) -> torch.Tensor:
    return torch.from_numpy(pixels(name, system)).permute(2, 0, 1)


def figures() -> PerImage:
    return PerImage(
        tuple(
            ImageValue(benchmark, SCALE, system, name, metric, value, name != "blank")
            for name, (benchmark, psnr, lpips) in FIGURES.items()
            for metric, values in (("psnr", psnr), ("lpips", lpips))
            for system, value in zip(SYSTEMS, values, strict=True)
        )
    )


ABOUT = About(
    "Set5 & Set14", "Y of BT.601, border 4", "tmd evaluate Set5 with html=True", {"note": HOSTILE}
)


def collected(spool: Path, embedded: int = 1 << 20) -> Gallery:
    systems = [
        GallerySystem("bicubic", "method"),
        GallerySystem("run 3", "run 3, iteration 7000", "tmd srgan with seed=3", {"seed": 3}),
        GallerySystem(HOSTILE, HOSTILE, HOSTILE, {HOSTILE: HOSTILE}),
    ]
    gallery = Gallery(EIGHT_BITS, systems, spool, embedded)
    for name, (benchmark, *_) in FIGURES.items():
        lr, hr, *results = (tensor(name, system) for system in ("LR", "HR", *SYSTEMS))
        gallery.add(benchmark, SCALE, name, lr, hr, dict(zip(SYSTEMS, results, strict=True)))
    return gallery


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as one file."""
    folder = tmp_path_factory.mktemp("gallery")
    gallery = collected(tmp_path_factory.mktemp("spool"))
    assert gallery.is_one_file
    gallery.write_folder(folder, figures(), ABOUT)
    assert [each.name for each in folder.iterdir()] == ["index.html"]
    return folder / "index.html"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser("1300,900") as browser:
        downloads = str(tmp_path_factory.mktemp("downloads"))
        browser.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=downloads)
        browser.downloads = Path(downloads)  # type: ignore[attr-defined]
        yield browser


@pytest.fixture
def browser(opened: Browser, page: Path) -> Browser:
    show(opened, page)
    return opened


def show(browser: Browser, page: Path, view: str = "") -> None:
    """Open the page anew, at a view of it."""
    browser.open("about:blank")
    browser.open(page.as_uri() + "#" + view)
    settled(browser)


def settled(browser: Browser) -> None:
    browser.wait_for(
        "const shown = document.body.dataset.shown ?? '';"
        "return state.tab !== 'images' || (shown === `${state.image} ${state.mode}` && !zoom.due)"
    )


def names(browser: Browser) -> list[str]:
    return browser.run(
        "return [...document.querySelectorAll('#list .name')].map(each => each.firstChild.data)"
    )


def choose(browser: Browser, key: str, value: str) -> None:
    """Choose an entry of a selection, as a person does."""
    browser.run(
        f"const select = document.getElementById('{key}'); select.value = {json.dumps(value)};"
        "select.dispatchEvent(new Event('change'))"
    )
    settled(browser)


def shown(browser: Browser, of: str = "panes[0].canvas") -> np.ndarray:
    """The pixels of a canvas of the page."""
    values, width = browser.run(f"const of = {of}; return [[...pixelsOf(of)], of.width]")
    return np.array(values, np.uint8).reshape(-1, width, 4)[..., :3]


def test_every_system_is_shown_pixel_by_pixel_under_one_zoom(browser: Browser) -> None:
    assert browser.run("return panes.map(each => each.name)") == ["HR", "LR", *SYSTEMS]
    for number, system in enumerate(["HR", "LR", *SYSTEMS]):
        found = shown(browser, f"panes[{number}].canvas")
        assert (found == pixels("butterfly", system)).all(), system
    box = browser.run("return panes[1].frame.getBoundingClientRect()")
    middle = (round(box["x"] + box["width"] / 2), round(box["y"] + box["height"] / 2))
    browser.run("zoom.set({ zoom: 4 })")
    browser.wheel((middle[0] + 20, middle[1]), -300)
    settled(browser)
    assert browser.run("return zoom.zoom") > 6
    transforms = browser.run(
        "return panes.map(({ frame, canvas }) => {"
        "const box = canvas.getBoundingClientRect(), room = frame.getBoundingClientRect();"
        "return [box.x - room.x, box.y - room.y, box.width] })"
    )
    for transform in transforms:
        assert transform == pytest.approx(transforms[0], abs=1)
    assert browser.run("return panes[1].canvas.style.imageRendering") == "pixelated"
    browser.press("i")
    settled(browser)
    assert browser.run("return panes[1].canvas.style.imageRendering") == "auto"


def test_the_worst_images_come_first_by_any_metric(browser: Browser) -> None:
    choose(browser, "of", "run 3")
    assert names(browser) == ["butterfly", "bird", "zebra", "baby", "blank"]
    choose(browser, "sort", "best")
    assert names(browser) == ["blank", "baby", "zebra", "bird", "butterfly"]
    choose(browser, "metric", "lpips")  # the lower, the better
    assert names(browser)[0] == "blank"
    choose(browser, "sort", "worst")
    assert names(browser) == ["bird", "butterfly", "zebra", "baby", "blank"]
    assert browser.run("return document.querySelector('#list .figure').innerText") == (
        "0.2500\n+0.0500"
    )
    bad = browser.run("return document.querySelector('#list .figure small').className")
    assert bad == "bad"


def test_what_is_not_the_baseline_is_looked_at_first(browser: Browser) -> None:
    assert browser.run("return [state.of, state.baseline, state.b]") == [
        "run 3",
        "bicubic",
        "run 3",
    ]


def test_images_in_which_two_systems_differ_most_come_first(browser: Browser) -> None:
    for sort, expected in (
        ("gap", ["blank", "butterfly", "baby", "zebra", "bird"]),
        ("behind", ["blank", "bird", "baby", "zebra", "butterfly"]),
    ):
        choose(browser, "sort", sort)
        choose(browser, "of", "run 3")
        choose(browser, "against", "bicubic")
        assert names(browser) == expected


def test_images_without_a_value_come_last(browser: Browser) -> None:
    choose(browser, "of", HOSTILE)
    assert names(browser) == ["butterfly", "baby", "bird", "blank", "zebra"]
    choose(browser, "metric", "lpips")
    choose(browser, "sort", "best")
    assert names(browser)[-1] == "butterfly"


def test_names_and_benchmarks_are_filtered_and_the_mean_follows(browser: Browser) -> None:
    count = "return document.getElementById('count').textContent"
    choose(browser, "of", "bicubic")
    # The blank image, of one level, is in no mean.
    assert browser.run(count) == "5 images · PSNR 26.50 dB by bicubic"
    choose(browser, "benchmark", "Set14 ×4")
    assert sorted(names(browser)) == ["blank", "zebra"]
    assert browser.run(count) == "2 of 5 images · PSNR 26.00 dB by bicubic"
    choose(browser, "benchmark", "")
    browser.press("/", "b", "i", "r")
    assert names(browser) == ["bird"]


def test_a_slider_between_any_two_systems(browser: Browser) -> None:
    browser.press("w")
    settled(browser)
    choose(browser, "a", "HR")
    choose(browser, "b", "run 3")
    assert (shown(browser, "panes[0].canvas") == pixels("butterfly", "HR")).all()
    assert (shown(browser, "panes[1].canvas") == pixels("butterfly", "run 3")).all()
    browser.run("zoom.set({ zoom: 8 }); slider.set(0.5)")
    settled(browser)
    box = browser.run("return slider.frame.getBoundingClientRect()")
    scene = np.asarray(Image.open(io.BytesIO(browser.picture())).convert("RGB"))
    middle_x, middle_y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for side, system in ((-1, "HR"), (1, "run 3")):
        for x in (4, 20):  # pixels of the picture, off its centre
            at = scene[round(middle_y + 4), round(middle_x + side * (x * 8 + 4))]
            expected = pixels("butterfly", system)[HEIGHT // 2, WIDTH // 2 + side * x - (side < 0)]
            assert np.abs(at.astype(int) - expected).max() <= 1
    browser.press("x")
    settled(browser)
    assert browser.run("return [state.a, state.b]") == ["run 3", "HR"]
    choose(browser, "a", "HR")  # with itself, too
    assert browser.run("return panes.length") == 2


def test_one_system_at_a_time_by_the_digits(browser: Browser) -> None:
    browser.press("o", "4")
    settled(browser)
    browser.wait_for("return panes.length === 1 && panes[0].name === 'run 3'")
    assert (shown(browser) == pixels("butterfly", "run 3")).all()


def test_difference_maps_have_the_scale_that_they_state(browser: Browser) -> None:
    browser.press("d")
    settled(browser)
    hr, sr = (pixels("butterfly", system).astype(float) for system in ("HR", "bicubic"))
    place = "panes.find(each => each.name === 'bicubic')"
    found = browser.run(f"return [...{place}.map.found]")
    expected = np.abs(sr - hr).max(2)
    assert found == expected.flatten().tolist()
    stated = "return document.getElementById('scale').innerText"
    # LR differs most: 99.5 % of its pixels do by less than 255 levels, not by less than 128.
    assert "255 levels of 255" in browser.run(stated)
    choose(browser, "range", "64")
    assert browser.run(stated).startswith("0")
    assert "64 levels of 255" in browser.run(stated)
    bar = shown(browser, "document.querySelector('#scale canvas')")[0]
    at = np.minimum(255, np.floor(255 * expected / 64 + 0.5)).astype(int)
    assert (shown(browser, f"{place}.canvas") == bar[at]).all()
    choose(browser, "kind", "signed")
    luma = (sr - hr) @ [0.299, 0.587, 0.114]
    found = np.array(browser.run(f"return [...{place}.map.found]")).reshape(HEIGHT, WIDTH)
    assert np.allclose(found, luma, atol=1e-4)
    assert browser.run(stated).startswith("−64")
    bar = shown(browser, "document.querySelector('#scale canvas')")[0].astype(int)
    assert bar[0][2] > bar[0][0]  # blue where it is darker,
    assert bar[-1][0] > bar[-1][2]  # red where it is brighter


def test_the_common_scale_holds_nearly_all_of_every_map(browser: Browser) -> None:
    browser.press("d", "2")  # without LR
    settled(browser)
    maps = [
        np.abs(pixels("butterfly", system).astype(int) - pixels("butterfly", "HR")).max(2)
        for system in SYSTEMS
    ]
    most = max(np.quantile(each, 0.995) for each in maps)
    expected = min(each for each in (4, 8, 16, 32, 64, 128, 255) if each >= most)
    assert browser.run("return commonScale(panes.map(each => each.map))") == expected


def test_a_rectangle_is_cited_by_the_address_and_saved_as_a_strip(
    browser: Browser, page: Path
) -> None:
    browser.run("zoom.set({ zoom: 4 })")
    settled(browser)
    box = browser.run("return panes[2].frame.getBoundingClientRect()")
    left, top = (round(box[key] + box[size] / 2) for key, size in (("x", "width"), ("y", "height")))
    browser.drag((left - 38, top - 18), (left + 41, top + 21), key="\ue008")  # Shift
    settled(browser)
    crop = browser.run("return state.crop")
    x, y, width, height = crop
    assert (width, height) == pytest.approx((20, 10), abs=1)
    assert browser.run("return document.querySelectorAll('.cropped').length") == 5
    assert browser.run("return zoom.view.x") == WIDTH / 2  # it did not pan
    address = browser.wait_for(f"return location.hash.includes('crop={x},{y}') && address()")
    browser.run("state.hide = ['LR']; change()")
    settled(browser)
    address = browser.run("return address()")
    show(browser, page, address.partition("#")[2])
    assert browser.run("return state.crop") == crop
    assert browser.run("return [zoom.zoom, zoom.x, zoom.y]") == [4, WIDTH / 2, HEIGHT / 2]
    assert browser.run("return panes.map(each => each.name)") == ["HR", *SYSTEMS]
    browser.click("#strip")
    saved = browser.downloads / f"Set5_x4_butterfly_{x}_{y}_{width}_{height}.png"  # type: ignore[attr-defined]
    deadline = time.monotonic() + 30
    while not saved.exists():
        assert time.monotonic() < deadline, list(browser.downloads.iterdir())  # type: ignore[attr-defined]
        time.sleep(0.1)
    strip = np.asarray(Image.open(saved).convert("RGB"))
    factor = round(220 / height)
    cell = width * factor + 8
    for number, system in enumerate(["HR", *SYSTEMS]):
        part = strip[8 : 8 + height * factor, 8 + number * cell : number * cell + cell]
        expected = pixels("butterfly", system)[y : y + height, x : x + width]
        assert (part == expected.repeat(factor, 0).repeat(factor, 1)).all(), system


def test_the_address_keeps_what_is_shown(browser: Browser, page: Path) -> None:
    show(browser, page, "image=Set14/x4/zebra&mode=slider&a=LR&b=run+3&metric=lpips&at=0.25")
    assert browser.run("return [state.image, state.a, state.b, slider.at]") == (
        ["Set14/x4/zebra", "LR", "run 3", 0.25]
    )
    show(browser, page, "image=gone&mode=%00&view=a,b,c&crop=1&of=nobody&at=x&hide=none")
    assert browser.run("return [state.mode, state.crop, state.of]") == ["side", None, "run 3"]
    browser.press("j")
    settled(browser)
    assert "image=Set5/x4/" in unquote(browser.wait_for("return !writing && location.hash"))


def test_figures_are_a_table_that_can_be_sorted_and_compared(browser: Browser) -> None:
    browser.click("#tabs button", "Figures")
    cells = (
        "return [...document.querySelectorAll('#figures tbody tr')]"
        ".map(row => [...row.cells].map(each => each.innerText))"
    )
    rows = browser.run(cells)
    assert rows[0] == ["mean of 5", "26.50", "28.88", "30.33", "0.2700", "0.1550", "0.1200"]
    browser.click("#figures thead tr + tr th", "run 3")  # PSNR: the lowest first
    column = [row[2] for row in browser.run(cells)[1:]]
    assert column == ["26.00", "27.50", "29.00", "33.00", "90.00"]
    browser.click("#figures label", "as differences")
    row = next(row for row in browser.run(cells) if row[0].startswith("bird"))
    assert row[1:4] == ["28.00", "−0.50", "+7.00"]
    browser.click("#figures td", "zebra")
    settled(browser)
    assert browser.run("return [state.tab, state.image]") == ["images", "Set14/x4/zebra"]


def test_two_systems_are_plotted_image_by_image(browser: Browser) -> None:
    browser.click("#tabs button", "Plots")
    browser.run("state.of = 'run 3'; state.against = 'bicubic'; change()")
    assert "run 3 is better in 3 of 5 images" in browser.text()
    titles = (
        "return [...document.querySelectorAll('#plots circle title')].map(each => each.textContent)"
    )
    assert "bird: 28.00 → 27.50" in browser.run(titles)
    bars = titles.replace("circle", "rect")
    assert sum(int(each.split()[0]) for each in browser.run(bars)) == 5
    browser.run("document.querySelector('#plots circle').dispatchEvent(new MouseEvent('click'))")
    settled(browser)
    assert browser.run("return state.tab") == "images"


def test_commands_and_configs_are_shown_as_text_and_nothing_of_them_runs(browser: Browser) -> None:
    browser.click("#tabs button", "Systems")
    text = browser.text()
    assert "tmd srgan with seed=3" in text
    assert "tmd evaluate Set5 with html=True" in text
    assert HOSTILE.replace("\u2028", "\n") in text or HOSTILE in text
    assert browser.run("return [document.title, document.images.length > 0]")[0] == "Set5 & Set14"
    assert browser.run("return [...document.images].every(each => each.src.startsWith('data:'))")
    browser.run(
        "document.execCommand = () => { window.copied = document.querySelector('textarea').value };"
        "Object.defineProperty(navigator, 'clipboard', { value: undefined })"
    )
    browser.run("document.querySelectorAll('#systems pre + button')[2].click()")
    browser.wait_for("return window.copied")
    assert "seed" in browser.run("return window.copied")


def test_pictures_beside_the_page_are_loaded_when_they_are_wanted(
    opened: Browser, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    gallery = collected(spool, embedded=100)
    assert not gallery.is_one_file
    gallery.write_archive(tmp_path / "gallery.zip", figures(), ABOUT)
    zipfile.ZipFile(tmp_path / "gallery.zip").extractall(tmp_path)
    page = tmp_path / "gallery" / "index.html"
    assert sorted(each.name for each in (tmp_path / "gallery/pictures").iterdir()) == [
        f"000{number}.html" for number in range(5)
    ]
    show(opened, page)
    assert (shown(opened, "panes[3].canvas") == pixels("butterfly", "run 3")).all()
    opened.press("s")  # the pixels can be read: the strip is made
    assert opened.run("return strip().toDataURL().length") > 1000
    (tmp_path / "gallery/pictures/0004.html").unlink()  # not the next one, which is read ahead
    opened.run("choose(images[4])")
    opened.wait_for("return document.getElementById('problem')")
    assert "unpack the whole archive" in opened.text()
    opened.open((tmp_path / "gallery/pictures/0001.html").as_uri())
    assert opened.run("return [document.images.length, document.images[0].naturalWidth]") == [5, 64]


def written_without_hr(folder: Path, spool: Path, systems: tuple[str, ...], lr: bool) -> Path:
    """A page of results without HR, whose values and config are what there can be at worst."""
    spool.mkdir()
    nan = float("nan")
    given = {"niqe": [4.0, nan, 6.0], "psnr@basicsr": [None] * 3, "of_mine": [1e-7, 2.0, 12345.678]}
    gallery = Gallery(EIGHT_BITS, [GallerySystem(name) for name in systems], spool)
    names = ("baby", "bird", "by\udcff<b>te")
    for name in names:
        results = {system: tensor(name, system) for system in systems}
        gallery.add("Photos", SCALE, name, tensor(name, "LR") if lr else None, None, results)
    gallery.add_set("Photos", SCALE, {(systems[0], "fid_vgg16"): 12.34567, ("gone", "kid"): nan})
    values = PerImage(
        tuple(
            ImageValue("Photos", SCALE, system, name, metric, value)
            for metric, column in given.items()
            for name, value in zip(names, column, strict=True)
            for system in systems
        )
    )
    about = About("by\udcff<b>te", config={"range": [float("-inf"), nan], 3: (1, 2)})
    gallery.write_folder(folder, values, about)
    return folder / "index.html"


def test_without_hr_systems_stand_beside_lr_and_differ_from_the_first(
    opened: Browser, tmp_path: Path
) -> None:
    show(opened, written_without_hr(tmp_path / "a", tmp_path / "spool", SYSTEMS, lr=True))
    assert opened.run("return panes.map(each => each.name)") == ["LR", *SYSTEMS]
    assert (shown(opened, "panes[2].canvas") == pixels("by\udcff<b>te", "run 3")).all()
    assert names(opened) == [r"by\udcff<b>te", "baby", "bird"]  # the worst has the highest NIQE
    assert opened.run("return document.getElementById('count').textContent").startswith(
        "3 images · NIQE 5.0"
    )
    opened.press("d")
    settled(opened)
    assert opened.run("return [state.reference, panes.length]") == ["bicubic", 3]
    choose(opened, "metric", "psnr@basicsr")  # of which no image has a value
    assert opened.run("return document.getElementById('metric').selectedOptions[0].text") == (
        "PSNR (basicsr) ↑"
    )
    assert names(opened) == ["baby", "bird", r"by\udcff<b>te"]
    choose(opened, "metric", "of_mine")  # that says neither digits nor direction
    figures = "return [...document.querySelectorAll('#list .figure')].map(each => each.innerText)"
    assert [each.split()[0] for each in opened.run(figures)] == ["1e-7", "2", "12350"]
    for tab in ("Figures", "Plots", "Systems"):
        opened.click("#tabs button", tab)
    assert "patch FID (VGG16) of Photos ×4 12.3" in opened.text()
    opened.run("document.querySelector('#systems summary').click()")
    assert '"-inf"' in opened.text()


def test_a_single_system_without_anything_else_has_nothing_to_differ_from(
    opened: Browser, tmp_path: Path
) -> None:
    show(opened, written_without_hr(tmp_path / "a", tmp_path / "spool", ("theirs",), lr=False))
    assert opened.run("return panes.map(each => each.name)") == ["theirs"]
    opened.press("d")
    assert opened.run("return state.mode") == "side"
    modes = "return [...document.querySelectorAll('#modes button')].map(each => each.value)"
    assert opened.run(modes) == ["side", "flip", "slider"]
    opened.press("w")
    settled(opened)
    assert opened.run("return panes.map(each => each.name)") == ["theirs", "theirs"]


def test_a_page_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, folder = tmp_path / "spool", tmp_path / "page"
    spool.mkdir()
    gallery = collected(spool, embedded=100)
    gallery.write_folder(folder, figures(), ABOUT)
    before = sorted(folder.rglob("*"))
    text = (folder / "index.html").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Gallery, "_page", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            gallery.write_folder(folder, figures(), ABOUT)
    assert sorted(folder.rglob("*")) == before
    assert (folder / "index.html").read_bytes() == text
    gallery.write_folder(folder, figures(), ABOUT)
    assert len(list(folder.glob("pictures-*"))) == 1
    gallery.embedded = 1 << 30
    gallery.write_folder(folder, figures(), ABOUT)
    assert [each.name for each in folder.iterdir()] == ["index.html"]


def test_the_page_asks_no_other_machine_for_anything(page: Path) -> None:
    text = page.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "http:" not in text
    assert "https:" not in text
    assert "default-src 'none'" in text
