"""One zoom for several pictures and a slider between two, in Chromium and by real input."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import Browser
from PIL import Image

SCRIPT = Path(__file__).resolve().parents[3] / "tmd/evaluation/gallery/zoom.js"
PAGE = """<!doctype html><body style="margin:0;background:#808080">
<div id="a" style="position:absolute;left:0;top:0;width:400px;height:300px"></div>
<div id="b" style="position:absolute;left:400px;top:0;width:400px;height:300px"></div>
<div id="c" style="position:absolute;left:0;top:300px;width:400px;height:300px"></div>
<script>%s</script><script>
const noise = (width, height, seed) => {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const pixels = new ImageData(width, height);
  for (let i = 0, x = seed; i < pixels.data.length; i++) {
    x = (x * 1103515245 + 12345) %% 2147483648;
    pixels.data[i] = i %% 4 == 3 ? 255 : x >> 16 & 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  canvas.pixels = pixels;
  return canvas;
};
const get = id => document.getElementById(id);
const [hr, first, second] = [1, 3, 4].map(seed => noise(200, 160, seed));
const lr = noise(50, 40, 2);
const zoom = new SharedZoom();
zoom.setSize(200, 160);
get("a").append(hr);
get("b").append(lr);
const slider = new BeforeAfter(get("c"), first, second);
zoom.add(get("a"), hr);
zoom.add(get("b"), lr);
zoom.add(get("c"), first, second);
onkeydown = event => zoom.key(event);
</script>"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    page = tmp_path_factory.mktemp("zoom") / "zoom.html"
    page.write_text(PAGE % SCRIPT.read_text("utf-8"), encoding="utf-8")
    with Browser("900,800") as browser:
        browser.open(page.as_uri())
        yield browser


@pytest.fixture
def page(opened: Browser) -> Browser:
    opened.run("zoom.setPixelated(true); zoom.fit(); slider.set(0.5)")
    return opened


def view(browser: Browser) -> dict[str, float]:
    """The view, once it is drawn."""
    browser.wait_for("return !zoom.due")
    return browser.run("return zoom.view")


def pixels(browser: Browser, name: str) -> np.ndarray:
    values = browser.run(f"return [[...{name}.pixels.data], {name}.width, {name}.height]")
    return np.array(values[0], np.uint8).reshape(values[2], values[1], 4)[..., :3]


def shown(browser: Browser) -> np.ndarray:
    view(browser)
    return np.asarray(Image.open(io.BytesIO(browser.picture())).convert("RGB"))


def test_a_fitted_picture_is_drawn_pixel_by_pixel(page: Browser) -> None:
    assert view(page) == {"zoom": 1.875, "x": 100, "y": 80, "fitted": True}
    page.run("zoom.set({ zoom: 1 })")
    found = shown(page)
    assert (found[70:230, 100:300] == pixels(page, "hr")).all()
    large = pixels(page, "lr").repeat(4, 0).repeat(4, 1)
    assert (found[70:230, 500:700] == large).all()


def test_past_one_pixels_are_squares_or_interpolated_by_a_switch(page: Browser) -> None:
    page.run("zoom.set({ zoom: 8, x: 60, y: 40 })")
    # The centres of the frames, 200 and 150 pixels from their corners, show (60, 40).
    expected = pixels(page, "hr").repeat(8, 0).repeat(8, 1)[320 - 150 : 320 + 150, 480 - 200 : 680]
    assert (shown(page)[:300, :400] == expected).all()
    page.run("zoom.setPixelated(false)")
    assert (shown(page)[:300, :400] != expected).mean() > 0.5


def test_the_wheel_zooms_all_about_the_pointer(page: Browser) -> None:
    page.run("zoom.set({ zoom: 2 })")
    before = view(page)
    place = page.run("return zoom.placeAt(get('b'), { clientX: 480, clientY: 90 })")
    page.wheel((480, 90), -400)
    after = view(page)
    assert after["zoom"] == pytest.approx(2 * np.exp(0.8), rel=0.04)
    assert after["x"] < before["x"]
    still = page.run("return zoom.placeAt(get('b'), { clientX: 480, clientY: 90 })")
    assert still == pytest.approx(place)
    transforms = page.run("return [hr, lr, first, second].map(each => each.style.transform)")
    assert len(set(transforms)) == 1


def test_small_turns_of_a_touchpad_add_up(page: Browser) -> None:
    page.run("zoom.set({ zoom: 2 })")
    for _ in range(20):
        page.wheel((200, 150), -5)
    assert view(page)["zoom"] == pytest.approx(2 * np.exp(0.2), rel=0.04)


def test_dragging_pans_by_the_pixels_dragged(page: Browser) -> None:
    page.run("zoom.set({ zoom: 4 })")
    page.drag((200, 150), (160, 190))
    assert view(page) == {"zoom": 4, "x": 110, "y": 70, "fitted": False}


def test_two_fingers_zoom_and_pan(page: Browser) -> None:
    page.run("zoom.set({ zoom: 2 })")

    def finger(number: int, begin: tuple[int, int], end: tuple[int, int]) -> dict:
        moves = [{"type": "pointerMove", "x": x, "y": y, "duration": 0} for x, y in (begin, end)]
        actions = [moves[0], {"type": "pointerDown", "button": 0}, moves[1], {"type": "pointerUp"}]
        kind = {"pointerType": "touch"}
        return {"type": "pointer", "id": f"f{number}", "parameters": kind, "actions": actions}

    page.act(finger(1, (180, 150), (140, 150)), finger(2, (220, 150), (260, 150)))
    found = view(page)
    assert found["zoom"] == pytest.approx(6, rel=0.04)
    assert (found["x"], found["y"]) == pytest.approx((100, 80), abs=1)


def test_keys_zoom_by_whole_factors_pan_and_fit(page: Browser) -> None:
    page.run("zoom.set({ zoom: 1 })")
    page.press("+", "+", "\ue014")  # and the right arrow
    assert view(page) == {"zoom": 3, "x": 120, "y": 80, "fitted": False}
    page.press("-", "-", "-")
    assert view(page)["zoom"] == pytest.approx(2 / 3)
    page.press("0")
    assert view(page)["fitted"]


def test_the_slider_shows_one_picture_left_and_the_other_right(page: Browser) -> None:
    page.run("zoom.set({ zoom: 1 })")
    page.drag((200, 330), (240, 330))
    found = shown(page)[370:530, 100:300]
    assert (found[:60, :130] == pixels(page, "first")[:60, :130]).all()
    assert (found[:60, 150:] == pixels(page, "second")[:60, 150:]).all()
    page.run("slider.line.focus()")
    page.press("\ue012")  # the left arrow moves the line, not the pictures
    assert page.run("return slider.at") == pytest.approx(0.58)
    assert view(page)["x"] == 100
    assert page.run("return slider.line.getAttribute('aria-valuenow')") == "58"


def test_the_view_stays_in_place_where_the_next_picture_has_another_size(page: Browser) -> None:
    page.run("zoom.set({ zoom: 4, x: 50, y: 40 }); zoom.setSize(400, 320)")
    assert view(page) == {"zoom": 4, "x": 100, "y": 80, "fitted": False}
    page.run("zoom.setSize(200, 160)")


def test_a_frame_that_was_removed_is_left_alone(page: Browser) -> None:
    page.run("zoom.set({ zoom: 1 }); zoom.remove(get('b'))")
    before = page.run("return lr.style.transform")
    page.wheel((600, 150), -400)
    assert view(page)["zoom"] == 1
    page.run("zoom.set({ zoom: 3 })")
    view(page)
    assert page.run("return lr.style.transform") == before
    page.run("zoom.add(get('b'), lr)")
