"""All that a GPU is to be asked, in one command of nine minutes.

    python benchmarks/on_gpu.py out/h100 --photos BSDS500/train --set5 Set5 --lpips weights
    python benchmarks/on_gpu.py out/cpu --device cpu --small     # a trial of each part, without one

The parts, in this order: the tests that need a GPU; SRGAN's step beside a plain one at several
batches and patches; its profile; runs killed and resumed under ``deterministic=True``; a training
of 100 seconds by ``bsds500`` and its figures on Set5; compiled steps, and whether CUDA graphs train
to the same parameters. Each writes what it found to the folder as soon as it has ended, so that
nothing is lost with a machine that is taken back; none takes longer than it is given, and what is
left out is said. In the folder, all in all: report.md, log.txt, steps.csv, profile.csv, steps.png,
curve.png, best.pt. docs/howto/gpus.md says how a machine without internet gets the packages.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from reporting import plot_bars, surroundings
from settings import SETTINGS, networks
from step import ours

from tmd.acceleration.speed import Speed
from tmd.files import write_bytes

ROOT = Path(__file__).resolve().parents[1]
#: Of each kind of arithmetic, from the plainest on.
SPEEDS = (
    "float32",
    "float32+channels_last+tf32",
    "bfloat16+tf32",
    "bfloat16+channels_last+tf32",
    "float16+channels_last+tf32",
)
COMPILED = ("bfloat16+channels_last+tf32", "bfloat16+channels_last+compile+tf32")
GRAPHS = "bfloat16+channels_last+graphs+tf32"
#: Updates of the two short runs by which a training's rate is found.
TIMED = (100, 600)
#: Updates that a training on CUDA graphs is compared after.
COMPARED = 12


@dataclass(frozen=True)
class Sizes:
    """Amounts that are asked: of a GPU, or of a CPU that only tries the parts out."""

    networks: str
    steps: tuple[tuple[int, int], ...]  # images, HR pixels
    profiled: tuple[tuple[int, int], ...]
    rounds: int
    kills: int
    seconds: float  # of the training
    timed: tuple[int, int]
    words: tuple[str, ...] = ()  # further ones of the training
    patience: float = 1  # times the seconds that a part has


ON_GPU = Sizes(
    "srgan",
    ((16, 96), (64, 128), (16, 128), (64, 96)),
    ((16, 96), (64, 128)),
    5,
    2,
    100,
    TIMED,
)
SMALL = Sizes("default", ((2, 48), (3, 48)), ((2, 48),), 1, 1, 10, (4, 12), ("smoke",), 10)


@dataclass
class Report:
    """Findings, in files that are whole after each part."""

    folder: Path
    until: float
    patience: float = 1
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "log.txt"
        self.log.write_text("", encoding="utf-8")

    def say(self, text: str = "") -> None:
        """Add a line, on the screen too."""
        print(text, flush=True)
        self.lines.append(text)
        text = "\n".join(self.lines) + "\n"
        write_bytes(self.folder / "report.md", text.encode())

    def table(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows with the same keys."""
        if not rows:
            return
        heads = list(rows[0])
        cells = [heads, ["---"] * len(heads), *([str(row[head]) for head in heads] for row in rows)]
        self.say("\n".join("| " + " | ".join(line) + " |" for line in cells) + "\n")

    def left(self, limit: float) -> float:
        """Seconds that a command may take that asks for ``limit``."""
        return max(0.0, min(limit * self.patience, self.until - time.monotonic()))

    def run(self, limit: float, *words: object) -> str:
        """Run Python with ``words``, and return what it printed.

        Raises:
            Unfinished: it failed, or ran out of time and was ended with all that it had started.
        """
        command = [sys.executable, *map(str, words)]
        start = self.log.stat().st_size
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"\n$ python {' '.join(command[1:])}\n")
            log.flush()
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            seconds = self.left(limit)
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                end_group(process)
        with self.log.open(encoding="utf-8", errors="replace") as log:
            log.seek(start)
            printed = log.read()
        if status is None:
            raise Unfinished(f"ended after the {seconds:.0f} s that were left for it")
        if status:
            raise Unfinished(f"exit status {status}:\n\n```\n{printed[-1500:].strip()}\n```")
        return printed


class Unfinished(Exception):
    """A command that did not come to its end."""


