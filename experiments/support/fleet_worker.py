"""A worker of a fleet: a process that upscales chunks of images until none are left.

    python -m experiments.support.fleet_worker OUTPUT DEVICE NAME

It needs the folder of the results and the images, nothing else: settings and network are there.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from experiments.support.devices import available_device
from experiments.support.fleet import TRIES, Fleet
from experiments.support.outputs import Job
from experiments.support.upscaling import Settings, upscale_file
from tmd.acceleration.speed import UPSCALING_ON_CPU
from tmd.checkpoints import image_kind, load_checkpoint, load_generator
from tmd.errors import Interrupted, UserError, raise_interrupted
from tmd.files import write_json
from tmd.images import ImageKind, set_max_pixels
from tmd.leases import Lease
from tmd.photos import Upscaler

#: Of a job's place among all and the job: the note on its result.
Upscale = Callable[[int, Job], str]
#: Seconds between two looks at chunks that others have.
PATIENCE = 0.5


def main(words: list[str]) -> int:
    """Work, and return the exit status: 0 all is done, 2 an error that is everybody's."""
    output, device, name = words
    signal.signal(signal.SIGTERM, raise_interrupted)
    try:
        fleet = Fleet(Path(output))
    except FileNotFoundError:
        return 0
    try:
        work(fleet, device)
    except (Interrupted, KeyboardInterrupt) as stop:
        return 128 + getattr(stop, "signal", signal.SIGINT)
    except FileNotFoundError:
        if fleet.folder.exists():
            raise
    except UserError as problem:
        say(fleet, name, str(problem))
        return 2
    except Exception:
        say(fleet, name, traceback.format_exc())
        raise
    return 0


def say(fleet: Fleet, name: str, why: str) -> None:
    """Leave word of what ended this worker to the process that started it."""
    write_json(fleet.folder / f"{name}.ended", why, durable=False)


def reason(fleet: Fleet, name: str) -> str | None:
    """Last words of a worker that ended by an error; `None` if it said nothing."""
    with contextlib.suppress(OSError, ValueError):
        return str(json.loads((fleet.folder / f"{name}.ended").read_bytes()))
    return None


def work(fleet: Fleet, device: str) -> None:
    """Upscale what is left, chunk by chunk, and what others leave that end.

    Raises:
        UserError: the network can't be had.
        FileNotFoundError: all was done, and the books are gone.
    """
    set_max_pixels(fleet.settings["max_pixels"])
    one = partial(upscale_image, fleet, open_upscaler(fleet, device))
    count = len(fleet.chunks)
    start = random.randrange(count)  # so that workers seldom want the same
    while left := set(range(count)) - fleet.done():
        turn = sorted(left, key=lambda chunk: (chunk - start) % count)
        if not sum(do_chunk(fleet, chunk, one) for chunk in turn):
            time.sleep(PATIENCE)


def open_upscaler(fleet: Fleet, device: str) -> Upscaler:
    """The network as the fleet's books have it, on this worker's device."""
    said = (fleet.settings["bands"], fleet.settings["value_range"])
    if fleet.settings["network"] is None:
        return Upscaler(None, fleet.settings["scale"], ImageKind(), *said)
    place = torch.device(available_device(device))
    state = load_checkpoint(fleet.network, place)
    generator = load_generator(state, place)
    if place.type == "cpu":
        UPSCALING_ON_CPU.prepare(generator, place)
    return Upscaler(generator, fleet.settings["scale"], image_kind(state), *said)


def do_chunk(fleet: Fleet, chunk: int, upscale: Upscale) -> bool:
    """Upscale a chunk, unless somebody else has it or it is done; True if it was done now."""
    if fleet.is_done(chunk):
        return False
    lease = fleet.leases.take(str(chunk))
    if lease is None:
        return False
    with lease:
        return not fleet.is_done(chunk) and _do(fleet, chunk, lease, upscale)


def _do(fleet: Fleet, chunk: int, lease: Lease, upscale: Upscale) -> bool:
    report = fleet.report(chunk)
    known = {image for image, _ in report.failed}
    for place in fleet.chunks[chunk]:
        job = fleet.jobs[place]
        if not lease.held:
            return False
        if str(job.source) in known:
            continue
        note = failed = ""
        if lease.number > 1 and not fleet.try_again(place, lease.number):
            failed = f"{job.source}: the processes that upscaled it ended, {TRIES} times"
        else:
            try:
                note = upscale(place, job)
            except UserError as problem:
                failed = str(problem)
            if lease.number > 1:
                fleet.outlived(place)
        if failed:
            report.failed.append((str(job.source), failed))
        if note:
            report.notes.append(note)
        if failed or note:
            fleet.write_report(chunk, report, done=False)
    if not lease.held:
        return False
    fleet.write_report(chunk, report, done=True)
    return True


def upscale_image(fleet: Fleet, upscaler: Upscaler, place: int, job: Job) -> str:
    """Upscale one image unless a worker did that has ended; what the user should know of it.

    Raises:
        UserError: it can't be read, or the result can't be written.
    """
    settings = fleet.settings
    shared = Settings(
        settings["overwrite"],
        settings["tile"],
        settings["self_ensemble"],
        settings["amp"],
    )
    try:
        return upscale_file(upscaler, job, shared, tqdm(disable=True))
    except UserError:
        if place not in fleet.found and job.target.exists():
            return ""
        raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
