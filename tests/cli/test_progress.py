"""Progress bars: on terminals only, for work that takes its time."""

from __future__ import annotations

import io

import pytest

from mutspec.cli import progress as module
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
        advance(2, 2)
    assert "Working" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")
