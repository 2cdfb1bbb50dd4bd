"""A store full of made-up runs, as `FileObserver` would leave them, for the list and the page."""

from __future__ import annotations

import datetime
import json
import math
from pathlib import Path

from PIL import Image

START = datetime.datetime(2024, 5, 1, 12, 0, 0)


def populate(root: Path, runs: int, points: int = 200, names: int = 12, sheets: int = 2) -> None:
    for run_id in range(1, runs + 1):
        folder = root / str(run_id)
        folder.mkdir(parents=True)
        status = "FAILED" if run_id % 7 == 0 else "COMPLETED"
        scale = (2, 4, 8)[run_id % 3]
        begin = START + datetime.timedelta(hours=run_id)
        steps = [10 * step for step in range(1, points + 1)]
        times = [(begin + datetime.timedelta(seconds=s)).isoformat() for s in steps]
        metrics = {}
        for index in range(names):
            name = ["validation.psnr", "validation.ssim", "train.content"][index % 3]
            name = name if index < 3 else f"{name}_{index}"
            values = [20 + index + 8 * (1 - math.exp(-step / 500)) + run_id / 100 for step in steps]
            metrics[name] = {"steps": steps, "values": values, "timestamps": times}
        images = []
        for index in range(sheets):
            images.append(f"sheet_{index:08d}.png")
            colour = (60 + run_id % 150, 120, 60 + 90 * index)
            Image.new("RGB", (320, 120), colour).save(folder / images[-1])
        summary = [
            {
                "name": name,
                "count": points,
                "not_finite": 0,
                "last": metric["values"][-1],
                "last_step": steps[-1],
                "min": metric["values"][0],
                "min_step": steps[0],
                "max": metric["values"][-1],
                "max_step": steps[-1],
            }
            for name, metric in metrics.items()
        ]
        entry = {
            "status": status,
            "experiment": {"name": "srgan"},
            "command": "main",
            "host": {"hostname": "here"},
            "start_time": begin.isoformat(),
            "stop_time": (begin + datetime.timedelta(seconds=steps[-1])).isoformat(),
            "heartbeat": (begin + datetime.timedelta(seconds=steps[-1])).isoformat(),
            "artifacts": images,
            "result": {"psnr": 28.0},
            "metric_summary": summary,
            "fail_trace": ["Traceback: out of memory\n"] if status == "FAILED" else [],
        }
        config = {
            "scale": scale,
            "adv_weight": 10.0 ** -(run_id % 4),
            "seed": run_id,
            "generator": {"n_blocks": 16, "n_features": 64},
        }
        (folder / "run.json").write_text(json.dumps(entry))
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder / "cout.txt").write_text(f"output of run {run_id}\n" * 100)
