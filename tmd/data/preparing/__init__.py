"""Folders of photos made into tiles or shards that train fast."""

from tmd.data.preparing.options import PrepareOptions
from tmd.data.preparing.work import Report, prepare

__all__ = ["PrepareOptions", "Report", "prepare"]
