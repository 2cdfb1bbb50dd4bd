"""Old generated images, shown again to the discriminator (arXiv:1612.07828, section 2.3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tmd.distributed import ALONE, Share
from tmd.seeding import derive_seed


class ImageHistory:
    """A buffer of generated images that mixes some of them into new batches.

    A discriminator that sees only the newest images forgets what older ones looked like, and the
    generator comes back to them. Its draws come from a generator of its own, which is in
    ``state_dict``, as the images are.

    Args:
        capacity: images kept; once full, a new one takes the place of a random one. 0: off.
        every: one image of a batch is stored each ``every`` calls of `mix`.
        ratio: share of a batch, in [0, 1], that is drawn from the buffer.
        seed: of the draws.
        device: where the images are kept.
        share: which rows of each batch `mix` is given. The buffer is that of the whole batch, the
            same in all processes.

    Example:
        >>> history = ImageHistory(capacity=2, every=1, ratio=0.5)
        >>> history.mix(torch.zeros(4, 3, 8, 8)).shape  # nothing stored yet: the batch itself
        torch.Size([4, 3, 8, 8])
        >>> history.mix(torch.ones(4, 3, 8, 8)).mean()  # one was stored: one of these four
        tensor(0.7500)
    """

    def __init__(
        self,
        capacity: int,
        every: int,
        ratio: float,
        seed: int = 0,
        device: str | torch.device = "cpu",
        share: Share = ALONE,
    ) -> None:
        self.capacity = capacity
        self.every = every
        self.ratio = ratio
        self.device = torch.device(device)
        self.share = share
        self.random = torch.Generator().manual_seed(derive_seed(seed, "history"))
        self.calls = 0
        self.images: Tensor | None = None
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def mix(self, fake: Tensor) -> Tensor:
        """``fake`` (N, C, H, W), with round(ratio·N) images taken from the buffer; then stores."""
        mixed = self._replaced(fake)
        if self.capacity and self.calls % self.every == 0:
            owner, place = divmod(self._draw(self.share.count * len(fake)), len(fake))
            self._store(self.share.sent(fake[place], owner))
        self.calls += 1
        return mixed

    def _draw(self, limit: int) -> int:
        return int(torch.randint(limit, (1,), generator=self.random))

    def _replaced(self, fake: Tensor) -> Tensor:
        total = self.share.count * len(fake)
        wanted = min(round(self.ratio * total), self.count)
        if not wanted or self.images is None:
            return fake
        chosen = torch.randperm(self.count, generator=self.random)[:wanted]
        # They replace the batch's last images: as many of mine as reach beyond where those begin.
        rows = self.share.rows(total)
        kept = min(len(fake), max(0, total - wanted - rows.start))
        if kept == len(fake):
            return fake
        mine = chosen[rows.start + kept - (total - wanted) :][: len(fake) - kept]
        old = self.images.index_select(0, mine.to(self.device, non_blocking=True))
        return torch.cat([fake[:kept], old.to(fake, non_blocking=True)])

    def _store(self, image: Tensor) -> None:
        if self.images is None:
            # Not all of it is used at first, but it never moves or grows.
            self.images = torch.zeros(self.capacity, *image.shape, device=self.device)
        if self.count < self.capacity:
            slot = self.count
            self.count += 1
        else:
            slot = self._draw(self.capacity)
        self.images[slot].copy_(image, non_blocking=True)

    def state_dict(self) -> dict[str, Any]:
        # A copy: the state outlives the next `mix` where it is kept in memory.
        """Images and counters."""
        images = None if self.images is None else self.images[: self.count].cpu().clone()
        return {"images": images, "calls": self.calls, "random": self.random.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on as where the state was taken."""
        self.calls = state["calls"]
        self.random.set_state(state["random"].cpu())
        self.images, self.count = None, 0
        # A smaller capacity on resuming keeps the first that fit.
        for image in state["images"][: self.capacity] if state["images"] is not None else []:
            self._store(image)
