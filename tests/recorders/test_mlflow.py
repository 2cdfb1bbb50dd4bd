"""MLflow as it is: its own client reads what was tracked."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from PIL import Image

from tmd.recorders import Guarded, create_recorder, recording
from tmd.recorders.mlflow import MLflow

mlflow = pytest.importorskip("mlflow", reason="pip install -e '.[mlflow]' brings it")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for key in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(key, raising=False)
    for key in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.setenv(key, "1")


def test_a_run_is_read_back_by_mlflows_client(tmp_path: Path) -> None:
    config = {"experiment": "srgan", "scale": 4, "dataset": {"root": "photos", "n": None}}
    recorder = create_recorder("mlflow", tmp_path / "runs" / "3", "srgan 3", config)
    with recording([recorder]):
        recorder.info({"bicubic": {"psnr": 28.4}})
        for iteration, loss in ((10, 0.5), (20, 0.25)):
            recorder.metrics("train", {"loss_g": loss}, iteration)
        recorder.metrics("validation", {"psnr": 29.5}, 20)
        recorder.image("sheet_00000020.png", Image.new("RGB", (8, 8)), 20)
        recorder.artifact("best.pt", lambda path: path.write_bytes(b"weights"))
    assert recorder.report == {}
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    client = mlflow.MlflowClient(recorder.tracker._local_store())
    (run,) = client.search_runs([client.get_experiment_by_name("tmd").experiment_id])
    assert run.info.run_name == "srgan 3"
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        "experiment": "srgan",
        "scale": "4",
        "dataset.root": "photos",
        "dataset.n": "None",
    }
    history = client.get_metric_history(run.info.run_id, "train/loss_g")
    assert [(point.step, point.value) for point in history] == [(10, 0.5), (20, 0.25)]
    assert run.data.metrics["validation/psnr"] == 29.5
    folder = Path(client.download_artifacts(run.info.run_id, "", str(tmp_path)))
    assert (folder / "best.pt").read_bytes() == b"weights"
    assert (folder / "images" / "sheet_00000020.png").exists()
    assert json.loads((folder / "info" / "bicubic.json").read_text()) == {"psnr": 28.4}


def test_a_run_that_was_stopped_is_not_called_finished(tmp_path: Path) -> None:
    recorder = create_recorder("mlflow", tmp_path / "3", "run 3")

    def stopped() -> None:
        with recording([recorder]):
            recorder.metrics("train", {"pixel": 1.0}, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    client = mlflow.MlflowClient(recorder.tracker._local_store())
    (run,) = client.search_runs([client.get_experiment_by_name("tmd").experiment_id])
    assert run.info.status == "KILLED"


def test_a_server_that_is_not_there_costs_nothing_but_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    tracker = MLflow(tmp_path, "run", {})
    recorder = Guarded(tracker, "mlflow", pauses=(0.01, 0.01), patience=30)
    with recording([recorder]):
        for iteration in range(5):
            recorder.metrics("train", {"pixel": 1.0}, iteration)
    assert recorder.report["lost"] == 6  # the points, and how it ended
    assert recorder.report["failures"] >= 1
    lines = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("warning: mlflow: ") for line in lines) == 2
