#!/usr/bin/env bash
# ray 2.60.0 opens ports to the network for `ray.init(address="local")`, without a login.
#
# `_node_ip_address="127.0.0.1"` is replaced by the machine's own address without a word (worker.py,
# `resolve_ip_for_localhost`), and `include_dashboard=False` leaves the agents' ports open. Whoever
# reaches one of these can run code here. RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0, meant for other
# systems, makes a Ray of one machine listen to that machine alone on Linux, too.
#
# Seen on 28 November 2026 with ray 2.60.0, Python 3.11, Linux:
#
#     plain: 6 ports open to other machines
#     _node_ip_address=127.0.0.1: 6 ports open to other machines
#     RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0: 0 ports open to other machines
set -euo pipefail
unset PYTHONPATH RAY_ADDRESS RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet "ray==2.60.0"
cat > "$work/open.py" << 'END'
import sys
from pathlib import Path

import ray

LOOPBACK = {"0100007F", "0" * 24 + "01000000", "0000000000000000FFFF00000100007F"}


def listening():
    text = "".join(Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6"))
    rows = [row.split() for row in text.splitlines()]
    return {row[1] for row in rows if row[3] == "0A" and row[1].split(":")[0] not in LOOPBACK}


before = listening()
options = {"_node_ip_address": sys.argv[1]} if len(sys.argv) > 1 else {}
ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level="error", **options)
print(len(listening() - before))
ray.shutdown()
END
count() { "$work/venv/bin/python" "$work/open.py" "$@" 2> /dev/null; }
plain=$(count)
said=$(count 127.0.0.1)
alone=$(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 count)
echo "plain: $plain ports open to other machines"
echo "_node_ip_address=127.0.0.1: $said ports open to other machines"
echo "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0: $alone ports open to other machines"
[ "$plain" -gt 0 ] && [ "$said" -gt 0 ] && [ "$alone" -eq 0 ]
