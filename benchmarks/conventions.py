"""Figures of bicubic on Set5 by each library, and LR images of each library's bicubic.

    python benchmarks/conventions.py Set5 --lpips weights [--weights CRAFT_x4.pth] [--page PAGE]

Set5 has ``HR/`` and ``LR_bicubic/X2``, ``X3``, ``X4`` by MATLAB. Each figure is the library's own;
one that is not installed is left out, and said. `--page` puts the tables into the page, between
its marks. The first table: LR by MATLAB, enlarged by MATLAB's bicubic, compared with HR; Y of
BT.601 and a border of the scale left out unless the row says otherwise. The second: how far a
library's LR lies from MATLAB's, and what networks that learnt from MATLAB's make of it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reporting import show, surroundings
from torch import Tensor
from torch.nn import functional as F

from experiments.support.trained import open_trained
from tmd.evaluation import interpolation, network, open_benchmark, read_pair
from tmd.files import write_bytes
from tmd.images import rgb_to_y, to_float
from tmd.metrics import MetricSettings, metric_function
from tmd.metrics.conventions import CONVENTIONS, import_basicsr
from tmd.resize import imresize, imresize_uint8

SCALES = 2, 3, 4
#: A figure of SR and HR, (1, 3, H, W) in [0, 1].
Figure = Callable[[Tensor, Tensor], float]


@dataclass(frozen=True)
class Row:
    """A way of computing, and the reason why its figures differ from ours.

    Attributes:
        what: the library's words.
        package: that computes it.
        psnr, ssim, lpips: None where it has none.
    """

    what: str
    package: str
    reason: str
    psnr: Figure | None = None
    ssim: Figure | None = None
    lpips: Figure | None = None

    @property
    def versioned(self) -> str:
        return f"{self.package} {version(self.package)}" if self.package else ""


def figure(name: str, scale: int, lpips: Path | None = None, **settings: Any) -> Figure:
    """A registered metric."""
    chosen = MetricSettings(**{"border": scale, "lpips_weights": lpips, **settings})
    function = metric_function(name, chosen)
    return lambda sr, hr: function(sr, hr).item()


def inner(scale: int, sr: Tensor, hr: Tensor, luma: bool = True) -> tuple[Tensor, Tensor]:
    """Both without their border, as Y unless it is not asked for."""
    cut = (image[..., scale:-scale, scale:-scale] for image in (sr, hr))
    a, b = (rgb_to_y(image) if luma else image for image in cut)
    return a, b


def rows(scale: int, lpips: Path | None) -> Iterator[Row]:
    """All ways of which the library is installed."""
    ours = partial(figure, scale=scale, lpips=lpips)
    yield Row(
        "ours",
        "",
        "the convention of the field: as MATLAB's scripts of the papers",
        ours("psnr"),
        ours("ssim"),
        ours("lpips_alex") if lpips else None,
    )
    yield Row(
        "… `border=0`", "", "the border is left in", ours("psnr", border=0), ours("ssim", border=0)
    )
    yield Row(
        "… `channel=y-full`",
        "",
        "luma of 0 to 255: errors are 255/219 as large, 1.32 dB",
        ours("psnr", channel="y-full"),
        ours("ssim", channel="y-full"),
    )
    yield Row(
        "… `channel=rgb`",
        "",
        "colours err more than luma",
        ours("psnr", channel="rgb"),
        ours("ssim", channel="rgb"),
    )

    def rounded(metric: str) -> Figure:
        function = ours(metric)

        def on_whole_levels(sr: Tensor, hr: Tensor) -> float:
            a, b = ((rgb_to_y(image) * 255).round() / 255 for image in (sr, hr))
            return function(a, b)

        return on_whole_levels

    yield Row(
        "… of Y in whole levels",
        "",
        "MATLAB's `rgb2ycbcr` of bytes gives bytes, as the oldest scripts have it",
        rounded("psnr"),
        rounded("ssim"),
    )
    yield Row(
        "… and LR in real numbers",
        "",
        "**the row of the papers**: SRCNN's and VDSR's scripts reduce and enlarge that Y unrounded",
        of_the_papers("psnr", scale),
        of_the_papers("ssim", scale),
    )
    by = {
        name: {metric: ours(f"{metric}@{name}") for metric in chosen.metrics if _has(metric, lpips)}
        for name, chosen in CONVENTIONS.items()
        if find_spec(chosen.module)
    }
    if "basicsr" in by:
        yield Row(
            "`calculate_psnr`, `calculate_ssim(test_y_channel=True)`",
            "basicsr",
            "none: the same convention",
            **by["basicsr"],
        )
    if "pyiqa" in by:
        yield Row(
            "`psnry`, `ssim`",
            "pyiqa",
            "luma of 0 to 255 (YIQ's); for SSIM in whole levels, negative structure as 0",
            **by["pyiqa"],
        )
        yield Row(
            "… `color_space='ycbcr'`",
            "pyiqa",
            "Y of 16 to 235; for SSIM in whole levels, negative structure as 0",
            *(pyiqa_ycbcr(name, scale) for name in ("psnry", "ssim")),
        )
    if "torchmetrics" in by:
        found = by["torchmetrics"]
        yield Row(
            "functional, `data_range=1`",
            "torchmetrics",
            "SSIM's mean is over all places, those beyond the border by reflection",
            found["psnr"],
            found["ssim"],
            found.get("lpips_alex"),
        )
        yield Row(
            "… without `data_range`",
            "torchmetrics",
            "the range is what the images happen to have",
            torchmetrics_unranged("peak_signal_noise_ratio", scale),
            torchmetrics_unranged("structural_similarity_index_measure", scale),
        )
    if "skimage" in by:
        yield Row(
            "`structural_similarity`",
            "scikit-image",
            "a square window of 7 pixels, and the sample's covariance",
            **by["skimage"],
        )
        yield Row(
            "… `gaussian_weights=True, sigma=1.5`",
            "scikit-image",
            "the sample's covariance: 121/120 as large",
            ssim=skimage_ssim(scale, gaussian_weights=True, sigma=1.5),
        )
        yield Row(
            "… and `use_sample_covariance=False`",
            "scikit-image",
            "none: Wang's definition",
            ssim=skimage_ssim(scale, gaussian_weights=True, sigma=1.5, use_sample_covariance=False),
        )
    if "ignite" in by:
        yield Row(
            "`PSNR`, `SSIM(data_range=1.0)`",
            "pytorch-ignite",
            "as torchmetrics: SSIM's mean is over all places, by reflection",
            **by["ignite"],
        )
    if "piq" in by:
        yield Row(
            "`psnr`, `ssim`",
            "piq",
            "halves images of 384 pixels and more before SSIM; 1e-8 is added to the error",
            **by["piq"],
        )
        yield Row("… `downsample=False`", "piq", "none: Wang's definition", ssim=piq_whole(scale))
    if "kornia" in by:
        yield Row(
            "`psnr`, `ssim(window_size=11)`",
            "kornia",
            "as torchmetrics: SSIM's mean is over all places, by reflection",
            **by["kornia"],
        )
    if "lpips" in by and lpips:
        yield Row(
            "`LPIPS(net='alex')`",
            "lpips",
            "none, given images in [-1, 1]",
            lpips=by["lpips"]["lpips_alex"],
        )
        yield Row(
            "… given images in [0, 1]",
            "lpips",
            "no `normalize=True`: half of the contrast; nothing warns",
            lpips=unnormalised(lpips),
        )


def of_the_papers(name: str, scale: int) -> Figure:
    """Bicubic's figure as SRCNN's and VDSR's published MATLAB scripts make it, of HR alone."""
    function = figure(name, scale)

    def value(sr: Tensor, hr: Tensor) -> float:
        y = (rgb_to_y(hr).double() * 255).round() / 255
        enlarged = imresize(imresize(y, 1 / scale), scale)
        return function((enlarged * 255).round().clamp(0, 255) / 255, y)

    return value


