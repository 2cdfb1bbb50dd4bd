"""Training runs of every kind, as small as they can be: networks of some thousand weights.

Used where a run must be made, killed and made again many times: `kill_and_resume.py`,
`record_earlier.py`, `test_earlier_runs.py`. Each trains for 36 iterations on photos that come with
scikit-image, or on 48 × 48 images that `Kind.prepare` draws, so that a run goes on anywhere.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

#: Iterations of each.
TOTAL = 36
#: The first iterations of the three phases; checkpoints lie between validations as well as on them.
PHASES = {"pretrain": 5, "warmup": 15, "adversarial": 20}

SMALL = (
    "scale=2",
    "device=cpu",
    "dataset.batch_size=2",
    "dataset.patch_size=16",
    "generator.n_blocks=1",
    "generator.n_features=4",
    "schedule.pretrain=12it",
    "schedule.warmup=6it",
    "schedule.adversarial=18it",
    "schedule.score=spectral",
    "schedule.adv.patience=1",
    "history.capacity=3",
    "history.every=2",
    "training.epoch_length=6",
    "training.checkpoint_every=5",
    "training.log_interval=4",
    "training.preview_images=0",
    "training.tensorboard=False",
    "training.speed=float32",
)
DRAWN = ("dataset.root=images", "dataset.validation=2")
SHARDS = ("dataset.root=train-{000000..000001}.tar", "dataset.validation=2")
SENTINEL = "sentinel2_13bands.npy"
#: Sentinel-2's 13 bands of reflectance.
BANDS = (
    "dataset.root=bands",
    "dataset.validation=1",
    "dataset.channels=13",
    "dataset.shown=[4,3,2]",
    'dataset.value_range={"percentiles":[0.1,99.9]}',
    "training.metrics=psnr,sam,ergas",
)
SRGAN = (
    *SMALL,
    "losses.content=pixel",
    "discriminator.features=[4,8]",
    "discriminator.strides=[2,2]",
    "discriminator.options.grid=2",
    "discriminator.options.hidden=8",
)
AMBIENTGAN = (
    *SMALL,
    "discriminator.features=[4,8]",
    "discriminator.strides=[2,1]",
    "ambient.measured_features=[4,8]",
    "ambient.measured_strides=[1,2]",
)


@dataclass(frozen=True)
class Kind:
    """A kind of run.

    Attributes:
        updates: of the config; paths in them are relative to the folder that `prepare` fills.
        script: trains it.
        phase: in which the run of `record_earlier.py` was killed, a key of `PHASES`.
        parent: updates of a run whose best network `updates` calls ``parent.pt``.
    """

    updates: tuple[str, ...]
    script: str = "srgan"
    phase: str = "adversarial"
    parent: tuple[str, ...] | None = None

    def prepare(self, folder: Path) -> Path:
        """Write the images that the run trains on into ``folder``, and return that.

        The same are in its two shards.
        """
        for name, first in (("images", 0), ("others", 6)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            for number in range(first, first + 6):
                draw(number).save(folder / name / f"{number:02}.png")
        for number in range(2):
            with tarfile.open(folder / f"train-{number:06}.tar", "w") as shard:
                for image in sorted((folder / "images").iterdir())[number::2]:
                    shard.add(image, arcname=image.name)
        (folder / "given").mkdir(exist_ok=True)
        for number in range(6):
            draw(number).resize((24, 24), Image.Resampling.BOX).save(
                folder / "given" / f"{number:02}x2.png"
            )
        (folder / "levels").mkdir(exist_ok=True)
        for number in range(6):
            levels = np.asarray(draw(number)).astype(np.uint16) * 157 + number
            tifffile.imwrite(folder / "levels" / f"{number}.tif", levels, photometric="rgb")
        (folder / "bands").mkdir(exist_ok=True)
        shared = Path(os.environ.get("TMD_TEST_DATA", "../shared/data")) / "bands" / SENTINEL
        if shared.is_file():
            shutil.copy(shared, folder / "bands")
        else:
            drawn = np.stack([np.asarray(draw(number)) for number in range(5)]) / 400
            np.save(folder / "bands" / SENTINEL, np.concatenate([drawn] * 5, -1)[..., :13])
        return folder


def draw(number: int) -> Image.Image:
    """Draw image ``number``: waves of a few frequencies, in integers, so the same everywhere."""
    y, x = np.mgrid[:48, :48]
    bands = [
        (x * (number + band + 1) + y * (number * 2 + 3)) % (97 + 31 * band) + x * y % (40 + number)
        for band in range(3)
    ]
    return Image.fromarray(np.stack(bands, -1).astype(np.uint8))


KINDS: dict[str, Kind] = {
    "srgan": Kind(SRGAN),
    "muon": Kind(
        (
            *SRGAN,
            *DRAWN,
            "optimization.optimizer_g=muon",
            "training.speed=float32+channels_last+keep_memory+rows+winograd",
            "schedule.adv=exponential",
        ),
        phase="pretrain",
    ),
    "growth": Kind(
        (*SRGAN, *DRAWN, "scale=4", "grow_from=parent.pt", "schedule.freeze=8it"),
        phase="pretrain",
        parent=(*SRGAN, *DRAWN),
    ),
    "workers": Kind(
        (*SRGAN, *DRAWN, "dataset.workers=2", "dataset.storage=disk", "schedule.adv=linear"),
        phase="warmup",
    ),
    "history": Kind(
        (*SRGAN, *DRAWN, "history.ratio=1", "history.every=1", "schedule.adv=constant"),
    ),
    "wgan-gp": Kind(
        (
            *SRGAN,
            *DRAWN,
            "losses.adversarial=wgan-gp",
            "optimization.d_steps=2",
            "optimization.ema=0",
            "discriminator.norm=none",
            "schedule.adv=constant",
        ),
    ),
    "relativistic": Kind(
        (
            *SRGAN,
            *DRAWN,
            "losses.adversarial=relativistic",
            "optimization.d_steps=2",
            "discriminator.name=unet",
            "discriminator.options={}",
            "schedule.adv=constant",
        ),
    ),
    "ambientgan": Kind((*AMBIENTGAN, "schedule.adv=linear"), script="ambientgan"),
    "unpaired": Kind(
        (*AMBIENTGAN, *DRAWN, "unpaired.root=others", "optimization.d_steps=2"),
        script="ambientgan",
        phase="warmup",
    ),
}

#: Networks of the field have sizes of their own.
PUBLISHED = (*(each for each in SRGAN if not each.startswith("generator.")), *DRAWN)
PLKSR = "generator.options={'dim':8,'blocks':1,'kernel_size':5}"

#: Kinds that earlier builds had not.
LATER: dict[str, Kind] = {
    "pairs": Kind(
        (
            *SRGAN,
            *DRAWN,
            "dataset.lr_root=given",
            "dataset.made=0.3",
            "dataset.workers=2",
            "dataset.storage=disk",
        ),
    ),
    "bands": Kind((*SRGAN, *BANDS, "dataset.workers=2", "dataset.storage=disk")),
    "bands-unpaired": Kind((*AMBIENTGAN, *BANDS, "schedule.adv=linear"), script="ambientgan"),
    "16-bit": Kind(
        (*SRGAN, "dataset.root=levels", "dataset.validation=2", "dataset.value_range=[0,40000]")
    ),
    "shards": Kind((*SRGAN, *SHARDS, "dataset.storage=disk", "schedule.adv=linear")),
    "accumulate": Kind(
        (
            *SRGAN,
            *DRAWN,
            "optimization.accumulate=3",
            "optimization.d_steps=2",
            "losses.adversarial=relativistic",
            "discriminator.spectral_norm=True",
        ),
    ),
    "float16": Kind(
        (*SRGAN, *DRAWN, "training.speed=float16", "optimization.clip=1", "losses.extra.ldl=0.1"),
    ),
    "spandrel-muon": Kind(
        (
            *PUBLISHED,
            "generator.name=realplksr",
            PLKSR,
            "optimization.optimizer_g=muon",
            "training.speed=bfloat16+channels_last+keep_memory+rows",
        ),
    ),
    "spandrel-schedule-free": Kind(
        (
            *PUBLISHED,
            "generator.name=compact",
            "generator.options={'num_feat':8,'num_conv':2}",
            "optimization.optimizer_g=schedulefree.AdamWScheduleFree",
        ),
    ),
    "span": Kind((*PUBLISHED, "generator.name=span", "generator.options.feature_channels=4")),
    "schedule-free": Kind(
        (
            *SRGAN,
            *DRAWN,
            "optimization.optimizer_g=schedulefree.AdamWScheduleFree",
            "optimization.optimizer_d=pytorch_optimizer.AdamP",
            "optimization.options_g.warmup_steps=4",
        ),
    ),
}
