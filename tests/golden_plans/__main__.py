"""Records the mutants of golden plans that have no record: `python -m tests.golden_plans --write`."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.golden_plans.golden import PLANS, mutant_of, record_of, write


def main(arguments: list[str]) -> int:
    """Writes what is missing. Returns the exit code."""
    missing = [path for path in PLANS if not record_of(path).exists()]
    if arguments not in ([], ["--write"]):
        print(__doc__, file=sys.stderr)
        return 2
    for path in missing:
        with TemporaryDirectory() as folder:
            made = mutant_of(path, Path(folder))
        if arguments:
            write(made, record_of(path))
        print(f"{'recorded' if arguments else 'not recorded'}: {path.name}")
    print(f"{len(PLANS) - len(missing)} of {len(PLANS)} plans had a record, which was left as it is")
    return 0 if arguments or not missing else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
