"""The report of a sweep of 1,000 jobs of five seeds each, as a table.

    python benchmarks/report.py

`mutspec.sweep` runs the sweep on the digits. Its memory is read after a tenth of the jobs and after all of them. Then
`mutspec report` makes the report of the folder again, and Chromium, if it is installed, opens the page, runs its script
and prints the elements that the page then has.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import psutil
from measure import Command, measure

import mutspec
from mutspec.experiment.data import digits
from mutspec.experiment.in_process import Sweep
from mutspec.resources import resource_folder

JOBS, SEEDS = 1000, 5
REPEATS = 3
CHROMIUM = ("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom")


def swept(jobs: int) -> Sweep:
    """Runs a sweep over a number of scales of noise."""
    conf = resource_folder("conf")
    plan = mutspec.load_plan(conf / "plan" / "dense_noise.yaml")
    values = {"params.std": np.geomspace(0.01, 1, jobs)}
    return mutspec.sweep(plan, conf / "model" / "digits.keras", digits(), values, seeds=SEEDS)


def resident() -> float:
    """Returns the megabytes that this process holds."""
    return psutil.Process().memory_info().rss / 1e6


def main() -> None:
    """Measures, and prints."""
    swept(JOBS // 10)
    before = resident()
    start = time.perf_counter()
    sweep = swept(JOBS)
    spent = time.perf_counter() - start
    print(f"{'sweep of 1,000 jobs of 5 seeds':<42} {spent:7.2f} s")
    print(f"{'  memory that its jobs added, per job':<42} {1000 * (resident() - before) / JOBS:7.1f} kB")
    with tempfile.TemporaryDirectory() as folder:
        page = sweep.write(folder).folder / "report.html"
        program = str(Path(sys.executable).with_name("mutspec"))
        commands = [Command("mutspec report, as a process", (program, "report", folder, "--json"))]
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        if chromium is not None:
            commands.append(Command("Chromium opens the page", (chromium, *CHROMIUM, page.as_uri())))
            commands.append(Command("  and an empty one", (chromium, *CHROMIUM, "about:blank")))
        for each in measure(commands, REPEATS, Path(folder)):
            said = each.failure or f"{each.seconds:7.2f} s"
            print(f"{each.command.label:<42} {said}")
        print(f"{'  size of the page':<42} {page.stat().st_size / 1e6:7.2f} MB")


if __name__ == "__main__":
    main()
