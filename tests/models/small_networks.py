"""Options by which the networks of the field are small, for tests."""

from __future__ import annotations

from typing import Any

SMALL: dict[str, dict[str, Any]] = {
    "atd": {
        "embed_dim": 12,
        "depths": [2],
        "num_heads": [2],
        "window_size": 8,
        "category_size": 32,
        "num_tokens": 8,
        "reducted_dim": 4,
    },
    "compact": {"num_feat": 8, "num_conv": 2},
    "craft": {"embed_dim": 48, "depths": [2], "num_heads": [6]},
    "dat": {"embed_dim": 64, "depth": [2], "num_heads": [2], "split_size": [8, 16]},
    "drct": {"embed_dim": 12, "depths": [6], "num_heads": [2], "gc": 4},
    "esrgan": {"num_feat": 8, "num_block": 1},
    "hat": {"embed_dim": 24, "depths": [2], "num_heads": [2], "squeeze_factor": 4},
    "moesr": {"dim": 8, "blocks": 1, "n_block": 1},
    "mosr": {"dim": 8, "blocks": 2},
    "omnisr": {"num_feat": 16, "res_num": 1},
    "plksr": {"dim": 8, "blocks": 2, "kernel_size": 5},
    "rcan": {"n_resgroups": 1, "n_resblocks": 2, "n_feats": 16, "reduction": 2},
    "realplksr": {"dim": 8, "blocks": 2, "kernel_size": 5},
    "rgt": {"embed_dim": 64, "depth": [2], "num_heads": [2]},
    "safmn": {"dim": 8, "blocks": 2},
    "span": {"feature_channels": 8},
    "swin2sr": {"embed_dim": 12, "depths": [2], "num_heads": [2]},
    "swinir": {"embed_dim": 12, "depths": [2], "num_heads": [2]},
}
