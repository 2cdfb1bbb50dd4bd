"""Fleets: every image once, by whichever processes, whatever ends them; and the books they keep."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from kill_a_fleet import children, command, kill, make_images, start, sums
from kill_and_resume import environment
from PIL import Image
from skimage import data
from trained_files import checkpoint

from experiments.support import fleet as books
from experiments.support import fleet_worker
from experiments.support.engines import create_engine
from experiments.support.fleet import Fleet, Report, chunk_starts, opened_fleet
from experiments.support.fleet_watch import Crew
from experiments.support.outputs import Job
from experiments.upscale import ex
from tmd.errors import UserError
from tmd.images import ImageKind
from tmd.photos import Upscaler

SETTINGS = {
    "input": ["../in"],
    "format": "auto",
    "overwrite": False,
    "max_pixels": None,
    "tile": None,
    "self_ensemble": False,
    "amp": False,
    "bands": None,
    "value_range": None,
}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    make_images(tmp_path / "in", 12)
    return tmp_path / "in"


def begun(tmp_path: Path, there: int = 0, **changes) -> Fleet:
    """A fleet of bicubic interpolation, with chunks of three images."""
    output = tmp_path / "out"
    jobs = [Job(path, output / path.name) for path in sorted((tmp_path / "in").rglob("*.*"))]
    upscaler = Upscaler(None, 2, ImageKind())
    return opened_fleet(output, upscaler, {**SETTINGS, **changes}, jobs, there, workers=1)


def bicubic(images: Path, output: Path, **changes) -> dict[str, str]:
    """The sums of one process's results."""
    config = {"method": "bicubic", "scale": 2, "input": str(images), "output": str(output)}
    ex.run(config_updates={**config, **changes})
    return sums(output)


def test_chunks_are_of_many_small_images_or_one_large_one():
    assert chunk_starts([100] * 10_000, workers=2) == list(range(0, 10_000, 32))
    assert chunk_starts([3 << 20] * 5, workers=1) == [0, 1, 2, 3, 4]
    assert chunk_starts([1 << 20] * 40, workers=1) == list(range(0, 40, 4))
    # Few images are still shared out among all.
    assert chunk_starts([100] * 8, workers=4) == list(range(8))


def test_a_worker_does_all_and_as_one_process_would(tmp_path, images):
    fleet = begun(tmp_path)
    assert [len(chunk) for chunk in fleet.chunks] == [3, 3, 3, 3]
    fleet_worker.work(fleet, "cpu")
    assert fleet.done() == {0, 1, 2, 3}
    with fleet.reading(), fleet.reading():
        pass
    assert sorted(sums(fleet.output).values()) == sorted(bicubic(images, tmp_path / "b").values())


def test_the_books_vanish_with_the_last_who_reads_them(tmp_path, images):
    fleet = begun(tmp_path)
    with fleet.reading():
        pass
    assert fleet.folder.exists(), "nothing was done yet"
    with fleet.reading():
        with fleet.reading():
            fleet_worker.work(fleet, "cpu")
        assert len(fleet.done()) == 4
    assert not list(fleet.output.glob(".*"))


def test_what_a_worker_left_half_done_is_finished_and_not_done_again(tmp_path, images):
    fleet = begun(tmp_path)
    fleet.leases.take("1").release()
    first = fleet.jobs[3].target
    first.write_bytes(b"by one that was killed before it could say so")
    fleet.write_report(1, Report([("in/gone.png", "in/gone.png: bad")], ["a note"]), done=False)
    fleet_worker.work(fleet, "cpu")
    assert first.read_bytes() == b"by one that was killed before it could say so"
    assert fleet.report(1) == Report([("in/gone.png", "in/gone.png: bad")], ["a note"])
    assert all(job.target.stat().st_size > 60 for job in fleet.jobs if job.target != first)
    assert not os.listdir(fleet.folder / "tries"), "nobody died over any"


def test_an_image_over_which_processes_end_is_given_up(tmp_path, images):
    fleet = begun(tmp_path)
    fatal = fleet.jobs[4]
    begins = []

    def die(place: int, job: Job) -> str:
        begins.append(job)
        if job == fatal:
            raise SystemExit  # as far as the books see, a kill
        if job == fleet.jobs[3]:
            raise UserError("a usual one")
        return ""

    for _ in range(books.TRIES + 1):
        with pytest.raises(SystemExit):
            fleet_worker.do_chunk(fleet, 1, die)
    assert fleet_worker.do_chunk(fleet, 1, die)
    assert begins.count(fatal) == books.TRIES + 1
    [(_, usual), (_, said)] = fleet.report(1).failed
    assert usual == "a usual one"
    assert begins.count(fleet.jobs[3]) == 1
    assert said == f"{fatal.source}: the processes that upscaled it ended, 5 times"


def test_a_chunk_whose_lease_is_lost_is_left_to_who_has_it_now(tmp_path, images):
    fleet = begun(tmp_path)

    def lose(place: int, job: Job) -> str:
        lease = fleet.leases.folder / "0"
        (lease / "2").touch()  # another has taken it over
        return ""

    assert not fleet_worker.do_chunk(fleet, 0, lose)
    assert not fleet.is_done(0)


