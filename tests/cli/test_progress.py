"""Progress bars: on terminals only, for work that takes its time."""

from __future__ import annotations

import io
import re
import sys
import time

import pytest

from mutspec.cli import live
from mutspec.cli import progress as module
from mutspec.cli.live import Bar, Live
from mutspec.cli.progress import progress


class Terminal(io.StringIO):
    """Standard error as a terminal."""

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    return terminal


def test_a_pipe_gets_no_bar() -> None:
    with progress("Working") as advance:
        assert advance is None


def test_quiet_work_gets_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    on_terminal(monkeypatch)
    with progress("Working", is_quiet=True) as advance:
        assert advance is None


def test_short_work_gets_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    with progress("Working") as advance:
        assert advance is not None
        advance(1, 2)
        advance(2, 2)
    assert terminal.getvalue() == ""


def test_long_work_gets_a_bar_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    with progress("Working") as advance:
        assert advance is not None
        advance(1, 2)
        deadline = time.monotonic() + 20
        while not terminal.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "50%" in terminal.getvalue()
    assert screen(terminal.getvalue()) == [""]


@pytest.mark.parametrize(("columns", "shown"), [(80, "Working "), (10, "Working ━")])
def test_a_line_takes_one_row_however_narrow_the_terminal(
    columns: int, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr(live, "_columns", lambda _: columns)
    lines = Live(terminal)
    lines.draw([Bar("Working").line(1, 2)])
    (line,) = screen(terminal.getvalue())
    lines.close()
    assert line.startswith(shown)
    assert len(line) < columns


def test_what_others_print_stays_and_the_lines_follow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    lines = Live(terminal)
    lines.draw(["one", "two"])
    print("heard", file=sys.stderr)
    lines.draw(["three"])
    sys.stderr.write("half a ")
    lines.draw(["four", "five"])
    assert screen(terminal.getvalue()) == ["heard", "half a ", "four", "five"]
    lines.close()
    assert screen(terminal.getvalue()) == ["heard", "half a ", ""]
    assert sys.stderr is terminal


def test_the_time_that_is_left_goes_by_the_pace_since_the_first_part_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(live, "monotonic", lambda: now)
    bar = Bar("Sweeping", "jobs")
    assert bar.line(20, 0).endswith("20/? jobs")
    assert bar.line(20, 40).endswith("20/40 jobs")
    now = 150.0
    assert bar.line(21, 40).endswith("21/40 jobs")
    now = 240.0
    assert bar.line(23, 40).endswith("23/40 jobs  0:12:45 left")


def screen(text: str) -> list[str]:
    """What a terminal shows that was sent a text."""
    rows, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[\d*[A-Z]|.|\n|\r", text):
        if part == "\r":
            column = 0
        elif part == "\n":
            row, column = row + 1, 0
            rows += [""] * (row + 1 - len(rows))
        elif part == "\x1b[1A":
            row -= 1
        elif part == "\x1b[J":
            rows = [*rows[:row], rows[row][:column]]
        else:
            rows[row] = rows[row][:column].ljust(column) + part + rows[row][column + 1 :]
            column += 1
    return rows
