"""Cards and manifests of the networks that come with the package, from what is known of them.

    tmd evaluate Set5 with checkpoint=photos_x4,real_x4 method=bicubic lpips_weights=WEIGHTS
    tmd evaluate Set5 with checkpoint=real_x2 method=bicubic lpips_weights=WEIGHTS
    python benchmarks/shipped_cards.py runs

`runs` is the store of the two evaluations. How each network was trained is in RESULTS.md and in
docs/real_photos.md; their runs' records are not kept, so that it stands here.
"""

from __future__ import annotations

import argparse
from typing import Any

from experiments.support.carding import manifest_of
from experiments.support.trained import open_trained
from tmd.export.cards import write_card
from tmd.shipped import shipped_networks

AUTHORS = (
    "Bolly, freespace, Jakkub Mede, Aitzol Berasategi, Peter Nerlich, Clements Engelhardt and "
    "Abhishek Mudgal"
)
DATA = {
    "names": ["lomiri-wallpapers-16.04"],
    "images": 13,
    "held out": "Bridge by Sander Klootwijk, picosdeeuropa by Aitzol Berasategi",
    "authors": AUTHORS,
    "licence": "CC-BY, CC-BY-SA and CC0",
}
ADAM = (
    "bsds500 generator.n_blocks=8 dataset.patch_size=96 dataset.shrink=1 "
    "optimization.optimizer_g=adam optimization.lr_g=1e-3"
)
REAL = (
    "dataset.val_root=CHOSEN_ON dataset.shrink=[2,3,4] schedule.lpips_weights=WEIGHTS "
    "schedule.warmup=0 schedule.adversarial=0 optimization.optimizer_g=muon "
    "optimization.lr_g=5e-4 optimization.lr_rise=300it optimization.clip=0.1 "
    "optimization.decay_ratio=0.01 optimization.ema=0.999 training.epoch_length=500"
)
REAL_LIMITS = [
    "Fur, canvas and film grain look like noise to it and are smoothed.",
    "Drawings stay soft; strong blur stays blurred; what was sharpened too much keeps its rims.",
    "Colours are left as they are.",
    "Of clean photos photos_x4 keeps more of what is fine.",
]
NOTE = "PHOTOS, CHOSEN_ON, REAL_PHOTOS and WEIGHTS are as in docs/real_photos.md"

#: What `tmd.export.cards.manifest` is told of each.
KNOWN: dict[str, dict[str, Any]] = {
    "photos_x4": {
        "data": {**DATA, "shrunk by": [3, 2, 4], "state chosen by": "LPIPS of the held out"},
        "training": {
            "commands": [
                f"srgan.py with {ADAM} dataset.root=lomiri-wallpapers-16.04 dataset.shrink=3 "
                "dataset.validation=2 schedule.lpips_weights=WEIGHTS schedule.pretrain=20000it "
                "schedule.warmup=0 schedule.adversarial=0 training.epoch_length=2000   "
                "(interrupted after 11,114)",
                "srgan.py with resume=3 schedule.pretrain=12000it dataset.shrink=[3,2,4]",
                "srgan.py with resume=6 schedule.warmup=200it schedule.adversarial=2500it "
                "training.epoch_length=250",
            ],
            "device": "one core of a processor with AVX-512",
            "seconds": 2100,
        },
        "limits": [
            "It learnt bicubic LR images: it does not remove noise or JPEG's blocks, and sharpens "
            "them with the rest.",
        ],
    },
    "real_x4": {
        "data": {
            **DATA,
            "shrunk by": [2, 3, 4],
            "state chosen by": "LPIPS of scikit-image's astronaut, chelsea and coffee",
        },
        "training": {
            "begun with": "photos_x4",
            "commands": [
                "srgan.py with start_from=photos_x4 dataset.root=PHOTOS dataset.patch_size=128 "
                f"dataset.batch_size=8 schedule.pretrain=14000it {REAL}   (interrupted at 4,910)",
                "srgan.py with resume=1 measurement.operators=REAL_PHOTOS "
                "schedule.pretrain=9500it schedule.warmup=200it schedule.adversarial=2000it "
                "adv_weight=1e-2   (interrupted at 8,507)",
                "srgan.py with resume=2 schedule.pretrain=8500it schedule.warmup=100it "
                "schedule.adversarial=1600it schedule.max_psnr_loss=0.1 schedule.adv.start=0.3 "
                "training.epoch_length=200",
            ],
            "note": NOTE,
            "device": "one core, shared; both real networks took 36 minutes in all",
        },
        "limits": REAL_LIMITS,
    },
    "real_x2": {
        "data": {
            **DATA,
            "shrunk by": [2, 3, 4],
            "state chosen by": "LPIPS of scikit-image's astronaut, chelsea and coffee",
        },
        "training": {
            "begun with": "the body of photos_x4",
            "commands": [
                "srgan.py with scale=2 generator.weights=photos_x4 generator.name=subpixel "
                "generator.n_blocks=8 generator.n_features=64 dataset.root=PHOTOS "
                f"dataset.patch_size=80 dataset.batch_size=8 schedule.pretrain=11000it {REAL}   "
                "(interrupted at 2,955)",
                "srgan.py with resume=1 measurement.operators=REAL_PHOTOS "
                "schedule.pretrain=7000it schedule.warmup=200it schedule.adversarial=1000it "
                "adv_weight=1e-2   (interrupted at 7,032)",
                "srgan.py with resume=2 schedule.pretrain=6700it schedule.warmup=100it "
                "schedule.adversarial=1500it schedule.max_psnr_loss=0.3 schedule.adv.start=0.3 "
                "training.epoch_length=100",
                "srgan.py with resume=3 schedule.adversarial=2700it",
            ],
            "note": NOTE,
            "device": "one core, shared; both real networks took 36 minutes in all",
        },
        "limits": REAL_LIMITS[:3],
    },
}


def main() -> None:
    """Write them beside the networks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("store", help="store of the evaluations")
    store = parser.parse_args().store
    for name, path in shipped_networks().items():
        content = manifest_of(
            open_trained(None, name, store, "cpu"),
            None,
            [path],
            store,
            licence="MIT",
            known=KNOWN[name],
            export={"format": "half", "precision": "float16"},
        )
        print(*write_card(path, content), sep="\n")


if __name__ == "__main__":
    main()
