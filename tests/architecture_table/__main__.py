"""Computes rows of the table: see the package."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.architecture_table.formats import SMALL, report
from tests.architecture_table.models import APPLICATIONS, MODELS
from tests.architecture_table.page import PAGE, page
from tests.architecture_table.steps import STEPS
from tests.architecture_table.table import CELLS, Row, rows


def main() -> None:
    """Computes the rows that are asked for, one after another; with --write, also the files."""
    parser = argparse.ArgumentParser(prog="python -m tests.architecture_table")
    parser.add_argument("--write", action="store_true", help="write the cells and the page")
    parser.add_argument("--only", nargs="+", choices=[*MODELS, *SMALL], metavar="MODEL", help="the rows to compute")
    parser.add_argument("--ops", nargs="+", choices=[*STEPS], metavar="OP", help="the columns to compute; others stay")
    parser.add_argument("--page", action="store_true", help="compute nothing: only make the page from the cells")
    parser.add_argument("--formats", action="store_true", help="compute no rows: compare mutants with those of Keras")
    given = parser.parse_args()
    if given.formats:
        sys.exit(not _agree(given.only or [*SMALL]))
    if strange := set(given.only or ()) - set(MODELS):
        parser.error(f"no rows of the table: {', '.join(sorted(strange))}")
    names = [] if given.page else given.only or [*MODELS]
    small = [name for name in names if name not in APPLICATIONS]
    for together in [small, *([name] for name in names if name in APPLICATIONS)]:
        with tempfile.TemporaryDirectory() as folder:
            found = rows(together, Path(folder), given.ops or [*STEPS]) if together else {}
        for name, row in found.items():
            _print(name, row)
        if given.write:
            known: dict[str, Row] = json.loads(CELLS.read_text()) if CELLS.exists() else {}
            for name, row in found.items():
                cells = {**known.get(name, {}), **row}
                known[name] = {op: cells[op] for op in STEPS if op in cells}
            CELLS.write_text(json.dumps({each: known[each] for each in MODELS if each in known}, indent=1) + "\n")
    if given.write or given.page:
        PAGE.write_text(page(json.loads(CELLS.read_text())))


def _agree(names: list[str]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        return report(names, Path(folder))


def _print(name: str, row: Row) -> None:
    for op, cell in row.items():
        told = (cell.get(key, "") for key in ("mark", "held", "message", "by_keras"))
        print(f"{name} {op}: {' '.join(filter(None, told))}", flush=True)
        if cell["mark"] == "wrong":
            print(f"    {json.dumps(cell['step'])}", flush=True)


if __name__ == "__main__":
    main()
