"""Images anywhere: in tar shards, and at addresses of buckets and servers, kept on disk.

Knows nothing of images: a path leads to bytes, whatever they are. A path of an ordinary file is
none of its business.
"""

from tmd.places.kinds import store_of
from tmd.places.names import (
    PACKED_SUFFIXES,
    SCHEMES,
    check_address,
    expanded,
    in_shard,
    is_address,
    is_packed,
    is_shard,
    names_several,
)
from tmd.places.objects import DEFAULT_GIGABYTES, cache_size, set_cache_size
from tmd.places.opened import FilePart
from tmd.places.opening import (
    Listed,
    ending_elsewhere,
    fetch,
    is_elsewhere,
    open_elsewhere,
    open_part,
    remember,
    size_elsewhere,
)
from tmd.places.shards import ShardIndex, index_of
from tmd.places.stores import Object, Store

__all__ = [
    "DEFAULT_GIGABYTES",
    "PACKED_SUFFIXES",
    "SCHEMES",
    "FilePart",
    "Listed",
    "Object",
    "ShardIndex",
    "Store",
    "cache_size",
    "check_address",
    "ending_elsewhere",
    "expanded",
    "fetch",
    "in_shard",
    "index_of",
    "is_address",
    "is_elsewhere",
    "is_packed",
    "is_shard",
    "names_several",
    "open_elsewhere",
    "open_part",
    "remember",
    "set_cache_size",
    "size_elsewhere",
    "store_of",
]
