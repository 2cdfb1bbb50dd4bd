"""What the processes of one run share out: the parts, put together, are the whole."""

from __future__ import annotations

import pytest
import torch

from tmd.data import create_dataset
from tmd.data.sampling import Sampler
from tmd.data.storage import available_memory
from tmd.data.training import _fastest_with_room
from tmd.distributed import ALONE, Share, connect, parallel, started_share, unwrapped
from tmd.handlers import ImageHistory
from tmd.measurements import create_measurement


@pytest.fixture
def shares() -> list[Share]:
    return [Share(rank, 4) for rank in range(4)]


def test_rows_are_disjoint_and_complete(shares: list[Share]) -> None:
    rows = [i for share in shares for i in range(12)[share.rows(12)]]
    assert rows == list(range(12))


@pytest.mark.parametrize("storage", ["memory", "disk"])
def test_the_shares_of_a_batch_are_the_batch(shares: list[Share], storage: str) -> None:
    options = {"batch_size": 8, "patch_size": 24, "storage": storage, "workers": 0}
    whole = next(create_dataset("demo", seed=3, **options).batches(first=5))
    parts = [next(create_dataset("demo", seed=3, share=s, **options).batches(5)) for s in shares]
    assert [len(part) for part in parts] == [2, 2, 2, 2]
    assert torch.equal(torch.cat(parts), whole)


def test_substitutes_of_unusable_images_are_the_same_in_a_share(shares: list[Share]) -> None:
    def usable(image: int) -> int | None:
        return None if image % 3 == 0 else image

    whole = Sampler(50, 8, seed=1, turns=8).load(2, usable)
    parts = [Sampler(50, 8, 1, 8, share).load(2, usable) for share in shares]
    assert [image for part in parts for image in part] == whole


OPERATORS = [
    {"name": "blur", "sigma": [0.5, 2.0]},
    "decimate",
    {"name": "noise", "sigma": [0.01, 0.1]},
    {"name": "jpeg", "quality": [30, 90]},
]


def test_each_process_measures_its_rows_as_one_would_all(shares: list[Share]) -> None:
    measure = create_measurement(OPERATORS, scale=2, seed=7)
    hr = torch.rand(8, 3, 16, 16)
    whole = measure(hr, 3)
    for share in shares:
        rows = share.rows(8)
        torch.testing.assert_close(measure.of_share(share)(hr[rows], 3), whole[rows])
    assert measure.share is ALONE


class Told(Share):
    """A share whose process is told at once what the owner of some values has."""

    batch: torch.Tensor

    def sent(self, values: torch.Tensor, owner: int) -> torch.Tensor:
        mine = len(self.batch) // self.count
        places = [i for i in range(mine) if torch.equal(self.rows_of(self.rank)[i], values)]
        return self.rows_of(owner)[places[0]]

    def rows_of(self, rank: int) -> torch.Tensor:
        return self.batch[Share(rank, self.count).rows(len(self.batch))]


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.9])
def test_all_processes_keep_and_show_one_history(ratio: float) -> None:
    whole = ImageHistory(5, every=2, ratio=ratio, seed=4)
    shares = [Told(rank, 4) for rank in range(4)]
    parts = [ImageHistory(5, 2, ratio, 4, share=share) for share in shares]
    for call in range(20):
        batch = torch.rand(8, 1, 2, 2, generator=torch.Generator().manual_seed(call))
        mixed = whole.mix(batch)
        for share, part in zip(shares, parts, strict=True):
            object.__setattr__(share, "batch", batch)
            rows = share.rows(8)
            assert torch.equal(part.mix(batch[rows]), mixed[rows])
    for part in parts:
        assert torch.equal(part.state_dict()["images"], whole.state_dict()["images"])


def test_processes_of_one_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    size = available_memory() // 8
    cpu = torch.device("cpu")
    assert _fastest_with_room(size, cpu) == "memory"
    told = {"RANK": 0, "WORLD_SIZE": 16, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 8}
    for name, value in {**told, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))
    assert _fastest_with_room(size, cpu) == "disk"


def test_one_process_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    assert started_share() == ALONE
    share, device = connect("cpu")
    network = torch.nn.Linear(2, 2)
    assert parallel(network, share) is network
    assert unwrapped(network) is network
    assert device.type == "cpu"
    values = torch.rand(3)
    assert share.mean(values) is values
    assert share.sent(values, 0) is values
    assert share.any(True)
    assert not share.any(False)
    assert share.agreed("float32") == "float32"
