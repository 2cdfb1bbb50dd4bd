"""The books of a fleet: which images there are, which of them are done, and what failed.

They lie in a hidden folder of the results', which all workers and all machines share, and vanish
when all is done. A plan is written once and never changes; a chunk of images is done when its
report is there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from experiments.support.outputs import Job
from tmd.checkpoints import save_checkpoint
from tmd.errors import UserError
from tmd.files import replacing, sweep_leftovers, write_json
from tmd.images import ImageKind
from tmd.leases import Leases
from tmd.photos import Upscaler

NAME = ".fleet"
FORMAT = 1
#: A chunk ends when it has so many images, or so many bytes of them.
CHUNK_IMAGES, CHUNK_BYTES = 32, 4 << 20
#: Processes that end over one image before it counts as failed.
TRIES = 5


@dataclass(frozen=True)
class Report:
    """The outcome of a chunk.

    Attributes:
        failed: (image, its error) of those that have no result.
        notes: lines on what is not in a result.
    """

    failed: list[tuple[str, str]]
    notes: list[str]


class Fleet:
    """The books of the fleet that fills a folder.

    Attributes:
        output: of the results.
        folder: of the books.
        settings: what all workers share, as JSON has it.
        jobs: all images, and where their results go.
        there: how many others were skipped since their results were there.
        found: the jobs whose results were there when it was planned.
        chunks: the jobs that are taken together, by their places in ``jobs``.
    """

    def __init__(self, output: Path) -> None:
        """Open the books that are there.

        Raises:
            FileNotFoundError: there are none.
            UserError: they are another version's.
        """
        self.output = output
        self.folder = output / NAME
        plan = json.loads((self.folder / "plan.json").read_bytes())
        if plan.get("format") != FORMAT:
            raise UserError(f"{self.folder}: of another version; delete it to begin anew")
        self.settings: dict[str, Any] = plan["settings"]
        self.jobs = [Job(self._path(source), self._path(target)) for source, target in plan["jobs"]]
        self.there: int = plan["there"]
        self.found = frozenset(plan["found"])
        edges = [*plan["chunks"], len(self.jobs)]
        self.chunks = [range(*pair) for pair in pairwise(edges)]
        self.leases = Leases(self.folder / "leases")

    def _path(self, relative: str) -> Path:
        return Path(os.path.normpath(self.output / relative))

    @property
    def network(self) -> Path:
        """The file of the generator that all workers load."""
        return self.folder / f"{self.settings['network']}.pt"

    def done(self) -> set[int]:
        """The chunks whose reports are there."""
        names = os.listdir(self.folder / "reports")
        return {int(name[:-5]) for name in names if name.endswith(".json")}

    def is_done(self, chunk: int) -> bool:
        """True if the chunk's report is there."""
        return self._report(chunk).exists()

    def images_in(self, chunks: set[int]) -> int:
        """The number of images in some chunks."""
        return sum(len(self.chunks[chunk]) for chunk in chunks)

    def report(self, chunk: int) -> Report:
        """Outcome of a chunk that is done or, of one that is not, as far as it is known."""
        for path in (self._report(chunk), self._report(chunk, "part")):
            with contextlib.suppress(FileNotFoundError, ValueError):
                read = json.loads(path.read_bytes())
                return Report([(image, said) for image, said in read["failed"]], read["notes"])
        return Report([], [])

    def write_report(self, chunk: int, report: Report, done: bool) -> None:
        """Say what came of a chunk, or of the images of it that were tried so far."""
        content = {"failed": report.failed, "notes": report.notes}
        write_json(self._report(chunk, "json" if done else "part"), content, durable=done)

    def _report(self, chunk: int, suffix: str = "json") -> Path:
        return self.folder / "reports" / f"{chunk}.{suffix}"

    def try_again(self, image: int, attempt: int) -> bool:
        """Note that an image is begun anew; False if too many processes ended over it."""
        tries = self.folder / "tries"
        tries.mkdir(exist_ok=True)
        if sum(name.startswith(f"{image}.") for name in os.listdir(tries)) >= TRIES:
            return False
        (tries / f"{image}.{attempt}").touch()
        return True

    def outlived(self, image: int) -> None:
        """Forget that an image was begun: the process that did it goes on."""
        for path in (self.folder / "tries").glob(f"{image}.*"):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Keep the books until the block ends, whoever else finds that all is done.

        The last one who reads them deletes them, if all is done.
        """
        mine = self.leases.take(f"reader-{secrets.token_hex(8)}")
        try:
            yield
        finally:
            if mine is not None:
                mine.release()
            with contextlib.suppress(FileNotFoundError):  # another one was the last
                if len(self.done()) == len(self.chunks) and not self._held("reader-"):
                    self._close()

    def is_at_work(self) -> bool:
        """True if somebody alive reads the books or has a chunk."""
        return self._held("")

    def _held(self, prefix: str) -> bool:
        if not self.leases.folder.is_dir():
            return False
        names = os.listdir(self.leases.folder)
        return any(
            name.startswith(prefix) and self.leases.holder(name) is not None for name in names
        )

    def _close(self) -> None:
        for folder in {job.target.parent for job in self.jobs}:
            sweep_leftovers(folder)
        delete(self.output)


def delete(output: Path) -> None:
    """Delete the books, of which others see all or nothing."""
    gone = output / f"{NAME}-{secrets.token_hex(4)}"
    with contextlib.suppress(FileNotFoundError):
        (output / NAME).rename(gone)
    for leftover in output.glob(f"{NAME}-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def is_begun(output: Path) -> bool:
    """True if a fleet has begun to fill ``output`` and has not said that all is done."""
    return (output / NAME / "plan.json").exists()


def opened_fleet(
    output: Path,
    upscaler: Upscaler,
    settings: Mapping[str, Any],
    jobs: Sequence[Job],
    there: int,
    workers: int,
) -> Fleet:
    """The fleet that fills a folder: the one that is at work there, or a new one.

    Args:
        output: is made.
        upscaler: its network becomes a file in the books.
        settings: what all workers are to share, beside the network.
        jobs: of a new one.
        there: jobs that are left out since their results are there.
        workers: there are some chunks for each.

    Raises:
        UserError: the one at work there has other settings.
    """
    generator, kind = upscaler.generator, upscaler.kind
    digest = generator and digest_of(generator, kind)
    settings = {**settings, "scale": upscaler.scale, "network": digest}
    if is_begun(output):
        forget_unless_at_work(output, settings)
    if not is_begun(output):
        (output / NAME / "reports").mkdir(parents=True, exist_ok=True)
        if generator is not None:
            save_checkpoint(output / NAME / f"{digest}.pt", contents_of(generator, kind))
        plan = planned(output, settings, jobs, there, workers)
        # Another machine may have been first; the exclusive one is the plan of all.
        path = output / NAME / "plan.json"
        with contextlib.suppress(FileExistsError), replacing(path, overwrite=False) as file:
            file.write(json.dumps(plan).encode())
    fleet = Fleet(output)
    check_same(fleet, settings)
    return fleet


def forget_unless_at_work(output: Path, settings: Mapping[str, Any]) -> None:
    """Delete the books of a fleet with other settings that has done nothing and has no workers."""
    with contextlib.suppress(FileNotFoundError):
        fleet = Fleet(output)
        if fleet.settings != settings and not fleet.done() and not fleet.is_at_work():
            delete(output)


def planned(
    output: Path, settings: Mapping[str, Any], jobs: Sequence[Job], there: int, workers: int
) -> dict[str, Any]:
    """The content of a new fleet's plan; see `opened_fleet`."""
    return {
        "format": FORMAT,
        "settings": settings,
        "jobs": [
            [os.path.relpath(path, output) for path in (job.source, job.target)] for job in jobs
        ],
        "there": there,
        "found": [place for place, job in enumerate(jobs) if job.target.exists()],
        "chunks": chunk_starts([size_of(job.source) for job in jobs], workers),
    }


