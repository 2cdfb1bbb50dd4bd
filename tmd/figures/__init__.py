"""Pictures for people, drawn without a display: sheets and animations.

Curves are in `tmd.figures.curves`, apart because matplotlib takes seconds to import.
"""

from tmd.figures.animation import (
    ANIMATION_SUFFIXES,
    captioned_frames,
    check_animation_path,
    save_animation,
)
from tmd.figures.drawing import Picture, Row, draw_rows, save_figure, to_pil
from tmd.figures.sheets import (
    comparison_sheet,
    picture_sheet,
    preview_sheet,
    stretch,
    telling_regions,
)
from tmd.figures.views import brightness, views

__all__ = [
    "ANIMATION_SUFFIXES",
    "Picture",
    "Row",
    "brightness",
    "captioned_frames",
    "check_animation_path",
    "comparison_sheet",
    "draw_rows",
    "picture_sheet",
    "preview_sheet",
    "save_animation",
    "save_figure",
    "stretch",
    "telling_regions",
    "to_pil",
    "views",
]
