"""Weights & Biases as it is, offline: what lies in the file that `wandb sync` would send."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tmd.recorders import create_recorder, recording
from tmd.recorders.wandb import _has_login

pytest.importorskip("wandb", reason="pip install -e '.[wandb]' brings it")
BLOCK = 32 * 1024
HEADER = struct.Struct("<IHB")  # of LevelDB's log: checksum, length, kind of fragment
FULL, LAST = 1, 4


def records(path: Path) -> Iterator[Any]:
    """The records of a `.wandb` file, a LevelDB log of protocol buffers."""
    from wandb.proto import wandb_internal_pb2

    data, place, whole = path.read_bytes(), 7, b""
    while place + HEADER.size <= len(data):
        left = BLOCK - place % BLOCK
        if left < HEADER.size:
            place += left
            continue
        _, length, kind = HEADER.unpack_from(data, place)
        place += HEADER.size
        whole += data[place : place + length]
        place += length
        if kind in (FULL, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            whole = b""
            yield record


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No login, and a home of its own."""
    for key in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT", "NETRC"):
        monkeypatch.delenv(key, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for key in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(key, str(home))
    return tmp_path


@pytest.mark.parametrize(("error", "code"), [(None, 0), (RuntimeError, 1)])
def test_without_a_login_a_run_is_kept_to_be_sent_later(offline: Path, error, code) -> None:
    recorder = create_recorder("wandb", offline / "runs" / "3", "srgan 3", {"scale": 4})
    try:
        with recording([recorder]):
            recorder.info({"bicubic": {"psnr": 28.4}})
            for iteration, loss in ((10, 0.5), (20, 0.25), (30, 0.125)):
                recorder.metrics("train", {"loss_g": loss}, iteration)
            # A sheet is drawn beside the training, and comes after later points.
            recorder.image("sheet_00000020.png", Image.new("RGB", (8, 8), "red"), 20)
            recorder.artifact("best.pt", lambda path: path.write_bytes(b"weights"))
            if error:
                raise error
    except RuntimeError:
        pass
    assert recorder.report == {}
    (path,) = (offline / "runs" / "wandb").glob("offline-run-*/run-*.wandb")
    found = list(records(path))
    rows = [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
        for record in found
        if record.WhichOneof("record_type") == "history"
        for items in [record.history.item]
    ]
    curve = [(row["iteration"], row["train/loss_g"]) for row in rows if "train/loss_g" in row]
    assert curve == [(10, 0.5), (20, 0.25), (30, 0.125)]
    (sheet,) = [row for row in rows if "sheet/path" in row]
    assert sheet["iteration"] == 20
    assert (path.parent / "files" / sheet["sheet/path"]).exists()
    kinds = [record.WhichOneof("record_type") for record in found]
    assert "artifact" in kinds or "request" in kinds
    (run,) = [record.run for record in found if record.WhichOneof("record_type") == "run"]
    assert (run.display_name, run.project) == ("srgan 3", "tmd")
    assert found[-1].exit.exit_code == code


def test_a_login_is_seen_without_asking_anybody(offline: Path, monkeypatch) -> None:
    assert not _has_login()
    (offline / "home" / ".netrc").write_text("machine api.wandb.ai login user password secret\n")
    assert _has_login()
    (offline / "home" / ".netrc").unlink()
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert _has_login()