def contents_of(generator: nn.Module, kind: ImageKind) -> dict[str, Any]:
    """A checkpoint of a generator."""
    return {
        "generator_config": generator.config,
        "image_kind": kind.state_dict(),
        "generator": generator.state_dict(),
        "ema": None,
    }


def digest_of(generator: nn.Module, kind: ImageKind) -> str:
    """Hexadecimal digits that two networks share only if they give the same results."""
    contents = contents_of(generator, kind)
    weights = contents.pop("generator")
    digest = hashlib.blake2b(json.dumps(contents, sort_keys=True).encode(), digest_size=16)
    for name, tensor in weights.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def size_of(path: Path) -> int:
    """Bytes of a file; 0 of none, which is found out when it is its turn."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def chunk_starts(sizes: Sequence[int], workers: int) -> list[int]:
    """The places at which chunks begin: images are claimed together, so that claims cost little.

    Args:
        sizes: of the files in bytes.
        workers: each finds at least four chunks, where there are images enough.

    Example:
        >>> chunk_starts([1000] * 70, workers=2), chunk_starts([9_000_000, 9_000_000], workers=1)
        ([0, 8, 16, 24, 32, 40, 48, 56, 64], [0, 1])
    """
    most = max(1, min(CHUNK_IMAGES, len(sizes) // (4 * workers)))
    starts: list[int] = []
    images, total = most, 0
    for place, size in enumerate(sizes):
        if images >= most or total + size > CHUNK_BYTES:
            starts.append(place)
            images = total = 0
        images += 1
        total += size
    return starts


def check_same(fleet: Fleet, settings: Mapping[str, Any]) -> None:
    """Raise `UserError` where the fleet that is at work has other settings than these."""
    said = [
        f"another {key}" if key in ("network", "input") else f"{key}={there}, not {settings[key]}"
        for key, there in fleet.settings.items()
        if settings[key] != there
    ]
    if said:
        left = len(fleet.jobs) - fleet.images_in(fleet.done())
        raise UserError(
            f"{fleet.output}: a call with {', '.join(said)} left {left} of {len(fleet.jobs)} "
            f"images to do; type it again, or delete {fleet.folder} to leave them"
        )