def environment() -> dict[str, str]:
    """Variables by which a process imports this build, and what this one was given besides."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a group, and all others of it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def tests(report: Report, sizes: Sizes, options: argparse.Namespace) -> None:
    """The tests that need a GPU."""
    marked = (
        path for path in (ROOT / "tests").rglob("test_*.py") if "mark.gpu" in path.read_text()
    )
    words = ["-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *sorted(marked)]
    report.say(report.run(90, *words).strip().splitlines()[-1])


def _timed_steps(
    report: Report, sizes: Sizes, options: argparse.Namespace, size: tuple[int, int], speeds: Any
) -> None:
    batch, patch = size
    found = report.folder / "found.csv"
    words = ["--networks", sizes.networks, "--batch", batch, "--patch", patch, "--csv", found]
    words += ["--rounds", sizes.rounds, "--device", options.device, "--speeds", *speeds]
    report.run(120, "benchmarks/step.py", *words)
    rows = read(found)
    found.unlink()
    report.table(rows)
    kept = report.folder / "steps.csv"
    add(kept, rows)
    bars = [
        {
            "step": f"{row['batch']} × {row['patch']}², {row['step']}",
            "over plain": row["over plain"],
        }
        for row in read(kept)
    ]
    plot_bars(bars, "over plain", 1, report.folder / "steps.png")


def steps(report: Report, sizes: Sizes, options: argparse.Namespace) -> None:
    """SRGAN's step beside a plain one in float32, without TF32."""
    speeds = SPEEDS if options.device.startswith("cuda") else ("float32", "bfloat16+channels_last")
    for size in sizes.steps:
        _timed_steps(report, sizes, options, size, speeds)


def profiled(report: Report, sizes: Sizes, options: argparse.Namespace) -> None:
    """Operations of the step, the share of time in which a kernel runs, and the longest gap."""
    for batch, patch in sizes.profiled:
        found = report.folder / "found.csv"
        words = ["--networks", sizes.networks, "--batch", batch, "--patch", patch]
        words += ["--device", options.device, "--csv", found, "--rows", 12]
        printed = report.run(60, "benchmarks/profile_step.py", *words)
        for line in printed.splitlines():
            if "an iteration's" in line or "some kernel runs" in line:
                report.say(f"{line}\n")
        rows = [{"step": f"{batch} × {patch}²", **row} for row in read(found)]
        found.unlink()
        report.table(rows)
        add(report.folder / "profile.csv", rows)


def kills(report: Report, sizes: Sizes, options: argparse.Namespace) -> None:
    """Runs killed and resumed under ``deterministic=True``: is each tensor the same."""
    words = ["--kills", sizes.kills, f"device={options.device}", "deterministic=True"]
    printed = report.run(120, "tests/experiments/kill_and_resume.py", *words)
    report.say(
        "\n".join(line for line in printed.splitlines() if re.search("kill |identical", line))
    )


