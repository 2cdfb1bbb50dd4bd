"""Things that an evaluation needs, opened from the keys that name them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

from experiments.support.devices import available_device
from experiments.support.evaluation_record import distinct, plain
from experiments.support.inputs import several
from experiments.support.trained import Trained, named_file, open_trained
from observers import without_credentials
from tmd.checkpoints import image_kind
from tmd.errors import UserError, check_number
from tmd.evaluation import (
    Benchmark,
    Sample,
    System,
    Table,
    benchmark_kind,
    evaluate,
    interpolation,
    look_at_given_lr,
    network,
    open_benchmark,
    open_without_hr,
    results_in_folder,
)
from tmd.files import sha256
from tmd.images import ImageKind
from tmd.measurements import Measurement, create_measurement, is_given
from tmd.metrics import MetricSettings

FOLDER = "folder"
DEFAULT_SCALE = 4

#: Told of each result: benchmark, sample, system, SR (C, H, W), values by metric.
Report = Callable[[str, Sample, str, Any, dict[str, "float | None"]], None]
#: Told of each image: benchmark, sample, LR, HR, SR by system.
Show = Callable[[str, Sample, Any, Any, dict[str, Any]], None]


@dataclass(frozen=True)
class Evaluation:
    """Systems and benchmarks, by the keys of `experiments.evaluate`; opened when they are used.

    What can't be had raises `UserError`, in a line that names its key.
    """

    store: str
    run: Any = None
    checkpoint: Any = None
    weights: Any = None
    method: Any = None
    sr_root: Any = None
    benchmark: Any = None
    lr_root: Any = None
    asked_scale: int | None = None
    asked_measurement: Any = None
    bands: Any = None
    dtype: Any = None
    value_range: Any = None
    shown: Any = None
    tile: int | None = None
    self_ensemble: bool = False
    device: str = "auto"
    seed: int = 1

    def open(self) -> None:
        """Open all that can be missing."""
        for _ in (self.scale, self.benchmarks, self.measurement, self.systems):
            pass

    @cached_property
    def trained(self) -> list[Trained]:
        """Trained generators of the runs and files that are evaluated."""
        place = available_device(self.device)
        files = several(named_file(self.checkpoint, self.weights))
        return [
            *(_open_trained(str(spec), None, self.store, place) for spec in several(self.run)),
            *(_open_trained(None, str(path), self.store, place) for path in files),
        ]

    @cached_property
    def scale(self) -> int:
        """The scale asked for, which every generator must have; else theirs."""
        scale = self.asked_scale
        if scale is None:
            scale = int(self.trained[0].generator.scale) if self.trained else DEFAULT_SCALE  # type: ignore[arg-type]
        check_number("scale", scale, 1, integer=True)
        for one in self.trained:
            if one.generator.scale != scale:
                raise UserError(f"scale={scale}: {one.name} upscales by {one.generator.scale}")
        return scale

    @cached_property
    def kind(self) -> ImageKind:
        """Kind of the images: the generators', who must agree on it, else that of the files."""
        given = {"bands": self.bands, "dtype": self.dtype, "value_range": self.value_range}
        if not self.trained:
            entries = json.dumps({**given, "shown": self.shown})
            key, root = self._images
            return _kind_of_files(root, entries, key)
        for key, value in given.items():
            if value is not None:
                raise UserError(f"{key}={value}: {self.trained[0].name} says what its images are")
        kind = _common_kind(self.trained)
        return kind if self.shown is None else replace(kind, shown=tuple(self.shown))

    @property
    def _images(self) -> tuple[str, str]:
        """Key and folder of the images: of HR, else of LR, else of results of other programs."""
        keys = ("benchmark", "lr_root", "sr_root")
        key = next(key for key in keys if several(getattr(self, key)))
        if key == "sr_root" and (self._methods or self.trained):
            raise UserError("sr_root: without HR or LR there is nothing to upscale; lr_root= gives")
        return key, str(several(getattr(self, key))[0])

    @property
    def makes_sr(self) -> bool:
        """There are images to upscale, not only results of other programs."""
        return self._images[0] != "sr_root"

    @cached_property
    def benchmarks(self) -> dict[str, Benchmark]:
        """Benchmarks that are evaluated on, by names of their own."""
        key, root = self._images
        if key == "benchmark":
            roots = several(self.benchmark)
            opened = [open_benchmark(str(root), self.scale, self.lr_root) for root in roots]
        else:
            opened = [open_without_hr(root, self.scale, key)]
        return dict(zip(distinct(each.name for each in opened), opened, strict=True))

    @cached_property
    def measurement(self) -> Measurement | None:
        """Measurement that makes LR, or None for the benchmark's own LR or bicubic."""
        measurement = self.asked_measurement
        if self._images[0] != "benchmark":
            if measurement is not None:
                raise UserError("measurement: makes LR of HR, and there is none; benchmark= gives")
            return None
        if measurement is None:
            if self.scale > 1 or all(each.lr_root for each in self.benchmarks.values()):
                return None
            if not self.trained:
                raise UserError(
                    "measurement=None: nothing degrades images at scale=1; give operators, "
                    '\'[{"name":"jpeg","quality":30}]\' say, or lr_root=FOLDER of degraded images'
                )
            measurement = "run"
        if measurement == "run":
            specs = [one.state["measurement"] for one in self.trained]
            if not specs or any(spec != specs[0] for spec in specs):
                raise UserError(
                    f"measurement=run: needs runs that agree on it, there are {len(specs)} runs"
                )
            measurement = specs[0]
            if is_given(measurement):
                raise UserError(
                    "measurement=run: the run learnt from given LR images; lr_root=FOLDER gives "
                    "some"
                )
        return create_measurement(measurement, self.scale, self.seed)

    @cached_property
    def systems(self) -> dict[str, System]:
        """Systems by the name of their columns."""
        systems = [
            (one.name, network(one.generator, self.tile, self.self_ensemble, image_kind(one.state)))
            for one in self.trained
        ]
        systems += [(name, interpolation(name, self.scale, self.kind)) for name in self._methods]
        benchmarks = list(self.benchmarks.values())
        systems += [
            (Path(str(root)).name, results_in_folder(str(root), benchmarks, self.kind))
            for root in several(self.sr_root)
        ]
        names = distinct(name for name, _ in systems)
        return dict(zip(names, (system for _, system in systems), strict=True))

    @property
    def _methods(self) -> list[str]:
        return [name for name in several(self.method) if name != FOLDER]

    def tables(
        self,
        metrics: list[str],
        settings: MetricSettings,
        report: Report,
        each_band: bool,
        show: Show | None = None,
    ) -> Iterator[tuple[str, Table]]:
        """Evaluate; (name, table) of each benchmark when it is done."""
        for name, benchmark in self.benchmarks.items():

            def told(sample: Sample, system: str, sr: Any, values: Any, name: str = name) -> None:
                report(name, sample, system, sr, values)

            yield (
                name,
                evaluate(
                    benchmark,
                    self.systems,
                    metrics,
                    settings,
                    measurement=self.measurement,
                    report=told,
                    show=show and partial(show, name),
                    each_band=each_band,
                ),
            )

    # For the record ------------------------------------------------------------------------------

    def described(self) -> dict[str, Any]:
        """Benchmarks and systems for the record; trained generators with iteration and digest."""
        evaluated: dict[str, Any] = {
            "benchmarks": {
                plain(name): {
                    "images": len(benchmark.samples),
                    "hr": None if hr is None else str(hr.parent.resolve()),
                    "lr": None if benchmark.lr_root is None else str(benchmark.lr_root.resolve()),
                }
                for name, benchmark in self.benchmarks.items()
                for hr in [benchmark.samples[0].hr]
            },
            "systems": self._described_systems(),
        }
        if self.measurement is None:
            evaluated["pairs"] = self._look_at_lr()
        return evaluated

    def _described_systems(self) -> dict[str, dict[str, Any]]:
        sources = [
            *(f"run {without_credentials(str(spec))}" for spec in several(self.run)),
            *(f"checkpoint {path}" for path in several(named_file(self.checkpoint, self.weights))),
        ]
        entries: list[dict[str, Any]] = [
            {
                "source": source,
                "iteration": one.state.get("iteration"),
                "sha256": sha256(one.file),
            }
            for one, source in zip(self.trained, sources, strict=True)
        ]
        entries += [{"source": "method"} for _ in self._methods]
        entries += [{"source": str(root)} for root in several(self.sr_root)]
        return dict(zip(map(plain, self.systems), entries, strict=True))

    def _look_at_lr(self) -> dict[str, Any]:
        """Facts on the given LR images of each benchmark; a line says what is unusual of them."""
        facts = {}
        for name, benchmark in self.benchmarks.items():
            if (look := look_at_given_lr(benchmark, self.kind)) is None:
                continue
            facts[plain(name)] = {**look.described(), "cropped": benchmark.cropped}
            count = benchmark.cropped
            cropped = f"{count} pairs are cropped to a common size, as LR was rounded"
            lines = (look.warning(""), look.note(benchmark.scale), cropped * bool(count))
            for line in filter(None, lines):
                print(f"note: {benchmark.name}: {line}", file=sys.stderr)
        return facts


