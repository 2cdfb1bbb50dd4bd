"""Captured output as a person would have seen it, and no more of it than one reads."""

from __future__ import annotations

import re
from typing import Any

HEAD = 64_000
TAIL = 192_000

_CONTROL = re.compile(r"[\r\b\x1b]")
# Cursor movement that progress bars use is interpreted; every other escape sequence is dropped.
_PIECES = re.compile(
    r"(?P<move>\x1b\[(?P<count>\d*)(?P<kind>[ABCK]))"
    r"|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\^_]"
    r"|(?P<break>\n)|(?P<start>\r)|(?P<back>\x08)|(?P<text>[^\x1b\n\r\x08]+)|\x1b"
)
_UNFINISHED = re.compile(r"\x1b(\[[0-?]*[ -/]*)?\Z")
_OMISSION = re.compile(r"\n\[\.\.\. (\d+) characters left out \.\.\.\]\n")


def record_output(run: Any) -> None:
    """Have a Sacred run, before it starts, record its output tidily and to the last word.

    Sacred keeps what was printed since the last beat only if the run completes.
    """
    run.captured_out_filter = tidy_output
    stop = run._stop_heartbeat

    def stop_heartbeat() -> None:
        output = run._output_file
        if output is not None and output.closed and output.final:
            run.captured_out = tidy_output(run.captured_out + output.get())
        stop()

    run._stop_heartbeat = stop_heartbeat


def tidy_output(text: str) -> str:
    """``text`` after its progress bars have run, cut in the middle beyond 256,000 characters.

    Made for ``experiment.captured_out_filter``: Sacred passes what it returned before plus what
    came since, so it is idempotent, and its cost and Sacred's memory stay bounded.
    """
    if _CONTROL.search(text):
        unfinished = _UNFINISHED.search(text)
        complete = text[: unfinished.start()] if unfinished else text
        text = _rendered(complete) + (unfinished[0] if unfinished else "")
    return _bounded(text)


def final_output(text: str) -> str:
    """`tidy_output` without the cursor movement that it keeps for bars that still run."""
    return re.sub(r"(\x1b\[\d*[AC]|\r|\x1b\[?\d*)+\Z", "", tidy_output(text))


def _rendered(text: str) -> str:
    # Finished lines without control characters, nearly all, need no interpreter.
    first = _CONTROL.search(text)
    if first is None:
        return text
    begin = text.rfind("\n", 0, first.start()) + 1
    # A bar may move up into lines before: leave it a screenful.
    for _ in range(40):
        if begin == 0:
            break
        begin = text.rfind("\n", 0, begin - 1) + 1
    lines: list[list[str]] = [[]]
    row = column = 0
    for piece in _PIECES.finditer(text, begin):
        kind = piece.lastgroup
        if piece["text"] is not None:
            line = lines[row]
            written = piece["text"]
            if column > len(line):
                line.extend(" " * (column - len(line)))
            line[column : column + len(written)] = written
            column += len(written)
        elif piece["break"] is not None:
            row += 1
            column = 0
            if row == len(lines):
                lines.append([])
        elif piece["start"] is not None:
            column = 0
        elif piece["back"] is not None:
            column = max(0, column - 1)
        elif kind is not None and piece["move"] is not None:
            count = int(piece["count"] or 1)
            if piece["kind"] == "A":
                row = max(0, row - count)
            elif piece["kind"] == "B":
                row = min(len(lines) - 1, row + count)
            elif piece["kind"] == "C":
                column += count
            else:
                del lines[row][column:]
    *finished, last = ("".join(line) for line in lines)
    shown = text[:begin] + "".join(line.rstrip(" ") + "\n" for line in finished) + last
    # Leave the cursor where it is: what comes with the next beat goes on there.
    below = len(lines) - 1 - row
    if not below and column == len(last):
        return shown
    return (
        shown + (f"\x1b[{below}A" if below else "") + "\r" + (f"\x1b[{column}C" if column else "")
    )


def _bounded(text: str) -> str:
    if len(text) <= HEAD + TAIL + 1000:
        return text
    earlier = _OMISSION.search(text, 0, HEAD + 100)
    left_out = int(earlier[1]) if earlier else 0
    head = text[: earlier.start()] if earlier else text[:HEAD]
    rest = text[earlier.end() :] if earlier else text[HEAD:]
    left_out += len(rest) - TAIL
    return f"{head}\n[... {left_out} characters left out ...]\n{rest[-TAIL:]}"
