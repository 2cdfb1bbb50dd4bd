from __future__ import annotations

import torch

from tmd.handlers import ImageHistory


def numbered(first: int, count: int = 4) -> torch.Tensor:
    """Images that say which they are."""
    return torch.arange(first, first + count).float().view(-1, 1, 1, 1).expand(-1, 1, 2, 2).clone()


def numbers(images: torch.Tensor) -> list[int]:
    return images[:, 0, 0, 0].int().tolist()


def test_the_first_batch_passes_unchanged() -> None:
    history = ImageHistory(capacity=8, every=1, ratio=1.0)
    batch = numbered(0)
    assert torch.equal(history.mix(batch), batch)


def test_the_share_from_the_buffer_is_the_ratio_and_comes_from_old_batches() -> None:
    history = ImageHistory(capacity=50, every=1, ratio=0.5)
    for step in range(20):
        history.mix(numbered(100 * step))
    mixed = numbers(history.mix(numbered(9000)))
    assert mixed[:2] == [9000, 9001]
    assert all(n < 2000 for n in mixed[2:])
    assert len(set(mixed[2:])) == 2


def test_an_image_is_stored_each_so_many_calls_until_capacity() -> None:
    history = ImageHistory(capacity=3, every=2, ratio=0.0)
    sizes = []
    for step in range(10):
        history.mix(numbered(step))
        sizes.append(len(history))
    assert sizes == [1, 1, 2, 2, 3, 3, 3, 3, 3, 3]


def test_once_full_new_images_take_the_place_of_old_ones() -> None:
    history = ImageHistory(capacity=4, every=1, ratio=0.0)
    for step in range(200):
        history.mix(numbered(10 * step))
    kept = numbers(history.state_dict()["images"])
    # With random replacement none of the first survives 196 draws, and they aren't all the last.
    assert min(kept) > 500
    assert len(set(kept)) == 4


def test_a_restored_history_goes_on_as_the_original() -> None:
    one = ImageHistory(capacity=4, every=1, ratio=0.5, seed=3)
    for step in range(7):
        one.mix(numbered(10 * step))
    two = ImageHistory(capacity=4, every=1, ratio=0.5, seed=99)
    two.load_state_dict(one.state_dict())
    for step in range(7, 20):
        assert torch.equal(one.mix(numbered(10 * step)), two.mix(numbered(10 * step)))


def test_the_state_is_a_copy() -> None:
    history = ImageHistory(capacity=1, every=1, ratio=0.0)
    history.mix(numbered(1, 1))
    state = history.state_dict()
    history.mix(numbered(2, 1))
    assert numbers(state["images"]) == [1]


def test_no_gradient_flows_into_the_buffer() -> None:
    history = ImageHistory(capacity=2, every=1, ratio=0.5)
    history.mix(numbered(0).requires_grad_().detach())
    assert not history.state_dict()["images"].requires_grad
