"""Sheets show what was computed, pixel by pixel; curves and animations need no display."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from skimage.color import rgb2ycbcr
from torch import Tensor

from tmd.errors import UserError
from tmd.figures import (
    Picture,
    Row,
    captioned_frames,
    comparison_sheet,
    draw_rows,
    picture_sheet,
    preview_sheet,
    save_animation,
    save_figure,
    stretch,
    telling_regions,
    to_pil,
)
from tmd.figures.curves import (
    COLOURS,
    Curve,
    Panel,
    axis_range,
    draw_curves,
    overlay_curves,
    smoothed,
)
from tmd.figures.drawing import CELL, GAP, MARGIN, TITLE_SIZE
from tmd.figures.sheets import cut, psnr_notes
from tmd.resize import imresize


def photo(name: str = "astronaut", height: int = 256, width: int = 320) -> Tensor:
    pixels = torch.from_numpy(getattr(data, name)()[:height, :width].copy())
    return pixels.permute(2, 0, 1).float() / 255


def smaller(hr: Tensor, scale: int = 4) -> Tensor:
    return imresize(hr[None], 1 / scale)[0].clamp(0, 1)


def larger(image: Tensor, scale: int = 4) -> Tensor:
    """A stand-in for a generator: nearest neighbours."""
    return image.repeat_interleave(scale, -1).repeat_interleave(scale, -2)


def pixels(image: Tensor) -> np.ndarray:
    return np.rint(image.permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def found_rows(sheet: Image.Image, image: Tensor, column: int) -> list[int]:
    """All base lines on which exactly ``image`` stands in ``column``."""
    wanted = pixels(image)
    height, width = wanted.shape[:2]
    left = MARGIN + column * (CELL + GAP)
    strip = np.array(sheet)[:, left : left + width]
    last_row = (strip == wanted[-1]).all((1, 2))
    bottoms = np.flatnonzero(last_row[height - 1 :]) + height
    return [b for b in bottoms.tolist() if np.array_equal(strip[b - height : b], wanted)]


def test_first_row_is_pixel_for_pixel_and_columns_align():
    hr = photo()
    lr = smaller(hr)
    sr, ur = larger(lr), larger(hr)
    sheet = picture_sheet(lr, sr, hr, ur, region=192)
    assert sheet.width <= 1600
    centre = (32, 64, 192, 192)
    parts = [
        cut(lr, (8, 16, 48, 48)),
        cut(sr, centre),
        cut(hr, centre),
        # Larger than its column: the middle of what is shown of it.
        cut(ur, (4 * 32 + 192, 4 * 64 + 192, CELL, CELL)),
    ]
    lines = [found_rows(sheet, part, column) for column, part in enumerate(parts)]
    assert lines[0] == lines[1] == lines[2] == lines[3]
    assert len(lines[0]) == 1


def test_second_row_is_the_first_by_bicubic():
    hr = photo(height=96, width=96)
    lr = smaller(hr)
    sheet = np.array(picture_sheet(lr, larger(lr), hr, larger(hr)))
    for column, image in enumerate((lr, larger(lr), hr)):
        picture = Image.fromarray(pixels(image))
        # The same kernel in another program, which clamps and rounds between the two axes.
        expected = np.array(picture.resize((CELL, CELL), Image.Resampling.BICUBIC)).astype(int)
        left = MARGIN + column * (CELL + GAP)
        errors = [
            np.abs(sheet[top : top + CELL, left : left + CELL] - expected)[32:-32, 32:-32].mean()
            for top in range(CELL // 4, sheet.shape[0] - CELL)
        ]
        assert min(errors) < 0.5


def test_captions_state_the_psnr_of_the_whole_image():
    hr = photo("coffee")
    lr = smaller(hr)
    notes = psnr_notes(lr, larger(lr), hr)
    luma = [rgb2ycbcr(pixels(image))[4:-4, 4:-4] for image in (larger(lr), hr)]
    error = ((luma[0][..., 0] - luma[1][..., 0]) ** 2).mean()
    assert abs(float(notes["SR"].removesuffix(" dB")) - 10 * np.log10(255**2 / error)) < 0.01
    assert float(notes["bicubic"].removesuffix(" dB")) > float(notes["SR"].removesuffix(" dB"))


@pytest.mark.parametrize("size", [(4, 4), (4, 60), (500, 8), (1000, 700)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_of_colour_and_grey(size, channels):
    hr = torch.rand(channels, *size)
    lr = smaller(hr)
    sheet = picture_sheet(lr, larger(lr), hr, larger(hr), names=["noise"])
    assert sheet.mode == "RGB"
    assert sheet.width <= 1600


def test_several_images_of_different_sizes_are_stacked():
    images = [photo(height=100, width=60), photo("coffee", 64, 128)]
    lrs = [smaller(image) for image in images]
    one = picture_sheet(lrs[0], larger(lrs[0]), images[0])
    two = picture_sheet(lrs, [larger(x) for x in lrs], images)
    assert two.height > 1.5 * one.height
    assert found_rows(two, images[1], 2)


def test_without_references():
    lr = smaller(photo())
    sheet = picture_sheet(lr[None], larger(lr)[None])
    assert sheet.width == 2 * MARGIN + 2 * CELL + GAP


def test_preview_applies_a_generator_and_a_function_alike():
    class Nearest(torch.nn.Module):
        scale, channels, receptive_field = 4, 3, 0

        def forward(self, lr):
            return larger(lr)

    hr = photo(height=64, width=64)
    lr = smaller(hr)
    expected = np.array(picture_sheet(lr, larger(lr), hr, larger(hr)))
    for generator in (Nearest(), larger):
        assert np.array_equal(np.array(preview_sheet(generator, lr, hr)), expected)


def test_regions_are_where_the_guess_is_wrong():
    hr = photo(height=200, width=300)
    guess = hr.clone()
    guess[:, 40:60, 200:230] += 0.3
    guess[:, 150:170, 20:40] += 0.2
    regions = telling_regions(guess, hr, size=64, count=2)
    for (top, left, height, width), (y, x) in zip(regions, ((50, 215), (160, 30)), strict=True):
        assert (height, width) == (64, 64)
        assert top <= y < top + height
        assert left <= x < left + width


def test_regions_never_overlap_and_fit_small_images():
    hr, guess = torch.rand(3, 100, 130), torch.rand(3, 100, 130)
    regions = telling_regions(guess, hr, size=40, count=8, scale=4)
    covered = torch.zeros(100, 130)
    for region in regions:
        assert region[0] % 4 == region[1] % 4 == 0
        cut(covered, region).add_(1)
    assert covered.max() == 1
    assert telling_regions(guess[:, :9, :7], hr[:, :9, :7], 40, 3) == [(0, 0, 9, 7)]


def test_comparison_shows_the_regions_of_every_result():
    hr = photo()
    results = {"Bicubic": larger(smaller(hr)), "run 3": hr * 0.5, "run 5": hr * 0.9}
    regions = [(0, 0, 64, 64), (100, 100, 64, 64)]
    sheet = comparison_sheet(hr, results, notes={"run 3": "20 dB"}, regions=regions, title="x")
    assert sheet.width <= 1600
    cell = (1600 - 2 * MARGIN - 4 * GAP) // 5
    wanted = pixels(stretch(cut(hr * 0.5, regions[1]), cell))
    left = MARGIN + 2 * (cell + GAP)
    columns = np.array(sheet)[:, left : left + cell]
    assert any(
        np.array_equal(columns[top : top + cell], wanted) for top in range(sheet.height - cell)
    )


def test_long_captions_stay_in_their_column():
    image = torch.zeros(3, 100, 100)
    pictures = [Picture(image, "ж" * 200, "noted " * 50), Picture(image, "b")]
    sheet = np.array(draw_rows([Row(pictures, title="t" * 500)], cell=100))
    assert sheet.shape[1] == 2 * MARGIN + 200 + GAP
    gap = sheet[:, MARGIN + 102 : MARGIN + 100 + GAP - 2]
    title = 2 * TITLE_SIZE + MARGIN
    assert (gap[title:] == 255).all()
    assert (sheet[:, -MARGIN + 2 :] == 255).all()


def test_a_sheet_is_never_larger_than_allowed(tmp_path):
    noise = to_pil(torch.rand(3, 700, 900))
    save_figure(noise, tmp_path / "a.png", max_bytes=300_000)
    assert (tmp_path / "a.png").stat().st_size <= 300_000
    assert Image.open(tmp_path / "a.png").width > 200
    save_figure(noise, tmp_path / "b.png")
    assert np.array_equal(np.array(Image.open(tmp_path / "b.png")), np.array(noise))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


# Curves ------------------------------------------------------------------------------------------


def test_smoothing_is_the_mean_over_a_window():
    values = np.random.default_rng(0).normal(size=200)
    values[50] = np.nan
    half = 4
    expected = [np.nanmean(values[max(0, i - half) : i + half + 1]) for i in range(200)]
    assert np.allclose(smoothed(values), expected)
    assert np.isnan(smoothed(np.full(5, np.nan))).all()


@pytest.mark.parametrize("count", [0, 1, 3, 500])
def test_curves_of_any_length(count):
    steps = list(range(count))
    curves = {
        "train.content": Curve(steps, [1 / (step + 1) for step in steps]),
        "train.loss_g": Curve(steps, [float("nan")] * count),
        "train.lr_g": Curve(steps, [0.0] * count),
        "validation.psnr": Curve(steps, [20 + step / 100 for step in steps]),
        "something.new": Curve(steps, [-1.0] * count),
    }
    picture = draw_curves(
        curves, title="Run 3", references={"psnr": 25.0}, phases={"pretrain": 2, "warmup": 0}
    )
    assert picture.mode == "RGB"
    assert picture.width <= 1600


@pytest.mark.parametrize(
    ("name", "recorded", "heading", "reference"),
    [
        ("validation.psnr", None, "PSNR on the held-out images, dB", "psnr"),
        (
            "validation.score",
            None,
            "Score on the held-out images, lower is better",
            "score",
        ),
        ("train.images_per_second", None, "Training speed, images/s", ""),
        (
            "validation.sharpness",
            {"sharpness": {"label": "sharpness", "unit": "lp/mm", "higher_is_better": True}},
            "Sharpness on the held-out images, lp/mm",
            "sharpness",
        ),
    ],
)
def test_a_panel_says_what_its_curve_is(name, recorded, heading, reference):
    panel = Panel((name,))
    assert panel.heading(recorded) == heading
    assert panel.reference == reference


def colours_in(picture: Image.Image) -> list[int]:
    """How many pixels have each of the curves' colours."""
    pixels = np.asarray(picture).reshape(-1, 3)
    wanted = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in COLOURS]
    return [int((pixels == colour).all(1).sum()) for colour in wanted]


