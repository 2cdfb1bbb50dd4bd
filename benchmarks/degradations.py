"""The degradations of Real-ESRGAN, ours beside its own package's, and beside the training step.

    pip install --no-deps --target PEER realesrgan==0.3.0
    python benchmarks/degradations.py --package PEER

The peer is the package's own code: ``RealESRGANDataset`` draws the kernels, and
``RealESRGANModel.feed_data`` does the rest with BasicSR's functions (see peers.py for that), all on
the same HR images. Its reading of files and its pool of training pairs are left out. In its
training the kernels are drawn by the loader's workers; so "feed_data" stands alone too. There a
batch shares its resizes, here each image draws its own. The step is the default one of step.py, of
8 patches of 72 pixels. Each runs in a process of its own, in turn, and the ratios are taken round
by round.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torchvision
from reporting import add_outputs, report, surroundings
from settings import SCALE, SETTINGS, Run
from step import Loop, ours, seconds
from torch import Tensor

from tmd.acceleration.autotune import fastest
from tmd.measurements import create_measurement
from tmd.measurements.presets import PRESETS

#: Figures of ``options/train_realesrnet_x4plus.yml``.
_KERNELS = ["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]
_SHARES = [0.45, 0.25, 0.12, 0.03, 0.12, 0.03]
OPTIONS: dict[str, Any] = {
    "scale": SCALE,
    "blur_kernel_size": 21,
    "kernel_list": _KERNELS,
    "kernel_prob": _SHARES,
    "sinc_prob": 0.1,
    "blur_sigma": [0.2, 3],
    "betag_range": [0.5, 4],
    "betap_range": [1, 2],
    "blur_kernel_size2": 21,
    "kernel_list2": _KERNELS,
    "kernel_prob2": _SHARES,
    "sinc_prob2": 0.1,
    "blur_sigma2": [0.2, 1.5],
    "betag_range2": [0.5, 4],
    "betap_range2": [1, 2],
    "final_sinc_prob": 0.8,
    "resize_prob": [0.2, 0.7, 0.1],
    "resize_range": [0.15, 1.5],
    "gaussian_noise_prob": 0.5,
    "noise_range": [1, 30],
    "poisson_scale_range": [0.05, 3],
    "gray_noise_prob": 0.4,
    "jpeg_range": [30, 95],
    "second_blur_prob": 0.8,
    "resize_prob2": [0.3, 0.4, 0.3],
    "resize_range2": [0.3, 1.2],
    "gaussian_noise_prob2": 0.5,
    "noise_range2": [1, 25],
    "poisson_scale_range2": [0.05, 2.5],
    "gray_noise_prob2": 0.4,
    "jpeg_range2": [30, 95],
}


def measured(hr: Tensor, device: torch.device, preset: str) -> Run:
    """Ours: LR, and the HR that is trained towards, of one batch after the other."""
    measure = create_measurement(PRESETS[preset](), SCALE)
    hr, index = hr.to(device), 0

    def run(iterations: int) -> None:
        nonlocal index
        for _ in range(iterations):
            measure.pair(hr, index)
            index += 1

    return run


def published(hr: Tensor, device: torch.device, package: str, with_kernels: bool) -> Run:
    """Real-ESRGAN's own: kernels of its dataset, then its model's ``feed_data``."""
    dataset, model = _dataset(package), _model(package, hr.shape[-1], device)
    kernels = _kernels(dataset, len(hr))

    def run(iterations: int) -> None:
        for _ in range(iterations):
            drawn = _kernels(dataset, len(hr)) if with_kernels else kernels
            model.feed_data({"gt": hr, **drawn})

    return run


def _module(package: str, name: str) -> Any:
    """A module of Real-ESRGAN; the package's `__init__` asks for what nobody needs here."""
    # The only thing that it takes from a module which torchvision no longer has is there too.
    sys.modules["torchvision.transforms.functional_tensor"] = torchvision.transforms.functional
    path = Path(package, "realesrgan", *name.split(".")).with_suffix(".py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _dataset(package: str) -> Any:
    """Its dataset, which reads and moves no image."""
    module = _module(package, "data.realesrgan_dataset")
    module.imfrombytes = lambda *_, **__: np.empty((400, 400, 3), np.float32)
    module.augment = lambda image, *_: image
    module.img2tensor = lambda images, **_: images
    options = {**OPTIONS, "use_hflip": False, "use_rot": False, "io_backend": {"type": "disk"}}
    with patch("builtins.open"):
        dataset = module.RealESRGANDataset({**options, "dataroot_gt": "", "meta_info": ""})
    dataset.paths = [""]
    dataset.file_client = type("Files", (), {"get": staticmethod(lambda *_: b"")})()
    return dataset


def _model(package: str, side: int, device: torch.device) -> Any:
    """Its model without networks, whose pool of pairs keeps none."""
    from basicsr.utils import DiffJPEG, USMSharp

    module = _module(package, "models.realesrgan_model")
    # On a CPU an image may leave its JPEG with strides that its own filter refuses.
    plain = module.filter2D
    module.filter2D = lambda image, kernel: plain(image.contiguous(), kernel)
    kind = module.RealESRGANModel
    kind._dequeue_and_enqueue = lambda self: None
    model = kind.__new__(kind)  # its constructor asks for a GPU and for networks
    # Its filter's reflected borders need 11 pixels.
    least = max(OPTIONS["resize_range"][0], 11.1 / side)
    model.opt = {**OPTIONS, "gt_size": side, "resize_range": [least, OPTIONS["resize_range"][1]]}
    model.is_train = True
    model.device = device
    model.jpeger = DiffJPEG(differentiable=False).to(device)
    model.usm_sharpener = USMSharp().to(device)
    return model


def _kernels(dataset: Any, n: int) -> dict[str, Tensor]:
    images = [dataset[0] for _ in range(n)]
    return {
        key: torch.stack([image[key] for image in images])
        for key in ("kernel1", "kernel2", "sinc_kernel")
    }


def rows(count: int, side: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The table's rows for batches of ``count`` images of ``side`` pixels."""
    device = torch.device(options.device)
    hr = torch.nn.functional.interpolate(
        torch.rand(count, 3, side // 8, side // 8), (side, side), mode="bicubic"
    ).clamp(0, 1)
    setting = SETTINGS["default"]
    patches = torch.randint(0, 256, (setting.batch, 3, setting.patch, setting.patch))
    loops = {
        "step": Loop(ours, setting, patches.byte(), device, fastest(device)),
        "ours": Loop(measured, hr, device, options.preset),
    }
    if options.package:
        loops["Real-ESRGAN"] = Loop(published, hr, device, options.package, True)
        loops["its feed_data"] = Loop(published, hr, device, options.package, False)
    for loop in loops.values():
        loop.call(seconds, 20, device)  # matrices of the sizes that come are kept
    times: dict[str, list[float]] = {title: [] for title in loops}
    for _ in range(options.rounds):
        for title, loop in loops.items():
            times[title].append(loop.call(seconds, options.iterations, device))
    for loop in loops.values():
        loop.process.shutdown()
    return [
        {
            "images": f"{count} x {side}",
            "degradation": title,
            "ms": round(statistics.median(taken) * 1e3, 2),
            "of the step": f"{_ratio(taken, times['step']):.1%}",
            "over ours": round(_ratio(taken, times["ours"]), 2),
        }
        for title, taken in times.items()
    ]


def _ratio(taken: list[float], by: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(taken, by, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", help="folder that Real-ESRGAN is installed in")
    parser.add_argument("--preset", choices=PRESETS, default="realesrgan")
    parser.add_argument("--images", type=int, nargs="+", default=[8, 12], help="of a batch")
    parser.add_argument(
        "--sides", type=int, nargs="+", default=[72, 400], help="of each, HR pixels"
    )
    parser.add_argument("--iterations", type=int, default=10, help="a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add_outputs(parser)
    options = parser.parse_args()
    print(surroundings(options.device))
    table = [
        row
        for count, side in zip(options.images, options.sides, strict=True)
        for row in rows(count, side, options)
    ]
    report(table, options, "over ours", level=1)


if __name__ == "__main__":
    main()
