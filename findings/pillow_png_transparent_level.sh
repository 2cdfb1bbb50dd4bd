#!/usr/bin/env bash
# Pillow 13.0.0 makes the wrong pixels of a PNG transparent unless its levels have 1 or 8 bits.
#
# PNG's tRNS chunk names one level or colour that is transparent, in the file's own bits. Pillow
# scales grey of 2 and 4 bits to 8, and cuts colours of 16 bits to 8, but then looks for the key as
# it stands in the file: what should be transparent stays opaque, without a word. Of colours of 16
# bits it takes the key's low bytes, and makes another colour transparent that happens to have these
# as its high bytes. libpng (through imagecodecs 2026.3.6) reads the same files right.
#
# Seen on 28 November 2026, Python 3.11, Linux; alpha of each pixel:
#
#     grey, 2 bits    levels 0, 1, 2, 3                   key 3     Pillow 255, 255, 255, 255
#                                                                   libpng 255, 255, 255, 0
#     grey, 4 bits    levels 0, 1, 14, 15                 key 15    Pillow 255, 255, 255, 255
#                                                                   libpng 255, 255, 255, 0
#     RGB, 16 bits    each 0x1234, 0x3412, 0x0000         0x1234    Pillow 255, 0, 255
#                                                                   libpng 0, 255, 255
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pillow==13.0.0 imagecodecs==2026.3.6 numpy==2.4.6
"$work/venv/bin/python" - << 'END'
import io, struct, sys, zlib

import imagecodecs
import numpy as np
from PIL import Image

GREY, RGB = 0, 2


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(colour, bits, width, row, key):
    header = struct.pack(">IIBBBBB", width, 1, bits, colour, 0, 0, 0)
    body = [(b"IHDR", header), (b"tRNS", key), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in body)


files = {
    "grey, 2 bits": png(GREY, 2, 4, bytes([0b00011011]), struct.pack(">H", 3)),
    "grey, 4 bits": png(GREY, 4, 4, bytes([0x01, 0xEF]), struct.pack(">H", 15)),
    "grey, 8 bits": png(GREY, 8, 4, bytes([0, 1, 254, 255]), struct.pack(">H", 255)),
    "RGB, 16 bits": png(
        RGB, 16, 3, struct.pack(">9H", *[0x1234] * 3, *[0x3412] * 3, *[0] * 3), b"\x12\x34" * 3
    ),
}
seen = {}
for name, content in files.items():
    with Image.open(io.BytesIO(content)) as image:
        pillows = np.asarray(image.convert("RGBA"))[0, :, 3].tolist()
    libpngs = imagecodecs.png_decode(content)
    libpngs = (libpngs[0, :, -1] // (np.iinfo(libpngs.dtype).max // 255)).tolist()
    seen[name] = pillows, libpngs
    print(f"{name}: alpha by Pillow {pillows}, by libpng {libpngs}")

expected = {
    "grey, 2 bits": ([255] * 4, [255, 255, 255, 0]),
    "grey, 4 bits": ([255] * 4, [255, 255, 255, 0]),
    "grey, 8 bits": ([255, 255, 255, 0],) * 2,
    "RGB, 16 bits": ([255, 0, 255], [0, 255, 255]),
}
sys.exit(0 if seen == expected else "it has changed")
END
