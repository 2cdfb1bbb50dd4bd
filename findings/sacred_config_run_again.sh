#!/usr/bin/env bash
# sacred 0.8.7: a run started again from the config that it stored itself has another config.
#
# FileStorageObserver writes config.json, and `with FOLDER/config.json` takes it as a named config.
# * Integer keys of a dict are stored as "json://1". Read back as a named config they are strings
#   and come beside the integers of the config scope: {1: "a"} becomes {1: "a", "1": "a"}, and a loop
#   over the dict does everything twice. The only sign is a warning that "stages.1" was added, which
#   reads as if it were the key that has been there all along.
# * An annotation (`width: int = 3`) in a config scope makes an entry of its own, __annotations__,
#   with a class as value; it is stored as if it had been a setting.
#
# Seen on 28 November 2026 with Python 3.11 on Linux:
#
#     run 1: stages {1: 'a', 2: 'b'}
#     run 2: stages {1: 'a', 2: 'b', '1': 'a', '2': 'b'}      (with runs/1/config.json)
#     WARNING - root - Added new config entry: "stages.1"     (and "stages.2")
#     stored keys of both: __annotations__, seed, stages, width
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet sacred==0.8.7 "setuptools==81.0.0"
cd "$work"
cat > experiment.py << 'END'
from sacred import Experiment

ex = Experiment("stages", save_git_info=False)


@ex.config
def config():
    width: int = 3
    stages = {1: "a", 2: "b"}


@ex.automain
def main(stages):
    return repr(dict(stages))
END
export PYTHONWARNINGS=ignore
venv/bin/python experiment.py -F runs > log 2>&1 || { cat log; exit 1; }
venv/bin/python experiment.py -F runs with runs/1/config.json >> log 2>&1 || { cat log; exit 1; }
grep "Added new config entry" log
[ "$(grep -c WARNING log)" = 2 ] || { echo "it has changed: other warnings"; exit 1; }
venv/bin/python - << 'END'
import json
import sys
from pathlib import Path

results, keys = [], []
for run in ("1", "2"):
    results.append(json.loads(Path("runs", run, "run.json").read_text())["result"])
    keys.append(sorted(json.loads(Path("runs", run, "config.json").read_text())))
    print(f"run {run}: stages {results[-1]}; stored keys {keys[-1]}")
expected = ["{1: 'a', 2: 'b'}", "{1: 'a', 2: 'b', '1': 'a', '2': 'b'}"]
known = ["__annotations__", "seed", "stages", "width"]
sys.exit(0 if results == expected and keys == [known, known] else "it has changed")
END
