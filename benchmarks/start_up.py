"""Processor time until a script answers: a config, a training's first numbers, a small photo.

    python benchmarks/start_up.py [--against CHECKOUT] [--rounds 5] [--csv out/start_up.csv]

Each is a process of its own, in turn, those of another checkout of this project between ours, and
importing torch alone beside them. Counted is what the kernel says that the process and its children
computed, not the clock, so that another busy process on the machine matters little. Of a training
it is the time until the first numbers of its bar are shown.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import resource
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from PIL import Image
from reporting import add_outputs, report, surroundings
from skimage import data

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
#: The default networks for one update, so that numbers come at once and nothing is recorded.
FIRST = ("-u", "with", "device=cpu", "training.log_interval=1", "training.speed=float32")
NUMBERS = re.compile(r"pixel \d")


def finished(
    command: list[str], where: Path, environment: Mapping[str, str], code: int = 0
) -> float:
    """Processor seconds of a command and its children from beginning to end.

    Raises:
        SystemExit: it ended with another code.
    """
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=where, env=environment, check=False, **quiet)  # type: ignore[call-overload]
    if done.returncode != code:
        raise SystemExit(f"{' '.join(command)}: ended with {done.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def until_numbers(command: list[str], where: Path, environment: Mapping[str, str]) -> float:
    """Processor seconds of a training and its children until the first numbers of its bar.

    Raises:
        SystemExit: it ended before.
    """
    # A terminal gets the bar as it moves, a pipe every ten seconds.
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 160, 0, 0))
    text = ""
    with subprocess.Popen(
        command, cwd=where, env=environment, stdout=subprocess.DEVNULL, stderr=theirs
    ) as process:
        os.close(theirs)
        try:
            while not NUMBERS.search(text):
                text += os.read(ours, 4096).decode(errors="replace")
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            raise SystemExit(
                f"{' '.join(command)}: ended before its first numbers\n{text}"
            ) from None
        finally:
            process.send_signal(signal.SIGKILL)
            os.close(ours)
    return sum(map(int, fields[11:15])) / TICKS


Measured = Callable[[list[str], Path, Mapping[str, str]], float]


def cases(photo: Path) -> dict[str, tuple[Measured, list[str]]]:
    """Words after the scripts' folder, and the function that measures them, by name."""
    return {
        "import torch": (finished, ["-c", "import torch"]),
        "srgan print_config": (finished, ["srgan.py", "print_config"]),
        "srgan with a wrong key": (
            partial(finished, code=2),
            ["srgan.py", "with", "dataset.batch_size=0"],
        ),
        "first numbers of a training": (until_numbers, ["srgan.py", *FIRST]),
        "upscale 250 × 200": (finished, ["upscale.py", "with", f"input={photo}", "device=cpu"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--against", type=Path, help="another checkout, measured in turn with this")
    parser.add_argument("--rounds", type=int, default=5)
    add_outputs(parser)
    options = parser.parse_args()
    checkouts = {"this": ROOT}
    if options.against:
        checkouts = {"that": options.against.resolve(), **checkouts}
    print(surroundings())
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        Image.fromarray(data.astronaut()).crop((100, 0, 350, 200)).save(photo)
        rows = []
        for name, (measured, words) in cases(photo).items():
            seconds: dict[str, list[float]] = {each: [] for each in checkouts}
            for number in range(options.rounds + 1):  # the first one warms the disk's cache
                for each, checkout in checkouts.items():
                    script = (
                        [str(checkout / "experiments" / words[0])] if words[0] != "-c" else ["-c"]
                    )
                    environment = {**os.environ, "PYTHONPATH": str(checkout)}
                    with tempfile.TemporaryDirectory() as where:
                        taken = measured(
                            [sys.executable, *script, *words[1:]], Path(where), environment
                        )
                    seconds[each] += [taken] * (number > 0)
            medians = {each: statistics.median(values) for each, values in seconds.items()}
            row = {"": name, **{f"{each}, s": round(value, 2) for each, value in medians.items()}}
            if options.against:
                row["ratio"] = round(medians["this"] / medians["that"], 2)
            rows.append(row)
        report(rows, options, list(rows[0])[1])


if __name__ == "__main__":
    main()
