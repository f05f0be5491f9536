"""A handful of faults; `make faults` injects hundreds."""

from __future__ import annotations

import subprocess
import sys

from tests.fuzz.corpus import ROOT

SUBJECTS = "apply .keras;lock;patch;report"
"""What needs no Keras: in seconds."""


def test_calls_that_are_killed_interrupted_or_out_of_room_leave_all_or_nothing() -> None:
    command = [sys.executable, "-m", "tests.fuzz.faults", "--points", "3", "--subjects", SUBJECTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
