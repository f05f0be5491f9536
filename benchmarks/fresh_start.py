"""Removes files and touches free memory, so that each measured command finds the machine in the same state.

    python benchmarks/fresh_start.py FILE ...

The host of a virtual machine takes back memory that is not used. The next process that touches it has to wait: a copy
of 4 GB takes twice as long if its pages are new to the host.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

GIGABYTE = 1 << 30
AT_MOST = 12 * GIGABYTE
LEFT_ALONE = 4 * GIGABYTE


def main() -> None:
    """Removes files, then touches memory."""
    for path in sys.argv[1:]:
        Path(path).unlink(missing_ok=True)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    b"1" * max(0, min(AT_MOST, free - LEFT_ALONE))  # making it touches the memory


if __name__ == "__main__":
    main()
