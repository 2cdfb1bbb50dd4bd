"""Frames as GIF or MP4, as the file's suffix says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tmd.errors import UserError
from tmd.figures.drawing import FRAME, INK, MARGIN, PAPER, TEXT_SIZE, write
from tmd.files import replacing_path

ANIMATION_SUFFIXES = (".gif", ".mp4")
HEADER = 44
LAST_FRAME_SECONDS = 2.0


def save_animation(
    frames: Sequence[Image.Image], path: str | os.PathLike[str], fps: float = 4
) -> None:
    """Write frames of equal size; the last one stays for two seconds. All or nothing.

    Raises:
        UserError: no frames, another suffix, or MP4 without ``imageio-ffmpeg``.
    """
    path = Path(path)
    check_animation_path(path)
    if not frames:
        raise UserError(f"{path}: no frames to show")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing_path(path, durable=False) as temporary:
        if path.suffix.lower() == ".gif":
            _write_gif(frames, temporary, fps)
        else:
            _write_mp4(frames, temporary, fps)


def check_animation_path(path: Path) -> None:
    """Raise `UserError` for what `save_animation` can't write."""
    if path.suffix.lower() not in ANIMATION_SUFFIXES:
        raise UserError(f"{path}: must end in {' or '.join(ANIMATION_SUFFIXES)}")
    if path.suffix.lower() == ".mp4":
        try:
            import imageio_ffmpeg  # noqa: F401
        except ImportError:
            raise UserError(
                f"{path}: MP4 needs imageio-ffmpeg; pip install -e '.[video]' brings it, "
                "or give a .gif"
            ) from None


def captioned_frames(
    pictures: Sequence[Image.Image], captions: Sequence[str], width: int
) -> list[Image.Image]:
    """``pictures`` at one size under a caption and a line that grows to full length.

    Args:
        width: of the frames; the height is the first picture's in proportion.
    """
    height = round(pictures[0].height * width / pictures[0].width)
    # Video codecs want even sides.
    size = (width - width % 2, height + HEADER + (height + HEADER) % 2)
    margin = round(MARGIN * width / pictures[0].width)
    right = size[0] - margin
    frames = []
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True), start=1):
        frame = Image.new("RGB", size, PAPER)
        frame.paste(picture.resize((size[0], height), Image.Resampling.LANCZOS), (0, HEADER))
        draw = ImageDraw.Draw(frame)
        write(draw, (margin, 8), caption, TEXT_SIZE, bold=True, width=right - margin)
        reached = margin + (right - margin) * number // len(pictures)
        draw.line((margin, HEADER - 8, right, HEADER - 8), fill=FRAME, width=3)
        draw.line((margin, HEADER - 8, reached, HEADER - 8), fill=INK, width=3)
        frames.append(frame)
    return frames


def _write_gif(frames: Sequence[Image.Image], path: Path, fps: float) -> None:
    # One palette for all: colours that change from frame to frame flicker.
    small = [np.asarray(frame.resize((160, 160), Image.Resampling.NEAREST)) for frame in frames]
    palette = Image.fromarray(np.concatenate(small)).quantize(256, Image.Quantize.MEDIANCUT)
    indexed = [
        frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for frame in frames
    ]
    durations = [round(1000 / fps)] * (len(frames) - 1) + [round(1000 * LAST_FRAME_SECONDS)]
    indexed[0].save(
        path,
        save_all=True,
        append_images=indexed[1:],
        duration=durations,
        loop=0,
        optimize=True,
    )


def _write_mp4(frames: Sequence[Image.Image], path: Path, fps: float) -> None:
    import imageio_ffmpeg

    stay = max(0, round(LAST_FRAME_SECONDS * fps) - 1)
    writer = imageio_ffmpeg.write_frames(
        str(path),
        frames[0].size,
        fps=fps,
        quality=8,
        macro_block_size=2,
        ffmpeg_log_level="error",
    )
    writer.send(None)
    for frame in [*frames, *[frames[-1]] * stay]:
        writer.send(np.ascontiguousarray(frame.convert("RGB")))
    writer.close()