@lru_cache(maxsize=16)
def _open_trained(run: str | None, checkpoint: str | None, store: str, device: str) -> Trained:
    """Loaded once, though the checks and the evaluation need it."""
    return open_trained(run, checkpoint, store, device)


def forget_opened() -> None:
    """Read networks anew, as their files may be others by now."""
    _open_trained.cache_clear()


def _common_kind(trained: list[Trained]) -> ImageKind:
    kinds = [image_kind(one.state) for one in trained]
    channels = dict(zip((kind.channels for kind in kinds), trained, strict=True))
    if len(channels) > 1:
        described = " and ".join(f"{one.name} has {count}" for count, one in channels.items())
        raise UserError(f"channels: {described}; evaluate them in calls of their own")
    for kind, one in zip(kinds, trained, strict=True):
        if (kind.dtype, kind.bands) != (kinds[0].dtype, kinds[0].bands):
            raise UserError(
                f"{one.name} is for {kind.described()}, {trained[0].name} for "
                f"{kinds[0].described()}; evaluate them in calls of their own"
            )
    return kinds[0]


@lru_cache(maxsize=4)
def _kind_of_files(benchmark: str, entries: str, key: str = "benchmark") -> ImageKind:
    """Kind of a benchmark's HR images, or of others', as `dataset`'s keys say it."""
    try:
        return benchmark_kind(benchmark, **json.loads(entries))
    except UserError as problem:
        raise UserError(
            str(problem).replace("dataset.root=", f"{key}=").replace("dataset.", "")
        ) from None
