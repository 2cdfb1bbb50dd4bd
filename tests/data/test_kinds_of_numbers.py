"""Images of any number of bands and bits, in every storage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from tmd.data.framing import Framing
from tmd.data.measured import on_device
from tmd.data.sampling import Sampler
from tmd.data.sources import ShrunkSource
from tmd.data.storage import DeviceStorage, DiskStorage, MemoryStorage
from tmd.images import ImageKind
from tmd.resize import imresize

KINDS = [
    ImageKind.of_dtype(13, "float32"),
    ImageKind.of_dtype(1, "uint16"),
    ImageKind(4, "uint16", (0, 10_000)),
    ImageKind.of_dtype(7, "uint8"),
]


class Noise:
    """Images of random numbers of a kind, up to the highest."""

    def __init__(self, kind: ImageKind, count: int = 5) -> None:
        self.kind = kind
        self.images = []
        rng = np.random.default_rng(0)
        for index in range(count):
            shape = (kind.channels, 14 + index, 17 - index)
            numbers = (
                rng.random(shape, dtype=np.float32)
                if kind.dtype == "float32"
                else rng.integers(0, np.iinfo(kind.dtype).max, shape, kind.dtype, endpoint=True)
            )
            self.images.append(torch.from_numpy(numbers))

    @property
    def channels(self) -> int:
        return self.kind.channels

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        return str(index)

    label = name

    def size(self, index: int) -> tuple[int, int]:
        height, width = self.images[index].shape[1:]
        return height, width

    def read(self, index: int) -> torch.Tensor:
        return self.images[index]

    def subset(self, indices: Sequence[int] | np.ndarray) -> Noise:
        raise NotImplementedError

    def digest(self) -> str:
        return ""


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_storage_gives_the_numbers_as_they_are(kind: ImageKind) -> None:
    source, framing, sampler = Noise(kind), Framing((8, 8)), Sampler(5, 6, seed=3, turns=8)
    sizes = np.array([source.size(i) for i in range(len(source))])
    memory = MemoryStorage(source, framing, sizes, {})
    batches = [
        storage.batch(sampler, 2)
        for storage in (DiskStorage(source, framing, {}), memory, DeviceStorage(memory, "cpu"))
    ]

    for batch in batches:
        assert batch.dtype == getattr(torch, kind.dtype)
        assert torch.equal(batch, batches[0])
    assert batches[0].shape == (6, kind.channels, 8, 8)
    draw = sampler.draw(2)
    turned = batches[0][0].numpy()
    if draw.turns[0] & 4:
        turned = turned.transpose(0, 2, 1)
    if draw.turns[0] & 2:
        turned = turned[:, ::-1]
    if draw.turns[0] & 1:
        turned = turned[:, :, ::-1]
    assert any(
        np.array_equal(turned, image[:, y : y + 8, x : x + 8].numpy())
        for image in source.images
        for y in range(image.shape[1] - 7)
        for x in range(image.shape[2] - 7)
    )


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_numbers_become_0_to_1_by_the_range_and_come_back(kind: ImageKind) -> None:
    image = Noise(kind).read(0)[None]
    low, high = kind.value_range

    images = on_device(image, "cpu", kind)

    expected = (image.numpy().astype(np.float64) - low) / (high - low)
    np.testing.assert_allclose(images, expected, rtol=1e-6)
    torch.testing.assert_close(kind.to_native(images), image, rtol=0, atol=0)
    torch.testing.assert_close(kind.rounded(images), images, rtol=0, atol=1e-7)


def test_rounding_of_8_bits_is_that_of_earlier_versions() -> None:
    image = torch.rand(1, 3, 50, 50) * 1.4 - 0.2

    assert torch.equal(ImageKind().rounded(image), image.clamp(0, 1).mul(255).round().div(255))


def test_rounding_holds_what_a_file_can_hold_beyond_the_range() -> None:
    kind = ImageKind(1, "uint16", (100, 1100))

    rounded = kind.rounded(torch.tensor([-1.0, -0.1, 0.50049, 1.2, 1e6]))

    expected = torch.tensor([-0.1, -0.1, 0.5, 1.2, 65.435])
    torch.testing.assert_close(rounded, expected)


def test_shrinking_keeps_the_bits() -> None:
    kind = ImageKind.of_dtype(2, "uint16")
    source = Noise(kind)

    shrunk = ShrunkSource(source, [2]).read(0)

    assert shrunk.dtype == torch.uint16
    exact = imresize(source.read(0).double()[None], (7, 9))[0].clamp(0, 65535)
    assert (shrunk.double() - exact).abs().max() <= 0.51
