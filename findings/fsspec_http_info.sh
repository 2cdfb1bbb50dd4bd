#!/usr/bin/env bash
# fsspec 2026.9.0's HTTPFileSystem.info(url) and exists(url) take a server that fails (500), one that
# refuses (403), and an address where nobody answers, for "no such file".
#
# info raises FileNotFoundError for each, exists returns False; cat_file of the same URL raises what
# happened. So a program that looks first, and leaves out or makes anew what is not
# there, does so while a server restarts or a login has run out.
#
# Seen on 28 November 2026 with fsspec 2026.9.0 and aiohttp 3.14.5, Python 3.11, Linux.
#
#     status 500    info FileNotFoundError    exists False    cat_file ClientResponseError
#     status 403    info FileNotFoundError    exists False    cat_file ClientResponseError
#     nobody        info FileNotFoundError    exists False    cat_file ClientConnectorError
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet fsspec==2026.9.0 aiohttp==3.14.5
cd "$work"
venv/bin/python - << 'END'
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import fsspec


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(int(self.path.strip("/")))

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


def raised(call, url):
    try:
        return call(url)
    except Exception as problem:
        return type(problem).__name__


server = HTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
files = fsspec.filesystem("http")
here = f"http://127.0.0.1:{server.server_port}"
seen = {}
urls = {"500": f"{here}/500", "403": f"{here}/403", "nobody": "http://127.0.0.1:1/x"}
for name, url in urls.items():
    seen[name] = [raised(getattr(files, how), url) for how in ("info", "exists", "cat_file")]
    print(name, seen[name])
expected = {
    "500": ["FileNotFoundError", False, "ClientResponseError"],
    "403": ["FileNotFoundError", False, "ClientResponseError"],
    "nobody": ["FileNotFoundError", False, "ClientConnectorError"],
}
sys.exit(0 if seen == expected else "it has changed")
END
