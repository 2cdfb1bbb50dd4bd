"""Says to an observer what Sacred would say, one call at a time."""

from __future__ import annotations

import datetime
from typing import Any


class Driver:
    """One run under ``observer``; its steps go on from call to call."""

    def __init__(self, observer: Any, config: dict | None = None, _id: Any = None) -> None:
        self.observer = observer
        self.step = 0
        self.said = ""
        self.info: dict[str, Any] = {}
        self.id = observer.started_event(
            ex_info={"name": "driven", "base_dir": "/", "sources": [], "dependencies": []},
            command="main",
            host_info={"hostname": "here"},
            start_time=now(),
            config={"seed": 1, **(config or {})},
            meta_info={"command": "main"},
            _id=_id,
        )

    def log(self, points: int = 1, name: str = "loss", beat: bool = True) -> None:
        steps = list(range(self.step + 1, self.step + points + 1))
        self.step += points
        metric = {
            "name": name,
            "steps": steps,
            "values": [float(step) for step in steps],
            "timestamps": [now()] * points,
        }
        self.observer.log_metrics(metrics_by_name={name: metric}, info=self.info)
        if beat:
            self.beat()

    def beat(self, said: str = "") -> None:
        self.said += said
        self.observer.heartbeat_event(
            info=self.info, captured_out=self.said, beat_time=now(), result=None
        )

    def complete(self, result: Any = None) -> None:
        self.beat()
        self.observer.completed_event(stop_time=now(), result=result)
        self.observer.join()


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