def training(report: Report, sizes: Sizes, options: argparse.Namespace) -> None:
    """A training by ``bsds500`` of as many updates as fit the seconds, on Set5."""
    if options.photos is None:
        raise Unfinished("left out: --photos was not given")
    store = report.folder / "runs"
    given = [f"dataset.root={options.photos.resolve()}", f"device={options.device}"]
    if options.lpips:
        given.append(f"schedule.lpips_weights={options.lpips.resolve()}")

    def train(total: int) -> float:
        began = time.perf_counter()
        adversarial = max(1, total // 18)
        phases = {"pretrain": total - adversarial - 1, "warmup": 1, "adversarial": adversarial}
        words = [f"schedule.{name}={number}it" for name, number in phases.items()]
        script = ["experiments/srgan.py", "-F", store, "with", "bsds500", *sizes.words]
        words += [f"training.checkpoint_every={total}", f"optimization.lr_rise={total // 20}it"]
        report.run(200, *script, *given, *words, *options.words)
        return time.perf_counter() - began

    few, more = sizes.timed
    short, long = train(few), train(more)
    update = max(1e-6, (long - short) / (more - few))
    total = max(more, int(min(sizes.seconds, report.left(sizes.seconds)) / update))
    took = train(total)
    report.say(
        f"{1e3 * update:.1f} ms an update; {total} updates in {took:.0f} s, start included\n"
    )
    newest = max(store.glob("[0-9]*/"), key=lambda run: int(run.name))
    shutil.copy(newest / "best.pt", report.folder / "best.pt")
    curve = report.folder / "curve.png"
    report.run(60, "experiments/compare.py", "curves", "with", f"run={newest}", f"output={curve}")
    if options.set5:
        words = [f"run={newest}", f"benchmark={options.set5.resolve()}", f"device={options.device}"]
        words += [f"lpips_weights={options.lpips.resolve()}"] if options.lpips else []
        printed = report.run(60, "experiments/evaluate.py", "-F", store, "with", *words)
        report.say(f"```\n{printed.strip()}\n```")
    shutil.rmtree(store)


def compiled(report: Report, sizes: Sizes, options: argparse.Namespace) -> None:
    """Compiled steps, and whether CUDA graphs train to the parameters that kernels alone do."""
    _timed_steps(report, sizes, options, sizes.steps[0], (*COMPILED, GRAPHS))
    words = ["--compare-graphs", "--device", options.device, *(["--small"] * options.small)]
    report.say(report.run(150, __file__, report.folder, *words).strip().splitlines()[-1])


#: name -> what it does; the first line of its docstring is its head in the report.
PARTS: dict[str, Callable[[Report, Sizes, argparse.Namespace], None]] = {
    "tests": tests,
    "steps": steps,
    "profile": profiled,
    "kills": kills,
    "training": training,
    "compiled": compiled,
}


def parameters_after(speed: str, sizes: Sizes, device: torch.device) -> torch.Tensor:
    """All of the generator's parameters after `COMPARED` updates from the same ones."""
    batch, patch = sizes.steps[0]
    made = networks(SETTINGS[sizes.networks])
    torch.manual_seed(0)
    images = torch.randint(0, 256, (batch, 3, patch, patch), dtype=torch.uint8)
    ours(SETTINGS[sizes.networks], images, device, Speed.parse(speed), made)(COMPARED)
    return torch.cat([each.detach().double().flatten().cpu() for each in made[0].parameters()])


def compare_graphs(sizes: Sizes, device: torch.device) -> str:
    """A sentence on how far graphs lead from compiled kernels, beside two trainings without."""
    kernels, again, graphs = (
        parameters_after(speed, sizes, device) for speed in (COMPILED[1], COMPILED[1], GRAPHS)
    )
    spread, apart = ((other - kernels).norm() / kernels.norm() for other in (again, graphs))
    return (
        f"after {COMPARED} updates CUDA graphs lie {apart:.2e} of the parameters' norm from "
        f"compiled kernels, which lie {spread:.2e} from themselves"
    )


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def add(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows to a CSV file, with its heads if it is new."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        if new:
            writer.writeheader()
        writer.writerows(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where all goes; it must not hold a report yet")
    parser.add_argument("--photos", type=Path, help="to learn from; without it nothing is trained")
    parser.add_argument("--set5", type=Path, help="with HR/ and LR_bicubic/X4")
    parser.add_argument("--lpips", type=Path, help="folder of LPIPS's backbones and heads")
    parser.add_argument("--words", nargs="*", default=[], help="further ones of the training")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=9, help="after which it has ended")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--small", action="store_true", help="little of each, for a CPU")
    parser.add_argument("--compare-graphs", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = SMALL if options.small else ON_GPU
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error(f"--device {options.device}: torch {torch.__version__} sees no GPU here")
    if options.compare_graphs:
        print(compare_graphs(sizes, torch.device(options.device)))
        return 0
    if (options.folder / "report.md").exists():
        parser.error(f"{options.folder} holds a report: name another folder")
    for given in (options.photos, options.set5, options.lpips):
        if given is not None and not given.is_dir():
            parser.error(f"{given}: no such folder")
    options.folder = options.folder.resolve()
    report = Report(options.folder, time.monotonic() + 60 * options.minutes, sizes.patience)
    report.say(f"# {surroundings(options.device)}\n")
    unfinished = 0
    for name in options.parts:
        part = PARTS[name]
        report.say(f"## {(part.__doc__ or name).splitlines()[0]}\n")
        began = time.monotonic()
        try:
            part(report, sizes, options)
        except Unfinished as problem:
            unfinished += 1
            report.say(str(problem))
        report.say(f"\n*{name}: {time.monotonic() - began:.0f} s*\n")
    return 1 if unfinished else 0


if __name__ == "__main__":
    sys.exit(main())
