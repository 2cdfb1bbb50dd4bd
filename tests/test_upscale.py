"""Tiled upscaling equals whole upscaling, for every generator, in memory set by the tile."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from models.small_networks import SMALL
from torch import Tensor, nn

from tmd.acceleration.speed import UPSCALING_ON_CPU
from tmd.errors import UserError
from tmd.images import read_image, to_float
from tmd.models import create_generator
from tmd.tiling import Seams, blended_tiles, windows
from tmd.upscale import (
    bytes_per_pixel,
    count_tiles,
    super_resolve,
    tile_size,
    upscale,
    upscale_bands,
    upscale_tiles,
)

# The sums of a convolution are taken in another order for another size.
ROUNDING = 2e-5

VARIANTS = (
    {"scale": 2, "norm": "batch"},
    {"scale": 3, "spectral_norm": True, "channels": 1},
    {"scale": 4, "global_skip": False},
    {"scale": 8},
)

# What keeps an architecture small, and what it can't be.
OWN = ("rrdb", "srresnet", "subpixel")
LIMITS = {"rrdb": {"growth_channels": 4, "norm": "none"}}


def lively(name: str = "srresnet", **changes) -> nn.Module:
    """A generator whose every layer shows in its output, with statistics as after training."""
    arguments = {"scale": 2, "n_blocks": 1, "n_features": 8, **changes, **LIMITS.get(name, {})}
    generator = create_generator(name, **arguments)
    for module in generator.modules():
        if isinstance(module, nn.Conv2d) and not module.weight.any():
            nn.init.normal_(module.weight, std=0.05)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return generator.eval()


class Watched(nn.Module):
    """A generator that remembers the sizes it was given."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self.scale, self.channels = generator.scale, generator.channels
        self.receptive_field = generator.receptive_field
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, lr: Tensor) -> Tensor:
        self.sizes.append(tuple(lr.shape))
        return self.generator(lr)


@pytest.mark.parametrize("changes", VARIANTS, ids=lambda v: "-".join(map(str, v.values())))
@pytest.mark.parametrize("name", OWN)
def test_tiled_equals_whole_for_every_generator(name, changes):
    generator = lively(name, **changes)
    radius = generator.receptive_field
    # Wider than a window of the smaller tile, so that tiles exist which see no border.
    lr = torch.rand(2, generator.channels, 9, 2 * radius + 20)
    with torch.no_grad():
        whole = generator(lr)
    for tile in (8, 14):
        assert (upscale(generator, lr, tile) - whole).abs().max() < ROUNDING


@pytest.mark.parametrize("name", OWN)
def test_the_overlap_is_needed(name):
    """Guards the test above: with less context than the receptive field, tiles must show."""
    generator = lively(name)
    lr = torch.rand(1, 3, 8, 40)
    whole = upscale(generator, lr)
    generator.receptive_field = 1
    assert (upscale(generator, lr, 7) - whole).abs().max() > 10 * ROUNDING


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 7), (40, 1)])
def test_any_size(size):
    generator = lively()
    lr = torch.rand(1, 3, *size)
    with torch.no_grad():
        whole = generator(lr)
    assert (upscale(generator, lr, 3) - whole).abs().max() < ROUNDING


@pytest.mark.parametrize("prepared", [False, True])
def test_equals_whole_on_a_real_photo(prepared, shared_data):
    from tmd.images import read_image, to_float

    lr = to_float(read_image(shared_data / "benchmarks/Set5/LR_bicubic/X4/womanx4.png"))[None]
    generator = lively(scale=4, n_blocks=3, n_features=16)
    with torch.no_grad():
        whole = generator(lr)
    if prepared:
        UPSCALING_ON_CPU.prepare(generator, torch.device("cpu"))
    assert (upscale(generator, lr, 40) - whole).abs().max() < ROUNDING


