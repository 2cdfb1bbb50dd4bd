"""The gallery: one page that shows an evaluation's images, opened without a server.

Systems side by side under one zoom, a slider, difference maps, figures by image. The page is one
file as long as that can be mailed; of larger sets the pictures are files beside it, which the page
reads one by one.
"""

from tmd.evaluation.gallery.page import HR, LR, About, Gallery, GallerySystem

__all__ = ["HR", "LR", "About", "Gallery", "GallerySystem"]
