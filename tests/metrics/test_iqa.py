"""Metrics by pyiqa: what they need is said in a line, and with it they are pyiqa's to the digit.

Pyiqa brings forty packages, so CI's environment has none; these tests run where it is installed, or
lies in the folder ``TMD_TEST_PYIQA`` (`pip install --target`).
"""

from __future__ import annotations

import importlib.util
import os
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tmd.errors import UserError
from tmd.images import ImageKind
from tmd.metrics import MetricSettings, TooSmallError, metric_function
from tmd.metrics.iqa import KINDS

if FOLDER := os.environ.get("TMD_TEST_PYIQA"):
    sys.path.append(FOLDER)
SETTINGS = MetricSettings(border=4, scale=4)
needs_pyiqa = pytest.mark.skipif(
    importlib.util.find_spec("pyiqa") is None, reason="pyiqa is not installed"
)


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch's cache of the test's own, pyiqa's in it, and nothing kept from another test."""
    from tmd.metrics import iqa

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    if importlib.util.find_spec("pyiqa") is not None:
        from pyiqa.utils import download_util

        cache = str(tmp_path / "torch" / "hub" / "pyiqa")
        monkeypatch.setattr(download_util, "DEFAULT_CACHE_DIR", cache)
    iqa._network.cache_clear()
    return tmp_path / "torch"


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    from skimage import data

    return torch.from_numpy(data.astronaut()[:128, 128:320].copy()).permute(2, 0, 1)[None] / 255


def test_without_pyiqa_a_line_says_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "pyiqa" else found(name, *a)
    )
    for name in (*KINDS, "ntire"):
        with pytest.raises(UserError, match=rf"^{name}: needs pyiqa; pip install 'tmd\[iqa\]'"):
            metric_function(name, SETTINGS)


@needs_pyiqa
@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.weights])
def test_weights_that_are_away_are_one_line(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    function = metric_function(name, SETTINGS._replace(iqa_weights=folder))
    with pytest.raises(UserError) as caught:
        function.check_images()
    said = str(caught.value)
    assert "\n" not in said
    for part in (f"{name}: its weights are not at hand", str(folder), "iqa_weights=FOLDER",
                 str(tmp_path / "torch"), f"create_metric('{KINDS[name].key}')"):  # fmt: skip
        assert part in said
    missing = metric_function(name, SETTINGS._replace(iqa_weights=tmp_path / "nowhere"))
    with pytest.raises(UserError, match="nowhere: no such folder"):
        missing.check_images()


def natural_images(folder: Path) -> Path:
    """Folder with NIQE's statistics in the form of pyiqa's file, drawn at random."""
    from scipy.io import savemat

    generator = np.random.default_rng(0)
    mixing = generator.normal(size=(36, 36))
    statistics = {
        "mu_prisparam": generator.normal(size=(1, 36)),
        "cov_prisparam": mixing @ mixing.T,
    }
    folder.mkdir(exist_ok=True)
    savemat(folder / "niqe_modelparameters.mat", statistics)
    return folder


@needs_pyiqa
def test_niqe_is_pyiqas_of_each_image_alone(photo: torch.Tensor, tmp_path: Path) -> None:
    import pyiqa

    folder = natural_images(tmp_path / "mine")
    theirs = pyiqa.create_metric(
        "niqe",
        device=torch.device("cpu"),
        pretrained_model_path=str(folder / "niqe_modelparameters.mat"),
    )
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    function = metric_function("niqe", SETTINGS._replace(iqa_weights=folder))
    batch = torch.cat([photo, photo.flip(3), photo.roll(5, 2)])
    batch.requires_grad_()
    values = function(batch)
    assert not values.requires_grad
    assert torch.equal(values, function(batch))
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert states[2] == random.getstate()
    expected = [theirs(image).item() for image in batch.detach().split(1)]
    assert values.tolist() == pytest.approx(expected, rel=1e-6)
    grey = photo.mean(1, keepdim=True)
    assert function(grey).item() == pytest.approx(theirs(grey.expand(-1, 3, -1, -1)).item())
    bands = ImageKind(channels=5, bands=(1, 2, 3, 4, 5), dtype="uint16", shown=(3, 2, 1))
    five = torch.cat([photo.flip(1), photo[:, :2]], 1)
    of_bands = metric_function("niqe", SETTINGS._replace(iqa_weights=folder, kind=bands))
    assert of_bands(five).item() == pytest.approx(expected[0], rel=1e-6)
    with pytest.raises(TooSmallError, match="NIQE of 95×192 pixels: must be at least 96×96"):
        function(photo[:, :, :95])
    assert function(torch.full((1, 3, 96, 96), 0.5)).isnan().all()


@needs_pyiqa
def test_fsim_is_piqs(photo: torch.Tensor) -> None:
    piq = pytest.importorskip("piq")
    sr = torch.nn.functional.avg_pool2d(photo, 3, 1, 1)
    function = metric_function("fsim", SETTINGS)
    expected = piq.fsim(sr, photo, data_range=1.0, reduction="none")
    assert torch.allclose(function(sr, photo), expected, atol=1e-4)


def random_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        name: value + 0.01 * torch.randn(value.shape, generator=generator).to(value)
        if value.is_floating_point()
        else value
        for name, value in network.state_dict().items()
    }