def _has(metric: str, lpips: Path | None) -> bool:
    return lpips is not None or not metric.startswith("lpips")


def pyiqa_ycbcr(name: str, scale: int) -> Figure:
    import pyiqa

    function = pyiqa.create_metric(name, device="cpu", crop_border=scale, color_space="ycbcr")
    return lambda sr, hr: float(function(sr, hr))


def torchmetrics_unranged(name: str, scale: int) -> Figure:
    from torchmetrics.functional import image

    function = getattr(image, name)
    if name.startswith("peak"):  # it must be told a range
        return lambda sr, hr: float("nan")
    return lambda sr, hr: float(function(*inner(scale, sr, hr)))


def skimage_ssim(scale: int, **options: Any) -> Figure:
    from skimage.metrics import structural_similarity

    def value(sr: Tensor, hr: Tensor) -> float:
        a, b = (image[0, 0].numpy() for image in inner(scale, sr, hr))
        return float(structural_similarity(b, a, data_range=1.0, **options))

    return value


def piq_whole(scale: int) -> Figure:
    import piq

    return lambda sr, hr: float(piq.ssim(*inner(scale, sr, hr), data_range=1.0, downsample=False))


def unnormalised(weights: Path) -> Figure:
    function = figure("lpips_alex@lpips", 0, weights)
    # What it makes of an image in [-1, 1] that has half of the contrast about a quarter more light.
    return lambda sr, hr: function(sr / 2 + 0.5, hr / 2 + 0.5)


