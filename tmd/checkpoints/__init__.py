"""Checkpoint files: their names, what is in them, how they are written and read."""

from tmd.checkpoints.contents import image_kind
from tmd.checkpoints.format import (
    load_checkpoint,
    load_generator,
    newest_checkpoint,
    save_checkpoint,
)
from tmd.checkpoints.names import (
    BEST,
    captured_name,
    checkpoint_name,
    checkpoints_in,
    is_checkpoint,
    sheet_iteration,
    sheet_name,
)
from tmd.models.weights import load_weights

__all__ = [
    "BEST",
    "captured_name",
    "checkpoint_name",
    "checkpoints_in",
    "image_kind",
    "is_checkpoint",
    "load_checkpoint",
    "load_generator",
    "load_weights",
    "newest_checkpoint",
    "save_checkpoint",
    "sheet_iteration",
    "sheet_name",
]
