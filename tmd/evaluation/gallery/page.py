"""The gallery's files: the page, and of many images their pictures beside it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
import secrets
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from torch import Tensor

from tmd.errors import printable
from tmd.evaluation.gallery.pictures import as_pictures, lossless, shown_as, small
from tmd.evaluation.per_image import PerImage
from tmd.files import replacing, write_bytes
from tmd.images import ImageKind
from tmd.metrics.registry import metric

#: Names of the reference and of what the systems are given.
HR, LR = "HR", "LR"
_SOURCES = {HR: "the reference", LR: "given to the systems"}
#: Bytes of pictures that the page itself holds: what a browser opens in a moment.
EMBEDDED = 48 << 20
INDEX = "index.html"
#: In the order in which they are run.
SCRIPTS = ("zoom", "state", "pictures", "difference", "panes", "crop", "list", "plots", "gallery")
_PICTURES = re.compile(r"pictures-[0-9a-f]{8}")


def is_gallery(path: Path) -> bool:
    """Return whether a file is a gallery's page, which another may replace."""
    with open(path, "rb") as file:
        return b'content="tmd gallery"' in file.read(1000)


@dataclass(frozen=True)
class GallerySystem:
    """A system that the gallery shows.

    Attributes:
        name: as the evaluation's tables have it.
        source: where it comes from, in words.
        command: that made it.
        config: that it was made with.
    """

    name: str
    source: str = ""
    command: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class About:
    """The evaluation that a gallery shows: its title, its convention, the command, the config."""

    title: str
    convention: str = ""
    command: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)