def test_runs_are_drawn_in_the_same_axes():
    steps = list(range(9))
    rising = Curve(steps, [20 + step for step in steps])
    falling = Curve(steps, [30 - step for step in steps])
    one = {"validation.psnr": rising, "train.loss_g": rising, "train.content": falling}
    both = overlay_curves({"run 1": one, "run 2": {"validation.psnr": falling, "other": rising}})
    # PSNR, the generator's two losses apart from each other, and what no panel knows.
    four = draw_curves({name: rising for name in "abcd"})
    assert both.width == four.width
    assert 0 < both.height - four.height < 60  # for the labels
    drawn = colours_in(both)
    # Three curves of the first, two of the second, none of a third.
    assert drawn[0] > 1.2 * drawn[1] > 0
    assert not any(drawn[2:])
    swapped = overlay_curves({"run 2": {"validation.psnr": falling, "other": rising}, "run 1": one})
    assert colours_in(swapped)[1] > 1.2 * colours_in(swapped)[0]
    many = overlay_curves({f"run {number}": one for number in range(len(COLOURS) + 2)})
    assert many.width == both.width


def test_no_curves_give_an_empty_picture():
    assert draw_curves({}).width > 0


def test_figures_need_no_display_and_training_no_matplotlib():
    script = (
        "import sys, tmd.figures\n"
        "assert 'matplotlib' not in sys.modules\n"
        "import tmd.figures.curves as c\n"
        "c.draw_curves({'a': c.Curve([1, 2], [3, 4])})\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    displays = ("DISPLAY", "WAYLAND_DISPLAY")
    environment = {key: value for key, value in os.environ.items() if key not in displays}
    environment["MPLBACKEND"] = "TkAgg"
    subprocess.run(
        [sys.executable, "-c", script], check=True, env={**environment, "MPLBACKEND": "TkAgg"}
    )


# Animations --------------------------------------------------------------------------------------


def frames(count: int = 3) -> list[Image.Image]:
    pictures = [to_pil(torch.full((3, 90, 120), i / count)) for i in range(count)]
    return captioned_frames(pictures, [f"iteration {i}" for i in range(count)], 120)


def test_gif_holds_all_frames_and_lingers_on_the_last(tmp_path):
    save_animation(frames(), tmp_path / "a.gif", fps=5)
    with Image.open(tmp_path / "a.gif") as gif:
        durations, colours = [], []
        for index in range(gif.n_frames):
            gif.seek(index)
            durations.append(gif.info["duration"])
            colours.append(gif.convert("RGB").getpixel((60, 100))[0])
    assert durations == [200, 200, 2000]
    assert np.abs(np.array(colours) - [0, 85, 170]).max() < 12


def test_mp4_holds_all_frames(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    save_animation(frames(), tmp_path / "a.mp4", fps=5)
    reader = ffmpeg.read_frames(str(tmp_path / "a.mp4"))
    size = next(reader)["size"]
    colours = [Image.frombytes("RGB", size, frame).getpixel((60, 100))[0] for frame in reader]
    assert size == frames()[0].size
    assert len(colours) == 2 + 10
    assert np.abs(np.array(colours[:3]) - [0, 85, 170]).max() < 12


@pytest.mark.parametrize("width", [121, 333])
def test_frames_have_even_sides(width):
    picture = to_pil(torch.rand(3, 51, 77))
    (frame,) = captioned_frames([picture], ["one"], width)
    assert frame.width % 2 == frame.height % 2 == 0


def test_what_can_not_be_animated(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"a\.avi: must end in \.gif or \.mp4"):
        save_animation(frames(), tmp_path / "a.avi")
    with pytest.raises(UserError, match="no frames"):
        save_animation([], tmp_path / "a.gif")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UserError, match="MP4 needs imageio-ffmpeg"):
        save_animation(frames(), tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("first", "last", "shown"),
    [(50, 1000, (0, 1000)), (45000, 49000, (45000, 49000)), (0, 0, (0, 0))],
)
def test_curves_of_a_resumed_run_begin_where_it_went_on(first, last, shown):
    assert axis_range(first, last) == shown
    picture = draw_curves({"psnr": Curve([first, last], [1, 2])}, phases={"pretrain": 45000})
    assert picture.width > 0
