"""The floor of a mutation from file to file: copy a file, then draw normal numbers for its weights on two threads.

    python benchmarks/copy_and_draw.py SOURCE TARGET WEIGHTS

The copy reaches the disk, as mutspec's output does before it takes its place. WEIGHTS may be 0: the copy alone.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

THREADS = 2
CHUNK = 1 << 16


def main() -> None:
    """Copy, then draw."""
    source, target, weights = sys.argv[1], sys.argv[2], int(sys.argv[3])
    copy(source, target)
    if weights:
        draw(weights)


def copy(source: str, target: str) -> None:
    """Copy in the kernel, as fast as the file system can."""
    with open(source, "rb") as read, open(target, "wb") as written:
        size = os.fstat(read.fileno()).st_size
        done = 0
        while done < size:
            done += os.copy_file_range(read.fileno(), written.fileno(), size - done, done, done)
        os.fsync(written.fileno())


def draw(weights: int) -> None:
    """Draw with the bit generator, and by the chunks, of mutspec's streams."""
    import numpy as np

    def chunk(number: int) -> None:
        bits = np.random.Philox(key=5, counter=[0, 0, number, 0])
        np.random.Generator(bits).standard_normal(min(CHUNK, weights - number * CHUNK), dtype=np.float32)

    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(chunk, range(-(-weights // CHUNK))):
            pass


if __name__ == "__main__":
    main()