def made(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[torch.nn.Module, str, Any]:
    """Pyiqa's network of other weights, their file's name and what the file holds."""
    import timm
    from pyiqa.archs import maniqa_arch, musiq_arch, topiq_arch

    create = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda *a, **o: create(*a, **{**o, "pretrained": False})
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if name == "musiq":
            network: Any = musiq_arch.MUSIQ(pretrained=False, num_class=1)
            file = musiq_arch.default_model_urls["koniq10k"]
        elif name == "maniqa":
            network = maniqa_arch.MANIQA(pretrained=False, train_dataset="koniq", scale=0.8)
            file = maniqa_arch.default_model_urls["koniq"]
        else:
            key = "cfanet_nr_koniq_res50" if name == "topiq" else "cfanet_fr_kadid_res50"
            network = topiq_arch.CFANet(
                semantic_model_name="resnet50",
                model_name=key,
                use_ref=name == "topiq_fr",
                pretrained=False,
                backbone_pretrain=False,
            )
            file = topiq_arch.default_model_urls[key]
    state = random_state(network)
    network.load_state_dict(state)
    holds = {"params": state} if name.startswith("topiq") else state
    return network.eval(), file.rsplit("/", 1)[-1], holds


@needs_pyiqa
@pytest.mark.slow
@pytest.mark.parametrize("name", ["musiq", "topiq", "topiq_fr", "maniqa"])
def test_a_network_of_the_folders_weights_is_pyiqas(
    name: str, photo: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        network, file, holds = made(name, patch)
    torch.save(holds, tmp_path / file)
    function = metric_function(name, SETTINGS._replace(iqa_weights=tmp_path))
    images = (photo, photo.roll(3, 3)) if name == "topiq_fr" else (photo,)
    with torch.no_grad():
        expected = network(*images).reshape(-1)
    assert function(*images).tolist() == pytest.approx(expected.tolist(), rel=1e-4)

    (tmp_path / file).write_bytes(b"not weights")
    from tmd.metrics import iqa

    iqa._network.cache_clear()
    with pytest.raises(UserError, match=f"{name}: pyiqa can't make") as caught:
        function(*images)
    assert "\n" not in str(caught.value)


@needs_pyiqa
@pytest.mark.slow
def test_clip_iqa_takes_clips_own_file_alone(
    photo: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    from pyiqa.archs import clip_model
    from pyiqa.archs.clipiqa_arch import CLIPIQA

    torch.manual_seed(0)
    network = clip_model.CLIP(1024, 224, (3, 4, 6, 3), 64, None, 77, 49408, 512, 8, 12)
    inputs = torch.zeros(1, 3, 224, 224), torch.zeros(1, 77, dtype=torch.long)
    published = torch.jit.trace(network.eval(), inputs, check_trace=False)  # CLIP's form of file
    torch.jit.save(published, tmp_path / "RN50.pt")
    function = metric_function("clipiqa", SETTINGS._replace(iqa_weights=tmp_path))
    with pytest.raises(UserError, match=r"RN50\.pt: not the file that CLIP published"):
        function(photo)
    digest = hashlib.sha256((tmp_path / "RN50.pt").read_bytes()).hexdigest()
    monkeypatch.setitem(clip_model._MODELS, "RN50", f"https://host/clip/models/{digest}/RN50.pt")
    value = function(photo).item()
    monkeypatch.setattr(clip_model, "_download", lambda url, root: str(tmp_path / "RN50.pt"))
    with torch.no_grad():
        expected = CLIPIQA()(photo).item()
    assert value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("worst", [2.0, 12.0])
def test_the_challenges_score_is_that_of_the_means(
    worst: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tmd.metrics import iqa

    parts = {"clipiqa": [0.5, 0.7], "maniqa": [0.3, 0.5], "musiq": [60.0, 70.0], "niqe": [4, worst]}
    monkeypatch.setattr(iqa, "rated", lambda name, images, **_: torch.tensor(parts[name]))
    monkeypatch.setattr(iqa, "lpips_alex", lambda *_: torch.tensor([0.2, 0.3]))
    monkeypatch.setattr(iqa, "dists_metric", lambda *_: torch.tensor([0.1, 0.15]))
    sr = torch.zeros(2, 3, 96, 96)
    mean = iqa.ntire_score(sr, sr).mean().item()
    means = {name: sum(values) / 2 for name, values in parts.items()}
    expected = (1 - 0.25) + (1 - 0.125) + means["clipiqa"] + means["maniqa"] + means["musiq"] / 100
    assert mean == pytest.approx(expected + max(0, (10 - means["niqe"]) / 10), abs=1e-6)