def test_other_settings_are_refused_while_something_is_half_done(tmp_path, images):
    begun(tmp_path)
    assert begun(tmp_path, tile=32).settings["tile"] == 32, "nothing was done with the others"
    fleet = begun(tmp_path, tile=32)
    fleet.write_report(0, Report([], []), done=True)
    with pytest.raises(UserError) as problem:
        begun(tmp_path, tile=64)
    assert str(problem.value) == (
        f"{fleet.output}: a call with tile=32, not 64 left 9 of 12 images to do; type it again, "
        f"or delete {fleet.folder} to leave them"
    )
    assert len(begun(tmp_path, tile=32).jobs) == 12


def test_networks_are_told_apart_by_their_weights(tmp_path):
    from tmd.checkpoints import load_generator

    one, other = (load_generator(checkpoint(tmp_path / f"{seed}.pt", seed=seed)) for seed in (0, 1))
    kind = ImageKind()
    assert books.digest_of(one, kind) != books.digest_of(other, kind)
    assert books.digest_of(one, kind) != books.digest_of(one, ImageKind(3, "uint16"))
    with torch.no_grad():
        next(other.parameters()).zero_()
        other.load_state_dict(one.state_dict())
    assert books.digest_of(one, kind) == books.digest_of(other, kind)


def test_who_is_killed_is_replaced_under_its_number_but_not_for_ever(tmp_path, images, capsys):
    crew = Crew(begun(tmp_path), create_engine("local"), 2, "cpu")
    dying = "import os; print(os.environ['TMD_WORKER'], flush=True); os.kill(os.getpid(), 9)"
    crew.command = [sys.executable, "-c", dying]

    def watch() -> None:
        with crew:
            while True:
                crew.care(left=4)
                time.sleep(0.02)

    with pytest.raises(UserError, match=r"^all 2 workers ended, 3 times, before anything was done"):
        watch()
    lines = capsys.readouterr().err.splitlines()
    assert sum(line.endswith("SIGKILL; another takes its place") for line in lines) == 5
    assert sum(line.endswith("SIGKILL; it is not replaced again") for line in lines) == 2
    numbers = [path.read_text() for path in (crew.fleet.folder / "output").rglob("*.txt")]
    assert len(numbers) == 7
    for number in "12":
        told = sum(line.startswith(f"worker {number} ") for line in lines)
        assert told == numbers.count(f"{number}\n") >= 1


@pytest.mark.parametrize(("key", "value"), [("workers", 0), ("workers", 1.5), ("engine", "cloud")])
def test_workers_and_engines_that_can_not_be_are_refused(tmp_path, images, key, value):
    with pytest.raises(UserError, match=f"^{key}={value!r}: must be"):
        bicubic(images, tmp_path / "out", **{key: value})
    assert not (tmp_path / "out").exists()


def test_killed_and_typed_again_it_ends_as_one_undisturbed_process(tmp_path):
    """As typed: with a network, a bad image, and one that was there."""
    network = checkpoint(tmp_path / "a.pt")
    images, alone, out = (tmp_path / name for name in ("in", "alone", "out"))
    make_images(images, 80)
    (images / "00" / "bad.png").write_text("no image")
    # Large enough for one worker to be at work when it is killed.
    Image.fromarray(data.astronaut()).save(images / "00" / "large.png")
    for output in (alone, out):
        (output / "00").mkdir(parents=True)
        (output / "00" / "00007.png").write_bytes(b"mine")
    config = {"checkpoint": str(network), "input": str(images), "device": "cpu"}
    with pytest.raises(UserError, match="2 of 82 images could not"):
        ex.run(config_updates={**config, "output": str(alone)})

    words = (f"checkpoint={network}", "workers=2")
    typed = start(images, out, *words)
    reports = out / ".fleet" / "reports"
    while not reports.is_dir() or not list(reports.glob("*.json")):
        assert typed.poll() is None, typed.communicate()
        time.sleep(0.01)
    workers = children(typed.pid)
    os.kill(typed.pid, signal.SIGSTOP)  # so that it does not end before it is killed
    kill(workers)
    typed.kill()
    typed.communicate()
    left = json.loads((out / ".fleet" / "plan.json").read_text())
    assert len(left["jobs"]) == 82

    with pytest.raises(UserError, match="a call with tile=None, not 16 left"):
        ex.run(config_updates={**config, "output": str(out), "tile": 16})

    again = subprocess.run(
        command(images, out, *words),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 2
    assert f"{images}/00/bad.png: not an image" in again.stderr
    assert f"{out}/00/00007.png: exists" in again.stderr
    assert again.stderr.splitlines()[-1] == "error: 2 of 82 images could not be upscaled"
    assert again.stdout.startswith("80 of 82 upscaled ×2 in ")
    assert sums(out) == sums(alone)
    assert not list(out.glob(".*"))


@pytest.mark.slow
def test_a_thousand_images_with_kills_at_random(tmp_path):
    script = Path(__file__).with_name("kill_a_fleet.py")
    network = checkpoint(tmp_path / "a.pt")
    words = ["--images", "1000", "--workers", "2", "--kills", "9", f"checkpoint={network}"]
    subprocess.run([sys.executable, str(script), *words], env=environment(), check=True)
