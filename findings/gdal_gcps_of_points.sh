#!/usr/bin/env bash
# GDAL 3.10.3, in rasterio 1.4.4: control points (GCPs) of a GeoTIFF whose coordinates mean pixels'
# centres (AREA_OR_POINT=Point) come back one pixel off, to the right and below.
#
# GDAL counts from pixels' corners. A file of points counts from their centres, so half a pixel is
# to be taken off when it is written and put on when it is read. Reading puts it on; writing puts it
# on, too. The stored tie points say so: 1.0 for a place that was given as 0.5, where 0.0 would be
# right. Files of areas are right. Affine transforms of both kinds are right.
#
# Nothing is raised or warned of.
# Seen on 28 November 2026, Python 3.11, Linux:
#
#     Area   0.5 -> tie point 0.5 -> 0.5; all by [0.0]
#     Point  0.5 -> tie point 1.0 -> 1.5; all by [1.0]
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet rasterio==1.4.4 tifffile==2026.3.3 numpy==2.4.6
cd "$work"
venv/bin/python -W ignore << 'END'
import sys

import numpy as np
import rasterio
import tifffile
from rasterio.control import GroundControlPoint

places = [(0.5, 0.5), (0.5, 8.5), (6.5, 2.5), (7.5, 9.5)]  # row, column
points = [GroundControlPoint(r, c, 500000 + c, 4000000 - r, 0) for r, c in places]
options = {"driver": "GTiff", "count": 1, "height": 8, "width": 10, "dtype": "uint8"}
seen = {}
for meaning in ("Area", "Point"):
    with rasterio.open("a.tif", "w", crs="EPSG:32618", gcps=points, **options) as file:
        file.update_tags(AREA_OR_POINT=meaning)
        file.write(np.zeros((1, 8, 10), np.uint8))
    stored = tifffile.TiffFile("a.tif").pages[0].tags.valueof(33922)
    with rasterio.open("a.tif") as file:
        assert file.tags()["AREA_OR_POINT"] == meaning
        found = [(point.row, point.col) for point in file.gcps[0]]
    shift = np.unique(np.array(found) - places).tolist()
    seen[meaning] = (stored[0], found[0][0], shift)
    print(f"{meaning:6} 0.5 -> tie point {stored[0]} -> {found[0][0]}; all by {shift}")
print("GDAL", rasterio.__gdal_version__)
expected = {"Area": (0.5, 0.5, [0.0]), "Point": (1.0, 1.5, [1.0])}
sys.exit(0 if seen == expected else "it has changed")
END
