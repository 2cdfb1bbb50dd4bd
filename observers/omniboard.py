"""``python -m observers.omniboard``: look at the runs of a database in Omniboard.

By itself Omniboard listens on all interfaces, without a login unless one is given, and takes
passwords on its command line. Started from here it listens on 127.0.0.1 alone, asks for a login,
and no password can be read in the list of processes.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from observers.addresses import URL_VARIABLE
from observers.mongo.address import parse_address
from tmd.errors import UserError

VERSION = "2.16.1"
PASSWORD_VARIABLE = "OMNIBOARD_PASSWORD"


def command(program: str | None = None) -> list[str]:
    """Words that start Omniboard: what is installed, or what npx fetches."""
    if program or (program := shutil.which("omniboard")):
        return [program]
    if npx := shutil.which("npx"):
        return [npx, "--yes", f"omniboard@{VERSION}"]
    raise UserError("Omniboard: needs Node.js, with npx or an installed omniboard on the PATH")


def environment(url: str, port: int, user: str, password: str) -> dict[str, str]:
    """The environment that tells Omniboard all that must not be on its command line."""
    for name, text in (("user", user), (PASSWORD_VARIABLE, password)):
        if not text or ":" in text:
            raise UserError(f"Omniboard's {name}: must not be empty or hold a colon")
    preload = Path(__file__).with_suffix(".cjs")
    options = f'{os.environ.get("NODE_OPTIONS", "")} --require "{preload}"'
    return {
        **{key: value for key, value in os.environ.items() if key != PASSWORD_VARIABLE},
        "MONGO_URI": parse_address(url).url,
        "PORT": str(port),
        "NODE_OPTIONS": options.strip(),
        "TMD_OMNIBOARD_LOGIN": f"{user}:{password}:{secrets.token_hex(16)}",
    }


def check_free(port: int) -> None:
    """Raise `UserError` if something listens on ``port`` already."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise UserError(f"--port {port}: in use; choose another") from None


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m observers.omniboard", description="Look at runs in a browser."
    )
    parser.add_argument(
        "-m",
        "--mongo",
        metavar="URL",
        default=os.environ.get(URL_VARIABLE),
        help=f"mongodb://host/database (default: {URL_VARIABLE})",
    )
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument(
        "--user",
        default="tmd",
        help=f"for the login; its password is {PASSWORD_VARIABLE}, or a new one",
    )
    parser.add_argument("--program", help="an installed omniboard (default: on the PATH, or npx)")
    options = parser.parse_args(arguments)
    try:
        if not options.mongo:
            raise UserError(f"which database? Give --mongo URL, or set {URL_VARIABLE}")
        password = os.environ.get(PASSWORD_VARIABLE) or secrets.token_urlsafe(12)
        told = environment(options.mongo, options.port, options.user, password)
        started = command(options.program)
        check_free(options.port)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    address = f"http://127.0.0.1:{options.port}"
    shown = password if PASSWORD_VARIABLE not in os.environ else f"that of {PASSWORD_VARIABLE}"
    print(f"{address} (this machine only)  user: {options.user}  password: {shown}", flush=True)
    process = subprocess.Popen(started, env=told)
    try:
        return process.wait()
    except KeyboardInterrupt:
        return process.wait()


if __name__ == "__main__":
    sys.exit(main())