class Gallery:
    """Pictures of an evaluation, collected image by image, then written as a page.

    Args:
        kind: of the images.
        systems: those that are compared, in the order in which they are shown; none is called as
            the page's own pictures, `HR` and `LR`.
        spool: an empty folder that holds the pictures until the page is written.
        embedded: bytes of pictures that the page itself may hold.
    """

    def __init__(
        self,
        kind: ImageKind,
        systems: Sequence[GallerySystem],
        spool: Path,
        embedded: int = EMBEDDED,
    ) -> None:
        self.kind = kind
        self.systems = list(systems)
        self.spool = spool
        self.embedded = embedded
        self.size = 0
        self.made = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
        self._images: list[dict[str, Any]] = []
        self._pair = [HR, LR]  # those of the two that every image has
        self._sets: list[tuple[str, str, str, float | None]] = []

    @property
    def is_one_file(self) -> bool:
        """Return whether the page holds its pictures itself."""
        return self.size <= self.embedded

    def add(
        self,
        benchmark: str,
        scale: int,
        image: str,
        lr: Tensor | None,
        hr: Tensor | None,
        results: Mapping[str, Tensor],
    ) -> None:
        """Take an image's pictures: (C, H, W), LR (C, h, w), numbers of the kind.

        Args:
            benchmark, image: names, as in the figures.
            lr, hr: None where there is none; what only some images have is not shown.
            results: SR by system; of the size of HR.
        """
        given = {HR: hr, LR: lr, **results}
        images = {name: each for name, each in given.items() if each is not None}
        self._pair = [name for name in self._pair if name in images]
        reference = next(iter(images.values()))
        pictures = as_pictures(self.kind, reference, images)
        caption, span = shown_as(self.kind, reference)
        whole = HR if hr is not None else next(iter(results))
        text = _script_json({name: lossless(each) for name, each in pictures.items()})
        self.size += len(text)
        self._spooled(len(self._images)).write_text(text, "ascii")
        self._images.append(
            {
                "benchmark": benchmark,
                "scale": scale,
                "name": image,
                "width": images[whole].shape[-1],
                "height": images[whole].shape[-2],
                "caption": caption,
                "span": span,
                "thumb": small(pictures[whole]),
            }
        )

    def add_set(
        self, benchmark: str, scale: int, values: Mapping[tuple[str, str], float | None]
    ) -> None:
        """Take values that a system has of all images of a benchmark, by (system, metric)."""
        for (system, name), value in values.items():
            self._sets.append((f"{printable(benchmark)} ×{scale}", system, name, value))

    def write_file(self, path: Path, figures: PerImage, about: About) -> None:
        """Write all as one file, whole or not at all."""
        before, after = self._page(figures, about, None)
        with replacing(path) as file:
            file.write(before)
            for number in range(len(self._images)):
                file.write(b'<script type="application/json" id="pictures-%d">' % number)
                file.write(self._spooled(number).read_bytes() + b"</script>\n")
            file.write(after)

    def write_folder(self, folder: Path, figures: PerImage, about: About) -> None:
        """Write ``index.html`` into ``folder`` and, where they are many, pictures beside it.

        The page appears when all of it is there; one that it replaces stays until then.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if self.is_one_file:
            self.write_file(folder / INDEX, figures, about)
            pictures = None
        else:
            pictures = f"pictures-{secrets.token_hex(4)}"
            try:
                (folder / pictures).mkdir()
                for name, text in self._picture_files():
                    write_bytes(folder / pictures / name, text)
                write_bytes(folder / INDEX, b"".join(self._page(figures, about, pictures)))
            except BaseException:
                shutil.rmtree(folder / pictures, ignore_errors=True)
                raise
        for each in folder.iterdir():  # of the page that was replaced
            if _PICTURES.fullmatch(each.name) and each.name != pictures:
                shutil.rmtree(each, ignore_errors=True)

    def write_archive(self, path: Path, figures: PerImage, about: About) -> None:
        """Write the folder ``gallery`` as a zip, whole or not at all."""
        with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
            options = {"compress_type": zipfile.ZIP_DEFLATED, "compresslevel": 1}
            page = b"".join(self._page(figures, about, "pictures"))
            archive.writestr(f"gallery/{INDEX}", page, **options)  # type: ignore[arg-type]
            for name, text in self._picture_files():
                archive.writestr(f"gallery/pictures/{name}", text, **options)  # type: ignore[arg-type]

    def _spooled(self, number: int) -> Path:
        return self.spool / f"{number:04d}.json"

    def _picture_files(self) -> Iterator[tuple[str, bytes]]:
        """(name, content) of the pages, one an image, that tell their pictures to the gallery."""
        script = _part("pictures_file.js")
        for number, image in enumerate(self._images):
            page = _filled(
                _part("pictures_file.html"),
                TITLE=html.escape(printable(image["name"])),
                SCRIPT_HASH=_digest(script),
                NUMBER=str(number),
                PICTURES=self._spooled(number).read_text("ascii"),
                SCRIPT=script,
            )
            yield f"{number:04d}.html", page.encode()

    def _page(self, figures: PerImage, about: About, pictures: str | None) -> tuple[bytes, bytes]:
        """The page before and after its pictures."""
        script = "\n".join(_part(f"{name}.js") for name in SCRIPTS)
        page = _filled(
            _part("gallery.html"),
            TITLE=html.escape(printable(about.title)),
            SCRIPT_HASH=_digest(script),
            DATA=_script_json({**self._data(figures, about), "pictures": pictures}),
            SCRIPT=script,
        )
        before, after = page.rsplit("@PICTURES@", 1)
        return before.encode(), after.encode()

    def _data(self, figures: PerImage, about: About) -> dict[str, Any]:
        """All that the page knows, pictures apart."""
        names = [system.name for system in self.systems]
        known = {
            (v.benchmark, v.scale, v.image, v.system, v.metric): v.value for v in figures.values
        }
        rated = {(v.benchmark, v.scale, v.image) for v in figures.values if v.rated}
        pair = [GallerySystem(name, _SOURCES[name]) for name in self._pair]
        return {
            "title": printable(about.title),
            "convention": about.convention,
            "command": about.command,
            "config": about.config,
            "made": self.made,
            "unit": self.kind.dtype,
            "metrics": [_described(name) for name in figures.metrics],
            "systems": [
                {
                    "name": system.name,
                    "source": system.source,
                    "command": system.command,
                    "config": system.config,
                    "compared": system.name in names,
                }
                for system in [*pair, *self.systems]
            ],
            "sets": [
                {"benchmark": of, "system": system, **_described(name), "value": _finite(value)}
                for of, system, name, value in self._sets
            ],
            "images": [
                {
                    **image,
                    # No text with bytes that are none: an address can't hold them.
                    "benchmark": printable(image["benchmark"]),
                    "name": printable(image["name"]),
                    "flat": place not in rated,
                    "values": [
                        [_finite(known.get((*place, name, key))) for key in figures.metrics]
                        for name in names
                    ],
                }
                for image in self._images
                for place in [(image["benchmark"], image["scale"], image["name"])]
            ],
        }


def _described(name: str) -> dict[str, Any]:
    each = metric(name)
    return {
        "name": name,
        "label": each.label,
        "unit": each.unit,
        "decimals": each.decimals,
        "higher_is_better": each.higher_is_better,
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _with_finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _with_finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_finite(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _part(name: str) -> str:
    return (Path(__file__).parent / name).read_text("utf-8")


def _filled(template: str, **parts: str) -> str:
    """``template`` with ``@NAME@`` replaced, in one go: what is put in may hold such marks."""
    return re.sub(r"@([A-Z_]+)@", lambda mark: parts.get(mark[1], mark[0]), template)


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _script_json(value: Any) -> str:
    """JSON in ASCII that holds no markup; of numbers that JSON has not, their names."""
    text = json.dumps(_with_finite(value), separators=(",", ":"), default=str, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
