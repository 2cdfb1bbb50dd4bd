"""A tracker that fails, hangs or chokes on one call never ends or delays the training."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tmd.errors import UserError
from tmd.recorders import Guarded, check_trackers, create_recorder, recording
from tmd.recorders.guarded import MOST_IMAGES


class Tracker:
    """Keeps what it is told; fails as the test says.

    Attributes:
        away: every call fails.
        poison: an iteration whose point it can't take.
    """

    def __init__(self) -> None:
        self.away = False
        self.poison: int | None = None
        self.told: list[Any] = []
        self.closed = False
        self.gate = threading.Event()
        self.gate.set()

    def _take(self, entry: Any) -> None:
        self.gate.wait()
        if self.away:
            raise ConnectionError("the server\nis away")
        self.told.append(entry)

    def info(self, values) -> None:
        self._take(dict(values))

    def metrics(self, group, values, iteration) -> None:
        if iteration == self.poison:
            raise ValueError("I don't take this")
        self._take((group, iteration))

    def image(self, name, image, iteration) -> None:
        self._take(name)

    def artifact(self, name, write) -> bool:
        self._take(name)
        path = Path(self.scratch) / name
        write(path)
        self.told.append(path.read_bytes())
        return True

    def remove(self, name) -> None:
        raise AssertionError("trackers forget nothing")

    def close(self) -> None:
        self.closed = True


def guarded(tracker: Tracker, patience: float = 20) -> Guarded:
    return Guarded(tracker, "tracker", pauses=(0.01, 0.02), patience=patience)


def until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_lost_server_is_said_once_and_gets_all_points_when_it_is_back(capsys) -> None:
    tracker = Tracker()
    recorder = guarded(tracker)
    recorder.metrics("train", {}, 1)
    until(lambda: tracker.told)
    tracker.away = True
    for iteration in range(2, 50):
        recorder.metrics("train", {}, iteration)
    until(lambda: recorder.report.get("failures", 0) > 5)
    tracker.away = False
    recorder.close()
    # The call that failed last may come after the one behind it.
    assert sorted(iteration for _, iteration in tracker.told) == list(range(1, 50))
    assert tracker.closed
    assert set(recorder.report) == {"failures", "error"}
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "warning: tracker: ConnectionError: the server is away; the training goes on" in error


def test_a_server_that_stays_away_costs_the_points_and_their_number_is_told(capsys) -> None:
    tracker = Tracker()
    tracker.away = True
    recorder = guarded(tracker)
    for iteration in range(7):
        recorder.metrics("train", {}, iteration)
    recorder.close()
    assert recorder.report["lost"] == 7
    assert capsys.readouterr().err.splitlines()[-1].endswith("7 entries are not recorded there")


def test_a_call_that_can_never_succeed_holds_up_none_behind_it() -> None:
    tracker = Tracker()
    tracker.poison = 3
    recorder = guarded(tracker)
    for iteration in range(6):
        recorder.metrics("train", {}, iteration)
    recorder.close()
    assert [iteration for _, iteration in tracker.told] == [0, 1, 2, 4, 5]
    assert recorder.report["lost"] == 1


def test_calls_return_at_once_and_the_end_waits_only_so_long() -> None:
    tracker = Tracker()
    tracker.gate.clear()  # it hangs
    recorder = guarded(tracker, patience=0.2)
    began = time.monotonic()
    for iteration in range(1000):
        recorder.metrics("train", {"loss_g": 1.0}, iteration)
    assert time.monotonic() - began < 1
    recorder.close()
    assert time.monotonic() - began < 5
    assert recorder.report["lost"] == 1000
    tracker.gate.set()


def test_pictures_that_wait_do_not_pile_up() -> None:
    tracker = Tracker()
    tracker.away = True
    recorder = guarded(tracker)
    recorder.metrics("train", {}, 0)
    until(lambda: recorder.report)
    for number in range(MOST_IMAGES + 5):
        recorder.image(f"sheet_{number}.png", Image.new("RGB", (4, 4)), number)
    tracker.away = False
    recorder.close()
    newest = {f"sheet_{n}.png" for n in range(5, MOST_IMAGES + 5)}
    assert set(tracker.told) == {("train", 0), *newest}
    assert recorder.report["lost"] == 5


def test_of_files_only_the_newest_that_replaces_itself_is_handed_over(tmp_path) -> None:
    tracker = Tracker()
    tracker.scratch = tmp_path
    recorder = guarded(tracker)

    def hand_over(number: int) -> None:
        content = b"%d" % number
        assert recorder.artifact("best.pt", lambda path: path.write_bytes(content))
        assert recorder.artifact(f"checkpoint_{number:08}.pt", lambda path: path.touch())

    tracker.gate.clear()
    hand_over(0)
    until(lambda: not recorder._calls)  # the first is under way, and is going to fail
    tracker.away = True
    hand_over(1)
    hand_over(2)
    tracker.gate.set()
    until(lambda: recorder.report.get("failures", 0) > 1)
    tracker.away = False
    recorder.close()
    assert tracker.told == ["best.pt", b"2"]
    assert "lost" not in recorder.report


def test_a_full_disk_while_a_file_is_made_is_the_trackers_matter_alone() -> None:
    recorder = guarded(Tracker())

    def write(path: Path) -> None:
        raise OSError(28, "No space left on device")

    assert recorder.artifact("best.pt", write)
    recorder.close()
    assert recorder.report == {
        "failures": 1,
        "error": "OSError: [Errno 28] No space left on device",
        "lost": 1,
    }


def test_nor_does_a_full_temporary_folder_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Tracker()

    def full(*args, **options):
        raise OSError(28, "No space left on device")

    for name in ("mkdtemp", "TemporaryDirectory"):
        monkeypatch.setattr(f"tempfile.{name}", full)
    recorder = guarded(tracker)
    recorder.metrics("train", {}, 1)
    assert recorder.artifact("best.pt", lambda path: path.touch())
    recorder.close()
    assert tracker.told == [("train", 1)]
    assert recorder.report["lost"] == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "COMPLETED"), (KeyboardInterrupt, "INTERRUPTED"), (RuntimeError, "FAILED")],
)
def test_trackers_are_told_how_it_ended_and_the_record_what_failed_in_them(error, status) -> None:
    record, broken, sound = Tracker(), Tracker(), Tracker()
    broken.away = True
    recorders = [record, guarded(broken), Guarded(sound, "sound")]
    try:
        with recording(recorders):
            if error:
                raise error
    except (KeyboardInterrupt, RuntimeError):
        assert error
    assert sound.told == [{"status": status}]
    ((told),) = record.told
    assert told["trackers"]["tracker"]["lost"] == 1
    assert set(told["trackers"]) == {"tracker"}
    assert record.closed


def test_a_tracker_that_there_is_not_is_refused_in_one_line(tmp_path, monkeypatch) -> None:
    with pytest.raises(UserError, match=r"^training.trackers='x': must be one of mlflow, tensorb"):
        check_trackers(["x"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"mlflow is not installed; pip install 'tmd\[mlflow\]'"):
        create_recorder("mlflow", tmp_path, "run")
