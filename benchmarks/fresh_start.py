"""Remove files, and touch free memory, so that what is measured next finds the machine as the command before it did.

    python benchmarks/fresh_start.py FILE ...

A virtual machine's host takes back the memory that nobody uses. Whoever touches it next waits for it: a copy of 4 GB
takes twice as long when its pages are new to the host.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

GIGABYTE = 1 << 30
AT_MOST = 12 * GIGABYTE
LEFT_ALONE = 4 * GIGABYTE


def main() -> None:
    """Remove, then touch."""
    for path in sys.argv[1:]:
        Path(path).unlink(missing_ok=True)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    b"1" * max(0, min(AT_MOST, free - LEFT_ALONE))  # its making is what counts


if __name__ == "__main__":
    main()