def test_windows_cover_each_pixel_once_and_stay_inside():
    for length in (1, 5, 16, 33):
        for tile in (1, 4, 16, 50):
            parts = windows(length, tile, 6)
            kept = [pixel for part in parts for pixel in range(part.start, part.stop)]
            assert kept == list(range(length))
            assert all(part.stop - part.start <= tile for part in parts)
            assert all(part.first == max(0, part.start - 6) for part in parts)
            assert all(part.last == min(length, part.stop + 6) for part in parts)


def test_windows_are_bounded_by_the_tile_whatever_the_image():
    generator = Watched(lively())
    upscale(generator, torch.rand(1, 3, 50, 40), tile=10)
    largest = 10 + 2 * generator.receptive_field
    assert len(generator.sizes) == count_tiles(50, 40, 10) == 20
    assert all(max(size[-2:]) <= largest for size in generator.sizes)


def test_bands_are_the_rows_of_the_whole():
    generator = lively()
    lr = torch.rand(1, 3, 33, 20)
    bands = list(upscale_bands(generator, lr, 8))
    assert [band.shape[-2] for band in bands] == [12, 14, 12, 14, 14]
    assert torch.equal(torch.cat(bands, -2), upscale(generator, lr, 8))


def test_tiles_come_row_by_row():
    places = [(tile.top, tile.left) for tile in upscale_tiles(lively(), torch.rand(1, 3, 9, 9), 5)]
    assert places == [(0, 0), (0, 8), (8, 0), (8, 8)]


@pytest.mark.parametrize(("dtype", "top"), [(torch.uint8, 255), (torch.uint16, 65535)])
def test_integers_in_and_out(dtype, top):
    generator = lively()
    levels = np.random.default_rng(0).integers(0, top + 1, (1, 3, 12, 13))
    lr = torch.from_numpy(levels).to(dtype)
    out = torch.empty(1, 3, 24, 26, dtype=dtype)
    assert upscale(generator, lr, 5, out=out) is out
    with torch.no_grad():
        exact = generator(torch.from_numpy(levels / top).float()).double().numpy()
    expected = np.clip(exact, 0, 1) * top
    # Half a level for the rounding, the rest for sums in another order.
    assert np.abs(out.numpy().astype(float) - expected).max() <= 0.5 + ROUNDING * top


def test_out_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="shape"):
        upscale(lively(), torch.rand(1, 3, 4, 4), out=torch.empty(1, 3, 4, 4))


def test_floats_are_not_clamped():
    generator = lively()
    with torch.no_grad():
        generator.output.bias.add_(4)
    assert upscale(generator, torch.rand(1, 3, 6, 6)).min() > 1


def test_self_ensemble_is_the_mean_over_the_eight_symmetries():
    generator = lively()
    lr = torch.rand(1, 3, 9, 14)
    results = []
    for transpose in (False, True):
        for rows in (1, -1):
            for columns in (1, -1):
                turned = lr.numpy()[..., ::rows, ::columns]
                turned = turned.swapaxes(-2, -1) if transpose else turned
                with torch.no_grad():
                    sr = generator(torch.from_numpy(turned.copy())).numpy()
                sr = sr.swapaxes(-2, -1) if transpose else sr
                results.append(sr[..., ::rows, ::columns])
    expected = torch.from_numpy(np.mean(results, 0))
    for tile in (None, 5):
        found = upscale(generator, lr, tile, self_ensemble=True)
        assert (found - expected).abs().max() < ROUNDING


def test_amp_is_near_full_precision_and_gives_floats():
    generator = lively()
    lr = torch.rand(1, 3, 20, 20)
    full, half = upscale(generator, lr, 8), upscale(generator, lr, 8, amp=True)
    assert half.dtype == torch.float32
    assert 0 < (full - half).abs().max() < 0.02


