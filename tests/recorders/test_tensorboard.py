"""What TensorBoard itself reads of our events, and a disk that fills and is emptied again."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tmd.recorders import create_recorder, recording

event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def read(folder: Path):
    events = event_accumulator.EventAccumulator(
        str(folder), size_guidance={"scalars": 0, "images": 0}
    )
    return events.Reload()


def test_tensorboard_reads_the_groups_that_sacred_has_and_the_sheets(tmp_path: Path) -> None:
    recorder = create_recorder("tensorboard", tmp_path / "3", "srgan 3")
    sheet = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    with recording([recorder]):
        recorder.info({"bicubic": {"psnr": 28.4}})
        recorder.metrics("train", {"loss_g": 0.5, "lr_g": 1e-4}, 10)
        recorder.metrics("train", {"loss_g": 0.25, "lr_g": 1e-4}, 20)
        recorder.metrics("validation", {"psnr": 29.5}, 20)
        recorder.image("sheet_00000020.png", sheet, 20)
        assert recorder.artifact("best.pt", lambda path: path.write_bytes(b"never called"))
        recorder.metrics("train", {"loss_g": 0.125, "lr_g": 1e-4}, 30)
    assert recorder.report == {}
    events = read(tmp_path / "3" / "tensorboard")
    assert set(events.Tags()["scalars"]) == {"train/loss_g", "train/lr_g", "validation/psnr"}
    points = [(point.step, point.value) for point in events.Scalars("train/loss_g")]
    assert points == [(10, 0.5), (20, 0.25), (30, 0.125)]
    (picture,) = events.Images("sheet")
    assert picture.step == 20
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(picture.encoded_image_string))), sheet)


#: A process may write files of 20 kB, then of any size: as a disk that fills and is emptied.
FILLS_AND_EMPTIES = """
import json, resource, sys, time
from pathlib import Path
from tmd.recorders import Guarded
from tmd.recorders.tensorboard import TensorBoard

hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
recorder = Guarded(TensorBoard(Path(sys.argv[1])), "tensorboard", pauses=(0.01, 0.05))
for iteration in range(1000):
    recorder.metrics("train", {"loss_g": float(iteration)}, iteration)
deadline = time.monotonic() + 60
while recorder.report.get("failures", 0) < 3 and time.monotonic() < deadline:
    time.sleep(0.01)
size = max(path.stat().st_size for path in Path(sys.argv[1]).iterdir())
if sys.argv[2] == "emptied":
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
recorder.close()
print(json.dumps({"size": size, **recorder.report}))
"""


def filled(folder: Path, then: str) -> tuple[dict, list[str], list[int]]:
    """What the tracker reports, the lines on stderr, the steps that TensorBoard reads."""
    command = [sys.executable, "-c", FILLS_AND_EMPTIES, str(folder), then]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    steps = [point.step for point in read(folder).Scalars("train/loss_g")]
    return json.loads(done.stdout), done.stderr.splitlines(), steps


def test_a_disk_that_fills_is_said_once_and_no_point_is_lost_once_it_has_room(tmp_path) -> None:
    report, lines, steps = filled(tmp_path, "emptied")
    assert 15_000 < report["size"] <= 20_000
    assert report["failures"] >= 3
    assert "lost" not in report
    assert sorted(steps) == list(range(1000))
    (line,) = lines
    assert line.startswith("warning: tensorboard: OSError")
    assert "the training goes on" in line


def test_a_disk_that_stays_full_costs_only_what_does_not_fit(tmp_path) -> None:
    report, lines, steps = filled(tmp_path, "stays full")
    assert 200 < len(steps) < 1000
    assert steps == list(range(len(steps)))  # nothing torn, nothing hidden behind it
    assert report["lost"] == 1000 - len(steps)
    assert len(lines) == 2
    assert lines[1] == f"warning: tensorboard: {report['lost']} entries are not recorded there"
