"""Measures mutspec and writes a table.

    python benchmarks/run.py                    # every case; the table goes to build/bench/table.md too
    python benchmarks/run.py validate resnet50  # some of them
    python benchmarks/run.py --list

Model files are made on first use, in build/bench/; the largest needs 12 GB of disk with its mutant and its copy.
These three are removed at the end.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence

from cases import CASES, CHECKOUT, LARGE, LARGE_COPY, LARGE_MUTANT, MEGABYTE, WORK, Case, script
from measure import CommandFailed, Measured, measure, run_once

HEADER = ("case", "command", "median s", "ratio", "peak MB", "promise")


def main() -> int:
    """Runs the cases that the command line names. Returns 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="the cases to run; all of them by default")
    parser.add_argument("--repeats", type=int, help="rounds per case, instead of each case's own number")
    parser.add_argument("--keep", action="store_true", help="keep the 4 GB files")
    parser.add_argument("--list", action="store_true", help="list the cases and what they promise")
    options = parser.parse_args()
    if unknown := sorted(set(options.cases) - {case.name for case in CASES}):
        parser.error(f"unknown: {', '.join(unknown)}; the cases are {', '.join(case.name for case in CASES)}")
    cases = [case for case in CASES if not options.cases or case.name in options.cases]
    if options.list:
        for case in cases:
            print(f"{case.name:<10} {case.claim}")
        return 0
    WORK.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, ...]] = []
    all_hold = True
    try:
        for case in cases:
            print(f"{case.name}: {case.claim} ...", file=sys.stderr, flush=True)
            case_rows, holds = run_case(case, options.repeats)
            rows += case_rows
            all_hold &= holds
    finally:
        if not options.keep:
            for path in (LARGE, LARGE_MUTANT, LARGE_COPY):
                path.unlink(missing_ok=True)
    table = markdown(rows)
    (WORK / "table.md").write_text(table, encoding="utf-8")
    print(table, end="")
    return 0 if all_hold else 1


def run_case(case: Case, repeats: int | None) -> tuple[list[tuple[str, ...]], bool]:
    """Returns a case's rows of the table, and whether its promise is kept."""
    try:
        for model in case.models:
            run_once(script(f"make {model}", "make_models.py", model), CHECKOUT)
        for command in case.prepare:
            run_once(command, CHECKOUT)
    except CommandFailed as error:
        print(f"preparing {case.name}: {error}", file=sys.stderr)
        return [(case.name, "(preparation)", "failed", "", "", f"BROKEN: {case.claim}")], False
    measured = measure(case.commands, repeats or case.repeats, CHECKOUT, case.warm_up, case.between)
    for failed in (one for one in measured if one.failure):
        print(f"{failed.command.label}: {failed.failure}", file=sys.stderr)
    holds = not any(one.failure for one in measured) and case.holds(measured)
    verdict = f"{'kept' if holds else 'BROKEN'}: {case.claim}"
    return [row(case, one, measured[-1], verdict if one is measured[0] else "") for one in measured], holds


def row(case: Case, measured: Measured, reference: Measured, verdict: str) -> tuple[str, ...]:
    """Returns one command's row. The ratio says how many times faster the command is than the reference."""
    if measured.failure:
        return (case.name, measured.command.label, "failed", "", "", verdict)
    has_ratio = measured is not reference and not reference.failure
    ratio = f"{reference.seconds / measured.seconds:.2f}" if has_ratio else ""
    seconds, peak = f"{measured.seconds:.3f}", f"{measured.peak_bytes / MEGABYTE:.0f}"
    return (case.name, measured.command.label, seconds, ratio, peak, verdict)


def markdown(rows: Sequence[tuple[str, ...]]) -> str:
    """Returns the table with aligned columns, and the machine on which it was measured."""
    lines = [HEADER, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    padded = ([f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)] for line in lines)
    shown = [f"| {' | '.join(cells)} |" for cells in padded]
    shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    note = "Whole processes. Ratio: the time of the case's last command over this command's. Peak: of all rounds."
    return "\n".join([*shown, "", f"{note} {machine}.", ""])


if __name__ == "__main__":
    sys.exit(main())
