"""The gallery: one page that shows an evaluation's images, opened without a server.

Systems side by side under one zoom, a slider, difference maps, figures by image. The page is one
file as long as that can be mailed; of larger sets the pictures are files beside it, which the page
reads one by one.
"""

from tmd.evaluation.gallery.page import HR, INDEX, LR, About, Gallery, GallerySystem, is_gallery

__all__ = ["HR", "INDEX", "LR", "About", "Gallery", "GallerySystem", "is_gallery"]
