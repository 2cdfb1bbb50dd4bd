"""Course of a run: epochs, log points, checkpoints, arithmetic."""

from __future__ import annotations

from ingredients.base import Ingredient
from ingredients.options import capture_options
from tmd.session.options import TrainingOptions

ingredient = Ingredient("training")


@ingredient.config
def config():
    epoch_length = 400  # iterations; after each epoch the held-out images are measured
    log_interval = 10  # iterations over which scalars are averaged
    checkpoint_every = 400  # iterations
    metrics = [
        "psnr",
        "ssim",
    ]  # of the held-out images, beside the score: lpips_alex, spectral, ...
    preview_images = 2  # held-out images on the sheet
    tensorboard = True  # also write events for TensorBoard
    trackers = []  # further ones: mlflow, wandb
    recompute = False  # G's blocks are computed again for their gradients: less memory, more time
    capture = True  # an update whose loss is not finite is written to a file, for `tmd replay`
    sync_batch_norm = False  # batch statistics over all GPUs; False: over each one's images
    # float32, bfloat16 or float16 (losses are scaled), then any of +channels_last +compile +graphs
    # +keep_memory +rows +tf32 +winograd; auto: what is the fastest here, which is timed once
    speed = "auto"
    # of a CPU: a number; auto: all, fewer where others keep the machine busy at the start;
    # adaptive: following the load, which gives up the same bits
    threads = "auto"


@ingredient.named_config
def paper():
    epoch_length = 1000
    checkpoint_every = 5000
    log_interval = 100


options = capture_options(ingredient, TrainingOptions)