def test_leaves_training_mode_and_statistics_as_they_were():
    generator = lively(norm="batch").train()
    generator.body.eval()
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    lr = torch.rand(1, 3, 20, 20)
    tiled = upscale(generator, lr, 6)
    assert generator.training
    assert not generator.body.training
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    assert (tiled - generator.eval()(lr)).abs().max() < ROUNDING


def test_super_resolve_takes_small_images_whole_and_large_ones_in_bounded_tiles():
    generator = Watched(lively())
    overlap = generator.receptive_field
    small, large = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 200, 90)
    at_once = 4 * 60**2
    with torch.no_grad():
        whole = [generator(small), generator(large)]
    generator.sizes.clear()
    results = [super_resolve(generator, x, at_once=at_once) for x in (small, large)]
    assert generator.sizes[0] == (1, 3, 16, 16)
    assert len(generator.sizes) > 8
    assert all(h * w <= at_once // 4 for _, _, h, w in generator.sizes)
    assert max(max(size[-2:]) for size in generator.sizes) == 60 > 2 * overlap
    assert torch.equal(results[0], whole[0])
    assert (results[1] - whole[1]).abs().max() < ROUNDING


def test_super_resolve_does_not_look_at_the_free_memory(monkeypatch):
    monkeypatch.setattr("tmd.upscale.memory_budget", lambda _: pytest.fail("it asked"))
    super_resolve(lively(), torch.rand(1, 3, 60, 60), at_once=4 * 40**2)


def test_super_resolve_is_under_the_callers_autocast_and_leaves_the_modes():
    generator = lively(norm="batch").train()
    generator.body.eval()
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    lr = torch.rand(1, 3, 40, 40)
    full = super_resolve(generator, lr)
    with torch.autocast("cpu", torch.bfloat16):
        half = super_resolve(generator, lr)
        tiled = super_resolve(generator, lr, at_once=4 * 30**2)
    assert full.dtype == half.dtype == torch.float32
    assert 0 < (full - half).abs().max() < 0.05
    assert (tiled - half).abs().max() < 0.02
    assert not half.requires_grad
    assert (generator.training, generator.body.training) == (True, False)
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())


def test_progress_counts_to_the_number_of_tiles():
    seen = []
    upscale(lively(), torch.rand(1, 3, 9, 9), 5, on_tile=lambda *counts: seen.append(counts))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_automatic_tile_follows_the_memory(monkeypatch):
    generator = lively(n_features=32)
    lr = torch.empty(1, 3, 1, 1).expand(1, 3, 500, 700)
    monkeypatch.setattr("tmd.upscale.memory_budget", lambda _: 1 << 40)
    assert tile_size(generator, lr) == 700
    monkeypatch.setattr("tmd.upscale.memory_budget", lambda _: 64 << 20)
    tile = tile_size(generator, lr)
    window = tile + 2 * generator.receptive_field
    assert 64 < tile < 500
    assert window**2 * bytes_per_pixel(generator) <= 64 << 20
    monkeypatch.setattr("tmd.upscale.memory_budget", lambda _: 1)
    assert tile_size(generator, lr) >= generator.receptive_field


def test_bytes_per_pixel_sees_the_largest_layer():
    generator = lively(scale=4, n_features=16)
    # The last shuffle's convolution: 16 channels at twice the size in, 64 out.
    assert bytes_per_pixel(generator) >= 4 * (16 + 64) * 4


def test_a_network_that_sees_everything_is_not_tiled():
    generator = Watched(lively())
    generator.receptive_field = None
    upscale(generator, torch.rand(1, 3, 30, 20))
    assert generator.sizes == [(1, 3, 16, 16), (1, 3, 30, 20)]  # the first for its memory
    with pytest.raises(UserError, match=r"tile=8: this generator sees the whole image"):
        upscale(generator, torch.rand(1, 3, 30, 20), 8)


