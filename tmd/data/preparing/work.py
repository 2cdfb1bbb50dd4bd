"""The work of a preparation: photos in parts, of which each is done or not."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import os
import shutil
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from tmd import __version__
from tmd.data.files import find_files
from tmd.data.numbers import headers, mixed_bands, mixed_bits
from tmd.data.prepared import FORMAT, HR, IMAGES, JOURNAL, LR, MANIFEST, read_manifest
from tmd.data.preparing.cutting import luma, places, sharpness
from tmd.data.preparing.duplicates import equal_files, look_alikes
from tmd.data.preparing.encoding import check_format, encoded
from tmd.data.preparing.journal import WAYS_OUT, Journal, Part, Photo
from tmd.data.preparing.options import PrepareOptions
from tmd.data.preparing.sides import Side, find_sides
from tmd.data.preparing.writing import Add, folder_writer, shard_writer
from tmd.data.sources import FileSource, ImageSource
from tmd.data.storage import available_cpus, in_threads
from tmd.data.tiles import tile_name
from tmd.errors import UserError
from tmd.files import sweep_leftovers, write_bytes, write_json
from tmd.images import ImageKind

T = TypeVar("T")
R = TypeVar("R")

PHOTOS = "photos.csv"
HASHES = "hashes.bin"
UNREADABLE, TOO_SMALL, EQUAL = "can't be read", "too small", "equal files"
ALIKE, BLURRED, FLAT = "look like a larger one", "blurred", "without detail"
# Tiles in files of their own are noted as done in parts of so many bytes.
_PART = 256 << 20


@dataclass
class Report:
    """Outcome of a preparation.

    Attributes:
        photos: how many tiles come of.
        tiles, bytes: that were written.
        left_out: photos by the reason, with the first of them.
        flat: tiles that were left out.
        was_there: nothing was left to do.
    """

    photos: int = 0
    tiles: int = 0
    bytes: int = 0
    left_out: dict[str, tuple[int, str]] = field(default_factory=dict)
    flat: int = 0
    was_there: bool = False


def prepare(
    roots: Sequence[str],
    output: str | os.PathLike[str],
    options: PrepareOptions,
    *,
    command: str = "",
    lr_roots: Any = None,
    overwrite: bool = False,
) -> Report:
    """Write the photos below ``roots`` as tiles into a folder that `dataset.root` takes.

    Stopped at any time, it goes on where it was when it is called again.

    Args:
        roots: folders.
        output: the folder; absent, empty, or of the same preparation.
        options: see `PrepareOptions`.
        command: what was typed, for the manifest.
        lr_roots: of pairs, where LR lies, as `dataset.lr_root` has it; LR and HR get tiles of the
            same places.
        overwrite: remove another preparation that is there.

    Raises:
        UserError: nothing to prepare, a value that can't be, or ``output`` holds something else.
    """
    options.check()
    output = Path(output)
    kind = common_kind(roots, options)
    check_format(options.format, kind)
    sides = find_sides(roots, lr_roots, kind, options)
    source = sides[0].source
    head: dict[str, Any] = {
        "format": FORMAT,
        "source": {
            "roots": [os.path.abspath(root) for root in roots],
            "images": len(source),
            "digest": "".join(side.source.digest() for side in sides),
        },
        "pairs": len(sides) > 1,
        "options": vars(options),
        "kind": kind.state_dict(),
    }
    if (done := _claim(output, head, overwrite)) is not None:
        return done
    with _unless_full(output):
        journal = Journal(output / JOURNAL, head)
        sweep_leftovers(output)
        work = _Work(sides, output, options, journal)
        work.run()
        report = work.report()
        if not report.tiles:
            raise UserError(f"input={', '.join(roots)}: {_none_left(report)}")
        write_bytes(output / PHOTOS, work.table().encode("utf-8", "surrogateescape"))
        write_json(output / MANIFEST, {**head, **_counts(report), **_made_by(command)})
        for name in (JOURNAL, HASHES):
            (output / name).unlink(missing_ok=True)
    return report


def common_kind(roots: Sequence[str], options: PrepareOptions) -> ImageKind:
    """The kind of the images, by their headers; up to four bands of 8 bits are a photo.

    Raises:
        UserError: they are of several types or numbers of bands, or none can be read.
    """
    source = find_files(roots, 3, key="input")
    key = f"input={', '.join(roots)}"
    found = [(name, header) for _, name, header in headers(source)]
    if not found:
        raise UserError(f"{key}: none of {len(source)} images can be read: {_problem(source)}")
    if options.channels:
        return ImageKind(options.channels)
    dtype = found[0][1].dtype
    if said := mixed_bits(found):
        floats = any(header.dtype == "float32" for _, header in found)
        way = "prepare them apart" if floats else "channels=3 takes all as photos of 8 bits"
        raise UserError(f"{key}: {said}; {way}")
    bands = None if options.bands is None else tuple(options.bands)
    if dtype == "uint8" and bands is None and all(header.bands <= 4 for _, header in found):
        return ImageKind(3)
    if bands is None and (said := mixed_bands(found)):
        raise UserError(f"{key}: {said}; bands=[1,2,3], say, chooses some")
    return ImageKind.of_dtype(len(bands) if bands else found[0][1].bands, dtype, bands)


def _problem(source: FileSource) -> str:
    try:
        source.probe(0)
    except UserError as bad_file:
        return str(bad_file)
    return ""


class _Work:
    def __init__(
        self, sides: Sequence[Side], output: Path, options: PrepareOptions, journal: Journal
    ) -> None:
        self.sides = sides
        self.source = sides[0].source
        self.output = output
        self.options = options
        self.journal = journal
        self.problems: dict[int, Photo] = {}
        self.sizes = self._sizes()
        self.names = _names(self.source)

    def run(self) -> None:
        """Do the parts that are not done."""
        self._leave_out_duplicates()
        parts = list(self._parts())
        done = sum(len(part.photos) for part in self.journal.parts.values())
        with bar_of(len(self.source), done) as bar:
            for number, numbers in enumerate(parts):
                if numbers.start not in self.journal.parts:
                    self.journal.add(self._part(number, numbers, bar.update))

    def _sizes(self) -> list[tuple[int, int]]:
        """(H, W) of each photo; zeros where it is left out, which is noted."""

        def size(index: int) -> tuple[int, int] | str:
            try:
                return self.source.size(index)
            except UserError as problem:
                return str(problem)

        sizes: list[tuple[int, int]] = []
        found = in_threads(size, range(len(self.source)), "Image sizes")
        for index, result in enumerate(found):
            if isinstance(result, str):
                self.problems[index] = Photo(0, 0, UNREADABLE, result)
            elif min(result) < self.options.min_side:
                self.problems[index] = Photo(0, 0, TOO_SMALL, f"{result[1]}×{result[0]}")
            sizes.append((0, 0) if isinstance(result, str) or index in self.problems else result)
        return sizes

    def _leave_out_duplicates(self) -> None:
        twins: dict[str, dict[int, int]] = {}
        if self.options.duplicates != "keep" and isinstance(self.source, FileSource):
            twins[EQUAL] = equal_files(self.source)
        if self.options.duplicates == "near":
            twins[ALIKE] = look_alikes(self.source, self.sizes, self.output / HASHES)
        for reason, found in twins.items():
            for index, other in found.items():
                self.problems.setdefault(index, Photo(0, 0, reason, self.source.label(other)))

    def _parts(self) -> Iterator[range]:
        """Photos that are written together, as large as a shard is to be."""
        options = self.options
        most = options.shard_size * 1e6 if options.shards else _PART
        first, total = 0, 0
        for index, size in enumerate(self.sizes):
            if index not in self.problems:
                count = sum(1 for _ in places(size, options.tile, options.overlap))
                sides = (min(side, options.tile) for side in size)
                tile = next(sides) * next(sides) * self.source.channels
                total += count * tile * self.source.kind.itemsize
            if total >= most:
                yield range(first, index + 1)
                first, total = index + 1, 0
        if first < len(self.sizes):
            yield range(first, len(self.sizes))

    def _part(self, number: int, numbers: range, advance: Callable[[], object]) -> Part:
        photos: list[Photo] = []
        total = 0
        with contextlib.ExitStack() as stack:
            writers = [stack.enter_context(self._writer(side, number)) for side in self.sides]
            for photo, tiles in a_few_ahead(self._photo, numbers):
                photos.append(photo)
                for side, name, content in tiles:
                    writers[side](name, content)
                    total += len(content)
                advance()
        return Part(numbers.start, photos, total)

    def _writer(self, side: Side, number: int) -> contextlib.AbstractContextManager[Add]:
        folder = self.output / side.folder
        if self.options.shards:
            return shard_writer(folder / f"{self.output.name}-{number:06d}.tar")
        return folder_writer(folder / f"{number:06d}")  # no folder of a million files

    def _photo(self, index: int) -> tuple[Photo, list[tuple[int, str, bytes]]]:
        """Fate of a photo, and its tiles as files of each side."""
        if index in self.problems:
            return self.problems[index], []
        try:
            images = [side.source.read(index) for side in self.sides]
        except UserError as problem:
            return Photo(0, 0, UNREADABLE, str(problem)), []
        options, pixels = self.options, images[0]
        judged = options.min_sharpness or options.min_detail
        grey = luma(pixels, self.source.kind) if judged else None
        if grey is not None and (value := sharpness(grey)) < options.min_sharpness:
            return Photo(0, 0, BLURRED, f"sharpness {value:.1f}"), []
        levels = [image.permute(1, 2, 0).numpy() for image in images]
        tiles, flat = 0, 0
        files = []
        for top, left in places(levels[0].shape[:2], options.tile, options.overlap):
            seen = None if grey is None else grey[_area(top, left, options.tile)]
            if seen is not None and seen.std() < options.min_detail:
                flat += 1
                continue
            tiles += 1
            name = tile_name(self.names[index], top, left, f".{options.format}")
            for number, side in enumerate(self.sides):
                area = _area(*(length // side.factor for length in (top, left, options.tile)))
                files.append((number, name, encoded(levels[number][area], options.format)))
        return Photo(tiles, flat, "" if files else FLAT), files

    def report(self) -> Report:
        """Counts of what was done."""
        report = Report()
        counts: Counter[str] = Counter()
        examples: dict[str, str] = {}
        for part in self.journal.parts.values():
            report.bytes += part.bytes
            for index, photo in enumerate(part.photos, part.first):
                report.photos += bool(photo.tiles)
                report.tiles += photo.tiles
                report.flat += photo.flat
                if photo.reason:
                    counts[photo.reason] += 1
                    examples.setdefault(photo.reason, self._example(index, photo))
        report.left_out = {key: (counts[key], examples[key]) for key in counts}
        return report

    def _example(self, index: int, photo: Photo) -> str:
        """A photo that was left out, with what the reason is about."""
        if photo.reason == UNREADABLE:  # which names it
            return photo.note
        return self.source.label(index) + (f" ({photo.note})" if photo.note else "")

    def table(self) -> str:
        """Fate of each photo as CSV."""
        text = io.StringIO()
        table = csv.writer(text)
        table.writerow(["photo", "tiles", "flat tiles", "left out", "note"])
        for first in sorted(self.journal.parts):
            for index, photo in enumerate(self.journal.parts[first].photos, first):
                table.writerow([self.source.label(index), *photo])
        return text.getvalue()


def _claim(output: Path, head: Mapping[str, Any], overwrite: bool) -> Report | None:
    """Make the folder ours; the report of the same preparation, if that has ended there.

    Raises:
        UserError: it holds something else.
    """
    try:
        manifest = read_manifest(output)
    except UserError:  # the journal tells whether it may go on
        manifest = None
    if manifest is not None and not overwrite:
        if all(manifest[key] == _plain(value) for key, value in head.items()):
            counts = manifest["prepared"]
            left_out = {key: tuple(value) for key, value in counts.pop("left_out").items()}
            return Report(**counts, left_out=left_out, was_there=True)
        raise UserError(f"output={output}: holds another set; {WAYS_OUT}")
    ours = manifest is not None or (output / JOURNAL).is_file()
    if ours and overwrite:
        # First what says that it is whole.
        for name in (MANIFEST, JOURNAL, HASHES, PHOTOS):
            (output / name).unlink(missing_ok=True)
        for name in (IMAGES, HR, LR):
            shutil.rmtree(output / name, ignore_errors=True)
    elif not ours and output.is_dir() and any(output.iterdir()):
        raise UserError(f"output={output}: is no empty folder, and no prepared one")
    with _unless_full(output):
        output.mkdir(parents=True, exist_ok=True)
    return None


def _area(top: int, left: int, side: int) -> tuple[slice, slice]:
    return slice(top, top + side), slice(left, left + side)


def _names(source: ImageSource) -> list[str]:
    """A name for each photo's tiles: its path below the root, without what ends names in tars."""
    plain = []
    for index in range(len(source)):
        folder, name = os.path.split(source.label(index))
        stem = os.path.splitext(name)[0] if not name.endswith("]") else name
        for letter in ".[]":
            stem = stem.replace(letter, "_")
        plain.append(os.path.join(folder, stem.strip("_") or "_"))
    times = Counter(plain)
    seen: Counter[str] = Counter()
    names = []
    for name in plain:
        seen[name] += 1
        names.append(name if times[name] == 1 else f"{name}_{seen[name]}of{times[name]}")
    return names


def a_few_ahead(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """``map`` in threads, of which no more than a few results wait at a time."""
    threads = min(16, available_cpus())
    iterator = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(
            pool.submit(function, item) for item in itertools.islice(iterator, threads + 1)
        )
        while waiting:
            result = waiting.popleft().result()
            for item in itertools.islice(iterator, 1):
                waiting.append(pool.submit(function, item))
            yield result


def bar_of(total: int, done: int) -> tqdm:
    """Bar of photos on standard error, of which some were done before."""
    seldom = 0.2 if sys.stderr.isatty() else 10
    return tqdm(
        total=total, initial=done, desc="prepare", unit="photo", leave=False, mininterval=seldom
    )


@contextlib.contextmanager
def _unless_full(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise UserError(f"{problem.filename or output}: {problem.strerror or problem}") from None


def _none_left(report: Report) -> str:
    reasons = [f"{count} {reason}: {name}" for reason, (count, name) in report.left_out.items()]
    return f"nothing is left to write: {', '.join(reasons)}"


def _counts(report: Report) -> dict[str, Any]:
    counts = dict(vars(report))
    counts.pop("was_there")
    return {"prepared": counts}


def _made_by(command: str) -> dict[str, Any]:
    return {"command": command, "version": __version__}


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))
