"""Tags of a GeoTIFF: its pixels' places and meaning, and those of the same image with more pixels.

OGC GeoTIFF 1.1, and the tags of GDAL. Nothing else is needed to keep a georeference: a network
changes how large pixels are, not where the image lies.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree

PIXEL_SCALE, TIEPOINTS, TRANSFORMATION = 33550, 33922, 34264
KEYS, DOUBLES, TEXTS = 34735, 34736, 34737
METADATA, NODATA = 42112, 42113
GEO_TAGS = (PIXEL_SCALE, TIEPOINTS, TRANSFORMATION, KEYS, DOUBLES, TEXTS, METADATA, NODATA)
PLACING = (PIXEL_SCALE, TIEPOINTS, TRANSFORMATION)
# tifffile's letters
_TYPES = {KEYS: "H", TEXTS: "s", METADATA: "s", NODATA: "s"}
_RASTER_TYPE, _IS_POINT = 1025, 2
_LARGEST_METADATA = 1 << 20


class Tag(NamedTuple):
    """A tag of TIFF as tifffile takes it: code, type, value."""

    code: int
    type: str
    value: Any

    @property
    def extra(self) -> tuple[int, str, int, Any, bool]:
        """An entry of tifffile's ``extratags``."""
        count = 0 if self.type == "s" else len(self.value)
        return self.code, self.type, count, self.value, True


def read_geo(page: Any) -> tuple[Tag, ...]:
    """The tags of a page that `GEO_TAGS` names, empty where it has none."""
    found = []
    for code in GEO_TAGS:
        value = page.tags.valueof(code)
        if value is None:
            continue
        type = _TYPES.get(code, "d")
        if type == "s":
            value = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        else:
            value = tuple(value) if isinstance(value, (tuple, list)) else (value,)
        found.append(Tag(code, type, value))
    return tuple(found)


def is_placed(page: Any) -> bool:
    """Return whether a page says where its pixels lie; then they are never turned."""
    return any(page.tags.valueof(code) is not None for code in PLACING)


def enlarged(tags: Sequence[Tag], scale: int) -> tuple[Tag, ...]:
    """The tags of an image whose pixels were each divided into ``scale`` × ``scale``.

    The image covers what it did. Where coordinates mean pixels' corners (PixelIsArea), they grow by
    the factor; where they mean centres (PixelIsPoint), those of the first pixel's first part lie
    half a part, less half a pixel, from its own.

    Statistics of the old pixels are left out.
    """
    shift = (scale - 1) / 2 if _is_point(tags) else 0.0
    result = []
    for tag in tags:
        value = tag.value
        if tag.code == PIXEL_SCALE:
            value = (value[0] / scale, value[1] / scale, *value[2:])
        elif tag.code == TIEPOINTS:
            value = tuple(
                scale * place + shift if i % 6 < 2 else place for i, place in enumerate(value)
            )
        elif tag.code == TRANSFORMATION:
            value = _enlarged_matrix(value, scale, shift)
        elif tag.code == METADATA and (text := _metadata(value, None)) is None:
            continue
        elif tag.code == METADATA:
            value = text
        result.append(tag._replace(value=value))
    return tuple(result)


def of_bands(tags: Sequence[Tag], bands: Sequence[int]) -> tuple[Tag, ...]:
    """The tags of an image of these bands, from 1; names and scales of bands go with them."""
    result = []
    for tag in tags:
        if tag.code != METADATA:
            result.append(tag)
        elif (text := _metadata(tag.value, bands)) is not None:
            result.append(tag._replace(value=text))
    return tuple(result)


def with_nodata(tags: Sequence[Tag], nodata: float | None) -> tuple[Tag, ...]:
    """The tags with another number for no data where the pixels now have another.

    Args:
        nodata: None leaves what is there, a number beyond the pixels' type.
    """
    return tuple(
        tag
        if tag.code != NODATA or nodata is None or _same(tag.value, nodata)
        else tag._replace(value=f"{nodata:.17g}")
        for tag in tags
    )


def _same(text: str, nodata: float) -> bool:
    stated = float(text.strip("\0 "))
    return stated == nodata or math.isclose(stated, nodata, rel_tol=1e-6) or stated != stated


def _is_point(tags: Sequence[Tag]) -> bool:
    keys = next((tag.value for tag in tags if tag.code == KEYS), ())
    entries = zip(*(keys[i::4] for i in range(4)), strict=False)
    return any(key == _RASTER_TYPE and value == _IS_POINT for key, _, _, value in entries)


def _enlarged_matrix(matrix: Sequence[float], scale: int, shift: float) -> tuple[float, ...]:
    """(4 × 4) from a place in the image, in columns and rows, to one on Earth."""
    rows = [list(matrix[i : i + 4]) for i in range(0, 16, 4)]
    for row in rows:
        row[0], row[1] = row[0] / scale, row[1] / scale
        row[3] -= shift * (row[0] + row[1])
    return tuple(value for row in rows for value in row)


def _metadata(text: str, bands: Sequence[int] | None) -> str | None:
    """GDAL's metadata without statistics, of these bands (None: of all); None where nothing stays.

    None for what is no plain XML, too: entities are not expanded.
    """
    if len(text) > _LARGEST_METADATA or re.search(r"<!(?:DOCTYPE|ENTITY)", text):
        return None
    try:
        root = ElementTree.fromstring(text.strip("\0 \n"))
    except ElementTree.ParseError:
        return None
    for item in list(root):
        sample = item.get("sample")
        if (item.get("name") or "").startswith("STATISTICS_"):
            root.remove(item)
        elif bands is not None and sample is not None:
            if not sample.isdecimal() or int(sample) + 1 not in bands:
                root.remove(item)
                continue
            item.set("sample", str(list(bands).index(int(sample) + 1)))
    return ElementTree.tostring(root, encoding="unicode") if len(root) else None
