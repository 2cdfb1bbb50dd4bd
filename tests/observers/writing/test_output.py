from __future__ import annotations

import io

from tqdm import tqdm

from observers.writing.output import HEAD, TAIL, final_output, tidy_output


def test_text_without_control_characters_is_untouched() -> None:
    text = "one\n  two  \n\nthree"
    assert tidy_output(text) == text


def test_a_bar_leaves_its_last_state_only() -> None:
    stream = io.StringIO()
    stream.write("before\n")
    for _ in tqdm(range(50), file=stream, mininterval=0, ascii=True, desc="train"):
        pass
    stream.write("after\n")
    lines = tidy_output(stream.getvalue()).splitlines()
    assert lines[0] == "before"
    assert lines[1].startswith("train: 100%")
    assert lines[2:] == ["after"]


def test_nested_bars_leave_one_line_each_and_colours_none() -> None:
    stream = io.StringIO()
    for _ in tqdm(range(3), file=stream, mininterval=0, ascii=True, desc="outer", position=0):
        for _ in tqdm(
            range(4), file=stream, mininterval=0, ascii=True, desc="inner", position=1, leave=False
        ):
            pass
    stream.write("\n\x1b[1;32mgreen\x1b[0m\n")
    text = final_output(stream.getvalue())
    assert text.count("outer") == 1
    assert "\x1b" not in text
    assert text.rstrip().endswith("green")


def test_what_a_terminal_does_with_partial_overwriting_and_backspaces() -> None:
    assert tidy_output("12345\rab\n") == "ab345\n"
    assert tidy_output("12345\rab\x1b[K\n") == "ab\n"
    assert tidy_output("abc\b\bX\n") == "aXc\n"
    assert tidy_output("windows\r\nlines\r\n") == "windows\nlines\n"


def test_beats_in_the_middle_of_a_bar_change_nothing() -> None:
    stream = io.StringIO()
    for _ in tqdm(range(30), file=stream, mininterval=0, ascii=True, desc="outer"):
        for _ in tqdm(range(3), file=stream, mininterval=0, ascii=True, position=1, leave=False):
            pass
    raw = "start\n" + stream.getvalue() + "\nend\n"
    whole = tidy_output(raw)
    assert whole.splitlines()[1].startswith("outer: 100%")
    for size in (1, 7, 50, 1000):
        text = ""
        for begin in range(0, len(raw), size):
            text = tidy_output(text + raw[begin : begin + size])
        assert text == whole, size


def test_output_is_bounded_and_says_what_it_left_out() -> None:
    text = ""
    total = 0
    for index in range(400):
        chunk = f"line {index} {'x' * 2000}\n"
        total += len(chunk)
        text = tidy_output(text + chunk)
        assert len(text) <= HEAD + TAIL + 1100
    assert text.startswith("line 0 ")
    assert text.endswith(f"line 399 {'x' * 2000}\n")
    marker = next(line for line in text.splitlines() if "characters left out" in line)
    left_out = int(marker.split()[1])
    assert left_out + len(text) - len(marker) - 2 == total
    assert tidy_output(text) == text
