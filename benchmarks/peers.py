"""Other frameworks' own training steps, with our networks: for `step.py --peers`.

pip install --no-deps basicsr==1.4.2
pip install addict future lmdb opencv-python-headless pyyaml requests scipy tqdm yapf
"""

from __future__ import annotations

import sys
from unittest.mock import patch

import torch
import torchvision
from settings import (
    ADVERSARIAL_WEIGHT,
    REAL_LABEL,
    SCALE,
    Run,
    Setting,
    networks,
    use_torchs_layers,
)
from torch import Tensor

from tmd.resize import imresize


def basicsr(setting: Setting, batch: Tensor, device: torch.device) -> Run:
    """BasicSR's `SRGANModel`, set up as by its own SRGAN configuration (v1.4.2).

    Its loader's threads make the LR images, so their time is left out. Its losses are its own: on
    VGG's features the setting's content loss, else L1.
    """
    # The only thing that it takes from a module which torchvision no longer has is there too.
    sys.modules["torchvision.transforms.functional_tensor"] = torchvision.transforms.functional
    from basicsr.models.srgan_model import SRGANModel
    from basicsr.utils.registry import ARCH_REGISTRY

    use_torchs_layers()
    generator, discriminator, _ = networks(setting)
    for name, network in {"Generator": generator, "Discriminator": discriminator}.items():
        if f"Our{name}" not in ARCH_REGISTRY:
            # It asks for the generator twice; the second is the averaged one.
            copies = iter([network, networks(setting)[0]])
            ARCH_REGISTRY._do_register(f"Our{name}", lambda copies=copies: next(copies))
    adam = {"type": "Adam", "lr": 1e-4, "weight_decay": 0, "betas": [0.9, 0.99]}
    train = {
        "ema_decay": 0.999,
        "optim_g": dict(adam),
        "optim_d": dict(adam),
        "scheduler": {"type": "MultiStepLR", "milestones": [10**6], "gamma": 0.5},
        "gan_opt": {
            "type": "GANLoss",
            "gan_type": "vanilla",
            "real_label_val": REAL_LABEL,
            "fake_label_val": 0.0,
            "loss_weight": ADVERSARIAL_WEIGHT,
        },
    }
    if setting.content == "vgg54":
        train["perceptual_opt"] = {"type": "PerceptualLoss", "layer_weights": {"conv5_4": 1.0}}
    else:
        train["pixel_opt"] = {"type": "L1Loss", "loss_weight": 1.0, "reduction": "mean"}
    options = {
        "num_gpu": int(device.type == "cuda"),
        "dist": False,
        "is_train": True,
        "path": {},
        "network_g": {"type": "OurGenerator"},
        "network_d": {"type": "OurDiscriminator"},
        "train": train,
    }
    # It would download VGG's weights; random ones cost the same.
    plain = torchvision.models.vgg19
    with patch("torchvision.models.vgg.vgg19", lambda **_: plain(weights=None)):
        model = SRGANModel(options)
    hr = batch.float() / 255
    lr = imresize(hr, 1 / SCALE).clamp(0, 1)
    iteration = 0

    def run(iterations: int) -> None:
        nonlocal iteration
        for _ in range(iterations):
            iteration += 1
            model.update_learning_rate(iteration)
            model.feed_data({"lq": lr, "gt": hr})
            model.optimize_parameters(iteration)

    return run


#: By the name of its package.
PEERS = {"basicsr": basicsr}
