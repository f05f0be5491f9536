"""The command: cases in order for some minutes, or one case again. Ends with a table; with 1 if anything was found."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.fuzz.case import Case, Judged, judged
from tests.fuzz.corpus import ROOT
from tests.fuzz.found import save
from tests.fuzz.judge import SECRET, SECRET_NAME, Verdict
from tests.fuzz.server import Server, with_keras, with_pictures, without_keras
from tests.fuzz.targets import TARGETS, Target

BUILD = ROOT / "build" / "fuzz"


def main() -> int:
    options = _options()
    servers = {"plain": Server(without_keras), "pictures": Server(with_pictures), "keras": Server(with_keras)}
    with tempfile.TemporaryDirectory(prefix="mutspec-fuzz-", dir=fast_folder()) as scratch:
        set_environment(Path(scratch))
        try:
            if options.case:
                seed, _, number = options.case.partition(":")
                return _repeat(int(seed), int(number), Path(scratch), servers)
            return _fuzz(options, Path(scratch), servers)
        finally:
            for server in servers.values():
                server.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="for how long [default: 10]")
    parser.add_argument("--cases", type=int, help="how many cases, instead of minutes")
    parser.add_argument("--seed", type=int, default=1, help="of all cases [default: 1]")
    parser.add_argument("--targets", default="", help="only targets whose names begin with one of these, after commas")
    parser.add_argument("--case", metavar="SEED:NUMBER", help="one case again, with all that its calls say")
    options = parser.parse_args()
    names = tuple(options.targets.split(",")) if options.targets else ("",)
    options.chosen = {target.name for target in TARGETS if target.name.startswith(names)}
    if not options.chosen:
        parser.error(f"no such target; there are {', '.join(target.name for target in TARGETS)}")
    return options


def fast_folder() -> str | None:
    """Memory, where the system has files in it: calls wait for the disk to have their outputs."""
    shared = "/dev/shm"
    return shared if os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > 2 * 10**9 else None


def set_environment(scratch: Path) -> None:
    """The environment of all calls. The servers are not started yet."""
    temporary = scratch / "tmp"
    temporary.mkdir()
    os.environ |= {
        SECRET_NAME: SECRET,
        "TMPDIR": str(temporary),
        "COLUMNS": "80",
        "OPENBLAS_NUM_THREADS": "1",
        "MPLCONFIGDIR": str(scratch / "matplotlib"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    sys.dont_write_bytecode = True
    for name in ("FORCE_COLOR", "NO_COLOR"):
        os.environ.pop(name, None)


def made(seed: int, number: int) -> tuple[Target, Case]:
    """The case of a seed and a number."""
    target = target_of(seed, number)
    return target, target.make(Random(f"{seed}:{number}"))


def target_of(seed: int, number: int) -> Target:
    """The target of a case, without making it."""
    random = Random(f"{seed}:{number}:target")
    return random.choices(TARGETS, [target.share for target in TARGETS])[0]


def _numbers(options: argparse.Namespace) -> Iterator[int]:
    """The numbers of the cases to run, until the time is over."""
    began = time.monotonic()
    done = number = 0
    while (done < options.cases) if options.cases is not None else (time.monotonic() - began < options.minutes * 60):
        if target_of(options.seed, number).name in options.chosen:
            done += 1
            yield number
        number += 1


def _fuzz(options: argparse.Namespace, scratch: Path, servers: dict[str, Server]) -> int:
    counts: Counter[tuple[str, Verdict]] = Counter()
    cases: Counter[str] = Counter()
    findings: dict[str, list[str]] = {}
    began = time.monotonic()
    for number in _numbers(options):
        target, case = made(options.seed, number)
        cases[target.name] += 1
        for each in judged(case, scratch / "case", servers[case.kind]):
            counts[target.name, each.verdict] += 1
            for fault in each.faults:
                seen = findings.setdefault(f"{each.call.name}: {fault}", [])
                seen.append(f"{options.seed}:{number}")
                if len(seen) == 1:
                    print(f"FINDING {target.name}, {each.call.name}: {fault}", flush=True)
                    print(f"  again: python -m tests.fuzz --case {options.seed}:{number}", flush=True)
                    save(case, BUILD / f"{options.seed}-{number}")
    print(_counts(counts, cases))
    seconds = time.monotonic() - began
    print(f"{sum(cases.values()):,} cases of seed {options.seed}, {sum(counts.values()):,} calls, {seconds:.0f} s")
    if findings:
        print("\nFindings, by how often:")
        for fault, seen in sorted(findings.items(), key=lambda item: -len(item[1])):
            print(f"{len(seen):6,}  {fault}  ({', '.join(seen[:3])})")
        print(f"The inputs are in {BUILD.relative_to(ROOT)}.")
    return int(bool(findings))


def _counts(counts: Counter[tuple[str, Verdict]], cases: Counter[str]) -> str:
    rows = [
        [target.name, f"{cases[target.name]:,}", *(f"{counts[target.name, verdict]:,}" for verdict in Verdict)]
        for target in TARGETS
        if cases[target.name]
    ]
    sums = [f"{sum(counts[target.name, verdict] for target in TARGETS):,}" for verdict in Verdict]
    rows.append(["all", f"{sum(cases.values()):,}", *sums])
    return table(["target", "cases", *Verdict], rows)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table of texts: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [
        "  ".join(cell.rjust(widths[column]) if column else cell.ljust(widths[0]) for column, cell in enumerate(row))
        for row in [head, *rows]
    ]
    return "\n".join(["", *lines, ""])


def _repeat(seed: int, number: int, scratch: Path, servers: dict[str, Server]) -> int:
    target, case = made(seed, number)
    save(case, BUILD / f"{seed}-{number}")
    print(f"{target.name}; the input is in {(BUILD / f'{seed}-{number}').relative_to(ROOT)}")
    found = False
    for each in judged(case, scratch / "case", servers[case.kind]):
        found |= bool(each.faults)
        _print(each)
    return int(found)


def _print(each: Judged) -> None:
    outcome = each.outcome
    print(f"\n$ {each.call.function} {' '.join(each.call.arguments)}"[:500])
    print(
        f"{each.verdict}: exit code {outcome.code}, {outcome.seconds:.2f} s, {outcome.megabytes:.0f} MB {outcome.ended}"
    )
    for fault in each.faults:
        print(f"  {fault}")
    for text in (outcome.out, outcome.err):
        if text.strip():
            print(
                ascii(text[:300])[1:-1].replace("\\n", "\n  ")
                if text is outcome.out
                else text[-3000:].encode("ascii", "backslashreplace").decode()
            )


if __name__ == "__main__":
    sys.exit(main())
