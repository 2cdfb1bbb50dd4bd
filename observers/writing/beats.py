"""Beats of a Sacred run when they are wanted, not only every ten seconds."""

from __future__ import annotations

import threading
from typing import Any


def one_beat_at_a_time(run: Any) -> None:
    """Have a Sacred run, before it starts, make its beats one after the other.

    A beat takes the metrics from where they wait before it hands them to an observer: one beside it
    would find none, and leave while they are on no disk.
    """
    lock, beat = threading.Lock(), run._emit_heartbeat

    def alone() -> None:
        with lock:
            beat()

    run._emit_heartbeat = alone


def beat(run: Any) -> None:
    """Hand all that is known by now, metrics foremost, to the observers of a running Sacred run.

    Ours have it on disk when this returns. Nothing waits for a server: it is sent from there.

    Args:
        run: Sacred's ``_run``, for which `one_beat_at_a_time` was called.
    """
    run._emit_heartbeat()
