"""Georeferences are kept as GDAL understands them: each place on Earth stays where it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine

from tmd.images.geo import enlarged, of_bands, read_geo
from tmd.photos import read_bands, write_photo

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

HEIGHT, WIDTH = 12, 20
UTM = CRS.from_epsg(32618)
NORTH_UP = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0)
TURNED = Affine.translation(5e5, 4.6e6) @ Affine.rotation(30) @ Affine.scale(10, -20)


def geotiff(path: Path, bands: int = 3, area_or_point: str = "Area", **options) -> np.ndarray:
    """Writes one by GDAL; (C, H, W)."""
    image = np.random.default_rng(0).normal(size=(bands, HEIGHT, WIDTH)).astype(np.float32)
    profile = {"driver": "GTiff", "height": HEIGHT, "width": WIDTH, "dtype": "float32"}
    with rasterio.open(path, "w", count=bands, **profile, **options) as file:
        file.update_tags(AREA_OR_POINT=area_or_point)
        file.write(image)
    return image


def enlarge(source: Path, target: Path, scale: int, bands: tuple[int, ...] | None = None) -> None:
    """Every pixel becomes ``scale`` × ``scale`` of its value."""
    photo = read_bands(source, bands, scale)
    pixels = photo.pixels.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    write_photo(target, [pixels], tuple(pixels.shape), photo)


@pytest.mark.parametrize("area_or_point", ["Area", "Point"])
@pytest.mark.parametrize("transform", [NORTH_UP, TURNED], ids=["north up", "turned"])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_every_corner_stays_where_it_was(tmp_path, transform, area_or_point, scale):
    geotiff(tmp_path / "a.tif", area_or_point=area_or_point, crs=UTM, transform=transform)
    enlarge(tmp_path / "a.tif", tmp_path / "b.tif", scale)
    with rasterio.open(tmp_path / "a.tif") as old, rasterio.open(tmp_path / "b.tif") as new:
        assert new.crs == old.crs == UTM
        assert new.tags()["AREA_OR_POINT"] == area_or_point
        assert new.shape == (scale * HEIGHT, scale * WIDTH)
        expected = old.transform * Affine.scale(1 / scale)
        assert new.transform.almost_equals(expected, 1e-6)
        assert np.allclose(new.bounds, old.bounds, rtol=1e-12)
        for row, column in ((0, 0), (5, 7), (HEIGHT - 1, WIDTH - 1)):
            place = old.xy(row, column)
            found = ~new.transform @ place
            assert np.allclose(found, (scale * (column + 0.5), scale * (row + 0.5)), atol=1e-3)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("area_or_point", ["Area", "Point"])
def test_control_points_stay_on_what_they_were_set_on(tmp_path, scale, area_or_point):
    places = [(0.5, 0.5), (0.5, 18.5), (10.5, 2.5), (11.5, 19.5)]
    points = [GroundControlPoint(r, c, 5e5 + 10 * c + r, 4.6e6 - 9 * r, 0) for r, c in places]
    geotiff(tmp_path / "a.tif", area_or_point=area_or_point, crs=UTM, gcps=points)
    enlarge(tmp_path / "a.tif", tmp_path / "b.tif", scale)
    with rasterio.open(tmp_path / "a.tif") as old, rasterio.open(tmp_path / "b.tif") as new:
        # As GDAL reads them: what it writes of points is a pixel off (findings/).
        (were, _), (found, crs) = old.gcps, new.gcps
    assert crs == UTM
    assert np.allclose([(p.x, p.y) for p in found], [(p.x, p.y) for p in points])
    expected = np.array([(p.row, p.col) for p in were]) * scale
    assert np.allclose([(p.row, p.col) for p in found], expected)


def test_names_units_and_nodata_of_bands_are_kept_and_statistics_are_not(tmp_path):
    image = geotiff(tmp_path / "a.tif", 4, crs=UTM, transform=NORTH_UP, nodata=-9999.0)
    with rasterio.open(tmp_path / "a.tif", "r+") as file:
        file.descriptions = ["blue", "green", "red", "infra & red"]
        file.scales, file.offsets = (1e-4,) * 4, (0.0, 1.0, 2.0, 3.0)
        file.update_tags(MISSION="S2")
        file.statistics(1)  # GDAL notes them
        file.update_tags(1, STATISTICS_MEAN=0.5, SENSOR="MSI")
    enlarge(tmp_path / "a.tif", tmp_path / "b.tif", 2)
    with rasterio.open(tmp_path / "b.tif") as new:
        assert new.descriptions == ("blue", "green", "red", "infra & red")
        assert new.scales == (1e-4,) * 4
        assert new.offsets == (0, 1, 2, 3)
        assert new.nodata == -9999
        assert new.tags()["MISSION"] == "S2"
        assert new.tags(1) == {"SENSOR": "MSI"}
        assert np.array_equal(new.read()[:, ::2, ::2], image)
    enlarge(tmp_path / "a.tif", tmp_path / "c.tif", 2, bands=(4, 2))
    with rasterio.open(tmp_path / "c.tif") as new:
        assert new.descriptions == ("infra & red", "green")
        assert new.offsets == (3, 1)
        assert np.array_equal(new.read()[:, 1::2, 1::2], image[[3, 1]])


def test_metadata_that_would_expand_is_left_out(tmp_path):
    text = '<!DOCTYPE a [<!ENTITY b "c">]><GDALMetadata><Item name="d">&b;</Item></GDALMetadata>'
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.zeros((4, 4), np.uint8),
        extratags=[(42112, "s", 0, text, True), (42113, "s", 0, "7", True)],
    )
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tags = read_geo(file.pages[0])
    assert [tag.code for tag in tags] == [42112, 42113]
    for changed in (enlarged(tags, 2), of_bands(tags, (1,))):
        assert [tag.code for tag in changed] == [42113]


def test_a_place_on_earth_is_never_turned(tmp_path):
    """GDAL ignores an orientation; to turn the pixels would move them off their places."""
    image = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH)
    tags = [(33550, "d", 3, (10.0, 10.0, 0.0), True), (33922, "d", 6, (0.0,) * 6, True)]
    for name, extra in (("a.tif", []), ("b.tif", tags)):
        orientation = (274, "H", 1, 6, True)
        tifffile.imwrite(tmp_path / name, image, metadata=None, extratags=[orientation, *extra])
    assert read_bands(tmp_path / "a.tif").pixels.shape == (1, WIDTH, HEIGHT)
    assert np.array_equal(read_bands(tmp_path / "b.tif").pixels[0].numpy(), image)
