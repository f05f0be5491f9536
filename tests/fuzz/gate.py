"""The part of the gate that fuzzes: some seconds in each of two files, which two processes run at one time."""

from __future__ import annotations

import subprocess
import sys

from tests.effort import IS_THOROUGH
from tests.fuzz.corpus import ROOT

MINUTES = 0.25 if IS_THOROUGH else 0.1
SEED = 1


def assert_nothing_is_found(targets: str) -> None:
    """Run the first cases of some targets, in order: how many there are depends on the machine, which ones does not."""
    command = [sys.executable, "-m", "tests.fuzz", "--minutes", str(MINUTES), "--seed", str(SEED), "--targets", targets]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600 + 60 * MINUTES)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
