"""MLflow, through Ignite's logger."""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from tmd.recorders.registry import Recorder, TrackedRun, register_tracker

#: MLflow's words for how a run ended.
STATUS = {"COMPLETED": "FINISHED", "INTERRUPTED": "KILLED", "FAILED": "FAILED"}
#: A parameter's longest value.
LONGEST = 6000
#: Whoever calls this tries again himself; MLflow's own seven tries take minutes.
HURRY = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


class MLflow:
    """A run of MLflow: config as parameters, scalars, pictures, files.

    It goes to the server that ``MLFLOW_TRACKING_URI`` names, else into ``folder``: a database where
    the whole of MLflow is installed, files where only ``mlflow-skinny`` is. The experiment is
    ``MLFLOW_EXPERIMENT_NAME``, else tmd.

    Args:
        folder: of the local store.
        name: of the run.
        config: nested; recorded with dotted names.
    """

    keeps_artifacts = True

    def __init__(self, folder: Path, name: str, config: Mapping[str, Any]) -> None:
        self.folder = folder
        self.name = name
        self.config = config
        self.status = "COMPLETED"
        self._begun = False
        self._opened: Any = None

    def info(self, values: Mapping[str, Any]) -> None:
        """Keep what was resolved as ``info/KEY.json``; ``status`` says how the run ended."""
        logger = self._logger()
        for key, value in values.items():
            if key == "status":
                self.status = value
            else:
                logger.log_text(json.dumps(value, indent=2, default=str), f"info/{key}.json")

    def metrics(self, group: str, values: Mapping[str, float], iteration: int) -> None:
        """Log as ``group/name``."""
        tagged = {f"{group}/{name}": value for name, value in values.items()}
        self._logger().log_metrics(tagged, step=iteration)

    def image(self, name: str, image: Image.Image, iteration: int) -> None:
        """Keep as an artifact below ``images``."""
        self._logger().log_image(image, f"images/{name}")

    def artifact(self, name: str, write: Callable[[Path], None]) -> bool:
        """Keep a file."""
        with tempfile.TemporaryDirectory(prefix="tmd-") as scratch:
            path = Path(scratch) / name
            write(path)
            self._logger().log_artifact(str(path))
        return True

    def remove(self, name: str) -> None:
        """Nothing: MLflow keeps what it was given."""

    def close(self) -> None:
        """End the run with the status that `info` was told."""
        if self._opened is not None:
            import mlflow

            mlflow.end_run(STATUS.get(self.status, "FAILED"))

    def _logger(self) -> Any:
        """Ignite's logger of a run of our own, begun at the first call."""
        if self._opened is None:
            for key, value in HURRY.items():
                os.environ.setdefault(key, value)
            import mlflow
            from ignite.handlers import MLflowLogger

            server = os.environ.get("MLFLOW_TRACKING_URI")
            mlflow.set_tracking_uri(server or self._local_store())
            experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "tmd"
            if not server and mlflow.get_experiment_by_name(experiment) is None:
                # By default a database's files would lie in the working folder.
                files = (self.folder.resolve() / "artifacts").as_uri()
                mlflow.create_experiment(experiment, artifact_location=files)
            mlflow.set_experiment(experiment)
            if not self._begun:  # else this failed further down, and is tried again
                mlflow.start_run(run_name=self.name)
                self._begun = True
            logger = MLflowLogger()
            logger.log_params(_flat(self.config))
            self._opened = logger
        return self._opened

    def _local_store(self) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        if importlib.util.find_spec("sqlalchemy") and importlib.util.find_spec("alembic"):
            return f"sqlite:///{self.folder.resolve()}/mlflow.db"
        # MLflow wants to be told that its store of files, the only one of mlflow-skinny, is meant.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        return (self.folder.resolve() / "mlruns").as_uri()


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found.update(_flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = str(value)[:LONGEST]
    return found


@register_tracker("mlflow", package="mlflow", extra="mlflow")
def create_mlflow(run: TrackedRun) -> Recorder:
    """Runs in ``mlflow`` beside the run's folder, unless ``MLFLOW_TRACKING_URI`` names a server."""
    return MLflow(run.folder.parent / "mlflow", run.name, run.config)
