"""Pictures for people, drawn without a display: sheets, curves, animations."""

from tmd.figures.drawing import Picture, Row, draw_rows, save_figure, to_pil
from tmd.figures.sheets import picture_sheet, preview_sheet, stretch

__all__ = [
    "Picture",
    "Row",
    "draw_rows",
    "picture_sheet",
    "preview_sheet",
    "save_figure",
    "stretch",
    "to_pil",
]
