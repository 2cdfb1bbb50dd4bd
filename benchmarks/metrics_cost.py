"""Time that each metric takes of an image, beside LPIPS-alex's: what a validation with it costs.

    python benchmarks/metrics_cost.py HR.png --lpips-weights FOLDER --iqa-weights FOLDER

One thread; each metric is run in turn `--repeats` times on the photo and on its bicubic
enlargement, and the medians are printed as a Markdown table. What is not at hand is left out.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from tmd.errors import UserError
from tmd.images import EIGHT_BITS, read_image
from tmd.metrics import MetricSettings, metric, metric_function
from tmd.metrics.functions import MetricFunction
from tmd.metrics.registry import FUNCTIONS
from tmd.resize import imresize

SCALE = 4


def at_hand(settings: MetricSettings) -> dict[str, MetricFunction]:
    """Metrics that can be computed of images of three channels here."""
    found = {}
    for name in FUNCTIONS:
        try:
            function = metric_function(name, settings)
            function.check_images()
        except UserError:
            continue
        found[name] = function
    return found


def seconds(
    function: MetricFunction, sr: torch.Tensor, hr: torch.Tensor, lr: torch.Tensor
) -> float:
    """Time of this process that one image takes."""
    begun = time.process_time()
    if function.needs.whole_set:
        function.of_set([(sr, hr)])
    else:
        function(sr, hr, lr)
    return time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hr")
    parser.add_argument("--lpips-weights")
    parser.add_argument("--iqa-weights")
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    hr = EIGHT_BITS.to_float(read_image(asked.hr))[None]
    hr = hr[..., : hr.shape[-2] // SCALE * SCALE, : hr.shape[-1] // SCALE * SCALE]
    lr = EIGHT_BITS.rounded(imresize(hr, 1 / SCALE))
    sr = EIGHT_BITS.rounded(imresize(lr, SCALE))
    settings = MetricSettings(
        SCALE, lpips_weights=asked.lpips_weights, scale=SCALE, iqa_weights=asked.iqa_weights
    )
    functions = at_hand(settings)
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(asked.repeats + 1):
        for name, function in functions.items():
            times[name].append(seconds(function, sr, hr, lr))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    unit = medians.get("lpips_alex", 1.0)
    print(f"| metric | seconds for {hr.shape[-1]}×{hr.shape[-2]} | × LPIPS-alex |\n|---|---|---|")
    for name, value in sorted(medians.items(), key=lambda item: item[1]):
        print(f"| {metric(name).label} (`{name}`) | {value:.3f} | {value / unit:.1f} |")


if __name__ == "__main__":
    main()
