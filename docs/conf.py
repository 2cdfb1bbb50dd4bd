"""The site: Sphinx, with MyST for Markdown. `python -m sphinx -W docs FOLDER` builds it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # the same pages on every machine

import generate  # noqa: E402

from tmd import __version__  # noqa: E402

generate.write(HERE / "reference")

project = "tmd"
author = copyright = "the tmd authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "omniboard.md"]
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_inline"]

# Single backticks in docstrings are names or what is typed.
default_role = "py:obj"
suppress_warnings = ["ref.python"]  # that a short one, `hr` say, might be one of several
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "ignore-module-all": True,
    "show-inheritance": True,
}
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"tmd {version}"
html_copy_source = False


def escape_bars(*event: Any) -> None:
    """Bars in our docstrings are absolute values, not what Sphinx takes them for."""
    lines = event[-1]
    for number, line in enumerate(lines):
        parts = re.split(r"(`[^`]*`)", line)
        lines[number] = "".join(
            part if part.startswith("`") else part.replace("|", r"\|") for part in parts
        )


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", escape_bars)
