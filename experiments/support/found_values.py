"""Values by image of systems: recorded ones and, of the rest, those that are evaluated now."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tqdm import tqdm

from experiments.support.evaluating import DEFAULT_SCALE, Evaluation
from experiments.support.evaluation_record import plain
from experiments.support.inputs import several
from experiments.support.recorded_values import recorded_values
from observers import RunRecord, open_store
from tmd.checkpoints.foreign import load_any
from tmd.errors import UserError
from tmd.evaluation import PerImage, check_images_suffice, metrics_at_hand
from tmd.evaluation.comparison import Column, Compared
from tmd.files import sha256
from tmd.metrics import MetricSettings, default_border
from tmd.metrics.registry import INFO_KEY

#: Keys of an evaluation that say how files without a network are read.
OF_FILES = ("bands", "dtype", "value_range")
#: Keys of an evaluation by which its values can be another's only if they are the same.
CONVENTION = ("channel", "self_ensemble", "measurement", "lr_root", *OF_FILES)


@dataclass(frozen=True)
class Wanted:
    """Request for a table, by the keys of `experiments.compare`.

    Attributes:
        store: where runs and their evaluations are looked for.
        device: that evaluates what nobody has.
    """

    store: str
    run: Any
    method: Any
    benchmark: Any
    baseline: Any
    group: Any
    names: Any
    metrics: Any
    scale: int | None
    channel: str
    border: int | None
    self_ensemble: bool
    lpips_weights: str | None
    device: str


@dataclass(frozen=True)
class Asked:
    """A system that is asked for.

    Attributes:
        spec: as it was typed.
        name: as a row has it.
        record: the training run, where it is one.
        file: its network; None of a method.
    """

    spec: str
    name: str
    record: RunRecord | None = None
    file: Path | None = None

    @cached_property
    def sha256(self) -> str | None:
        """Digest of the network's file."""
        return None if self.file is None else sha256(self.file)

    @cached_property
    def state(self) -> dict[str, Any]:
        """Contents of the network's file."""
        assert self.file is not None
        return load_any(self.file)

    def name_in(self, record: RunRecord) -> str | None:
        """Name that an evaluation's record has of the system, or None."""
        systems = record.info["evaluated"]["systems"]
        return next((name for name, said in systems.items() if self._is(name, said)), None)

    def _is(self, name: str, said: Mapping[str, Any]) -> bool:
        if self.file is None:
            return said.get("source") == "method" and name == plain(self.spec)
        if "sha256" in said:
            return said["sha256"] == self.sha256
        # Earlier evaluations: a run's number in the same store, at the same iteration.
        number = self.record is not None and str(self.record.id)
        return said.get("source") == f"run {number}" and (
            said.get("iteration") == self.state.get("iteration")
        )


