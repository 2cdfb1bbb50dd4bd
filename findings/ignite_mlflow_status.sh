#!/usr/bin/env bash
# pytorch-ignite 0.5.5's MLflowLogger makes a failed run FINISHED, and takes over another's run.
#
# * `with MLflowLogger() as logger:` ends MLflow's run as FINISHED, also where an exception leaves the
#   block; MLflow's own `with mlflow.start_run():` makes it FAILED. A list of runs by status shows
#   the crashed ones among the good.
# * Where a run is active, MLflowLogger writes into that one, and its close() ends it. What the
#   code around it logs afterwards goes, without a word, into a new run with a name made up.
#
# Seen on 28 November 2026 with mlflow-skinny 3.17.2, torch 2.13.0 (CPU), Python 3.11, Linux:
#
#     RuntimeError in the third iteration: by MLflowLogger FINISHED, by mlflow.start_run FAILED
#     runs after a logger within the run "outer" and a metric logged behind it: 2
#     metrics of "outer": inner; metrics of the other: outer_score
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet \
    pytorch-ignite==0.5.5 mlflow-skinny==3.17.2 torch==2.13.0 numpy==2.4.6
cd "$work"
export MLFLOW_ALLOW_FILE_STORE=true
venv/bin/python - << 'END'
import logging
import sys
from pathlib import Path

import mlflow
from ignite.engine import Engine
from ignite.handlers import MLflowLogger

mlflow.set_tracking_uri((Path.cwd() / "mlruns").as_uri())
client = mlflow.MlflowClient()


def step(engine, batch):
    if engine.state.iteration == 3:
        raise RuntimeError("the loss is not finite")


def status_after_an_error(name, run):
    mlflow.set_experiment(name)
    trainer = Engine(step)
    trainer.logger.setLevel(logging.CRITICAL)
    try:
        with run():
            trainer.run(range(5))
    except RuntimeError as error:
        (record,) = client.search_runs([client.get_experiment_by_name(name).experiment_id])
        print(f"{error}: by {name} {record.info.status}")
        return record.info.status


statuses = [
    status_after_an_error("MLflowLogger", MLflowLogger),
    status_after_an_error("start_run", mlflow.start_run),
]

mlflow.set_experiment("nested")
outer = mlflow.start_run(run_name="outer")
with MLflowLogger() as logger:
    logger.log_metrics({"inner": 1.0}, step=1)
mlflow.log_metric("outer_score", 2.0)
mlflow.end_run()
runs = client.search_runs([client.get_experiment_by_name("nested").experiment_id])
metrics = {run.info.run_id == outer.info.run_id: run.data.metrics for run in runs}
print(f"{len(runs)} runs; metrics of outer {metrics[True]}, of the other {metrics.get(False)}")

as_told = (
    statuses == ["FINISHED", "FAILED"]
    and len(runs) == 2
    and metrics == {True: {"inner": 1.0}, False: {"outer_score": 2.0}}
)
sys.exit(0 if as_told else "it has changed")
END
