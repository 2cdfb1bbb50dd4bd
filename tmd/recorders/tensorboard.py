"""TensorBoard's event file, written so that a full disk costs neither the run nor a point.

TensorBoard's own writer has a thread that dies of the first error and raises it in whoever comes
next; what it had taken is lost, and a record cut short hides all behind it. Here each record is
written at once, and one that fails is cut off again, so that it can be tried again.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from tmd.recorders.registry import Recorder, TrackedRun, register_tracker, series


class TensorBoard:
    """Scalars and pictures as events: ``train/loss_g``, ``validation/psnr``, ``sheet``.

    Args:
        folder: the event file's.

    Raises:
        OSError: from any method: nothing of this call has been written.
    """

    keeps_artifacts = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        unique = f"{time.time():.0f}.{socket.gethostname()}.{os.getpid()}.{id(self)}"
        self.path = folder / f"events.out.tfevents.{unique}"
        self._file: BinaryIO | None = None
        self._size = 0

    def info(self, values: Mapping[str, Any]) -> None:
        """Nothing: TensorBoard shows numbers and pictures."""

    def metrics(self, group: str, values: Mapping[str, float], iteration: int) -> None:
        """Write scalars ``group/name``."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        tagged = {f"{group}/{name}": value for name, value in values.items()}
        points = [Summary.Value(tag=tag, simple_value=value) for tag, value in tagged.items()]
        self._write(Summary(value=points), iteration)

    def image(self, name: str, image: Image.Image, iteration: int) -> None:
        """Write a picture, called as its series."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        content = io.BytesIO()
        image.convert("RGB").save(content, "PNG")
        picture = Summary.Image(
            height=image.height,
            width=image.width,
            colorspace=3,
            encoded_image_string=content.getvalue(),
        )
        self._write(Summary(value=[Summary.Value(tag=series(name), image=picture)]), iteration)

    def artifact(self, name: str, write: Callable[[Path], None]) -> bool:
        """Nothing, which nobody need wait for."""
        return True

    def remove(self, name: str) -> None:
        """Nothing: there are no artifacts."""

    def close(self) -> None:
        """Close the event file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, summary: Any, iteration: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        try:
            file = self._open()
            writer = RecordWriter(file)
            if file.tell() == 0:
                first = Event(wall_time=time.time(), file_version="brain.Event:2")
                writer.write(first.SerializeToString())
            event = Event(wall_time=time.time(), step=iteration, summary=summary)
            writer.write(event.SerializeToString())
            file.flush()
            self._size = file.tell()
        except OSError:
            self._cut_off()
            raise

    def _open(self) -> BinaryIO:
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "ab")  # noqa: SIM115
        return self._file

    def _cut_off(self) -> None:
        """Close, and take back what was written of the last record."""
        with contextlib.suppress(OSError):  # closing writes again what could not be written
            self.close()
        self._file = None
        with contextlib.suppress(OSError):
            os.truncate(self.path, self._size)


@register_tracker("tensorboard", package="tensorboard", artifacts=False)
def create_tensorboard(run: TrackedRun) -> Recorder:
    """Events in the run's folder."""
    return TensorBoard(run.folder / "tensorboard")