class Found:
    """Values by image of what is asked for: recorded ones and, of the rest, evaluated now."""

    def __init__(
        self, wanted: Wanted, asked: Sequence[Asked], evaluations: Sequence[RunRecord]
    ) -> None:
        self.wanted, self.asked, self.given = wanted, asked, evaluations
        self.described: dict[str, Any] = {}
        self.benchmarks = [Place(str(root)) for root in several(wanted.benchmark)]
        self.values: dict[str, PerImage] = {}
        self.convention = _common_convention(evaluations, wanted)
        if self.convention["border"] == default_border(self.scale):
            self.convention["border"] = None
        self._of_given = [self._limited(recorded_values(record)) for record in evaluations]
        for record in evaluations:
            self.described |= record.info.get(INFO_KEY, {})
        candidates = {each.spec: list(self._recorded(each)) for each in asked}
        self.metrics = self._metrics([v for found in candidates.values() for v in found[:1]])
        for each in asked:
            if (enough := next(filter(self._has_all, candidates[each.spec]), None)) is not None:
                self.values[each.spec] = enough
        missing = [each for each in asked if each.spec not in self.values]
        if missing:
            self._evaluate(missing)
        self.columns = self._columns()

    @cached_property
    def scale(self) -> int:
        """The scale asked for, or that of the first network or evaluation."""
        if self.wanted.scale is not None:
            return self.wanted.scale
        for each in self.asked:
            if each.file is not None:
                return int(each.state["scale"])
        for record in self.given:
            return int(record.config["scale"])
        return DEFAULT_SCALE

    @property
    def border(self) -> int:
        """Pixels left out on each side."""
        border = self.convention["border"]
        return default_border(self.scale) if border is None else border

    def recorded_rows(self) -> list[Compared]:
        """The systems of the evaluations that were named, those of one name once."""
        rows: dict[str, Compared] = {}
        for values in self._of_given:
            for system in values.systems:
                chosen = values.select(system=system)
                held = rows.get(system)
                seeds = (chosen,) if held is None else (held.seeds[0] + chosen,)
                rows[system] = Compared(system, seeds)
        return list(rows.values())

    def rows(self) -> list[tuple[Asked, PerImage]]:
        """Each system asked for, with its values."""
        return [(each, self.values[each.spec]) for each in self.asked]

    def _limited(self, values: PerImage) -> PerImage:
        """The values of the benchmarks that are asked for; where none is, all."""
        if not self.benchmarks:
            return values
        names = {plain(each.name) for each in self.benchmarks}
        return PerImage(tuple(v for v in values.values if plain(v.benchmark) in names))

    def _recorded(self, asked: Asked) -> Iterator[PerImage]:
        """Values of a system out of evaluations that were done alike, newest first."""
        for record in self._evaluations:
            if (name := asked.name_in(record)) is None:
                continue
            values = self._limited(recorded_values(record))
            found = tuple(v for v in values.values if plain(v.system) == name)
            yield PerImage(tuple(replace(v, system=asked.name) for v in found))
            self.described = {**record.info.get(INFO_KEY, {}), **self.described}

    @cached_property
    def _evaluations(self) -> list[RunRecord]:
        return [
            record
            for record in evaluations_in(self.wanted.store, self.scale, self.convention)
            if all(each.is_in(record.info["evaluated"]["benchmarks"]) for each in self.benchmarks)
        ]

    def _metrics(self, found: Sequence[PerImage]) -> list[str]:
        """The metrics asked for; else those that all recorded values have, or those at hand."""
        if self.wanted.metrics is not None:
            return [str(name) for name in several(self.wanted.metrics)]
        known = [values.metrics for values in (*self._of_given, *found)]
        if not known:
            return metrics_at_hand(self.wanted.lpips_weights)
        return [name for name in known[0] if all(name in each for each in known)]

    def _has_all(self, values: PerImage) -> bool:
        """Tell whether each metric of each benchmark is there."""
        there = {(v.metric, plain(v.benchmark)) for v in values.values}
        benchmarks = [plain(each.name) for each in self.benchmarks] or [
            plain(name) for name, _ in values.benchmarks
        ]
        return all((metric, name) in there for metric in self.metrics for name in benchmarks)

    def _evaluate(self, missing: Sequence[Asked]) -> None:
        wanted = self.wanted
        named = ", ".join(each.name for each in missing)
        if not self.benchmarks:
            raise UserError(
                f"benchmark=None: no evaluation of {named} is recorded in {wanted.store}; give "
                "benchmark=Set5, say, to evaluate now"
            )
        runs = [each.spec for each in missing if each.record is not None]
        files = [str(each.file) for each in missing if each.record is None and each.file]
        methods = [each.spec for each in missing if each.file is None]
        evaluation = Evaluation(
            store=wanted.store,
            run=runs,
            checkpoint=files,
            method=methods,
            benchmark=[each.root for each in self.benchmarks],
            asked_scale=self.scale,
            asked_measurement=self.convention["measurement"],
            device=wanted.device,
            **{key: self.convention[key] for key in ("lr_root", "self_ensemble", *OF_FILES)},
        )
        evaluation.open()
        settings = MetricSettings(
            self.border,
            self.convention["channel"] if evaluation.kind.is_rgb else "rgb",
            wanted.lpips_weights,
            wanted.device,
            evaluation.kind,
            self.scale,
        )
        check_images_suffice(list(evaluation.benchmarks.values()), self.metrics, settings)
        print(f"evaluated now, which `tmd evaluate` would keep: {named}", file=sys.stderr)
        images = sum(len(each.samples) for each in evaluation.benchmarks.values())
        total, values = images * len(missing), PerImage()
        with tqdm(total=total, desc="evaluate", unit="image", file=sys.stderr, leave=False) as bar:
            for name, table in evaluation.tables(
                self.metrics, settings, lambda *result: bar.update(), False
            ):
                values += table.per_image(name, self.scale)
        order = sorted(missing, key=lambda each: (each.file is None, each.record is None))
        for system, each in zip(evaluation.systems, order, strict=True):
            self.values[each.spec] = values.select(system=system)

    def _columns(self) -> list[Column]:
        """The metrics of each benchmark that every row has."""
        parts = [*self._of_given, *self.values.values()]
        sets = [set(values.benchmarks) for values in parts]
        common = [each for each in parts[0].benchmarks if all(each in other for other in sets)]
        if not common:
            raise UserError("run, benchmark: what is compared was not evaluated on one benchmark")
        found = {plain(name) for name, _ in common}
        if absent := [each.name for each in self.benchmarks if plain(each.name) not in found]:
            raise UserError(
                f"benchmark={','.join(absent)}: not all that is compared was evaluated on it"
            )
        return [Column(*each, name) for each in common for name in self.metrics]