@pytest.mark.parametrize(
    ("name", "size", "tile"),
    [("swinir", (30, 77), 16), ("safmn", (90, 61), 24), ("moesr", (33, 150), 31)],
)
@pytest.mark.parametrize("self_ensemble", [False, True])
def test_tiles_of_windowed_networks_are_exact(name, size, tile, self_ensemble):
    """Their windows begin on the network's grid; 77, 61 and 33 are no multiples of it."""
    generator = create_generator(name, 2, **SMALL[name]).eval()
    lr = torch.rand(1, 3, *size)
    whole = upscale(generator, lr, max(size), self_ensemble=self_ensemble)
    tiled = upscale(generator, lr, tile, self_ensemble=self_ensemble)
    assert (tiled - whole).abs().max() < ROUNDING
    generator.contract = replace(generator.contract, multiple=1)
    tiled = upscale(generator, lr, tile, self_ensemble=self_ensemble)
    assert (tiled - whole).abs().max() > 10 * ROUNDING


def test_tiles_of_a_network_that_sees_everything_fade_into_each_other(shared_data):
    """Channel attention by the mean of the image: tiles differ, and no step shows between them."""
    torch.manual_seed(3)
    generator = create_generator("rcan", 2, **SMALL["rcan"]).eval()
    photo = next((shared_data / "train/BSDS500/test").glob("*.jpg"))
    lr = to_float(read_image(photo))[None]
    whole = upscale(generator, lr)
    rules = []
    tiles = list(upscale_tiles(generator, lr, 160, on_rule=rules.append))
    tiled = torch.zeros_like(whole)
    for top, left, sr in tiles:
        tiled[..., top : top + sr.shape[-2], left : left + sr.shape[-1]] += sr
    (rule,) = rules
    meetings = []  # of the uncut windows, as two people would compare them
    rows, columns = (windows(n, 160, rule.overlap) for n in lr.shape[-2:])
    with torch.no_grad():
        for down in rows:
            part = lr[..., down.first : down.last, :]
            for one, other in pairwise(columns):
                left = generator(part[..., one.first : one.last])
                right = generator(part[..., other.first : other.last])
                at = 2 * other.start
                difference = left[..., at - 1 - 2 * one.first : at + 1 - 2 * one.first]
                difference = difference - right[..., at - 1 - 2 * other.first :][..., :2]
                kept = slice(2 * (down.start - down.first), 2 * (down.stop - down.first))
                meetings.append(255 * float(difference[..., kept, :].abs().max()))
    assert 0 < max(meetings) <= rule.seam + 1e-3 < 1
    assert (tiled - whole).abs().max() * 255 < 4


def test_fading_tiles_of_an_exact_network_are_the_whole_image():
    generator = lively(scale=3)
    lr = torch.rand(1, 3, 90, 115)
    with torch.no_grad():
        whole = generator(lr)
    seams, found = Seams(), torch.zeros_like(whole)
    axes = (windows(n, 50, 2 * generator.receptive_field) for n in (90, 115))
    with torch.no_grad():
        for top, left, sr in blended_tiles(lr, generator, 3, *axes, seams):
            found[..., top : top + sr.shape[-2], left : left + sr.shape[-1]] += sr
    assert (found - whole).abs().max() < ROUNDING
    assert seams.levels < 255 * ROUNDING


@pytest.mark.parametrize("tile", [0, -3, 2.5, "8", True])
def test_a_tile_that_is_none_is_refused(tile):
    with pytest.raises(UserError, match="tile="):
        upscale(lively(), torch.rand(1, 3, 8, 8), tile)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.uint16])
def test_only_windows_are_on_the_gpu(dtype):
    generator = lively(scale=4).cuda()
    lr = (torch.rand(1, 3, 60, 60) * (1 if dtype.is_floating_point else 255)).to(dtype)
    tiled = upscale(generator, lr, 16, out=None)
    assert tiled.device.type == "cpu"
    expected = upscale(generator.cpu(), lr)
    # Convolutions on the GPU may round to TF32.
    assert (tiled - expected).abs().max() < 5e-3
