"""Benchmarks in a tar and on a web server give the figures of their folder."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers import FailingServer
from tmd.errors import UserError
from tmd.evaluation import open_benchmark
from tmd.evaluation.benchmarks import read_pair


def test_a_benchmark_elsewhere_has_the_pairs_of_its_folder(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(shared_data / "benchmarks/Set5", tmp_path / "Set5")
    subprocess.run(["tar", "-cf", "Set5.tar", "-C", "Set5", "."], cwd=tmp_path, check=True)
    here = open_benchmark(tmp_path / "Set5", 4)
    with FailingServer(tmp_path) as server:
        for root in (str(tmp_path / "Set5.tar"), f"{server.address}/Set5/"):
            there = open_benchmark(root, 4)
            assert (there.name, len(there.samples)) == ("Set5", 5)
            for ours, theirs in zip(here.samples, there.samples, strict=True):
                assert ours.name == theirs.name
                for one, other in zip(read_pair(ours, 4), read_pair(theirs, 4), strict=True):
                    assert one.equal(other)
        with pytest.raises(UserError, match=r"/none\.tar: no such file"):
            open_benchmark(f"{server.address}/none.tar", 4)
