"""Cards and manifests of the networks that come with the package, from what is known of them.

    python benchmarks/real_photos.py make Set5/HR lomiri-wallpapers-16.04 set
    tmd evaluate Set5 BSDS500-test-20 with checkpoint=photos_x4,real_x4 OTHERS
    tmd evaluate Set5 BSDS500-test-20 with checkpoint=real_x2 OTHERS
    tmd evaluate degraded_x4 with checkpoint=photos_x4,real_x4 lr_root=weak OTHERS
    ...
    python benchmarks/shipped_cards.py runs

`runs` is the store of the evaluations. OTHERS is `method=bicubic metrics=psnr,ssim,lpips_alex` and
`lpips_weights=WEIGHTS`; BSDS500-test-20 holds the first 20 photos of BSDS500's test split by name;
`degraded_x4/HR` is a link to `set/x4/weak/HR`, `weak` one to its LR, and so on for `medium` and
`strong`, and for ×2. How each network was trained is in RESULTS.md and in docs/real_photos.md;
their runs' records are not kept, so that it stands here.
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
OPERATORS = (
    'measurement.operators=[{{"name":"blur","sigma":{}}},"bicubic",'
    '{{"name":"noise","sigma":[0,0.06]{}}},{{"name":"jpeg","quality":[30,95]}}]'
)
FIRST_X4 = OPERATORS.format("[0.2,2.4]", "")
FIRST_X2 = OPERATORS.format("[0.1,1.6]", ',"grey":0.4')
REAL = (
    "dataset.val_root=CHOSEN_ON dataset.shrink=[2,3,4] schedule.lpips_weights=WEIGHTS "
    "schedule.warmup=0 schedule.adversarial=0 optimization.optimizer_g=muon "
    "optimization.lr_g=5e-4 optimization.lr_rise=300it optimization.clip=0.1 "
    "optimization.decay_ratio=0.01 optimization.ema=0.999 training.epoch_length=500 "
    "training.checkpoint_every=500"
)
REAL_LIMITS = [
    "Fur, canvas and film grain look like noise to it and are smoothed.",
    "Drawings stay soft; strong blur stays blurred; what was sharpened too much keeps its rims.",
    "Colours are left as they are.",
    "Of clean photos photos_x4 keeps more of what is fine.",
]
PLACES = "PHOTOS, CHOSEN_ON, REAL_PHOTOS and WEIGHTS are as in docs/real_photos.md"

NOTES = [
    "BSDS500-test-20 is the first 20 photos of BSDS500's test split by name; no network here has "
    "learnt from BSDS500.",
    "degraded is Set5 and the two wallpapers that no loss was computed on (they chose photos_x4's "
    "state), LR by blur, noise and JPEG of three strengths (docs/real_photos.md).",
]
#: Loss on LR by OpenCV, docs/conventions.md.
BICUBICS = (
    "LR by OpenCV's INTER_CUBIC, or torch's bicubic without antialias, is strange to it: on Set5 "
    "24.37 dB, 5.77 dB less than on MATLAB's (docs/conventions.md)."
)

#: What `tmd.export.manifests.manifest` is told of each.
KNOWN: dict[str, dict[str, Any]] = {
    "photos_x4": {
        "data": {**DATA, "shrunk by": [3, 2, 4], "state chosen by": "LPIPS of the held out"},
        "training": {
            "record": "not kept",
            "file of commit": "753905c32b7f45dc77dc3cab2fb8317dc692641c",
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
            BICUBICS,
        ],
    },
    "real_x4": {
        "data": {
            **DATA,
            "shrunk by": [2, 3, 4],
            "state chosen by": "LPIPS of scikit-image's astronaut, chelsea and coffee",
        },
        "training": {
            "record": "not kept",
            "file of commit": "cd6cc80de66e057eea0084891f51d869b85ea186",
            "begun with": "photos_x4",
            "commands": [
                "srgan.py with start_from=photos_x4 dataset.root=PHOTOS dataset.patch_size=128 "
                f"dataset.batch_size=8 schedule.pretrain=14000it {FIRST_X4} {REAL}   "
                "(interrupted at 4,910)",
                "srgan.py with resume=1 measurement.operators=REAL_PHOTOS "
                "schedule.pretrain=9500it schedule.warmup=200it schedule.adversarial=2000it "
                "adv_weight=1e-2   (interrupted at 8,507)",
                "srgan.py with resume=2 schedule.pretrain=8500it schedule.warmup=100it "
                "schedule.adversarial=1600it schedule.max_psnr_loss=0.1 schedule.adv.start=0.3 "
                "training.epoch_length=200",
            ],
            "folders": PLACES,
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
            "record": "not kept",
            "file of commit": "cd6cc80de66e057eea0084891f51d869b85ea186",
            "begun with": "the body of photos_x4",
            "commands": [
                "srgan.py with scale=2 generator.weights=photos_x4 generator.name=subpixel "
                "generator.n_blocks=8 generator.n_features=64 dataset.root=PHOTOS "
                f"dataset.patch_size=80 dataset.batch_size=8 schedule.pretrain=11000it "
                f"{FIRST_X2} {REAL}   (interrupted at 2,955)",
                "srgan.py with resume=1 measurement.operators=REAL_PHOTOS "
                "schedule.pretrain=7000it schedule.warmup=200it schedule.adversarial=1000it "
                "adv_weight=1e-2   (interrupted at 7,032)",
                "srgan.py with resume=2 schedule.pretrain=6700it schedule.warmup=100it "
                "schedule.adversarial=1500it schedule.max_psnr_loss=0.3 schedule.adv.start=0.3 "
                "training.epoch_length=100",
                "srgan.py with resume=3 schedule.adversarial=2700it",
            ],
            "folders": PLACES,
            "device": "one core, shared; both real networks took 36 minutes in all",
        },
        "limits": [
            *REAL_LIMITS[:3],
            "Of clean photos bicubic keeps more, by PSNR, SSIM and LPIPS.",
        ],
    },
}


def main() -> None:
    """Write them beside the networks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("store", help="store of the evaluations")
    store = parser.parse_args().store
    for name, path in shipped_networks().items():
        trained = open_trained(None, name, store, "cpu")
        content = manifest_of(trained, None, store, licence="MIT", known=KNOWN[name])
        content["evaluated"]["notes"] = NOTES
        print(*write_card(content, [path], {"format": "half", "precision": "float16"}), sep="\n")


if __name__ == "__main__":
    main()
