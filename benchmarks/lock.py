"""Measures locks against what they cannot do without: applying the plan, and one read of the model with the same hash.

python benchmarks/lock.py [MODEL] [--repeats N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from cases import WORK
from measure import Command, Measured, measure

ROOT = Path(__file__).parents[1]
PLAN = ROOT / "conf" / "plan" / "dense_noise.yaml"
READ = """
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from mutspec.access.threads import default_threads
import os
path, threads = sys.argv[1], default_threads()
size = os.path.getsize(path)
part = -(-size // threads)
def read(number):
    digest = sha256()
    with open(path, "rb", buffering=0) as file:
        file.seek(number * part)
        left = min(part, size - number * part)
        while left > 0 and (block := file.read(min(left, 4 << 20))):
            digest.update(block)
            left -= len(block)
with ThreadPoolExecutor(threads) as pool:
    list(pool.map(read, range(threads)))
"""
"""Reads all bytes of a file with the hash of fingerprints, by as many threads, and computes nothing else."""


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, default=WORK / "resnet50.keras")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    model = options.model.resolve()
    with tempfile.TemporaryDirectory(dir=model.parent) as name:
        folder = Path(name)
        (folder / "plan.yaml").write_text(PLAN.read_text())
        (folder / model.name).hardlink_to(model)  # a lock follows no link that leads elsewhere
        call = (sys.executable, "-m", "mutspec")
        quiet = ("--force", "-q")
        commands = [
            Command("lock", (*call, "lock", "plan.yaml", model.name, *quiet)),
            Command("verify", (*call, "verify", "plan.lock.yaml", "-q")),
            Command("apply --locked", (*call, "apply", "plan.yaml", model.name, "-o", "out.keras", "--locked", *quiet)),
            Command("lock --check", (*call, "lock", "--check", "plan.lock.yaml", "-q")),
            Command("apply", (*call, "apply", "plan.yaml", model.name, "-o", "out.keras", *quiet)),
            Command("read and hash", (sys.executable, "-c", READ, model.name)),
        ]
        measured = {each.command.label: each for each in measure(commands, options.repeats, folder)}
    apply, read = measured["apply"], measured["read and hash"]
    for label, each in measured.items():
        against = read.seconds if label == "lock --check" else apply.seconds + read.seconds
        print(_row(each, against))
    print("each against applying the plan and reading the model; `lock --check` against reading it")


def _row(measured: Measured, against: float) -> str:
    if measured.failure:
        return f"{measured.command.label:<16} {measured.failure}"
    ratio, megabytes = measured.seconds / against, measured.peak_bytes / 10**6
    return f"{measured.command.label:<16} {measured.seconds:6.2f} s  {ratio:5.2f} x  {megabytes:6.0f} MB"


if __name__ == "__main__":
    main()
