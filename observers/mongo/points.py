"""Bringing the journal of a run's metrics into a database, so that any part may be done twice.

The journal only ever grows. Each metric's document says up to which byte of it its points reach,
in the same update that adds them: whatever breaks in between, and whoever goes on, no point is
missing and none is there twice.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bson import ObjectId
from pymongo.database import Database
from pymongo.errors import PyMongoError

from observers.journal import JournalLine, read_journal
from observers.names import valid_unicode

# A metric goes on in another document long before the 16 MB (380,000 points) that one may have.
PART_POINTS = 100_000
_BATCH_POINTS = 50_000


class PointsSender:
    """Sends the points of one run; finds out at its making which ones are there.

    Args:
        database: where they go.
        run_id: the run's number there.
        journal: the file.
        stay_alive: called between two updates.
    """

    def __init__(
        self, database: Database, run_id: int, journal: Path, stay_alive: Callable[[], None]
    ) -> None:
        self._metrics = database.metrics
        self._run_id = run_id
        self._journal = journal
        self._stay_alive = stay_alive
        self._offset = 0
        self._parts: dict[str, dict[str, Any]] = {}
        #: Sacred's join of a run with its metrics: ``info.metrics`` of the run's document.
        self.listed: list[dict[str, str]] = []
        fields = {"name": 1, "metric": 1, "part": 1, "journal": 1, "count": 1}
        found = self._metrics.find({"run_id": run_id}, fields)
        for part in sorted(found, key=lambda each: each["part"]):
            earlier = self._parts.get(part["metric"], {"total": 0})
            part["total"] = earlier["total"] + part["count"]
            self._parts[part["metric"]] = part
            self.listed.append({"name": part["name"], "id": str(part["_id"])})

    def total(self) -> int:
        """Number of points that the database has."""
        return sum(part["total"] for part in self._parts.values())

    def send(self) -> None:
        """Send what the journal has got since."""
        for end, lines in self._batches():
            for name, of_metric in lines.items():
                self._send_lines(name, of_metric)
                self._stay_alive()
            self._offset = end

    def _batches(self) -> Iterator[tuple[int, dict[str, list[JournalLine]]]]:
        """New lines of the journal by metric, some tens of thousands of points at a time."""
        lines: dict[str, list[JournalLine]] = {}
        points = 0
        end = self._offset
        try:
            for line in read_journal(self._journal, self._offset):
                end = line.end
                name = valid_unicode(line.name)
                if line.end <= self._parts.get(name, {"journal": 0})["journal"]:
                    continue
                lines.setdefault(name, []).append(line)
                points += len(line.points["steps"])
                if points >= _BATCH_POINTS:
                    yield end, lines
                    lines, points = {}, 0
        except FileNotFoundError:
            return  # nothing measured yet
        yield end, lines

    def _send_lines(self, name: str, lines: list[JournalLine]) -> None:
        while lines:
            part = self._parts.get(name)
            room = PART_POINTS - (part["count"] if part else 0)
            fitting, points = 0, 0
            for line in lines:
                points += len(line.points["steps"])
                if points > room and (fitting or room < PART_POINTS):
                    break
                fitting += 1
            if fitting == 0:
                self._close_part(name)
                continue
            self._push(name, lines[:fitting])
            lines = lines[fitting:]

    def _push(self, name: str, lines: list[JournalLine]) -> None:
        points = _joined(lines)
        count, end = len(points["steps"]), lines[-1].end
        part = self._parts.get(name)
        if part is None or part.get("closed"):
            part = self._new_part(name, part, {"journal": end, "count": count, **points})
        else:
            result = self._metrics.update_one(
                {"_id": part["_id"], "journal": part["journal"]},
                {
                    "$push": {field: {"$each": values} for field, values in points.items()},
                    "$set": {"journal": end},
                    "$inc": {"count": count},
                },
            )
            if result.matched_count == 0:
                raise PyMongoError(f"metric {name} was changed by someone else; looking again")
        part["journal"] = end
        part["count"] += count
        part["total"] += count

    def _new_part(
        self, name: str, earlier: dict[str, Any] | None, content: dict[str, Any]
    ) -> dict[str, Any]:
        number = earlier["part"] + 1 if earlier else 0
        identity = ObjectId()
        self._metrics.insert_one(
            {
                "_id": identity,
                "run_id": self._run_id,
                "name": name,
                "metric": name,
                "part": number,
                **content,
            }
        )
        total = earlier["total"] if earlier else 0
        part = {"_id": identity, "part": number, "count": 0, "total": total}
        self._parts[name] = part
        self.listed.append({"name": name, "id": str(identity)})
        return part

    def _close_part(self, name: str) -> None:
        """Go on in a new document; the newest bears the metric's name, for Omniboard's columns."""
        part = self._parts[name]
        earlier_name = f"{name} (part {part['part'] + 1})"
        self._metrics.update_one({"_id": part["_id"]}, {"$set": {"name": earlier_name}})
        for listed in self.listed:
            if listed["id"] == str(part["_id"]):
                listed["name"] = earlier_name
        part["closed"] = True
        part["count"] = 0


def _joined(lines: list[JournalLine]) -> dict[str, list]:
    return {
        "steps": [step for line in lines for step in line.points["steps"]],
        "values": [
            float("nan") if value is None else value
            for line in lines
            for value in line.points["values"]
        ],
        "timestamps": [
            datetime.datetime.fromisoformat(when)
            for line in lines
            for when in line.points["timestamps"]
        ],
    }
