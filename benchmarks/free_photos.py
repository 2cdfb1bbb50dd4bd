"""Free photographs of Debian's packages, shrunk until they are sharp, as a folder to train on.

    python benchmarks/free_photos.py free_photos
    tmd prepare BSDS500/train free_photos -o tiles with tile=144 overlap=48 min_detail=20
    tmd srgan tiles with hour

Needs Debian or Ubuntu with its package sources (`apt-get download`, without being root or
installing anything) and `dpkg-deb`. `SOURCES.csv` in the folder says of each photo where it is
from, whose it is and its licence, as `debian/copyright` or the package's own metadata state.
Each is divided by the number that leaves no traces of JPEG or of the camera's demosaicing.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np
import torch
from PIL import Image

from tmd.files import replacing
from tmd.resize import imresize_uint8

Image.MAX_IMAGE_PIXELS = None  # the largest has 20 million, and they come from Debian


class Source(NamedTuple):
    """Photos of a package: their folder, the names in it, and what is said of their rights."""

    package: str
    folder: str
    rights: str
    names: tuple[str, ...]


WALLPAPER = "contents/images/2560x1600.jpg"
SOURCES = (
    Source(
        "lomiri-wallpapers-16.04",
        "usr/share/backgrounds",
        "CC-BY, CC-BY-SA or CC0; author in the name",
        (
            "Bridge_by_Sander_Klootwijk.jpg",
            "Dragonfly_by_Bolly.jpg",
            "Picture_0B_by_freespace.jpg",
            "Picture_1A_by_freespace.jpg",
            "Wine_by_Jakkub_Mede.jpg",
            "aitzgorri_by_Aitzol_Berasategi.jpg",
            "analogpattern_by_Peter_Nerlich.jpg",
            "free_by_Peter_Nerlich.jpg",
            "friends_by_Aitzol_Berasategi.jpg",
            "greentock_by_Peter_Nerlich.jpg",
            "life_by_Aitzol_Berasategi.jpg",
            "picosdeeuropa_by_Aitzol_Berasategi.jpg",
            "seeding_by_Clements_Engelhardt.jpg",
            "sunset_by_Aitzol_Berasategi.jpg",
            "umang_by_Abhishek_Mudgal.jpg",
        ),
    ),
    Source(
        "lomiri-wallpapers-20.04",
        "usr/share/backgrounds",
        "CC-BY-SA-3.0; author in the name",
        ("Kleiber_by_Lukas_Baubkus.jpg",),
    ),
    Source(
        "lxqt-themes",
        "usr/share/lxqt/wallpapers",
        "LGPL-2.1+; Razor and LXQt teams",
        (
            "Butterfly-Kenneth-Wimer.jpg",
            "Valendas.png",
            "after-the-rain.jpg",
            "appleflower.png",
            "beam.png",
            "butterfly.png",
            "cloud.png",
            "drop.png",
            "flowers.png",
            "fog.jpg",
            "this-is-not-windows.jpg",
        ),
    ),
    Source(
        "mate-backgrounds",
        "usr/share/backgrounds/mate/nature",
        "GPL-2+; authors in the package's AUTHORS",
        (
            "Blinds.jpg",
            "Dune.jpg",
            "FreshFlower.jpg",
            "Garden.jpg",
            "GreenMeadow.jpg",
            "LadyBird.jpg",
            "RainDrops.jpg",
            "Storm.jpg",
            "TwoWings.jpg",
            "Wood.jpg",
            "YellowFlower.jpg",
        ),
    ),
    Source(
        "palapeli-data",
        "usr/share/palapeli/collection",
        "GFDL or public domain; author in the .desktop file beside it",
        (
            "castle-maintenon.jpg",
            "cincinnati-bridge.jpg",
            "citrus-fruits.jpg",
            "european-honey-bee.jpg",
            "panther-chameleon-female.jpg",
        ),
    ),
    Source(
        "plasma-workspace-wallpapers",
        "usr/share/wallpapers",
        "LGPL-3 or CC-BY-SA-4.0; author in the wallpaper's metadata",
        (
            f"BytheWater/{WALLPAPER}",
            f"ColdRipple/{WALLPAPER}",
            f"ColorfulCups/{WALLPAPER}",
            f"EveningGlow/{WALLPAPER}",
            f"FallenLeaf/{WALLPAPER}",
            f"Grey/{WALLPAPER}",
            f"Kite/{WALLPAPER}",
            f"OneStandsOut/{WALLPAPER}",
            f"Path/{WALLPAPER}",
            "Volna/contents/images/5120x2880.jpg",
        ),
    ),
)


def divisor(side: int) -> float:
    """Divisor of the sides of a photo whose shorter one is ``side`` pixels."""
    if side >= 2600:
        return 3.0
    if side >= 1100:
        return 2.0
    return 1.5 if side > 900 else 1.25


def extracted(package: str, folder: Path) -> str:
    """Version of a package that is downloaded and unpacked into ``folder``.

    Raises:
        SystemExit: there is no such package to be had; says so.
    """
    done = subprocess.run(
        ["apt-get", "download", package], cwd=folder, capture_output=True, text=True, check=False
    )
    found = sorted(folder.glob(f"{package}_*.deb"))
    if not found:
        raise SystemExit(f"apt-get download {package}: {done.stderr.strip() or 'no such package'}")
    subprocess.run(["dpkg-deb", "-x", str(found[0]), str(folder / package)], check=True)
    return unquote(found[0].name.split("_")[1])


def shrunk(photo: Path) -> torch.Tensor:
    """(3, H, W) bytes of a photo file, divided by its `divisor`."""
    pixels = torch.from_numpy(np.array(Image.open(photo).convert("RGB"))).permute(2, 0, 1)
    height, width = pixels.shape[1:]
    by = divisor(min(height, width))
    return imresize_uint8(pixels, (int(height / by), int(width / by)))


def photo_name(name: str) -> str:
    """Name of the PNG that a photo of a package becomes."""
    return (name.split("/")[0] if "/" in name else Path(name).stem) + ".png"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="folder for the photos")
    output = parser.parse_args(arguments).output
    output.mkdir(parents=True, exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for source in SOURCES:
            version = extracted(source.package, Path(temporary))
            for name in source.names:
                photo = Path(temporary) / source.package / source.folder / name
                pixels = shrunk(photo)
                made = output / photo_name(name)
                with replacing(made) as file:
                    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file, format="PNG")
                size = f"{pixels.shape[2]}x{pixels.shape[1]}"
                path = f"{source.folder}/{name}"
                rows.append((made.name, size, source.package, version, path, source.rights))
            print(f"{source.package} {version}: {len(source.names)}", flush=True)
    with open(output / "SOURCES.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("photo", "size", "package", "version", "file", "rights")])
        csv.writer(file).writerows(rows)
    print(f"{len(rows)} photos: {output}")


if __name__ == "__main__":
    main()
