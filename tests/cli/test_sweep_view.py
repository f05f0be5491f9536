"""The live view of a sweep: on terminals only, for sweeps that take their time, and gone at the end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mutspec.cli import progress, sweep_view
from mutspec.cli.sweep_view import lines
from mutspec.cli.sweep_view import sweep_view as view
from mutspec.experiment.jobs.resume import Before
from mutspec.experiment.jobs.sweep_progress import Extreme, SweepMonitor, SweepProgress
from tests.cli.test_progress import on_terminal, screen
from tests.experiment.made_up import sweep, write


def watch_of(folder: Path) -> SweepMonitor:
    before = Before.of(folder, is_resumed=False)
    write(sweep(), folder)
    return SweepMonitor(lambda: 40, before.since)


def test_a_pipe_and_quiet_calls_get_no_view(monkeypatch: pytest.MonkeyPatch) -> None:
    with view() as show:
        assert show is None
    on_terminal(monkeypatch)
    with view(is_quiet=True) as show:
        assert show is None


def test_a_short_sweep_gets_no_view(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    terminal = on_terminal(monkeypatch)
    with view() as show:
        assert show is not None
        show(watch_of(tmp_path))
    assert terminal.getvalue() == ""


def test_a_long_sweep_is_seen_with_its_extremes_and_goes_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(sweep_view, "REFRESH_SECONDS", 0.05)
    with view() as show:
        assert show is not None
        show(watch_of(tmp_path))
        deadline = time.monotonic() + 20
        while "lowest" not in terminal.getvalue() and time.monotonic() < deadline:
            time.sleep(0.02)
    said = terminal.getvalue()
    for part in ("Sweeping", "25/40", "jobs", "highest  accuracy", "lowest   accuracy"):
        assert part in said
    assert screen(said) == [""]


def test_what_failed_is_told() -> None:
    one = Extreme(0.25, "std=1")
    assert lines(SweepProgress()) == []
    assert lines(SweepProgress(9, 8, 1, 2, "accuracy", one, one)) == [
        "highest  accuracy 0.25     std=1",
        "lowest   accuracy 0.25     std=1",
        "1 job failed",
        "2 jobs with a gate that does not hold",
    ]
