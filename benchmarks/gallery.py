"""A gallery of 100 images and 5 systems in Chromium: seconds to open it and to look around.

    python benchmarks/gallery.py --images 100 --systems 5

Real pictures (scikit-image's astronaut, cut where each image begins), of BSD100's size. Once as one
file, once with the pictures beside the page. Needs chromium and chromedriver.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from skimage import data

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from browser import Browser

from tmd.evaluation.gallery import About, Gallery, GallerySystem
from tmd.evaluation.per_image import ImageValue, PerImage
from tmd.images import EIGHT_BITS
from tmd.resize import imresize_uint8

SHOWN = "return document.body.dataset.shown === `${state.image} ${state.mode}` && !zoom.due"


def collected(spool: Path, images: int, systems: list[str], embedded: int) -> Gallery:
    """A gallery of cuts of one photo; a system is the photo with a little noise of its own."""
    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1)
    gallery = Gallery(EIGHT_BITS, [GallerySystem(name) for name in systems], spool, embedded)
    for number in range(images):
        torch.manual_seed(number)
        hr = photo.roll((7 * number, 11 * number), (1, 2))[:, :320, :480]
        noise = [torch.randint(-3, 4, hr.shape) for _ in systems]
        results = [(hr.int() + each).clamp(0, 255).to(torch.uint8) for each in noise]
        gallery.add(
            "Cuts",
            4,
            f"image_{number:03d}",
            imresize_uint8(hr, 1 / 4),
            hr,
            dict(zip(systems, results, strict=True)),
        )
    return gallery


def figures(images: int, systems: list[str]) -> PerImage:
    values = torch.rand(images, len(systems), 4, generator=torch.Generator().manual_seed(0))
    return PerImage(
        tuple(
            ImageValue("Cuts", 4, system, f"image_{image:03d}", name, float(values[image, at, m]))
            for m, name in enumerate(("psnr", "ssim", "lpips_alex", "spectral"))
            for image in range(images)
            for at, system in enumerate(systems)
        )
    )


def seconds(browser: Browser, script: str, until: str = SHOWN) -> float:
    begin = time.perf_counter()
    browser.run(script)
    while not browser.run(until):
        time.sleep(0.005)
    return time.perf_counter() - begin


def measured(browser: Browser, page: Path) -> dict[str, float]:
    begin = time.perf_counter()
    browser.open(page.as_uri())
    browser.wait_for(SHOWN)
    opened = time.perf_counter() - begin
    return {
        "open": opened,
        "next image": median(seconds(browser, "step(1)") for _ in range(10)),
        "another metric": seconds(browser, "state.metric = 'ssim'; change()"),
        "filter": seconds(browser, "state.filter = '9'; change()"),
        "differences": seconds(browser, "state.filter = ''; state.mode = 'difference'; change()"),
        "zoom": seconds(browser, "zoom.zoomBy(2)"),
        "table": seconds(browser, "state.tab = 'figures'; change()", "return true"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--systems", type=int, default=5)
    given = parser.parse_args()
    systems = [f"run {number}" for number in range(1, given.systems + 1)]
    with tempfile.TemporaryDirectory() as folder, Browser("1600,1000") as browser:
        spool = Path(folder) / "spool"
        spool.mkdir()
        begin = time.perf_counter()
        gallery = collected(spool, given.images, systems, 1 << 40)
        print(
            f"pictures: {gallery.size / 1e6:.1f} MB, {time.perf_counter() - begin:.1f} s to encode"
        )
        for name, embedded in (("one file", 1 << 40), ("files beside it", 0)):
            gallery.embedded = embedded
            begin = time.perf_counter()
            gallery.write_folder(Path(folder) / name, figures(given.images, systems), About(name))
            written = time.perf_counter() - begin
            found = measured(browser, Path(folder) / name / "index.html")
            text = " · ".join(f"{key} {value:.2f} s" for key, value in found.items())
            print(f"{name}: written in {written:.1f} s; {text}", flush=True)


if __name__ == "__main__":
    main()