class Place:
    """A benchmark as it was typed, and what records call it."""

    def __init__(self, root: str) -> None:
        path = Path(os.path.abspath(root))
        self.root = root
        self.folder: Path | None = None
        self.name = path.name.removesuffix(".tar")
        if path.is_dir():
            self.folder = (path / "HR" if (path / "HR").is_dir() else path).resolve()
            self.name = path.parent.name if path.name == "HR" else path.name

    def is_in(self, recorded: Mapping[str, Mapping[str, Any]]) -> bool:
        """Tell whether an evaluation was on this benchmark; where it isn't here, by its name."""
        said = recorded.get(plain(self.name))
        return said is not None and (self.folder is None or said.get("hr") == str(self.folder))


def evaluations_in(store: str, scale: int, convention: Mapping[str, Any]) -> list[RunRecord]:
    """Completed evaluations of a store that have the entries of a convention, newest first."""
    if "://" not in store and not os.path.isdir(store):
        return []
    found = []
    for record in open_store(store).records()[::-1]:
        try:
            if record.entry["experiment"]["name"] != "evaluate" or record.status != "COMPLETED":
                continue
            theirs = _convention(record.config)
            alike = all(theirs[key] == value for key, value in convention.items())
            if alike and record.config["scale"] == scale and record.info["evaluated"]["systems"]:
                found.append(record)
        except (UserError, KeyError, TypeError):  # damaged, or of another writer
            continue
    return found


def _convention(config: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of an evaluation's config that figures depend on, beside the scale."""
    usual = config["border"] == default_border(config["scale"])
    return {
        **{key: config.get(key) for key in CONVENTION},
        "border": None if usual else config["border"],
    }


def _common_convention(evaluations: Sequence[RunRecord], wanted: Wanted) -> dict[str, Any]:
    """The one of the evaluations that are named, else that of the keys.

    Raises:
        UserError: they are of several.
    """
    typed = dict.fromkeys(CONVENTION) | {
        "channel": wanted.channel,
        "self_ensemble": wanted.self_ensemble,
        "border": wanted.border,
    }
    found = [_convention(record.config) for record in evaluations] or [typed]
    for record, other in zip(evaluations[1:], found[1:], strict=True):
        for key, value in other.items():
            if value != found[0][key]:
                raise UserError(
                    f"run={record.spec}: was evaluated with {key}={value}, run "
                    f"{evaluations[0].spec} with {key}={found[0][key]}; only equals are compared"
                )
    return found[0]