def measured(set5: Path, lpips: Path | None) -> list[dict[str, str]]:
    """Rows of the page's first table."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for scale in SCALES:
        benchmark = open_benchmark(set5, scale)
        enlarge = interpolation("bicubic", scale)
        pairs = []
        for sample in benchmark.samples:
            lr, hr = read_pair(sample, scale)
            pairs.append([to_float(image)[None] for image in (enlarge(sample, lr), hr)])
        for row in rows(scale, lpips):
            line = found.setdefault(
                (row.versioned, row.what), {"library": row.versioned, "called": row.what}
            )
            for metric, digits in (("psnr", 2), ("ssim", 4), ("lpips", 4)):
                function = getattr(row, metric)
                text = ""
                if function is not None:
                    mean = float(np.mean([function(sr, hr) for sr, hr in pairs]))
                    text = "" if mean != mean else f"{mean:.{digits}f}"
                head = {"psnr": "PSNR", "ssim": "SSIM", "lpips": "LPIPS-alex"}[metric]
                line[f"×{scale} {head}"] = text
            line["reason"] = row.reason
    return [
        {**{k: v for k, v in line.items() if k != "reason"}, "reason": line["reason"]}
        for line in found.values()
    ]


#: Makes LR (C, h, w) of HR (C, H, W), both bytes.
Reduction = Callable[[Tensor, int], Tensor]


def reductions() -> dict[str, tuple[str, Reduction]]:
    """Libraries' bicubic: its words -> the package, and the function."""
    found: dict[str, tuple[str, Reduction]] = {
        "`imresize(…, 'bicubic')`": ("MATLAB", lambda hr, scale: imresize_uint8(hr, 1 / scale))
    }
    from PIL import Image

    def pillow(hr: Tensor, scale: int, how: Any = Image.Resampling.BICUBIC) -> Tensor:
        image = Image.fromarray(hr.permute(1, 2, 0).numpy())
        size = hr.shape[-1] // scale, hr.shape[-2] // scale
        return torch.from_numpy(np.array(image.resize(size, how))).permute(2, 0, 1)

    found["`resize(size, BICUBIC)`"] = "pillow", pillow
    found["`resize(size, LANCZOS)`"] = "pillow", partial(pillow, how=Image.Resampling.LANCZOS)

    def torchs(hr: Tensor, scale: int, antialias: bool) -> Tensor:
        size = [side // scale for side in hr.shape[-2:]]
        made = F.interpolate(hr[None].float(), size, mode="bicubic", antialias=antialias)
        return made[0].round().clamp(0, 255).byte()

    found["`interpolate(mode='bicubic', antialias=True)`"] = (
        "torch",
        partial(torchs, antialias=True),
    )
    found["`interpolate(mode='bicubic')`"] = "torch", partial(torchs, antialias=False)

    def torchvisions(hr: Tensor, scale: int) -> Tensor:
        from torchvision.transforms import InterpolationMode, v2

        size = [side // scale for side in hr.shape[-2:]]
        return v2.functional.resize(hr, size, InterpolationMode.BICUBIC)

    found["`v2.functional.resize(…, BICUBIC)`"] = "torchvision", torchvisions
    if find_spec("cv2"):
        import cv2

        def opencv(hr: Tensor, scale: int, how: int) -> Tensor:
            size = hr.shape[-1] // scale, hr.shape[-2] // scale
            image = np.ascontiguousarray(hr.permute(1, 2, 0).numpy())
            return torch.from_numpy(cv2.resize(image, size, interpolation=how)).permute(2, 0, 1)

        name = "opencv-python-headless"
        found["`resize(…, INTER_CUBIC)`"] = name, partial(opencv, how=cv2.INTER_CUBIC)
        found["`resize(…, INTER_AREA)`"] = name, partial(opencv, how=cv2.INTER_AREA)
    if find_spec("kornia"):
        import kornia

        def kornias(hr: Tensor, scale: int, antialias: bool) -> Tensor:
            size = (hr.shape[-2] // scale, hr.shape[-1] // scale)
            made = kornia.geometry.resize(
                to_float(hr)[None], size, interpolation="bicubic", antialias=antialias
            )
            return (made[0] * 255).round().clamp(0, 255).byte()

        found["`resize(…, 'bicubic', antialias=True)`"] = "kornia", partial(kornias, antialias=True)

    def skimages(hr: Tensor, scale: int) -> Tensor:
        from skimage.transform import resize

        size = [side // scale for side in hr.shape[-2:]]
        made = resize(hr.permute(1, 2, 0).numpy(), size, order=3, anti_aliasing=True)
        return torch.from_numpy((made * 255).round().clip(0, 255).astype(np.uint8)).permute(2, 0, 1)

    found["`resize(…, order=3, anti_aliasing=True)`"] = "scikit-image", skimages
    if find_spec("basicsr"):
        imresize = import_basicsr("utils.matlab_functions").imresize

        def basicsr(hr: Tensor, scale: int) -> Tensor:
            made = imresize(to_float(hr), 1 / scale)
            return (made * 255).round().clamp(0, 255).byte()

        found["`imresize`"] = "basicsr", basicsr
    return found


def distances(set5: Path, checkpoints: Mapping[str, Any], scale: int = 4) -> list[dict[str, str]]:
    """Rows of the page's second table."""
    samples = open_benchmark(set5, scale).samples
    given = [read_pair(sample, scale) for sample in samples]
    psnr = metric_function("psnr", MetricSettings(scale))
    systems = {name: network(generator) for name, generator in checkpoints.items()}
    base: dict[str, float] = {}
    lines = []
    for what, (package, reduce) in reductions().items():
        made = [reduce(hr, scale) for _, hr in given]
        apart = [(ours.int() - lr.int()).abs() for ours, (lr, _) in zip(made, given, strict=True)]
        errors = [(each.double() / 255).square().mean() for each in apart]
        decibel = float(np.mean([-10 * np.log10(max(float(e), 1e-12)) for e in errors]))
        same = max(int(each.max()) for each in apart) == 0
        line = {
            "library": package if package == "MATLAB" else f"{package} {version(package)}",
            "called": what,
            "from MATLAB's": "equal" if same else f"{decibel:.1f} dB",
            "largest": f"{max(int(each.max()) for each in apart)} levels",
        }
        for name, system in systems.items():
            values = [
                psnr(to_float(system(sample, lr))[None], to_float(hr)[None]).item()
                for sample, lr, (_, hr) in zip(samples, made, given, strict=True)
            ]
            mean = float(np.mean(values))
            base.setdefault(name, mean)
            line[f"{name}, ×{scale}"] = f"{mean:.2f} ({mean - base[name]:+.2f})"
        lines.append(line)
        print(line, flush=True)
    return lines


def to_markdown(lines: Sequence[Mapping[str, str]]) -> str:
    heads = list(lines[0])
    cells = [heads, ["---"] * len(heads), *([line[head] for head in heads] for line in lines)]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def put(page: str, name: str, text: str) -> str:
    r"""``page`` with ``text`` between its marks.

    >>> put("<!-- a -->old<!-- end a -->", "a", "new")
    '<!-- a -->\n\nnew\n\n<!-- end a -->'
    """
    pattern = re.compile(rf"(<!-- {name} -->).*?(<!-- end {name} -->)", re.DOTALL)
    return pattern.sub(lambda match: f"{match[1]}\n\n{text}\n\n{match[2]}", page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set5", type=Path, help="with HR/ and LR_bicubic/X2, X3, X4")
    parser.add_argument("--lpips", type=Path, help="folder of LPIPS's backbones and heads")
    parser.add_argument("--weights", type=Path, help="a further network, ×4, for the second table")
    parser.add_argument("--page", type=Path, help="whose tables are put in")
    options = parser.parse_args()
    print(surroundings())
    checkpoints = {"`photos_x4`": open_trained(None, "photos_x4", "", "cpu").generator}
    if options.weights:
        name = options.weights.stem.split("_")[0]
        checkpoints[name] = open_trained(None, str(options.weights), "", "cpu").generator
    metrics, lr = measured(options.set5, options.lpips), distances(options.set5, checkpoints)
    show([{key: value for key, value in row.items() if key != "reason"} for row in metrics])
    show(lr)
    if options.page:
        page = options.page.read_text(encoding="utf-8")
        for name, lines in (("metrics", metrics), ("reductions", lr)):
            page = put(page, name, to_markdown(lines))
        write_bytes(options.page, page.encode())


if __name__ == "__main__":
    main()
